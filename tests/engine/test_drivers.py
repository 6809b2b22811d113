"""Both drivers: what each can do by itself is tried on the bare package, and what ptp makes of them is the same."""

from __future__ import annotations

import importlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest

from ptp.engine import errors_named
from ptp.engine.drivers import CAPABILITIES, Capability, connect, driver_of
from ptp.errors import CannotFinish, DiskFull, Locked, NotADatabase, UsageError
from ptp.settings import DriverName

NAMES: tuple[DriverName, ...] = get_args(DriverName)
PTP = Path(__file__).parents[2] / "ptp"


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        for sql in statements or ("CREATE TABLE t (a)", "INSERT INTO t VALUES (1), (2)"):
            db.execute(sql)
    return path


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def elsewhere(path: Path, sql: str) -> str:
    """What another process hears that runs a statement and does not wait."""
    code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None); db.execute(sys.argv[2])"
    found = subprocess.run([sys.executable, "-c", code, str(path), sql], capture_output=True, text=True, check=False)
    return found.stderr.strip().splitlines()[-1] if found.returncode else "done"


# --- what each can do by itself --------------------------------------------------------------------------------------

PROBES: dict[Capability, Callable[[Any, Path], bool]] = {}


def probe(capability: Capability) -> Callable[[Callable[[Any, Path], bool]], None]:
    def keep(tried: Callable[[Any, Path], bool]) -> None:
        PROBES[capability] = tried

    return keep


def bare(module: Any, path: Path | str, **options: Any) -> Any:
    return module.connect(str(path), isolation_level=None, **({"uri": True} if module is sqlite3 else {}), **options)


def works(tried: Callable[[], object]) -> bool:
    try:
        return bool(tried())
    except Exception:
        return False


def refused(tried: Callable[[], object]) -> bool:
    return not works(lambda: (tried(), True))


@probe("named values")
def _(module: Any, path: Path) -> bool:
    return works(lambda: bare(module, path).execute("SELECT :a", {"a": 1}).fetchone() == (1,))


@probe("checked counts")
def _(module: Any, path: Path) -> bool:
    return all(refused(lambda v=v: bare(module, path).execute("SELECT ?, ?", v).fetchone()) for v in ((1,), (1, 2, 3)))


@probe("one statement")
def _(module: Any, path: Path) -> bool:
    return refused(lambda: bare(module, path).execute("CREATE TABLE a (a); CREATE TABLE b (b)"))


@probe("wide integers")
def _(module: Any, path: Path) -> bool:
    db = bare(module, path)
    exact = all(
        db.execute("SELECT typeof(?1), ?1", (v,)).fetchone() == ("integer", v)
        for v in (2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63))
    )
    return exact and refused(lambda: db.execute("SELECT ?", (2**63,)).fetchone())


@probe("bytes alike")
def _(module: Any, path: Path) -> bool:
    db = bare(module, path)
    return all(
        works(lambda v=v: db.execute("SELECT ?", (v,)).fetchone() == (b"x",))
        for v in (bytearray(b"x"), memoryview(b"x"))
    )


@probe("whole texts")
def _(module: Any, path: Path) -> bool:
    return bool(bare(module, path).execute("SELECT CAST(x'610062' AS TEXT)").fetchone() == ("a\0b",))


@probe("undecodable texts")
def _(module: Any, path: Path) -> bool:
    try:
        bare(module, path).execute("SELECT CAST(x'61ff' AS TEXT)").fetchone()
    except BaseException as problem:
        return isinstance(problem, Exception)
    raise AssertionError("it was decoded")


@probe("error codes")
def _(module: Any, path: Path) -> bool:
    db = bare(module, path)
    db.execute("CREATE TABLE t (a UNIQUE)")
    db.execute("INSERT INTO t VALUES (1)")
    try:
        db.execute("INSERT INTO t VALUES (1)")
    except Exception as problem:
        return hasattr(problem, "sqlite_errorname") and type(problem).__name__ == "IntegrityError"
    raise AssertionError("it was inserted")


@probe("own row counts")
def _(module: Any, path: Path) -> bool:
    db = bare(module, path)
    db.execute("CREATE TABLE t (a)")
    db.execute("INSERT INTO t VALUES (1), (2)")
    return bool(db.execute("SELECT 1").rowcount == -1)


@probe("iteration")
def _(module: Any, path: Path) -> bool:
    return works(lambda: list(bare(module, path).execute("SELECT 1")) == [(1,)])


@probe("rows always")
def _(module: Any, path: Path) -> bool:
    return bool(bare(module, path).execute("CREATE TABLE t (a)").fetchall() == [])


@probe("one run")
def _(module: Any, path: Path) -> bool:
    """An INSERT that is asked for rows once more inserts once more."""
    db = bare(module, make(path, "CREATE TABLE t (a)"))
    rows = db.execute("INSERT INTO t VALUES (1) RETURNING a")
    assert (rows.fetchone(), rows.fetchone()) == ((1,), None)
    rows.fetchall()
    return bool(db.execute("SELECT count(*) FROM t").fetchone() == (1,))


@probe("references off")
def _(module: Any, path: Path) -> bool:
    return bool(bare(module, path).execute("PRAGMA foreign_keys").fetchone() == (0,))


@probe("committing scripts")
def _(module: Any, path: Path) -> bool:
    db = bare(module, path)
    db.execute("BEGIN")
    db.executescript("SELECT 1")
    return not db.in_transaction


@probe("backup")
def _(module: Any, path: Path) -> bool:
    return hasattr(bare(module, path), "backup")


@probe("functions")
def _(module: Any, path: Path) -> bool:
    return hasattr(bare(module, path), "create_function")


@probe("trace")
def _(module: Any, path: Path) -> bool:
    return hasattr(bare(module, path), "set_trace_callback")


@probe("text factory")
def _(module: Any, path: Path) -> bool:
    return hasattr(bare(module, path), "text_factory")


@probe("read-only files")
def _(module: Any, path: Path) -> bool:
    uri = f"file:{make(path)}?mode=ro"
    missing = refused(lambda: bare(module, f"file:{path}-none?mode=ro")) and not Path(f"{path}-none").exists()
    return missing and refused(lambda: bare(module, uri).execute("DELETE FROM t")) and works(lambda: bare(module, uri))


@probe("read-only attach")
def _(module: Any, path: Path) -> bool:
    db = bare(module, ":memory:")
    db.execute("ATTACH ? AS other", (f"file:{make(path)}?mode=ro",))
    return refused(lambda: db.execute("DELETE FROM other.t")) and db.execute(
        "SELECT count(*) FROM other.t"
    ).fetchone() == (2,)


@probe("busy timeout")
def _(module: Any, path: Path) -> bool:
    code = "import sqlite3, sys, time; db = sqlite3.connect(sys.argv[1], isolation_level=None); db.execute('BEGIN IMMEDIATE'); print(flush=True); sys.stdin.readline(); time.sleep(0.2)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(make(path))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin and holder.stdout
        holder.stdout.readline()
        at_once = refused(lambda: bare(module, path, timeout=0).execute("BEGIN IMMEDIATE"))
        holder.stdin.write("\n")
        holder.stdin.flush()
        waited = not refused(lambda: bare(module, path, timeout=60).execute("BEGIN IMMEDIATE"))
    return at_once and waited


@probe("write-ahead log")
def _(module: Any, path: Path) -> bool:
    return bool(bare(module, path).execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",))


@probe("full text")
def _(module: Any, path: Path) -> bool:
    return works(lambda: bare(module, path).execute("CREATE VIRTUAL TABLE f USING fts5 (a)"))


@probe("shared process")
def _(module: Any, path: Path) -> bool:
    """Another process is kept out until sqlite3 opens and closes the file in this one."""
    db = bare(module, make(path))
    db.execute("BEGIN IMMEDIATE")
    assert "locked" in elsewhere(path, "INSERT INTO t VALUES (3)")
    assert len(ask(path, "SELECT a FROM t")) == 2
    return "locked" in elsewhere(path, "INSERT INTO t VALUES (3)")


def test_each_capability_is_tried() -> None:
    assert set(PROBES) == set(get_args(Capability)) == set(CAPABILITIES)


@pytest.mark.parametrize("capability", PROBES)
def test_a_driver_can_by_itself_what_is_declared_and_nothing_more(
    name: str, capability: Capability, path: Path
) -> None:
    declared, can = capability in driver_of(name).can, PROBES[capability](importlib.import_module(name), path)
    now = "can now" if can else "cannot any more"
    assert can == declared, (
        f"{name} {now}: a driver that {CAPABILITIES[capability]}. Mend its line in ptp/engine/drivers.py."
    )


# --- and what ptp makes of them --------------------------------------------------------------------------------------

CLASSES: list[tuple[Any, str, str]] = [
    # a value, its storage class, and what hex() says of it
    (0, "integer", "30"),
    (True, "integer", "31"),
    (2**31 - 1, "integer", b"2147483647".hex()),
    (2**31, "integer", b"2147483648".hex()),
    (-(2**31) - 1, "integer", b"-2147483649".hex()),
    (2**53 + 1, "integer", b"9007199254740993".hex()),
    (2**63 - 1, "integer", b"9223372036854775807".hex()),
    (-(2**63), "integer", b"-9223372036854775808".hex()),
    (1.5, "real", b"1.5".hex()),
    (float("inf"), "real", b"Inf".hex()),
    (float("nan"), "null", ""),
    (None, "null", ""),
    ("", "text", ""),
    ("é🎓", "text", "c3a9f09f8e93"),
    ("a\0b", "text", "610062"),
    (b"", "blob", ""),
    (b"\0\xff", "blob", "00ff"),
    (bytearray(b"\0\xff"), "blob", "00ff"),
    (memoryview(b"\0\xff"), "blob", "00ff"),
]


@pytest.mark.parametrize(("value", "kind", "bytes_"), CLASSES, ids=lambda v: repr(v)[:24].partition(" at ")[0])
def test_a_value_is_bound_as_it_is(name: str, path: Path, value: Any, kind: str, bytes_: str) -> None:
    make(path, "CREATE TABLE t (a)")
    with connect(path, driver=name) as db:
        for sql, values in (
            ("?", (value,)),
            ("?1", [value]),
            (":v", {"v": value}),
            ("@v", {"v": value}),
            ("$v", {"v": value}),
        ):
            assert db.execute(f"INSERT INTO t VALUES ({sql})", values).rowcount == 1
    assert ask(path, "SELECT typeof(a), lower(hex(a)) FROM t") == [(kind, bytes_)] * 5


def test_integers_of_every_width_are_read_and_compared_as_they_are(name: str, path: Path) -> None:
    wide = [-(2**63), -(2**53) - 1, 2**53, 2**53 + 1, 2**63 - 1]
    make(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)", *(f"INSERT INTO t VALUES ({v}, '{v}')" for v in wide))
    with connect(path, driver=name) as db:
        assert [id for (id,) in db.execute("SELECT id FROM t ORDER BY id")] == wide
        for value in wide:
            assert db.execute("SELECT count(*) FROM t WHERE id = ?", (value,)).fetchone() == (1,)
            assert db.execute("SELECT count(*) FROM t WHERE a = :v", {"v": value}).fetchone() == (1,)
        assert db.execute("SELECT id FROM t ORDER BY id LIMIT ?", (2**40,)).fetchall() == [(v,) for v in wide]


def test_an_integer_that_sqlite_cannot_hold_is_refused(name: str, path: Path) -> None:
    with connect(path, driver=name) as db:
        for value in (2**63, -(2**63) - 1):
            with pytest.raises(OverflowError):
                db.execute("SELECT ?", (value,))


def test_places_are_only_where_sql_has_them(name: str, path: Path) -> None:
    sql = """SELECT ':a', 'it''s ?', "n:a", [n?], `n$a`, /* :b ? */ :a, -- ? :c
      :a + :b, '{"k": ":a"}' ->> '$.k' FROM (SELECT 1 AS "n:a", 2 AS [n?], 3 AS `n$a`)"""
    with connect(path, driver=name) as db:
        found = db.execute(sql, {"a": 2**40, "b": 1, "never asked for": 5}).fetchone()
        assert found == (":a", "it's ?", 1, 2, 3, 2**40, 2**40 + 1, ":a")
        assert db.execute("SELECT ?2, ?1, ?2, ?", (1, 2**33, 3)).fetchone() == (2**33, 1, 2**33, 3)


@pytest.mark.parametrize(
    ("sql", "values"),
    [("?, ?", (1,)), ("?", ()), ("?", (1, 2)), ("1", (1,)), (":a", {}), (":a, :b", {"a": 1}), ("?3", (1, 2))],
)
def test_a_value_too_few_or_too_many_is_refused(name: str, path: Path, sql: str, values: Any) -> None:
    with connect(path, driver=name) as db, pytest.raises(sqlite3.ProgrammingError):
        db.execute(f"SELECT {sql}", values)


def test_only_one_statement_is_taken_and_nothing_runs_of_two(name: str, path: Path) -> None:
    make(path)
    with connect(path, driver=name) as db:
        with pytest.raises((sqlite3.ProgrammingError, sqlite3.Warning)):
            db.execute("DELETE FROM t; DELETE FROM t")
        db.execute(
            "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t WHERE a = 1; DELETE FROM t WHERE a = 2; END;"
        )
        db.execute("INSERT INTO t VALUES (';') ; -- done")
        assert db.execute("SELECT a FROM t").fetchall() == [(";",)]


ERRORS: dict[str, tuple[type[Exception], str]] = {
    "INSERT INTO e VALUES (1, 1, 1)": (sqlite3.IntegrityError, "SQLITE_CONSTRAINT"),
    "INSERT INTO e VALUES (2, -1, 1)": (sqlite3.IntegrityError, "SQLITE_CONSTRAINT"),
    "INSERT INTO e VALUES (2, NULL, 1)": (sqlite3.IntegrityError, "SQLITE_CONSTRAINT"),
    "INSERT INTO e VALUES (2, 'x', 1)": (sqlite3.IntegrityError, "SQLITE_CONSTRAINT"),
    "INSERT INTO e VALUES (2, 2, 99)": (sqlite3.IntegrityError, "SQLITE_CONSTRAINT"),
    "INSERT INTO loose VALUES ('x')": (sqlite3.IntegrityError, "SQLITE_MISMATCH"),
    "INSERT INTO moved VALUES (1)": (sqlite3.IntegrityError, "SQLITE_CONSTRAINT"),
    "SELECT * FROM nothing": (sqlite3.OperationalError, "SQLITE_ERROR"),
    "SELEC 1": (sqlite3.OperationalError, "SQLITE_ERROR"),
    "COMMIT": (sqlite3.OperationalError, "SQLITE_ERROR"),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(
        tmp_path_factory.mktemp("faulty") / "a.db",
        "CREATE TABLE e (id INTEGER PRIMARY KEY, n INTEGER NOT NULL CHECK (n > 0), e INTEGER REFERENCES e (id)) STRICT",
        "CREATE TABLE loose (id INTEGER PRIMARY KEY)",
        "CREATE TABLE moved (a)",
        "CREATE TRIGGER g BEFORE INSERT ON moved BEGIN SELECT RAISE(ABORT, 'ptp: this database has moved'); END",
        "INSERT INTO e VALUES (1, 1, 1)",
        "CREATE TABLE texts (good, bad)",
        "INSERT INTO texts VALUES ('a', CAST(x'61ff' AS TEXT))",
    )


@pytest.mark.parametrize("sql", ERRORS)
def test_errors_have_the_class_and_the_name_that_sqlite3_gives_them(name: str, faulty: Path, sql: str) -> None:
    error, word = ERRORS[sql]
    with connect(faulty, driver=name) as db:
        db.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.Error) as caught:
            db.execute(sql)
        assert type(caught.value) is error
        assert caught.value.sqlite_errorname.startswith(word) or caught.value.sqlite_errorname == "unknown"
        assert caught.value.sqlite_errorcode & 0xFF == getattr(sqlite3, word)
        assert not db.in_transaction


def test_a_text_that_is_not_utf8_is_an_error_that_names_its_column_and_the_connection_goes_on(
    name: str, faulty: Path
) -> None:
    with connect(faulty, driver=name) as db:
        with pytest.raises(CannotFinish, match="holds a text that is not UTF-8, in a column bad"), errors_named(faulty):
            db.execute("SELECT bad FROM texts").fetchall()
        assert db.execute("SELECT good, hex(bad) FROM texts").fetchone() == ("a", "61FF")


def test_what_the_file_and_the_system_refuse_is_the_same_sentence(name: str, path: Path, tmp_path: Path) -> None:
    make(path)
    (tmp_path / "no.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(NotADatabase), errors_named(path), connect(tmp_path / "no.db", driver=name) as db:
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    with (
        pytest.raises(UsageError, match="cannot be opened"),
        errors_named(path),
        connect(tmp_path / "none" / "a.db", driver=name),
    ):
        pass
    with pytest.raises(DiskFull), errors_named(path), connect(path, driver=name) as db:
        db.execute("PRAGMA max_page_count = 3")
        db.execute("INSERT INTO t VALUES (randomblob(100000))")


def test_a_lock_of_another_process_is_told_after_the_time_to_wait(name: str, path: Path) -> None:
    code = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); db.execute('BEGIN IMMEDIATE'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(make(path))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin and holder.stdout
        holder.stdout.readline()
        with connect(path, driver=name, busy_timeout_ms=1) as db:
            assert db.execute("PRAGMA busy_timeout").fetchone() == (1,)
            with pytest.raises(Locked), errors_named(path):
                db.execute("BEGIN IMMEDIATE")
            assert not db.in_transaction
        holder.stdin.close()


def test_rows_come_in_every_way_and_are_counted(name: str, path: Path) -> None:
    with connect(make(path), driver=name) as db:
        db.execute("CREATE TABLE more (a)")
        rows = db.execute("SELECT a FROM t ORDER BY a")
        assert (rows.fetchone(), rows.fetchone(), rows.fetchone(), rows.fetchall()) == ((1,), (2,), None, [])
        assert db.execute("SELECT a FROM t ORDER BY a").fetchmany(1) == [(1,)]
        assert list(db.execute("SELECT a FROM t ORDER BY a")) == [(1,), (2,)]
        for ask_again in (lambda r: r.fetchone(), lambda r: r.fetchall(), lambda r: r.fetchmany(2), list):
            rows = db.execute("INSERT INTO more VALUES (1) RETURNING a")
            assert list(rows) == [(1,)]
            assert not ask_again(rows) and not ask_again(rows)
        rows = db.execute("SELECT a FROM more")
        assert [len(rows.fetchmany(2)) for _ in range(4)] == [2, 2, 0, 0], "each was inserted once"
        counts = {
            "INSERT INTO t SELECT a + 2 FROM t": 2,
            "-- all\n UPDATE t SET a = a": 4,
            "/* all */ delete from t where a > 3": 1,
            "DELETE FROM t WHERE a > 99": 0,
            "REPLACE INTO t VALUES (7)": 1,
            "SELECT a FROM t": -1,
            "CREATE TABLE u (a)": -1,
            "PRAGMA user_version = 3": -1,
        }
        assert {sql: db.execute(sql).rowcount for sql in counts} == counts
        for sql in ("PRAGMA user_version = 4", "DROP TABLE u", "UPDATE t SET a = 1", "SELECT a FROM t WHERE 0"):
            assert db.execute(sql).fetchall() == []


def test_a_transaction_is_told_and_ends_with_its_connection(name: str, path: Path) -> None:
    with connect(make(path), driver=name) as db:
        told = [db.in_transaction]
        for sql in (
            "BEGIN",
            "DELETE FROM t",
            "ROLLBACK",
            "BEGIN IMMEDIATE",
            "INSERT INTO t VALUES (3)",
            "COMMIT",
            "BEGIN",
        ):
            db.execute(sql)
            told.append(db.in_transaction)
        assert told == [False, True, True, False, True, True, False, True]
        db.execute("DELETE FROM t")
    assert ask(path, "SELECT count(*) FROM t") == [(3,)]


def test_trap_01_foreign_keys_are_off_until_they_are_asked_for_and_stay_as_they_are_within_a_transaction(
    name: str, path: Path
) -> None:
    make(
        path,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE pets (id INTEGER PRIMARY KEY, parent REFERENCES parent (id) ON DELETE CASCADE)",
        "CREATE TABLE seats (id INTEGER PRIMARY KEY, parent REFERENCES parent (id) ON DELETE SET NULL)",
        *(f"INSERT INTO {sql}" for sql in ("parent VALUES (1)", "pets VALUES (1, 1)", "seats VALUES (1, 1)")),
    )
    children = "SELECT (SELECT count(*) FROM pets), (SELECT count(parent) FROM seats)"
    with connect(path, driver=name) as db:
        assert db.execute("PRAGMA foreign_keys").fetchone() == (0,)
        db.execute("BEGIN")
        db.execute("PRAGMA foreign_keys = ON")
        assert db.execute("PRAGMA foreign_keys").fetchone() == (0,)
        db.execute("DROP TABLE parent")
        assert db.execute(children).fetchone() == (1, 1)
        db.execute("ROLLBACK")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN")
        db.execute("DROP TABLE parent")
        assert db.execute(children).fetchone() == (0, 0), "the trap is real"
        db.execute("ROLLBACK")
    assert ask(path, children) == [(1, 1)]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_file_that_is_only_read_stays_as_it_is_with_nothing_beside_it(name: str, tmp_path: Path, mode: str) -> None:
    path = make(tmp_path / "a ?#%20ü.db", f"PRAGMA journal_mode = {mode}", "CREATE TABLE t (a)")
    before = path.read_bytes()
    with connect(path, driver=name, read_only=True) as db:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
        with pytest.raises(UsageError, match="written|read-only|cannot be opened"), errors_named(path):
            db.execute("INSERT INTO t VALUES (1)")
    assert path.read_bytes() == before
    with pytest.raises(UsageError), errors_named(path), connect(tmp_path / "none.db", driver=name, read_only=True):
        pass
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_closed_connection_has_let_go_of_its_file_and_says_so(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "PRAGMA journal_mode = WAL", "CREATE TABLE t (a)")
    with connect(path, driver=name) as db:
        db.execute("INSERT INTO t VALUES (1)")
        assert len(list(db.execute("SELECT 1 UNION SELECT 2"))) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.db"]
    with pytest.raises(sqlite3.ProgrammingError):
        db.execute("SELECT 1")
    db.close()


@pytest.fixture
def held(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(make(path))) as db:
        db.execute("SELECT count(*) FROM t").fetchone()
        yield db


def test_a_file_that_is_open_here_is_not_opened_by_a_library_that_would_unlock_it(
    path: Path, held: sqlite3.Connection
) -> None:
    with connect(path, driver="sqlite3") as db:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (2,)
    with pytest.raises(CannotFinish, match=r"a\.db is open in this process already.*use --driver sqlite3\.$"):
        with connect(path, driver="libsql"):
            pass
    held.close()
    with connect(path, driver="libsql") as db:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_a_driver_that_is_not_there_is_one_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(UsageError, match=r"^There is no driver 'pyturso': it is one of sqlite3, libsql\.$"),
        connect(path, driver="pyturso"),
    ):
        pass
    monkeypatch.setitem(sys.modules, "libsql", None)
    with pytest.raises(
        UsageError,
        match=r"^The driver libsql is not installed .*pip install 'ptp\[libsql\]', or use --driver sqlite3\.$",
    ):
        driver_of("libsql")
    assert not path.exists()


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_what_a_driver_lacks_is_one_sentence_that_names_the_right_one(name: str, capability: Capability) -> None:
    driver = driver_of(name)
    if capability in driver.can:
        driver.require(capability, what="An online migration")
        return
    with pytest.raises(UsageError) as caught:
        driver.require(capability, what="An online migration")
    said = str(caught.value)
    assert said.startswith("An online migration needs a driver that ") and said.endswith("use --driver sqlite3.")
    assert name in said and said.count(".") == 1


def test_a_driver_says_which_sqlite_it_brings(name: str, path: Path) -> None:
    with connect(path, driver=name) as db:
        said = driver_of(name).version(db)
    assert said.startswith(f"{name}") and said.rpartition("SQLite ")[2].startswith("3.")
    assert (said == f"sqlite3, SQLite {sqlite3.sqlite_version}") is (name == "sqlite3")


def test_trap_20_no_code_runs_a_script_of_statements() -> None:
    """It commits what is pending under one driver and not under the other; in a new database in memory, nothing is."""
    found = {p.name for p in PTP.rglob("*.py") if ".executescript" in p.read_text(encoding="utf-8")}
    assert found <= {"shapes.py"}


def test_only_one_place_knows_libsql() -> None:
    files = [p for p in PTP.rglob("*.py") if "dialects" not in p.parts and "replicas" not in p.parts]
    told = {p.name for p in files if '"libsql"' in p.read_text(encoding="utf-8")}
    urls = {"addresses.py", "routes.py", "opening.py"}  # where it is a scheme, or a way to open a file, too
    assert told - urls - {"doctoring.py"} == {"drivers.py", "libsql_driver.py", "settings.py", "candidates.py"}
