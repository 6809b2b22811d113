"""A migration by either driver: the same target, whatever it holds, looked at through sqlite3 when it is finished."""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, get_args

import pytest

from ptp.conversions.sql import problem_sql, value_sql
from ptp.engine import moves
from ptp.engine.drivers import connect
from ptp.errors import CannotFinish, UsageError
from ptp.migration import live
from ptp.migration.build import Built, build
from ptp.migration.capture import LOG
from ptp.migration.live import NextDatabase, Pace, catch_up
from ptp.migration.watching import begin_capture
from ptp.schema.shapes import known_shapes
from ptp.settings import DriverName
from ptp.workbench.migrating import plan_of
from ptp.workbench.online import plan_online
from tests.migration.moving import contents, make_place, quiet, run_sql
from tests.migration.test_every_dirt import DIRT

NAMES: tuple[DriverName, ...] = get_args(DriverName)


@pytest.fixture(params=NAMES)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build_by(driver: str, case: Any, **options: Any) -> Built:
    given = {"source": case.source, "target": case.target, "run": "t", "now": 1, "progress": quiet, **options}
    return build(plan_of(case.source), driver=driver, **given)


def dump(path: Path) -> list[str]:
    """All of a database as SQL, but for the seconds that its build took."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE ptp_journal SET seconds = 0")
        return list(db.iterdump())


def test_both_drivers_build_the_same_target_and_the_verification_passes(case: Any, tmp_path: Path) -> None:
    made = {}
    for name in NAMES:
        target = tmp_path / f"{name}.db"
        built = build_by(name, case, target=target)
        with writer_of(name, tmp_path / "any.db") as db:
            (version,) = db.execute("SELECT sqlite_version()").fetchone()
        assert built.driver.startswith(name) and built.driver.endswith(f", SQLite {version}")
        made[name] = dump(target)
    assert len(made["libsql"]) > 1_000
    assert made["libsql"] == made["sqlite3"]
    case.target = tmp_path / "libsql.db"
    assert case.failing() == {}
    assert case.ask("PRAGMA journal_mode") == [("wal",)]
    assert case.ask("PRAGMA integrity_check") == [("ok",)]


# Written as SQL, so that no driver binds them; as their storage class, and their text or bytes in hex.
EVERY_CLASS = {
    "2147483647": ("integer", b"2147483647"),
    "2147483648": ("integer", b"2147483648"),
    "-2147483649": ("integer", b"-2147483649"),
    "9007199254740993": ("integer", b"9007199254740993"),
    "9223372036854775807": ("integer", b"9223372036854775807"),
    "(-9223372036854775808)": ("integer", b"-9223372036854775808"),
    "1700000000000": ("integer", b"1700000000000"),
    "1700000000000.0": ("real", b"1700000000000.0"),
    "0.1": ("real", b"0.1"),
    "9e999": ("real", b"inf"),
    "CAST(x'610062' AS TEXT)": ("text", b"a\0b"),
    "CAST(x'6100' AS TEXT)": ("text", b"a\0"),
    "CAST(x'61ff' AS TEXT)": ("text", b"a\xff"),
    "'é🎓'": ("text", "é🎓".encode()),
    "''": ("text", b""),
    "x''": ("blob", b""),
    "x'00ff00'": ("blob", b"\0\xff\0"),
    "NULL": ("null", b""),
}
SEEN = "typeof(v), CASE WHEN typeof(v) IN ('text', 'blob') THEN hex(v) ELSE coalesce(v, '') END"


def test_trap_26_no_value_changes_on_the_way_whatever_its_class(raw: Any, driver: str) -> None:
    """In a table that is carried over as it is, and in mapped columns of texts and keys."""
    raw.edit(
        "CREATE TABLE kept (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE wide (id INTEGER PRIMARY KEY)",
        *(f"INSERT INTO kept (v) VALUES ({sql})" for sql in EVERY_CLASS),
        *(f"INSERT INTO wide VALUES ({n})" for n in (-(2**63), 2**31, 2**53 + 1, 2**63 - 1)),
        *(
            f"INSERT INTO users (id, email, name) VALUES ({n}, 'e{n}@x', CAST(x'4100{n % 10}0' AS TEXT))"
            for n in (2**31, 2**53 + 1, 2**63 - 1)
        ),
    )
    build_by(driver, raw)
    as_bytes = [(c, str(v)) for c, v in raw.ask(f"SELECT {SEEN} FROM kept ORDER BY id")]
    expected = [(k, b.hex().upper() if k in ("text", "blob") else b.decode()) for k, b in EVERY_CLASS.values()]
    assert as_bytes == expected
    assert raw.ask("SELECT id FROM wide ORDER BY id") == [(-(2**63),), (2**31,), (2**53 + 1,), (2**63 - 1,)]
    users = raw.ask("SELECT id, typeof(id), email, hex(name) FROM users WHERE id >= 2147483648 ORDER BY id")
    assert users == [(n, "integer", f"e{n}@x", f"4100{n % 10}0") for n in (2**31, 2**53 + 1, 2**63 - 1)]
    assert raw.failing() == {}


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_the_target_takes_over_the_encoding_of_the_source(small: Any, driver: str, encoding: str) -> None:
    users = [{"id": 2**40, "email": "ü🎓@x", "name": "Ünï", "created_at": "2025-03-01 10:00:00"}]
    case = small("raw", {"users": users}, setup=(f"PRAGMA encoding = '{encoding}'", "PRAGMA user_version = 5"))
    build_by(driver, case)
    assert case.ask("PRAGMA encoding") == [(encoding,)]
    assert case.ask("PRAGMA user_version") == [(5,)]
    assert case.ask("SELECT id, email, name, created_at FROM users") == [(2**40, "ü🎓@x", "Ünï", 1740823200)]
    assert case.failing() == {}


def test_trap_01_a_parent_keeps_its_children(raw: Any, driver: str) -> None:
    raw.edit(
        "CREATE TABLE pets (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id) ON DELETE CASCADE)",
        "CREATE TABLE seats (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id) ON DELETE SET NULL)",
        *(f"INSERT INTO {table} SELECT id, id FROM users LIMIT 10" for table in ("pets", "seats")),
        "INSERT INTO pets VALUES (99, 12345678)",  # an orphan, which foreign keys would refuse
    )
    sizes = [f"SELECT count(*), count(user_id) FROM {t}" for t in ("pets", "seats", "user_answers", "user_progress")]
    before = [raw.ask_source(sql) for sql in sizes]
    assert before[0] == [(11, 11)]
    build_by(driver, raw)
    assert [raw.ask(sql) for sql in sizes] == before
    assert raw.failing() == {}


VALUES = sorted({sql for lines in DIRT.values() for sql, _ in lines} | EVERY_CLASS.keys())
MORE = [
    "'2025-03-01T10:00:00Z'",
    "'2025-03-01 10:00:00+02:00'",
    "'2025-03-01'",
    "1740823200",
    "'true'",
    "1",
    "0",
    "'7'",
]
MORE += [
    "'{\"a\": [1, 2.5, null]}'",
    "'{a: 1}'",
    "'[1,]'",
    "'[]'",
    "'\"x\"'",
    "x'7b7d'",
    "x'323032352d30332d3031'",
    "-0.0",
]


def test_a_conversion_does_the_same_in_both_engines(tmp_path: Path) -> None:
    """On everything that the specification tells, and on what newer SQLite judges otherwise: JSON5, JSONB, blobs as texts."""
    columns = {c.conversion for shape in known_shapes() for t in shape.tables for c in t.columns}
    assert len(columns) > 8
    seen = {}
    for name in NAMES:
        path = tmp_path / f"{name}.db"
        run_sql(path, "CREATE TABLE t (x)", f"INSERT INTO t VALUES {', '.join(f'({sql})' for sql in (*VALUES, *MORE))}")
        with connect(path, driver=name) as db:
            db.execute("BEGIN")
            for number, conversion in enumerate(sorted(columns, key=repr)):
                value, problem = value_sql(conversion, "x"), problem_sql(conversion, "x")
                db.execute(
                    f"CREATE TABLE made{number} AS SELECT rowid AS n, {value} AS v, {problem} AS p FROM t"
                ).close()
            db.execute("COMMIT")
        with closing(sqlite3.connect(path)) as db:
            seen[name] = {
                (n, *row)
                for n in range(len(columns))
                for row in db.execute(f"SELECT n, {SEEN}, typeof(p), hex(p) FROM made{n}")
            }
    assert len(seen["sqlite3"]) == len(columns) * (len(VALUES) + len(MORE))
    assert seen["libsql"] == seen["sqlite3"]


@pytest.mark.parametrize("word", ["copy", "index"])
def test_nothing_is_left_of_a_build_that_is_interrupted(raw: Any, driver: str, word: str) -> None:
    def interrupt(share: float, text: str) -> None:
        if word in text:
            raise KeyboardInterrupt

    before = raw.source.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        build_by(driver, raw, progress=interrupt)
    assert raw.files() == {"source.db"}
    assert raw.source.read_bytes() == before
    build_by(driver, raw)
    assert raw.files() == {"source.db", "target.db"}


def test_a_source_in_wal_mode_is_left_with_nothing_beside_it(raw: Any, driver: str) -> None:
    raw.edit("PRAGMA journal_mode = WAL")
    before = raw.source.read_bytes()
    build_by(driver, raw)
    assert raw.files() == {"source.db", "target.db"}
    assert raw.source.read_bytes() == before
    assert raw.failing() == {}


def test_a_plan_that_only_sqlite3_can_run_is_one_sentence_and_leaves_nothing(raw: Any) -> None:
    raw.edit("CREATE TABLE kept (a)", "CREATE INDEX powers ON kept (pow(a, 2))")
    with pytest.raises(CannotFinish) as caught:
        build_by("libsql", raw)
    said = str(caught.value)
    assert said.startswith("The driver libsql cannot run this plan (no such function: pow")
    assert said.endswith("nothing was built. Use --driver sqlite3.")
    assert raw.files() == {"source.db"}
    build_by("sqlite3", raw)
    assert raw.failing() == {}


def test_a_source_that_is_open_here_is_not_read_through_a_library_that_would_unlock_it(raw: Any) -> None:
    with closing(sqlite3.connect(raw.source)) as held:
        held.execute("SELECT count(*) FROM users").fetchone()
        with pytest.raises(CannotFinish, match=r"source\.db is open in this process already.*--driver sqlite3\.$"):
            build_by("libsql", raw)
        assert raw.files() == {"source.db"}
        build_by("sqlite3", raw)
    assert raw.failing() == {}


def test_a_driver_that_is_not_known_is_refused_before_anything_is_made(raw: Any) -> None:
    with pytest.raises(UsageError, match="There is no driver 'pyturso'"):
        build_by("pyturso", raw)
    assert raw.files() == {"source.db"}


# --- capture and replay ----------------------------------------------------------------------------------------------

WRITES = (
    "INSERT INTO users (id, email, name) VALUES (9223372036854775807, 'big@x', CAST(x'610062' AS TEXT))",
    "UPDATE users SET name = 'changed' WHERE id IN (1, 2)",
    "DELETE FROM user_answers WHERE id % 7 = 0",
    "UPDATE users SET email = CASE id WHEN 3 THEN 'p@x' ELSE 'q@x' END WHERE id IN (3, 4)",
    "UPDATE users SET email = 'swap' WHERE id = 3",
    "UPDATE users SET email = 'p@x' WHERE id = 4",
    "REPLACE INTO users (id, email, name) VALUES (5, 'p@x', 'displaces 4')",
)


@contextmanager
def writer_of(driver: str, path: Path) -> Iterator[Any]:
    """An application on the bare driver, with foreign keys off."""
    with closing(importlib.import_module(driver).connect(str(path), isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        yield db


def begin(folder: Path) -> tuple[Any, Any]:
    folder.mkdir()
    place = make_place(
        folder, "raw", "CREATE TABLE wide (id INTEGER PRIMARY KEY)", "INSERT INTO wide VALUES (9007199254740993)"
    )
    plan = plan_online(place.source, place.target)
    move = moves.Move("open", "raw", str(place.target), "capture", "r", plan.hash, "me", 0.0)
    begin_capture(place.source, plan, move)
    return place, plan


def test_the_capture_logs_the_same_under_either_driver_of_the_application(tmp_path: Path) -> None:
    logs = {}
    for name in NAMES:
        place, _ = begin(tmp_path / name)
        with writer_of(name, place.source) as db:
            for sql in WRITES:
                db.execute(sql)
        logs[name] = place.ask_source(f"SELECT op, name, k0, n0 FROM {LOG} ORDER BY id")
    assert ("I", "users", 2**63 - 1, None) in logs["sqlite3"]
    assert ("R", "users", 4, None) in logs["sqlite3"], "the row that REPLACE took away"
    assert logs["libsql"] == logs["sqlite3"]


def test_a_frozen_source_refuses_the_writes_of_either_driver_in_the_same_words(driver: str, tmp_path: Path) -> None:
    place, _ = begin(tmp_path / "x")
    place.edit("UPDATE ptp_move SET state = 'moved'")
    with (
        writer_of(driver, place.source) as db,
        pytest.raises(Exception, match=r"^ptp: this database has moved to /.*new\.db"),
    ):
        db.execute("UPDATE users SET name = 'x' WHERE id = 1")


def test_the_replay_follows_the_source_under_either_driver(
    driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One library alone in this process, as two would unlock each other's files; the offline build is the witness."""
    place, plan = begin(tmp_path / "x")
    partial = place.target.with_name("next.db")
    bound = {"source": f"file:{place.source}?mode=ro", "run": "r", "now": 1}
    with connect(partial, driver=driver) as db:
        monkeypatch.setattr(live, "_connect", lambda path: db)
        following = NextDatabase(partial, plan, bound)
        following.prepare()
        following.copy(Pace(rows=50), between=lambda: None, progress=quiet)
        with writer_of(driver, place.source) as writer:
            for number, sql in zip(count(), WRITES):
                writer.execute(sql)
                if number % 3 == 0:
                    catch_up(following, Pace(), between=lambda: None, until=9e9, once=True)
        catch_up(following, Pace(), between=lambda: None, until=9e9)
        assert following.replayed > len(WRITES)
        following.finish(quiet)
    build_by("sqlite3", place)
    found, expected = contents(partial), contents(place.target)
    assert found == expected
    assert found["wide"] == [("integer", 2**53 + 1)], "the end of a chunk, which is bound, is not rounded"
    assert str(2**63 - 1) in repr(found["users"])
