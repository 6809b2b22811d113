"""Steps in place, on a small database that has every attribute a rebuild can lose, with each driver that is there."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ptp.engine import Inventory
from ptp.errors import CannotFinish, Moved, PtpError, StepRefused, UsageError
from ptp.migration import in_place, journal
from ptp.migration.in_place import Done, plan_steps, run_change
from ptp.migration.steps import Step, links, parse_step
from ptp.verification.drift import differences

TABLE = """CREATE TABLE everything (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  email TEXT NOT NULL COLLATE NOCASE UNIQUE ON CONFLICT FAIL,
  n INTEGER DEFAULT 7 CHECK (n > 0),
  parent INTEGER REFERENCES parents (id) ON DELETE CASCADE,
  twice INTEGER GENERATED ALWAYS AS (n * 2) STORED,
  CHECK (length(email) > 2)
) STRICT;
"""
AROUND = """CREATE INDEX by_n ON everything (n DESC);
CREATE INDEX by_word ON everything (lower(email));
CREATE INDEX by_large ON everything (parent) WHERE n > 5;
CREATE TRIGGER counted AFTER UPDATE OF n ON everything BEGIN UPDATE parents SET code = code || '+'; END;
"""
FIRST = f"""-- ptp:up
CREATE TABLE parents (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
{TABLE}{AROUND}
CREATE TABLE notes (id INTEGER PRIMARY KEY, everything INTEGER REFERENCES everything (id) ON DELETE SET NULL, t);
CREATE TABLE pairs (a INTEGER REFERENCES parents (id) ON DELETE CASCADE, b, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE VIEW seen AS SELECT e.email, p.code FROM everything AS e JOIN parents AS p ON p.id = e.parent;
CREATE TRIGGER noted AFTER INSERT ON notes BEGIN UPDATE everything SET n = n + 1 WHERE id = NEW.everything; END;
CREATE TRIGGER through INSTEAD OF UPDATE ON seen BEGIN UPDATE everything SET email = NEW.email; END;
-- ptp:down
DROP VIEW seen;
"""
ROWS = """INSERT INTO parents VALUES (1, 'a'), (2, 'b');
INSERT INTO everything (id, email, n, parent) VALUES (1, 'a@b', 3, 1), (2, 'c@d', 9, 2), (100, 'e@f', 9, NULL);
DELETE FROM everything WHERE id = 100;
INSERT INTO notes VALUES (1, 1, 'x'), (2, 2, x'00'), (3, NULL, 1.5);
INSERT INTO pairs VALUES (1, 1), (1, 2), (2, 1)"""
COPY = """INSERT INTO everything_new (id, email, n, parent) SELECT id, email, n, parent FROM everything;
DROP TABLE everything;
ALTER TABLE everything_new RENAME TO everything;
"""
NEW_FIRST = TABLE.replace("everything (", "everything_new (", 1) + COPY + AROUND
OLD_FIRST = (
    "ALTER TABLE everything RENAME TO everything_old;\n" + TABLE
    + "INSERT INTO everything (id, email, n, parent) SELECT id, email, n, parent FROM everything_old;\n"
    + "DROP TABLE everything_old;\n" + AROUND
)  # fmt: skip
DOWN = "-- ptp:down\nDROP TABLE nothing;\n"


def step_of(up: str, down: str = "", *options: str, number: int = 2) -> Step:
    head = "".join(f"-- ptp:{option}\n" for option in (*options, *(() if down else ("irreversible",))))
    return parse_step(f"{number:04}_step", f"{head}-- ptp:up\n{up}\n" + (f"-- ptp:down\n{down}\n" if down else ""))


FIRST_STEP = parse_step("0001_first", FIRST)


def differ(live: Inventory, expected: Inventory) -> Iterator[str]:
    return differences(live, expected, own=())


@dataclass
class Place:
    """A database at step 1, opened by a driver, and looked at by another connection."""

    path: Path
    driver: Callable[[Path], Any]

    @contextmanager
    def open(self) -> Iterator[Any]:
        with closing(self.driver(self.path)) as db:
            yield db

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute(sql).fetchall()

    def edit(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            for sql in statements:
                db.execute(sql)

    def dump(self) -> list[str]:
        with closing(sqlite3.connect(self.path)) as db:
            return [line for line in db.iterdump() if "ptp_" not in line]

    def go(self, *steps: Step, to: int = 2, progress: Any = lambda fraction, text: None) -> list[Done]:
        known = (FIRST_STEP, *steps)
        with self.open() as db:
            changes = plan_steps(db, known, to=to).changes
            return [run_change(db, c, known, differ=differ, run="r", now=5, progress=progress) for c in changes]

    def refuses(self, *steps: Step, why: str, to: int = 2, error: type[PtpError] = StepRefused) -> None:
        with closing(sqlite3.connect(self.path)) as db:
            before = list(db.iterdump())
        with pytest.raises(error, match=why):
            self.go(*steps, to=to)
        with closing(sqlite3.connect(self.path)) as db:
            assert list(db.iterdump()) == before, "the journal too"


def standard(path: Path) -> Any:
    return sqlite3.connect(path, isolation_level=None)


def libsql(path: Path) -> Any:
    return importlib.import_module("libsql").connect(str(path), isolation_level=None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = Place(tmp_path_factory.mktemp("made") / "at.db", standard)
    found.edit(
        *FIRST_STEP.up,
        journal.DDL,
        *ROWS.split(";\n"),
        *(journal.step_sql(k).replace(":run", "'r'").replace(":now", "1") for k in links([FIRST_STEP])),
        "PRAGMA journal_mode = WAL",
    )
    return found.path


@pytest.fixture
def plain(made: Path, tmp_path: Path) -> Place:
    return Place(Path(shutil.copy(made, tmp_path / "at.db")), standard)


@pytest.fixture(params=[standard, libsql], ids=lambda d: d.__name__)
def place(request: pytest.FixtureRequest, plain: Place) -> Place:
    if request.param is libsql:
        pytest.importorskip("libsql")
    return replace(plain, driver=request.param)


STEPS = "SELECT kind, name, checksum, chain, run, at, seconds > 0 FROM ptp_journal ORDER BY id"


def test_a_step_goes_up_and_down_with_its_row_in_the_journal(place: Place) -> None:
    step = step_of("ALTER TABLE notes ADD COLUMN more TEXT;\nCREATE INDEX i ON notes (t);",
                   "DROP INDEX i;\nALTER TABLE notes DROP COLUMN more;")  # fmt: skip
    before, link = place.dump(), links([FIRST_STEP, step])[1]
    (done,) = place.go(step)
    assert (done.statements, done.rows_before, done.rows_after) == (2, 11, 11)
    assert place.ask("SELECT more FROM notes") == [(None,)] * 3
    assert place.ask(STEPS)[1:] == [("step", step.name, step.checksum, link.chain, "r", 5, 1)]
    place.go(step, to=1)
    assert place.dump() == before
    assert place.ask(STEPS)[1:] == [("phase", "down 0002_step", step.checksum, None, "r", 5, 1)]
    place.go(step)
    with place.open() as db:
        assert journal.why_untrusted(db, (FIRST_STEP, step)) == ""
        assert plan_steps(db, (FIRST_STEP, step), to=2).changes == ()


@pytest.mark.parametrize("way", [NEW_FIRST, OLD_FIRST], ids=["new first", "old first"])
def test_a_table_built_anew_keeps_all_that_it_had_and_its_children_theirs(place: Place, way: str) -> None:
    before = place.dump()
    place.go(step_of(way))
    after = [line.replace('TABLE "everything"', "TABLE everything") for line in place.dump()]
    assert sorted(after) == sorted(before)
    place.edit("INSERT INTO everything (email, n) VALUES ('g@h', 1)")
    assert place.ask("SELECT max(id) FROM everything") == [(101,)], "the id of a row that was deleted is not used again"
    place.edit("PRAGMA foreign_keys = ON", "DELETE FROM parents WHERE id = 1")
    assert place.ask("SELECT id FROM everything") == [(2,), (101,)]


def test_a_mark_that_was_not_brought_along_would_be_missed(plain: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_place, "_BRING_MARKS", ())
    plain.refuses(step_of(NEW_FIRST), why="table everything would give ids again .* its AUTOINCREMENT mark was 100")


def test_foreign_keys_that_cannot_be_switched_off_end_the_step(place: Place) -> None:
    step = step_of(NEW_FIRST)
    with place.open() as db:
        (change,) = plan_steps(db, (FIRST_STEP, step), to=2).changes
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN")  # where the setting does nothing, as on some servers
        with pytest.raises(CannotFinish, match=r"does not take PRAGMA foreign_keys = 0: it says \(1,\)"):
            run_change(db, change, (FIRST_STEP, step), differ=differ, run="r", now=5)
        db.execute("ROLLBACK")


LOST = [
    (" AUTOINCREMENT", "", "table everything, column id: .*AUTOINCREMENT"),
    (" COLLATE NOCASE", "", "table everything, column email: COLLATE NOCASE is missing"),
    (" NOT NULL COLLATE", " COLLATE", "table everything, column email: NOT NULL is missing"),
    (" UNIQUE ON CONFLICT FAIL", " UNIQUE", "table everything, column email: .*UNIQUE"),
    (" UNIQUE ON CONFLICT FAIL", "", "table everything, column email: UNIQUE ON CONFLICT FAIL is missing"),
    (" DEFAULT 7", "", "table everything, column n: DEFAULT 7 is missing"),
    (" CHECK (n > 0)", "", r"table everything, column n: CHECK \(n > 0\) is missing"),
    ("CHECK (n > 0)", "CHECK (n >= 0)", "table everything, column n: CHECK"),
    (" ON DELETE CASCADE", "", "table everything, column parent: REFERENCES"),
    (" GENERATED ALWAYS AS (n * 2) STORED", "", "table everything, column twice: GENERATED"),
    (" STORED", " VIRTUAL", "table everything, column twice: "),
    (",\n  CHECK (length(email) > 2)", "", r"table everything: CHECK \(length\(email\) > 2\) is missing"),
    (" STRICT", "", "table everything: STRICT is missing"),
    ("(n DESC)", "(n)", "index by_n is not what it was"),
    ("(lower(email))", "(email)", "index by_word is not what it was"),
    (" WHERE n > 5", "", "index by_large is not what it was"),
    ("CREATE INDEX by_n ON everything (n DESC);\n", "", "index by_n is gone, and no statement drops it"),
    (AROUND.splitlines()[3], "", "trigger counted is gone, and no statement drops it"),
    ("code || '+'", "code || '-'", "trigger counted is not what it was"),
    ("SELECT id, email, n, parent FROM everything;", "SELECT id, email, n, parent FROM everything WHERE id > 1;",
     "table everything keeps 1 of its 2 rows"),
    ("INTO everything_new", "OR IGNORE INTO everything_new", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "why"), LOST, ids=[f"{w or 'nothing'}-{n}" for n, (*_, w) in enumerate(LOST)])
def test_what_a_table_built_anew_loses_is_refused(plain: Place, old: str, new: str, why: str) -> None:
    assert old in NEW_FIRST
    step = step_of(NEW_FIRST.replace(old, new, 1))
    if why:
        plain.refuses(step, why=f"0002_step.sql, up: .*{why}")
        declared = (
            why.partition(":")[0].split(" ")[1].rstrip(",") if "index" not in why and "trigger" not in why else ""
        )
        if declared and "rows" not in why and "gone" not in why:  # and what is declared goes through
            plain.go(replace(step, changes=("everything",)))
    else:
        plain.go(step)


def test_a_declared_change_of_a_column_covers_no_other(place: Place) -> None:
    both = NEW_FIRST.replace(" DEFAULT 7", " DEFAULT 8").replace(" COLLATE NOCASE", "")
    place.refuses(
        step_of(both, "", "changes everything.n"), why="^0002_step.sql, up: table everything, column email: .* NOCASE"
    )
    place.go(step_of(both, "", "changes everything.n", "changes everything.email"))
    assert "DEFAULT 8" in place.ask("SELECT sql FROM sqlite_schema WHERE name = 'everything'")[0][0]


@pytest.mark.parametrize(
    ("sql", "options", "why"),
    [
        ("DELETE FROM notes WHERE id = 1;", (), "table notes keeps 2 of its 3 rows, which '-- ptp:deletes notes' would"),
        ("DROP TABLE notes;", (), "table notes goes with its 3 rows"),
        ("DELETE FROM notes WHERE id = 1;", ("deletes pairs",), "no statement names the table pairs"),
        ("CREATE TABLE t (a); INSERT INTO t SELECT id FROM notes; DELETE FROM t;", (), ""),
        ("DELETE FROM parents WHERE id = 1;", ("deletes parents",), "everything, rowid 1: there is no such row in parents"),
        ("UPDATE notes SET everything = 9;", (), "notes, rowid 1: there is no such row in everything; notes, rowid 2: .*; notes, rowid 3: "),
        ("UPDATE pairs SET a = 9 WHERE a = 2;", (), "pairs, rowid None: there is no such row in parents"),
        ("DROP TABLE parents;", ("deletes parents",), "view seen: no such table: main.parents"),
        ("CREATE INDEX j ON notes (t);", ("changes by_n",), "'-- ptp:changes by_n' is said, and it stays as it was"),
        ("ALTER TABLE everything RENAME COLUMN n TO m;", (), "index by_n is not what it was"),
        ("ALTER TABLE everything RENAME COLUMN n TO m;",
         ("changes everything", "changes by_n", "changes by_large", "changes counted", "changes noted"), ""),
        ("ALTER TABLE pairs RENAME TO couples;", (), ""),
        ("ALTER TABLE parents RENAME TO elders;", (), "table everything, column parent: REFERENCES"),
        (NEW_FIRST + "ALTER TABLE parents RENAME TO elders;", (), "view seen: no such table: main.parents"),
        (NEW_FIRST.replace("DROP TABLE e", "CREATE TRIGGER o AFTER DELETE ON pairs BEGIN DELETE FROM everything_new; END;\n"
         "DROP TABLE e"), (), "trigger o: no such table: main.everything_new; the text of trigger o names everything_new"),
        ("DROP TRIGGER noted;\nCREATE TRIGGER noted AFTER INSERT ON notes BEGIN SELECT 1; END;", (), ""),
        ("CREATE TRIGGER k AFTER INSERT ON notes BEGIN UPDATE nowhere SET a = 1; END;", (), "trigger k: no such table"),
        ("CREATE VIEW k AS SELECT missing FROM notes;", (), "view k: no such column: missing"),
        ("CREATE TABLE k (a REFERENCES nowhere (b));", (), r"foreign key of k \(a\) to nowhere: there is no such table"),
        ("CREATE TABEL x (a);", (), "SQLite refuses 'CREATE TABEL x"),
        ("CREATE TABLE x (a);\nINSERT OR ROLLBACK INTO parents VALUES (1, 'c');", (), "SQLite refuses 'INSERT OR ROLLBACK"),
        ("INSERT INTO everything (email) VALUES ('x');", (), "CHECK constraint failed"),
    ],
)  # fmt: skip
def test_what_a_step_does_and_does_not_say_is_refused(
    plain: Place, sql: str, options: tuple[str, ...], why: str
) -> None:
    if "no statement names" in why:
        with pytest.raises(StepRefused, match=why):
            step_of(sql, "", *options)
        return
    step = step_of(sql, "", *options)
    if why:
        plain.refuses(step, why=why)
    else:
        plain.go(step)


def test_rows_that_a_step_says_it_deletes_may_go(place: Place) -> None:
    place.go(step_of("DELETE FROM notes WHERE id = 1;", "", "deletes notes"))
    assert place.ask("SELECT id FROM notes") == [(2,), (3,)]


def test_what_belongs_to_a_table_goes_with_it(plain: Place) -> None:
    plain.edit("CREATE INDEX on_notes ON notes (t)", "CREATE VIEW short AS SELECT t FROM notes")
    plain.refuses(step_of("DROP TABLE notes;", "", "deletes notes"), why="view short: no such table: main.notes")
    plain.go(step_of("DROP TABLE notes;\nDROP VIEW short;", "", "deletes notes"))
    gone = "SELECT count(*) FROM sqlite_schema WHERE name IN ('notes', 'on_notes', 'noted', 'short')"
    assert plain.ask(gone) == [(0,)]


def test_a_text_that_sqlite_rewrites_on_the_way_is_told(plain: Place) -> None:
    step = step_of("ALTER TABLE parents RENAME COLUMN id TO ID;")
    plain.refuses(step, why="the text of table everything was changed, and no statement names it")


def test_down_takes_away_what_up_made_but_no_other_rows(plain: Place) -> None:
    made = step_of("CREATE TABLE t (a);\nINSERT INTO t SELECT id FROM notes;", "DROP TABLE t;")
    given = step_of("CREATE TABLE u (a);", "DROP TABLE u;", number=3)
    plain.go(made, given, to=3)
    plain.edit("INSERT INTO u VALUES (1)")
    plain.refuses(made, given, to=2, why="0003_step.sql, down: table u goes with its 1 rows")
    plain.edit("DELETE FROM u")
    plain.go(made, given, to=1)
    assert plain.ask("SELECT count(*) FROM sqlite_schema WHERE name IN ('t', 'u')") == [(0,)]


def test_what_was_broken_before_is_not_blamed_on_the_step(place: Place) -> None:
    place.edit(
        "INSERT INTO everything (id, email, parent) VALUES (3, 'i@j', 77), (4, 'k@l', 78), (5, 'm@n', 79)",
        "INSERT INTO pairs VALUES (9, 9)",
        "CREATE VIEW old AS SELECT a FROM nowhere",
    )
    place.refuses(
        step_of("UPDATE everything SET parent = 80 WHERE id = 1;"),
        why=r"up: everything, rowid 1: there is no such row in parents\.",
    )
    place.refuses(step_of("INSERT INTO pairs VALUES (9, 10);"), why=r"up: pairs, rowid None: .* in parents\.")
    place.go(step_of("CREATE INDEX j ON notes (t);"))


def test_an_index_that_a_foreign_key_needs_is_missed(plain: Place) -> None:
    plain.go(step_of("CREATE TABLE owns (code REFERENCES parents (code));"))
    rebuilt = (
        "CREATE TABLE p2 (id INTEGER PRIMARY KEY, code TEXT); INSERT INTO p2 SELECT * FROM parents; DROP TABLE parents;"
        "ALTER TABLE p2 RENAME TO parents;"
    )
    first = step_of("CREATE TABLE owns (code REFERENCES parents (code));")
    plain.refuses(first, step_of(rebuilt, "", "changes parents.code", number=3), to=3, why="owns: foreign key mismatch")


def test_steps_that_were_changed_or_are_not_there_are_refused(plain: Place) -> None:
    step = step_of("CREATE INDEX j ON notes (t);")
    edited = parse_step("0001_first", FIRST.replace("-- ptp:down", "\n-- ptp:down"))
    with plain.open() as db:
        with pytest.raises(StepRefused, match="step 0001_first was edited after it was applied"):
            plan_steps(db, (edited, step), to=2)
        for number in (0, 3):
            with pytest.raises(UsageError, match=f"There is no step 000{number} to go to"):
                plan_steps(db, (FIRST_STEP, step), to=number)
    plain.go(step)
    plain.refuses(step, to=1, why="Step 0002_step is irreversible: the way back is the backup")


def test_a_plan_that_another_one_overtook_does_nothing(place: Place) -> None:
    step = step_of("CREATE INDEX j ON notes (t);")
    with place.open() as db:
        (change,) = plan_steps(db, (FIRST_STEP, step), to=2).changes
        place.go(step)
        with pytest.raises(CannotFinish, match="stands at step 0002 now, not at 0001: another one stepped it"):
            run_change(db, change, (FIRST_STEP, step), differ=differ, run="r", now=5)
    assert len(place.ask(STEPS)) == 2


def test_a_journal_that_was_changed_since_the_plan_is_seen_within_the_transaction(plain: Place) -> None:
    step = step_of("CREATE INDEX j ON notes (t);")
    with plain.open() as db:
        (change,) = plan_steps(db, (FIRST_STEP, step), to=2).changes
        plain.edit(f"UPDATE {journal.TABLE} SET chain = 'x'")
        with pytest.raises(StepRefused, match="chain is broken at step 0001_first"):
            run_change(db, change, (FIRST_STEP, step), differ=differ, run="r", now=5)


def test_a_database_that_has_moved_or_whose_changes_are_captured_is_left_alone(place: Place) -> None:
    from ptp.engine import moves

    step = step_of("CREATE INDEX j ON notes (t);")
    place.edit(moves.DDL, f"INSERT INTO {moves.TABLE} VALUES (1, 'moved', 'head', '/b.db', '', '', '', '', 0, NULL)")
    place.refuses(step, error=Moved, why="/b.db is")
    place.edit(f"UPDATE {moves.TABLE} SET state = 'open'")
    place.edit("CREATE TRIGGER ptp_capture_x AFTER INSERT ON notes BEGIN SELECT 1; END")
    place.refuses(step, error=UsageError, why="ptp settle")


def test_the_plan_shows_every_statement_in_its_transaction(plain: Place) -> None:
    step = step_of(NEW_FIRST)
    with plain.open() as db:
        plan = plan_steps(db, (FIRST_STEP, step), to=2)
    shown = plan.changes[0].statements
    assert shown[:3] == ("PRAGMA foreign_keys = 0", "PRAGMA legacy_alter_table = 1", "BEGIN IMMEDIATE")
    assert shown[-1] == "COMMIT" and "ptp_journal" in shown[-2]
    assert all(sql in shown for sql in step.up) and all(f"{sql};" in plan.text for sql in shown)
    assert plan.hash != plan_hash(plain, step_of(NEW_FIRST.replace("n > 5", "n > 6")))


@pytest.mark.parametrize("up", [NEW_FIRST, "CREATE TABEL x (a);"], ids=["done", "refused"])
def test_afterwards_the_connection_is_as_ptp_has_them_everywhere(place: Place, up: str) -> None:
    step = step_of(up)
    with place.open() as db:
        (change,) = plan_steps(db, (FIRST_STEP, step), to=2).changes
        with suppress(StepRefused):
            run_change(db, change, (FIRST_STEP, step), differ=differ, run="r", now=5)
        asked = ("foreign_keys", "legacy_alter_table", "recursive_triggers")
        assert [db.execute(f"PRAGMA {name}").fetchone()[0] for name in asked] == [1, 0, 1]


def plan_hash(place: Place, step: Step) -> str:
    with place.open() as db:
        return plan_steps(db, (FIRST_STEP, step), to=2).hash


def test_killed_before_any_statement_the_database_is_as_it_was(place: Place) -> None:
    step = step_of(NEW_FIRST, "CREATE TABLE again (a);\nINSERT INTO again SELECT id FROM notes;")
    before, stages = place.dump(), 0
    while True:
        stages += 1
        child = os.fork()
        if not child:
            heard = 0

            def told(_fraction: float, _text: str, at: int = stages) -> None:
                nonlocal heard
                heard += 1
                if heard == at:
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                place.go(step, progress=told)
                os._exit(0)
            finally:  # nothing of the tests' own goes on in the child
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert status == 0
            break
        assert place.dump() == before and len(place.ask(STEPS)) == 1
    # Every statement of the step, those that keep the marks, and the journal were stopped at.
    assert stages == len(step.up) + 4 + 1 + 1
    assert len(place.ask(STEPS)) == 2 and place.ask("PRAGMA integrity_check") == [("ok",)]
