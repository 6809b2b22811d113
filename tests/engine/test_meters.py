"""Meters: what is counted is what SQLite did, the same each time, and counting changes nothing."""

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from ptp.engine import atomic, open_engine
from ptp.engine.meters import Counters, Statement, count, meter, recorded
from ptp.errors import CannotFinish, DiskFull, Locked, NotADatabase, UsageError

DDL = """
CREATE TABLE q (id INTEGER PRIMARY KEY, exam INT, topic TEXT);
CREATE TABLE a (id INTEGER PRIMARY KEY, u INT, q_id INT REFERENCES q (id));
CREATE TABLE log (x);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
  INSERT INTO q SELECT i, i % 50, 'topic ' || (i % 7) FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
  INSERT INTO a SELECT i, i % 100, 1 + i % 10000 FROM n;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as db:
        db.executescript(DDL)
    return file


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    made = open_engine(path)
    yield made
    made.dispose()


def change(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)


def one(path: Path, sql: str, *values: object) -> Counters:
    return count(path, [Statement(sql, (values,))])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_counters_have_the_character_that_was_measured_on_libsql(path: Path) -> None:
    """FULLSCAN_STEP is equal to the published table's; of VM_STEP, which differs by version, the relations hold."""
    nothing = one(path, "SELECT 1")
    by_key = one(path, "SELECT * FROM q WHERE id = ?", 3)
    some_by_scan = one(path, "SELECT * FROM q WHERE exam = 3 LIMIT 20")
    by_scan = one(path, "SELECT * FROM q WHERE exam = 3 ORDER BY topic LIMIT 20")
    all_sorted = one(path, "SELECT * FROM q ORDER BY topic LIMIT 20")
    joined = one(path, "SELECT * FROM a JOIN q ON q.id = a.q_id WHERE u = 3")
    change(path, "CREATE INDEX q_exam ON q (exam, topic); CREATE INDEX a_u ON a (u)")
    by_index = one(path, "SELECT * FROM q WHERE exam = 3 ORDER BY topic LIMIT 20")
    joined_by_index = one(path, "SELECT * FROM a JOIN q ON q.id = a.q_id WHERE u = 3")

    assert [c.full_scan_steps for c in (nothing, by_key, by_index, joined_by_index)] == [0, 0, 0, 0]
    assert [c.full_scan_steps for c in (by_scan, all_sorted, joined)] == [9_999, 9_999, 19_999]
    assert some_by_scan.full_scan_steps == 952
    assert [c.sorts for c in (by_scan, all_sorted, by_index, by_key)] == [1, 1, 0, 0]
    steps = [c.vm_steps for c in (nothing, by_key, by_index, joined_by_index, some_by_scan, by_scan, all_sorted)]
    assert steps == sorted(steps)
    assert 0 < nothing.vm_steps < 10 < by_key.vm_steps < 20
    assert 20_000 < by_scan.vm_steps < 50_000 < all_sorted.vm_steps < 90_000
    assert one(path, "SELECT * FROM q LIMIT 20 OFFSET 5000").vm_steps > 10_000


def test_a_skipped_offset_is_scanned(path: Path) -> None:
    assert one(path, "SELECT * FROM q LIMIT 20 OFFSET 5000").full_scan_steps in (5_019, 5_020)


def test_steps_that_fill_an_automatic_index_are_counted(path: Path) -> None:
    assert one(path, "SELECT count(*) FROM a x JOIN a y ON x.u = y.q_id").automatic_indexes == 19_999


def test_counters_are_the_same_on_every_repeat(path: Path) -> None:
    change(path, "CREATE INDEX q_exam ON q (exam)")
    statements = [
        Statement("SELECT * FROM q WHERE exam = ? ORDER BY topic LIMIT 5", ((3,),)),
        Statement("INSERT INTO log VALUES (randomblob(20))"),
        Statement("UPDATE q SET topic = 'x' WHERE exam = :exam", ({"exam": 7},)),
        Statement("DELETE FROM a WHERE u < 10"),
    ]
    first = count(path, statements)
    assert first.vm_steps > 0
    assert all(count(path, statements) == first for _ in range(4))
    apart = Counters()
    for statement in statements:
        apart += count(path, [statement])
    assert apart == first


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_counting_leaves_the_file_as_it_is(path: Path, mode: str) -> None:
    change(path, f"PRAGMA journal_mode = {mode}")
    before = digest(path)
    written = [Statement("UPDATE q SET topic = hex(randomblob(2000))"), Statement("CREATE TABLE more (a)")]
    assert count(path, written).full_scan_steps >= 9_999
    assert digest(path) == before
    beside = {p.name: p.stat().st_size for p in path.parent.iterdir() if p != path}
    assert beside.get("app.db-wal", 0) == 0 and set(beside) <= {"app.db-wal", "app.db-shm"}, "as any reader leaves it"


def test_a_statement_sees_what_those_before_it_wrote(path: Path) -> None:
    insert = Statement("INSERT INTO log VALUES (?)", tuple((n,) for n in range(100)))
    read = Statement("SELECT * FROM log ORDER BY x")
    assert count(path, [read]).full_scan_steps == 0
    assert count(path, [insert, read]).full_scan_steps == 99


def test_the_work_of_triggers_and_references_is_included(path: Path) -> None:
    insert, delete = Statement("INSERT INTO q VALUES (20000, 1, 'x')"), Statement("DELETE FROM q WHERE id = 20000")
    plain = count(path, [insert])
    assert plain.full_scan_steps == 0
    assert count(path, [insert, delete]).full_scan_steps == 19_999, "foreign keys are on: the child is read"
    change(path, "CREATE TRIGGER t AFTER INSERT ON q BEGIN INSERT INTO log SELECT id FROM q WHERE topic = 'x'; END")
    assert count(path, [insert]).full_scan_steps == 10_000
    assert count(path, [insert]).vm_steps > plain.vm_steps + 10_000


def test_what_a_virtual_table_does_inside_is_not_counted(path: Path) -> None:
    change(path, "CREATE VIRTUAL TABLE f USING fts5 (b); INSERT INTO f VALUES ('some words'), ('words'), ('none')")
    search = Statement("SELECT * FROM f WHERE f MATCH ?", (("words",),))
    found = count(path, [search])
    assert 0 < found.vm_steps < 20
    assert count(path, [search] * 3).vm_steps == 3 * found.vm_steps


def test_all_rows_are_fetched(path: Path) -> None:
    assert one(path, "SELECT id FROM q").vm_steps > one(path, "SELECT id FROM q LIMIT 10").vm_steps * 100


def test_recorded_statements_come_in_order_as_the_driver_gets_them(engine: Engine) -> None:
    with recorded(engine) as statements:
        with atomic(engine) as db:
            db.execute(text("INSERT INTO log VALUES (:x)"), {"x": 1})
            db.execute(text("INSERT INTO log VALUES (:x)"), [{"x": 2}, {"x": 3}, {"x": 4}])
        with engine.connect() as db:
            db.exec_driver_sql("SELECT * FROM q WHERE id = :id", {"id": 5}).all()
            db.rollback()
    assert statements == [
        Statement("INSERT INTO log VALUES (?)", ((1,),)),
        Statement("INSERT INTO log VALUES (?)", ((2,), (3,), (4,))),
        Statement("SELECT * FROM q WHERE id = :id", ({"id": 5},)),
    ]
    assert [s.parameters for s in statements] == [(1,), (2,), {"id": 5}]
    with engine.connect() as db:
        db.execute(text("SELECT 1"))
    assert len(statements) == 3, "what ran after the end is not recorded"


def test_an_error_while_recording_ends_the_recording(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), recorded(engine) as statements:
        raise ZeroDivisionError
    with engine.connect() as db:
        db.execute(text("SELECT 1"))
    assert statements == []


def test_what_was_recorded_is_counted_by_statement_and_by_execution(engine: Engine, path: Path) -> None:
    with recorded(engine) as statements, engine.connect() as db:
        with db.begin() as transaction:
            with db.begin_nested() as savepoint:
                db.execute(text("INSERT INTO log VALUES (:x)"), [{"x": n} for n in range(50)])
                savepoint.rollback()
            db.execute(text("SELECT :x"), {"x": True})
            transaction.rollback()
    found = count(path, statements)
    assert (found.statements, found.executions) == (4, 53), "SAVEPOINT, the INSERT of 50, ROLLBACK TO, SELECT"
    assert found.vm_steps > 50 * 5


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "END", "BEGIN"])
def test_a_replay_cannot_end_its_transaction(path: Path, sql: str) -> None:
    before = digest(path)
    with pytest.raises(CannotFinish, match="cannot be replayed"):
        count(path, [Statement("DELETE FROM log"), Statement("INSERT INTO log VALUES (1)"), Statement(sql)])
    assert digest(path) == before


@pytest.mark.parametrize(
    ("sql", "values"),
    [("INSERT INTO q VALUES (1, 1, 'x')", ()), ("SELECT * FROM none", ()), ("SELECT ?, ?", (1,)), ("SELECT ?", ([],))],
)
def test_a_statement_that_fails_is_named(path: Path, sql: str, values: tuple[object, ...]) -> None:
    with pytest.raises(CannotFinish, match=r"cannot be replayed: .*\("):
        one(path, sql, *values)


def test_errors_of_the_file_are_ours(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="There is no database file"):
        count(tmp_path / "none.db", [])
    other = tmp_path / "text.db"
    other.write_text("not a database " * 100)
    with pytest.raises(NotADatabase):
        count(other, [])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("ptp.engine.meters._BUSY_TIMEOUT_MS", 1)
        with pytest.raises(Locked, match="locked by another process"):
            count(path, [])


def test_counting_takes_no_lock_of_the_process_away(path: Path) -> None:
    """Closing a file drops all locks that the process has on it; one library of SQLite knows nothing of another's."""
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        assert one(path, "INSERT INTO log VALUES (1)").statements == 1
        other = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
        assert "database is locked" in other.stderr


def test_a_meter_counts_each_time_from_the_same_state(path: Path) -> None:
    insert, read = Statement("INSERT INTO log VALUES (1)"), Statement("SELECT * FROM log")
    with meter(path) as counted:
        first = counted([insert, insert, read])
        assert counted([insert, insert, read]) == first == count(path, [insert, insert, read])
        made = [Statement("CREATE INDEX q_exam ON q (exam)"), Statement("SELECT * FROM q WHERE exam = 3")]
        assert counted(made).full_scan_steps == counted(made).full_scan_steps == 0, "what is rolled back is made again"
        assert counted(made[1:]).full_scan_steps == 9_999
        with pytest.raises(CannotFinish):
            counted([insert, Statement("SELECT * FROM none")])
        assert counted([read]).full_scan_steps == 0


def test_what_is_still_in_the_log_of_a_writer_is_counted_on(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("INSERT INTO log VALUES (1), (2), (3)")
        assert one(path, "SELECT * FROM log").full_scan_steps == 2


def test_counting_leaves_no_copy_behind(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    count(path, [Statement("SELECT 1")])
    with pytest.raises(CannotFinish):
        count(path, [Statement("SELECT * FROM none")])
    assert list(place.iterdir()) == []


def test_a_file_that_can_only_be_read_is_counted_on(path: Path) -> None:
    path.chmod(0o444)
    assert one(path, "SELECT * FROM q").full_scan_steps == 9_999


def test_no_statement_is_no_work(path: Path) -> None:
    assert count(path, []) == Counters()
    assert count(path, [Statement("INSERT INTO log VALUES (?)", ())]) == Counters(statements=1)
    assert Statement("SELECT 1", ()).parameters == ()


def test_a_temporary_folder_without_room_is_named_with_the_variable_that_moves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (a)")
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(DiskFull, match="folder for temporary files.*TMPDIR"):
        count(path, [])
