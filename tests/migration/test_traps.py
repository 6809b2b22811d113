"""The known traps of migrating SQLite, each with the test that must exist: real files, and ptp's own commands on them.

The numbers are those of the list of traps that this project was given. Where a trap cannot come about in ptp's design,
its test shows that; where another test goes deeper, the one here is short.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ptp
from ptp.engine import database_path, open_engine
from ptp.engine.connect import atomic
from ptp.engine.environment import environment
from ptp.errors import Locked, StepRefused, UsageError
from ptp.migration.backup import take_backup
from ptp.migration.conditions import FLAWS
from ptp.migration.journal import check_steps
from ptp.migration.live import Pace
from ptp.migration.record import read_record
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.workbench import backing
from ptp.workbench.migrating import plan_of
from ptp.workbench.online import plan_online
from ptp.workbench.undoing import resume
from tests.migration.moving import (
    COMPARING,
    COPIED,
    Place,
    ask,
    contents,
    copy_of,
    killed,
    make_place,
    quiet,
    run_sql,
    values_of,
)

NO_LIBSQL = "the package libsql is not among this project's dependencies; ptp itself runs everything through sqlite3"
BOTH = pytest.mark.parametrize("way", ["offline", "online"])


@pytest.fixture(params=["sqlite3", pytest.param("libsql", id="libsql")])
def driver(request: pytest.FixtureRequest) -> Any:
    """Both drivers under which a source may have been written."""
    return pytest.importorskip(request.param, reason=NO_LIBSQL)


@pytest.fixture
def raw(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def go(place: Place, way: str, **options: Any) -> None:
    (place.offline if way == "offline" else place.online)(**options)


# --- 1: rebuilding a parent ------------------------------------------------------------------------------------------


@BOTH
def test_trap_01_dropping_a_parent_does_not_empty_its_children(tmp_path: Path, driver: ModuleType, way: str) -> None:
    """Users are the parent of answers (CASCADE) and of reviews (SET NULL), and of a carried table of each kind."""
    place = make_place(tmp_path)
    db = driver.connect(str(place.source))
    db.execute("CREATE TABLE pets (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id) ON DELETE CASCADE)")
    db.execute("CREATE TABLE seats (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id) ON DELETE SET NULL)")
    for table in ("pets", "seats"):
        db.execute(f"INSERT INTO {table} SELECT id, id FROM users LIMIT 10")
    db.execute("UPDATE questions SET reviewed_by = 1 WHERE id % 3 = 0")
    db.commit()
    db.close()
    sizes = ("user_answers", "user_progress", "study_sessions", "pets", "seats")
    before = [place.ask_source(f"SELECT count(*), count(user_id) FROM {t}")[0] for t in sizes]
    reviewed = place.ask_source("SELECT count(reviewed_by) FROM questions")
    assert all(rows and parents for rows, parents in before)
    assert reviewed[0][0] > 0
    go(place, way)
    assert [place.ask(f"SELECT count(*), count(user_id) FROM {t}")[0] for t in sizes] == before
    assert place.ask("SELECT count(reviewed_by) FROM questions") == reviewed
    assert place.failing() == {}


def test_trap_01_foreign_keys_are_off_before_the_transaction_begins(raw: Place) -> None:
    """Within one the pragma does nothing; and no table of a live database is ever dropped."""
    words = [s.sql for s in plan_of(raw.source).statements]
    assert words.index("PRAGMA foreign_keys = OFF") < words.index("BEGIN")


# --- 2, 3: the write-ahead log ---------------------------------------------------------------------------------------


def test_trap_02_a_log_that_is_left_does_not_undo_a_restore(raw: Place, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    backing.take(raw.source, shelf)
    (backup,) = [b.path for b in backing.list_backups(shelf)]
    before = contents(raw.source)

    def write_and_die(die: Callable[[], None]) -> None:
        with closing(sqlite3.connect(raw.source)) as db:
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("UPDATE users SET name = 'later'")
            db.commit()
            die()

    assert killed(write_and_die)
    wal = raw.source.with_name("old.db-wal")
    assert wal.stat().st_size > 0
    # The trap is real: a copy over the file lets the log replay over it, and integrity_check does not mind.
    trapped = tmp_path / "trapped.db"
    shutil.copy(raw.source, trapped)
    shutil.copy(wal, tmp_path / "trapped.db-wal")
    with trapped.open("wb") as file:
        file.write(raw.source.read_bytes())
    assert ask(trapped, "SELECT DISTINCT name FROM users") == [("later",)]
    assert ask(trapped, "PRAGMA integrity_check") == [("ok",)]
    backing.bring_back(backup, raw.source, shelf)
    assert contents(raw.source) == before


def test_trap_03_a_backup_has_what_stands_only_in_the_log(raw: Place, tmp_path: Path) -> None:
    with closing(sqlite3.connect(raw.source, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("CREATE TABLE late (a)")
        writer.execute("INSERT INTO late SELECT id FROM user_answers LIMIT 100")
        take_backup(raw.source, tmp_path / "backup.db", progress=quiet)
        shutil.copy(raw.source, tmp_path / "copied.db")
        assert ask(tmp_path / "backup.db", "SELECT count(*) FROM late") == [(100,)]
    assert ask(tmp_path / "copied.db", "SELECT name FROM sqlite_schema WHERE name = 'late'") == []


# --- 4, 5: who is killed ---------------------------------------------------------------------------------------------


def test_trap_04_killed_before_any_statement_it_leaves_the_source_and_can_be_run_again(raw: Place) -> None:
    before = contents(raw.source)
    statements, step = len(plan_of(raw.source).statements), 16
    for number in range(1, statements, step):

        def up_to(die: Callable[[], None], number: int = number) -> None:
            seen = 0

            def progress(share: float, text: str) -> None:
                nonlocal seen
                seen += text.startswith("building")
                if seen == number:
                    die()

            raw.offline(progress=progress)

        assert killed(up_to), f"statement {number} was never reached"
        assert not raw.target.exists()
        assert contents(raw.source) == before
    shutil.rmtree(raw.out)
    raw.offline()
    assert raw.failing() == {}
    assert raw.files() == {"new.db"}


def test_trap_04_ddl_does_not_survive_a_rollback(raw: Place) -> None:
    engine = open_engine(raw.source)
    with pytest.raises(RuntimeError), atomic(engine) as db:
        db.exec_driver_sql("CREATE TABLE left_over (a)")
        raise RuntimeError
    engine.dispose()
    assert raw.ask_source("SELECT name FROM sqlite_schema WHERE name = 'left_over'") == []


def test_trap_05_nothing_is_dropped_or_renamed_that_is_the_only_copy(raw: Place) -> None:
    """No table of any database is dropped or renamed: the only DROP takes the capture's own triggers and tables."""
    for text in (plan_of(raw.source).text, plan_online(raw.source, raw.target).text):
        assert "CREATE TABLE users" in text
        assert not re.search(r"\bDROP\b|\bRENAME\b", text, re.IGNORECASE)


def test_trap_05_killed_around_the_one_renaming_of_a_file_either_all_is_there_or_nothing(
    raw: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, before = Path.replace, contents(raw.source)

    def move(when: str) -> Callable[[Callable[[], None]], None]:
        def run(die: Callable[[], None]) -> None:
            def dying(self: Path, target: Path) -> Path:
                if Path(target) != raw.target:
                    return replace(self, target)
                if when == "after":
                    replace(self, target)
                die()
                raise AssertionError

            monkeypatch.setattr(Path, "replace", dying)
            raw.offline()

        return run

    assert killed(move("before"))
    assert not raw.target.exists()
    assert contents(raw.source) == before
    shutil.rmtree(raw.out)
    assert killed(move("after"))
    assert raw.failing() == {}
    assert contents(raw.source) == before


# --- 6: what a rebuild silently loses --------------------------------------------------------------------------------

NASTY = (
    "CREATE TABLE log (id INTEGER PRIMARY KEY, what)",
    "CREATE TABLE nasty (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT COLLATE NOCASE, b INT CHECK (b > 0), c INT, "
    "twice INT AS (b * 2) STORED, shout TEXT AS (upper(a)) VIRTUAL, once INT UNIQUE ON CONFLICT REPLACE, "
    "must INT NOT NULL ON CONFLICT IGNORE DEFAULT 7, user_id INT REFERENCES users (id) ON DELETE SET NULL, "
    "CHECK (c IS NULL OR c <> b))",
    "CREATE INDEX nasty_down ON nasty (b DESC)",
    "CREATE INDEX nasty_case ON nasty (a COLLATE RTRIM)",
    "CREATE INDEX nasty_lower ON nasty (lower(a), c)",
    "CREATE UNIQUE INDEX nasty_some ON nasty (c) WHERE b > 10",
    "CREATE TRIGGER nasty_log AFTER UPDATE OF a ON nasty BEGIN INSERT INTO log (what) VALUES (NEW.a); END",
    "INSERT INTO nasty (id, a, b, once) VALUES (1, 'x', 1, 1), (2, 'y', 2, 2), (50, 'gone', 3, 3)",
    "DELETE FROM nasty WHERE id = 50",
    # The same on a mapped table, as far as SQLite lets it be added:
    "ALTER TABLE users ADD COLUMN nick TEXT COLLATE NOCASE DEFAULT 'none'",
    "ALTER TABLE users ADD COLUMN loud TEXT AS (upper(name)) VIRTUAL",
    "CREATE INDEX users_down ON users (name DESC)",
    "CREATE INDEX users_case ON users (nick COLLATE RTRIM)",
    "CREATE UNIQUE INDEX users_lower ON users (lower(email))",
    "CREATE INDEX users_some ON users (nick) WHERE role = 'admin'",
    "CREATE TRIGGER users_log AFTER UPDATE ON users BEGIN INSERT INTO log (what) VALUES (NEW.name); END",
    "CREATE VIEW admins AS SELECT id, email FROM users WHERE role = 'admin'",
    "UPDATE users SET nick = 'n' || id WHERE id % 2 = 0",
)


@pytest.fixture(
    scope="module", params=[(s, w) for s in ("raw", "drizzle") for w in ("offline", "online")], ids="-".join
)
def nasty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    shape, way = request.param
    place = make_place(tmp_path_factory.mktemp("nasty"), shape, *NASTY)
    run_sql(place.source, "DELETE FROM log")
    go(place, way)
    return place


KEPT: dict[str, tuple[str, object]] = {
    "an unnamed CHECK of a column": ("UPDATE nasty SET b = 0 WHERE id = 1", "CHECK constraint failed: b > 0"),
    "an unnamed CHECK of the table": ("UPDATE nasty SET c = b WHERE id = 1", "CHECK constraint failed: c IS NULL"),
    "COLLATE of a column": ("SELECT count(*) FROM nasty WHERE a = 'X'", 1),
    "a stored generated column": ("SELECT twice FROM nasty WHERE id = 2", 4),
    "a virtual generated column": ("SELECT shout FROM nasty WHERE id = 2", "Y"),
    "ON CONFLICT REPLACE of a UNIQUE": (
        "INSERT INTO nasty (id, b, once) VALUES (60, 5, 1) RETURNING (SELECT count(*) FROM nasty WHERE once = 1)",
        1,
    ),
    "ON CONFLICT IGNORE of a NOT NULL": ("INSERT INTO nasty (b, must) VALUES (5, NULL) RETURNING id", None),
    "a default": ("INSERT INTO nasty (b) VALUES (5) RETURNING must", 7),
    "AUTOINCREMENT": ("INSERT INTO nasty (b) VALUES (5) RETURNING id", 51),
    "a foreign key and its action": ("SELECT on_delete FROM pragma_foreign_key_list('nasty')", "SET NULL"),
    "DESC": ("SELECT desc FROM pragma_index_xinfo('nasty_down') WHERE seqno = 0", 1),
    "COLLATE of an index": ("SELECT coll FROM pragma_index_xinfo('nasty_case') WHERE seqno = 0", "RTRIM"),
    "an index on an expression": ("SELECT cid FROM pragma_index_xinfo('nasty_lower') WHERE seqno = 0", -2),
    "a partial index": ("SELECT partial FROM pragma_index_list('nasty') WHERE name = 'nasty_some'", 1),
    "a trigger": ("UPDATE nasty SET a = 'new' WHERE id = 1 RETURNING (SELECT count(*) FROM log)", 1),
    "a column of a mapped table, with its values": ("SELECT nick FROM users WHERE id = 2", "n2"),
    "a default of such a column": ("INSERT INTO users (email, name) VALUES ('e', 'n') RETURNING nick", "none"),
    "DESC on a mapped table": ("SELECT desc FROM pragma_index_xinfo('users_down') WHERE seqno = 0", 1),
    "COLLATE of an index on a mapped table": (
        "SELECT coll FROM pragma_index_xinfo('users_case') WHERE seqno = 0",
        "RTRIM",
    ),
    "a unique expression on a mapped table": (
        "INSERT INTO users (email, name) SELECT upper(email), 'n' FROM users WHERE id = 1",
        "UNIQUE constraint failed: index 'users_lower'",
    ),
    "a partial index on a mapped table": (
        "SELECT partial FROM pragma_index_list('users') WHERE name = 'users_some'",
        1,
    ),
    "a view": ("SELECT count(*) > 0 FROM admins", 1),
}


@pytest.mark.parametrize("what", KEPT)
def test_trap_06_nothing_is_lost_on_the_way(nasty: Place, what: str) -> None:
    """By what the database does, not by what its text says."""
    sql, expected = KEPT[what]
    with closing(sqlite3.connect(nasty.target, isolation_level=None)) as db:
        db.execute("BEGIN")
        try:
            found = db.execute(sql).fetchall()
            # What a statement returns is told before triggers run, so the log is read after it.
            seen: object = found[0][0] if found else None
            if what == "a trigger":
                (seen,) = db.execute("SELECT count(*) FROM log").fetchone()
        except sqlite3.IntegrityError as problem:
            seen = str(problem)
        finally:
            db.execute("ROLLBACK")
    assert str(seen).startswith(str(expected))


def test_trap_06_texts_in_the_schema_are_the_same(nasty: Place) -> None:
    sql = "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name IN ('nasty', 'log') AND name NOT LIKE 'ptp%' ORDER BY 1, 2"
    assert nasty.ask(sql) == nasty.ask_source(sql)
    for table in ("nasty", "log"):
        xinfo = "SELECT * FROM pragma_table_xinfo(?)"
        assert nasty.ask(xinfo, table) == nasty.ask_source(xinfo, table)
        assert values_of(nasty.target, table) == values_of(nasty.source, table)


def test_trap_06_what_cannot_be_carried_is_named(nasty: Place) -> None:
    reasons = {(e.kind, e.name): e.reason for e in plan_online(nasty.source, nasty.target).base.extras if not e.carried}
    assert "whose values are converted" in reasons.pop(("trigger", "users_log"))
    assert "generated column" in reasons.pop(("column", "users.loud"))
    assert reasons == {}


# --- 7 to 10: values -------------------------------------------------------------------------------------------------


@BOTH
def test_trap_07_ids_of_deleted_rows_are_not_used_again(raw: Place, way: str) -> None:
    raw.edit(
        "CREATE TABLE bag (id INTEGER PRIMARY KEY AUTOINCREMENT, a)",
        "INSERT INTO bag VALUES (100, 'x')",
        "DELETE FROM bag",
        "INSERT INTO user_answers (id, user_id, question_id, selected_answer, is_correct) VALUES (99999, 1, 1, 'a', 1)",
        "DELETE FROM user_answers WHERE id = 99999",
    )
    go(raw, way)
    with closing(sqlite3.connect(raw.target)) as db:
        assert db.execute("INSERT INTO bag (a) VALUES (1) RETURNING id").fetchone()[0] > 100
        added = "INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct) VALUES (1, 1, 'a', 1) RETURNING id"
        assert db.execute(added).fetchone()[0] > 99_999


def test_trap_07_nor_where_they_were_used_and_deleted_while_the_target_was_built(raw: Place) -> None:
    raw.edit("CREATE TABLE bag (id INTEGER PRIMARY KEY AUTOINCREMENT, a)")
    raw.online({COPIED: ["INSERT INTO bag VALUES (100, 'x')", "DELETE FROM bag"]})
    with closing(sqlite3.connect(raw.target)) as db:
        assert db.execute("INSERT INTO bag (a) VALUES (1) RETURNING id").fetchone()[0] > 100


@BOTH
def test_trap_08_no_text_stands_among_the_integers_of_a_time(tmp_path: Path, way: str) -> None:
    at = 1_735_787_045  # 2 January 2025, 03:04:05 UTC
    cases: dict[int, tuple[str, int | None]] = {
        1: ("'2025-01-02 03:04:05'", at),
        2: (str(at), at),
        3: ("'2025-01-02T03:04:05Z'", at),
        4: ("'2025-01-02T05:04:05+02:00'", at),
        5: ("NULL", None),
        6: ("''", None),
        7: ("'2025-02-30 00:00:00'", None),
    }
    place = make_place(tmp_path, "drizzle")
    place.edit(*(f"UPDATE users SET last_login = {value} WHERE id = {key}" for key, (value, _) in cases.items()))
    go(place, way, on_dirty="quarantine")
    found = dict(place.ask("SELECT id, last_login FROM users WHERE id <= 7"))
    assert found == {key: expected for key, (_, expected) in cases.items()}
    assert {t for (t,) in place.ask("SELECT typeof(last_login) FROM users")} <= {"integer", "null"}
    kept = dict(place.ask("SELECT row_key, original FROM ptp_quarantine WHERE column_name = 'last_login'"))
    assert kept.items() >= {"7": "2025-02-30 00:00:00"}.items()  # unixepoch() would answer 2 March


CLASSES = "(1, '007', 7, 7.0, 1.5), (2, 7, '7', 7, '1.5'), (3, X'37', X'', NULL, -0.0), (4, '', 7.5, '7.0', 9e999)"


@BOTH
def test_trap_09_no_affinity_changes_a_value_on_its_way(raw: Place, way: str) -> None:
    raw.edit(
        "CREATE TABLE classes (id INTEGER PRIMARY KEY, a TEXT, b NUMERIC, c REAL, d)",
        f"INSERT INTO classes VALUES {CLASSES}",
        "ALTER TABLE users ADD COLUMN code TEXT",
        "ALTER TABLE users ADD COLUMN many",
        "UPDATE users SET code = '007', many = 7.0 WHERE id = 1",
        "UPDATE users SET code = X'30', many = '007' WHERE id = 2",
    )
    go(raw, way)
    assert values_of(raw.target, "classes") == values_of(raw.source, "classes")
    columns = ("id", "code", "many")
    assert values_of(raw.target, "users", *columns) == values_of(raw.source, "users", *columns)


def test_trap_10_no_row_is_dropped_by_a_unique_rule_that_only_the_target_has(raw: Place) -> None:
    """rows in = rows out + quarantined, for two addresses that are equal and two that differ by case alone."""
    with closing(sqlite3.connect(raw.source, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL UNIQUE', 'NOT NULL') WHERE name = 'users'")
        db.execute("DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_users_1'")
        db.execute("PRAGMA writable_schema = RESET")
    raw.edit(
        "VACUUM",
        "INSERT INTO users (id, email, name) VALUES (901, 'A@x', 'a'), (902, 'a@x', 'b'), (903, 'same@x', 'c'), (904, 'same@x', 'd')",
    )
    raw.offline(on_dirty="quarantine")
    ((rows_in,),) = raw.ask_source("SELECT count(*) FROM users")
    ((rows_out,),) = raw.ask("SELECT count(*) FROM users")
    ((kept,),) = raw.ask(
        "SELECT count(DISTINCT row_key) FROM ptp_quarantine WHERE table_name = 'users' AND kind = 'row'"
    )
    assert (rows_in, kept) == (rows_out + kept, 1)
    assert raw.ask("SELECT id FROM users WHERE id > 900 ORDER BY id") == [(901,), (902,), (903,)]


def test_trap_10_no_copy_may_ignore_or_replace_rows(raw: Place) -> None:
    raw.edit("CREATE TABLE bag (id INTEGER PRIMARY KEY, a UNIQUE)")
    text = plan_of(raw.source).text
    found = plan_online(raw.source, raw.target)
    into_tables = [c.sql for c in found.chunks] + [r.insert for r in found.replays]
    assert not re.search(r"OR (IGNORE|REPLACE|FAIL|ROLLBACK)", " ".join(into_tables))
    assert "INSERT OR" not in text


# --- 11 to 13: names, checks, and what was there before --------------------------------------------------------------


@BOTH
def test_trap_11_no_reference_trigger_or_view_names_what_was_only_for_the_way(raw: Place, way: str) -> None:
    raw.edit(
        "CREATE TABLE child (id INTEGER PRIMARY KEY, u INT REFERENCES users (id))",
        "CREATE TABLE grandchild (id INTEGER PRIMARY KEY, c INT REFERENCES child (id))",
        "CREATE TRIGGER child_log AFTER INSERT ON child BEGIN INSERT INTO grandchild (c) VALUES (NEW.id); END",
        "CREATE VIEW both AS SELECT u.name, c.id FROM users AS u JOIN child AS c ON c.u = u.id",
    )
    go(raw, way)
    texts = [s for (s,) in raw.ask("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")]
    assert not re.search(
        r"partial|rejected_|ptp_keys|ptp_back|\btemp\.|\bsource\.|\bmain\.|_old\b|_new\b", " ".join(texts)
    )
    assert raw.ask('SELECT "table" FROM pragma_foreign_key_list(?)', "child") == [("users",)]
    assert raw.ask('SELECT "table" FROM pragma_foreign_key_list(?)', "grandchild") == [("child",)]
    raw.edit_target("INSERT INTO child VALUES (1, 1)")
    assert raw.ask("SELECT c FROM grandchild") == [(1,)]
    assert raw.ask("SELECT id FROM both") == [(1,)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A migrated pair, to be copied and damaged."""
    place = make_place(
        tmp_path_factory.mktemp("built"),
        "raw",
        "CREATE TABLE bag (id INTEGER PRIMARY KEY, u INT REFERENCES users (id), b INT CHECK (b > 0))",
        "INSERT INTO bag VALUES (1, 1, 1), (2, 70001, 1), (3, 70002, 1), (4, 70003, 1)",
    )
    place.offline()
    return place


@pytest.fixture
def pair(built: Place, tmp_path: Path) -> Place:
    found = copy_of(built, tmp_path)
    shutil.copy(built.target, found.target)
    return found


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("INSERT INTO user_progress (user_id, exam_id) VALUES (70000, 1)", "verify.foreign-keys"),
        ("UPDATE users SET created_at = -1 WHERE id = 1", "verify.integrity"),
        ("DELETE FROM user_answers WHERE id = 5", "verify.rows"),
        ("UPDATE bag SET b = 2 WHERE id = 1", "verify.content.carried"),
    ],
)
def test_trap_12_what_integrity_check_calls_ok_is_found(pair: Place, damage: str, finding: str) -> None:
    assert pair.failing() == {}
    with closing(sqlite3.connect(pair.target, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(damage)
        # Read only, SQLite does not look at CHECK rules at all: the usual way to ask says that all is well.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with closing(sqlite3.connect(f"file:{pair.target}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert finding in pair.failing()


def test_trap_13_only_new_damage_fails_and_the_old_is_listed(pair: Place) -> None:
    assert pair.failing() == {}  # three orphans were there before
    pair.edit_target("PRAGMA foreign_keys = OFF", "INSERT INTO bag VALUES (5, 70004, 1)")
    (places,) = [where for name, where in pair.failing().items() if name == "verify.foreign-keys"]
    assert len(places) == 1
    assert "5" in places[0]


# --- 14 to 17: others who write --------------------------------------------------------------------------------------


@pytest.fixture
def writer(raw: Place) -> Iterator[list[str]]:
    """Somebody who commits all the time, a few hundred times a second, and never waits for a lock."""
    stop, failed = threading.Event(), list[str]()
    run_sql(raw.source, "CREATE TABLE beats (id INTEGER PRIMARY KEY)")

    def beat() -> None:
        with closing(sqlite3.connect(raw.source, isolation_level=None, timeout=0)) as db:
            db.execute("PRAGMA synchronous = OFF")
            while not stop.wait(0.003):
                try:
                    db.execute("INSERT INTO beats DEFAULT VALUES")
                except sqlite3.Error as problem:
                    failed.append(str(problem))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    yield failed
    stop.set()
    thread.join()


def test_trap_14_a_backup_does_not_begin_anew_at_every_write(raw: Place, writer: list[str], tmp_path: Path) -> None:
    take_backup(raw.source, tmp_path / "backup.db", progress=quiet, record=True)
    record = read_record(tmp_path / "backup.db")
    ((held, top),) = ask(tmp_path / "backup.db", "SELECT count(*), coalesce(max(id), 0) FROM beats")
    assert held == top == record.rows["beats"]  # one moment of the source
    assert writer == []  # nor did anybody have to wait for it


def test_trap_15_no_transaction_of_a_build_keeps_others_from_writing(raw: Place) -> None:
    """At each step of an online migration a writer that does not wait at all gets through, up to the freeze."""
    seen = list[str]()
    ((before,),) = raw.ask_source("SELECT login_count FROM users WHERE id = 1")
    with closing(sqlite3.connect(raw.source, isolation_level=None, timeout=0)) as db:

        def progress(share: float, text: str) -> None:
            if text != "moved":
                db.execute("UPDATE users SET login_count = login_count + 1 WHERE id = 1")
                seen.append(text)

        raw.online(progress=progress)
    assert {t.split()[0] for t in seen} >= {"looking", "backing", "proving", "copying", "building:", "comparing"}
    assert raw.ask("SELECT login_count FROM users WHERE id = 1") == [(before + len(seen),)]


def test_trap_15_copying_a_table_that_grows_all_the_time_comes_to_an_end(raw: Place) -> None:
    """A row a chunk is enough: what comes after the first look is in the log, and is replayed."""
    chunks = 0

    def progress(share: float, text: str) -> None:
        nonlocal chunks
        if text == "copying user_answers":
            chunks += 1
            assert chunks <= 2 * (2_000 // 1_000 + 1), "it chases the rows that are added meanwhile"
            raw.edit(
                "INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct, answered_at) "
                "VALUES (1, 1, 'a', 1, '2026-01-01 10:00:00')"
            )

    raw.online(progress=progress, pace=Pace(rows=1_000))
    assert raw.failing() == {}


@pytest.mark.parametrize("rows", [1, 37, 100_000])
def test_trap_16_between_two_chunks_of_any_size_writers_and_the_log_have_their_turn(raw: Place, rows: int) -> None:
    """Nothing holds the source in a gap: a write without waiting, and the whole log can be folded away and reset."""
    raw.edit("DELETE FROM user_answers WHERE id > 60")
    gaps = list[tuple[int, ...]]()
    with closing(sqlite3.connect(raw.source, isolation_level=None, timeout=0)) as db:

        def progress(share: float, text: str) -> None:
            if text == "copying user_answers":
                db.execute("UPDATE users SET login_count = login_count + 1 WHERE id = 1")
                gaps.append(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())

        raw.online(progress=progress, pace=Pace(rows=rows))
    assert set(gaps) == {(0, 0, 0)}
    assert len(gaps) == -(-60 // rows)


@pytest.mark.parametrize("recursive", ["OFF", "ON"])
def test_trap_17_no_write_of_any_kind_is_missed(raw: Place, recursive: str) -> None:
    raw.edit(
        "CREATE TABLE bag (id INTEGER PRIMARY KEY, a TEXT, b INT)",
        "CREATE UNIQUE INDEX bag_a ON bag (a)",
        "CREATE UNIQUE INDEX bag_b ON bag (abs(b)) WHERE b <> 0",
        *(f"INSERT INTO bag VALUES ({n}, 'a{n}', {n})" for n in range(1, 30)),
    )
    writes = (
        "INSERT INTO bag VALUES (100, 'new', 100)",
        "UPDATE bag SET a = 'changed' WHERE id = 1",
        "DELETE FROM bag WHERE id = 2",
        "REPLACE INTO bag VALUES (101, 'a3', 101)",  # displaces 3 by its second unique key
        "REPLACE INTO bag VALUES (102, 'x', -4)",  # displaces 4 by an expression
        "UPDATE OR REPLACE bag SET a = 'a5' WHERE id = 6",
        "UPDATE OR REPLACE bag SET id = 7 WHERE id = 8",
        "UPDATE bag SET id = 200 WHERE id = 9",
        "REPLACE INTO users (id, email, name) SELECT 900, email, 'taken over' FROM users WHERE id = 3",
        "UPDATE users SET id = 901 WHERE id = 4",
    )

    def write() -> None:
        with closing(sqlite3.connect(raw.source, isolation_level=None)) as db:
            db.execute(f"PRAGMA recursive_triggers = {recursive}")
            for table in ("user_answers", "user_progress", "study_sessions", "test_attempts"):
                db.execute(f"DELETE FROM {table} WHERE user_id IN (3, 4)")
            db.execute("UPDATE questions SET reviewed_by = NULL")
            for sql in writes:
                db.execute(sql)

    raw.online({"copying bag": write})
    assert values_of(raw.target, "bag") == values_of(raw.source, "bag")
    assert raw.failing() == {}
    assert raw.ask("SELECT name FROM users WHERE id = 900") == [("taken over",)]


# --- 18 to 23: two migrators, edited files, dead texts ---------------------------------------------------------------


def test_trap_18_of_two_migrators_one_goes_on_and_where_it_is_killed_the_other_recovers(raw: Place) -> None:
    ready, go_on = os.pipe(), os.pipe()

    def first(die: Callable[[], None]) -> None:
        def progress(share: float, text: str) -> None:
            if text == COMPARING:
                os.write(ready[1], b"x")
                os.read(go_on[0], 1)
                die()

        raw.online(progress=progress)

    other = threading.Thread(target=lambda: ends.append(killed(first)))
    ends: list[bool] = []
    other.start()
    os.read(ready[0], 1)
    with pytest.raises(Locked, match=r"in the hands of another ptp \(an online migration, process \d+"):
        raw.online()
    os.write(go_on[1], b"x")
    other.join()
    assert ends == [True]
    with pytest.raises(UsageError, match=r"was interrupted in its phase 'verify'.*--resume"):
        raw.online()
    resume(raw.source, raw.out, run="again")
    assert raw.failing() == {}


def test_trap_19_one_flipped_byte_in_an_applied_step_is_refused(pair: Place, tmp_path: Path) -> None:
    steps = tmp_path / "sql"
    shutil.copytree(folder("sql"), steps)
    with closing(sqlite3.connect(pair.target)) as db:
        check_steps(db, load_steps(steps))
        for file in sorted(steps.glob("0*.sql")):
            whole = file.read_bytes()
            place = whole.index(b"-- ", 0) + 4  # a letter of the first comment, which no statement would miss
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(StepRefused, match=file.stem):
                check_steps(db, load_steps(steps))
            file.write_bytes(whole)


def test_trap_20_executescript_which_commits_what_is_pending_is_not_used() -> None:
    """Only the DDL of a shape is read with it, into a database in memory that holds nothing."""
    levels = (
        p for part in ("engine", "migration", "workbench") for p in (Path(ptp.__file__).parent / part).glob("*.py")
    )
    found = [p.name for p in levels if ".executescript(" in p.read_text(encoding="utf-8")]
    assert found == []


@BOTH
def test_trap_21_no_view_or_trigger_is_left_that_does_not_work(raw: Place, way: str) -> None:
    raw.edit(
        "ALTER TABLE users ADD COLUMN loud TEXT AS (upper(name)) VIRTUAL",  # which head does not have
        "CREATE VIEW shouted AS SELECT loud FROM users",
        "CREATE TABLE bag (id INTEGER PRIMARY KEY, a)",
        "CREATE TRIGGER bag_shout AFTER INSERT ON bag BEGIN UPDATE bag SET a = (SELECT loud FROM users) WHERE 0; END",
        "CREATE VIEW good AS SELECT name FROM users",
    )
    named = {e.name: e.reason for e in plan_of(raw.source).extras if not e.carried}
    go(raw, way)
    assert "loud" in named["shouted"]
    views = [n for (n,) in raw.ask("SELECT name FROM sqlite_schema WHERE type = 'view'")]
    assert views == ["good"]
    with closing(sqlite3.connect(raw.target)) as db:
        for name in views:
            db.execute(f"SELECT * FROM {name} LIMIT 0")


@BOTH
def test_trap_21_every_trigger_that_is_carried_compiles(raw: Place, way: str) -> None:
    raw.edit(
        "ALTER TABLE users ADD COLUMN loud TEXT AS (upper(name)) VIRTUAL",
        "CREATE TABLE bag (id INTEGER PRIMARY KEY, a)",
        "CREATE TRIGGER bag_shout AFTER INSERT ON bag BEGIN UPDATE bag SET a = (SELECT loud FROM users) WHERE 0; END",
    )
    go(raw, way)
    with closing(sqlite3.connect(raw.target)) as db:
        for table, sql in (("bag", "INSERT INTO bag VALUES (1, 1)"),):
            assert table in sql
            db.execute(f"EXPLAIN {sql}").fetchall()


def test_trap_21_what_does_not_compile_or_would_mean_something_else_is_named(raw: Place) -> None:
    raw.edit(
        "ALTER TABLE users ADD COLUMN loud TEXT AS (upper(name)) VIRTUAL",
        "CREATE TABLE bag (id INTEGER PRIMARY KEY, a, twice AS (a * 2))",
        "CREATE VIEW seen AS SELECT id, name FROM users",
        "CREATE VIEW recent AS SELECT id FROM users WHERE created_at > '2000'",
        "CREATE TRIGGER on_update AFTER UPDATE OF a ON bag BEGIN DELETE FROM bag WHERE a = (SELECT loud FROM users); END",
        "CREATE TRIGGER on_delete BEFORE DELETE ON bag WHEN OLD.a IN (SELECT loud FROM users) BEGIN SELECT 1; END",
        "CREATE TRIGGER instead_of INSTEAD OF INSERT ON seen BEGIN INSERT INTO bag (a) SELECT loud FROM users; END",
        "CREATE TRIGGER reads AFTER INSERT ON bag BEGIN DELETE FROM bag WHERE a > (SELECT max(created_at) FROM users); END",
        "CREATE TRIGGER writes AFTER INSERT ON bag BEGIN UPDATE users SET last_login = datetime('now'); END",
        "CREATE TRIGGER good AFTER INSERT ON bag BEGIN UPDATE users SET bio = 'x' WHERE id = NEW.a; END",
        "CREATE TRIGGER instead_good INSTEAD OF UPDATE ON seen BEGIN UPDATE users SET name = NEW.name; END",
    )
    reasons = {e.name: e.reason for e in plan_of(raw.source).extras if e.kind in ("view", "trigger")}
    assert {n for n, reason in reasons.items() if not reason} == {"seen", "good", "instead_good"}
    assert {n for n, reason in reasons.items() if "loud" in reason} == {"on_update", "on_delete", "instead_of"}
    assert {n for n, r in reasons.items() if "users, whose values are converted" in r} == {"recent", "reads", "writes"}


def test_trap_21_a_view_over_values_that_stay_as_they_are_is_carried(tmp_path: Path) -> None:
    """Times of this shape are Unix seconds already, so the view means the same."""
    place = make_place(tmp_path, "drizzle", "CREATE VIEW recent AS SELECT id FROM users WHERE created_at > 1000000000")
    before = place.ask_source("SELECT id FROM recent ORDER BY id")
    place.offline()
    assert place.ask("SELECT id FROM recent ORDER BY id") == before
    assert before


@pytest.mark.parametrize("url", ["libsql://db.example", "https://db.example", "wss://db.example/x"])
def test_trap_22_a_remote_database_is_refused_and_pragmas_are_read_back(url: str, raw: Place) -> None:
    with pytest.raises(UsageError, match="names no file"):
        database_path(url)
    engine = open_engine(raw.source)
    held = [engine.connect() for _ in range(3)]
    assert [db.exec_driver_sql("PRAGMA foreign_keys").scalar() for db in held] == [1, 1, 1]
    for db in held:
        db.close()
    engine.dispose()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("DESC", " DESC", ""),
        ("WHERE", r" WHERE .*", ""),
        ("CHECK", r"CHECK \(is_active IN \(0, 1\)\)", "CHECK (is_active IN (0, 1, 2))"),
        ("STRICT", r"\) STRICT$", ")"),
        ("COLLATE", "email TEXT NOT NULL", "email TEXT COLLATE NOCASE NOT NULL"),
        ("trigger", r"(DELETE ON questions\s+WHEN) ", r"\1 0 AND "),
    ],
)
def test_trap_23_what_a_reflection_cannot_see_is_caught(pair: Place, name: str, old: str, new: str) -> None:
    rows = pair.ask("SELECT rowid, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'ptp_%'")
    changed = [(row, re.sub(old, new, sql)) for row, sql in rows if re.search(old, sql)]
    assert changed, f"nothing at head has {name}"
    row, text = changed[0]
    with closing(sqlite3.connect(pair.target, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE rowid = ?", (text, row))
    assert "verify.schema" in pair.failing()


# --- 24 to 26: versions, renaming, drivers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False),
        ((3, 45, 0), True), ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 2), True), ((3, 51, 3), False),
        ((3, 52, 0), False),
    ],
)  # fmt: skip
def test_trap_24_versions_that_can_corrupt_are_known(version: tuple[int, int, int], affected: bool) -> None:
    assert FLAWS[0].affects(version) is affected


def test_trap_24_the_version_of_the_engine_is_recorded(raw: Place, tmp_path: Path) -> None:
    take_backup(raw.source, tmp_path / "backup.db", progress=quiet, record=True)
    assert read_record(tmp_path / "backup.db").sqlite == sqlite3.sqlite_version == environment()["sqlite"]


def test_trap_25_a_file_that_others_have_open_is_never_renamed(raw: Place) -> None:
    """A reader and a writer have the source open throughout; afterwards each is told where to go, or reads on."""
    before = raw.source.stat()
    with (
        closing(sqlite3.connect(raw.source, isolation_level=None)) as reader,
        closing(sqlite3.connect(raw.source, isolation_level=None)) as writer,
    ):
        reader.execute("BEGIN")
        (names,) = reader.execute("SELECT group_concat(name) FROM users").fetchone()
        writer.execute("UPDATE users SET bio = 'before'")
        raw.online({COMPARING: lambda: writer.execute("UPDATE users SET bio = 'meanwhile'")})
        after = raw.source.stat()
        assert (before.st_ino, before.st_dev) == (after.st_ino, after.st_dev)
        assert reader.execute("SELECT group_concat(name) FROM users").fetchone() == (names,)
        reader.execute("COMMIT")
        with pytest.raises(sqlite3.IntegrityError, match=f"has moved to {raw.target}"):
            writer.execute("UPDATE users SET bio = 'after'")
    assert raw.ask("SELECT DISTINCT bio FROM users") == [("meanwhile",)]
    assert raw.ask_source("PRAGMA integrity_check") == raw.ask("PRAGMA integrity_check") == [("ok",)]


VALUES = (
    "2147483648", "-2147483649", "9007199254740993", "9223372036854775807", "-9223372036854775808", "1700000000000",
    "7.0", "1.5", "-0.0", "9e999", "''", "'a' || char(0) || 'b'", "char(0)", "'1'", "X''", "X'00FF'", "NULL",
    "CAST(X'61FF62' AS TEXT)",
)  # fmt: skip


@pytest.fixture(scope="module", params=["offline", "online", "there and back"])
def valued(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[str, Any]]:
    """Every value in a carried table, in columns of a mapped one, and what the source held before it moved."""
    place = make_place(
        tmp_path_factory.mktemp("values"),
        "raw",
        "CREATE TABLE bag (id INTEGER PRIMARY KEY, a, touched INT DEFAULT 0)",
        *(f"INSERT INTO bag (a) VALUES ({v})" for v in VALUES),
        "ALTER TABLE users ADD COLUMN more",
        *(f"UPDATE users SET more = {v} WHERE id = {n}" for n, v in enumerate(VALUES, start=1)),
        "UPDATE users SET name = 'n' || char(0) || 'm', bio = char(0), login_count = 9007199254740993 WHERE id = 1",
        "UPDATE users SET login_count = 9223372036854775807 WHERE id = 2",
        "UPDATE users SET login_count = 2147483648 WHERE id = 3",
    )
    seen = {
        "bag": values_of(place.source, "bag", "id", "a"),
        "more": values_of(place.source, "users", "id", "more"),
        "mapped": values_of(place.source, "users", "id", "name", "bio", "login_count"),
    }
    if request.param == "offline":
        place.offline()
        return place, seen
    touch = ("UPDATE bag SET touched = touched + 1", "UPDATE users SET preferred_language = 'fr'")
    place.online({COMPARING: touch})
    if request.param == "there and back":
        place.edit_target(*touch)
        place.back()
        assert place.ask_source("SELECT DISTINCT touched FROM bag") == [(2,)]
    return place, seen


@pytest.mark.parametrize("where", ["bag", "more", "mapped"])
def test_trap_26_no_value_changes_on_the_way_in_or_back(valued: tuple[Place, dict[str, Any]], where: str) -> None:
    place, before = valued
    columns = {"bag": ("id", "a"), "more": ("id", "more"), "mapped": ("id", "name", "bio", "login_count")}[where]
    table = "bag" if where == "bag" else "users"
    assert values_of(place.target, table, *columns) == before[where]
    assert values_of(place.source, table, *columns) == before[where]
