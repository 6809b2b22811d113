"""What SQLite itself says of a database, and what it can only say when it is asked rightly."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.verification.integrity import check_pages, check_references
from ptp.workbench.migrating import migrate
from ptp.workbench.verifying import verify

DDL = """
CREATE TABLE parents (id INTEGER PRIMARY KEY);
CREATE TABLE children (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parents (id), n INTEGER CHECK (n > 0));
INSERT INTO parents VALUES (1), (2);
INSERT INTO children VALUES (1, 1, 1), (2, 2, 1), (3, NULL, 1);
"""


def database(*statements: str) -> Any:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(DDL)
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("PRAGMA ignore_check_constraints = ON")
    for sql in statements:
        db.execute(sql)
    db.execute("PRAGMA ignore_check_constraints = OFF")
    return closing(db)


ORPHAN = "INSERT INTO children VALUES (10, 77, 1)"


def test_sound_references_pass() -> None:
    with database() as target, database() as source:
        assert check_references(target, source).verdict == "pass"


def test_a_reference_that_broke_on_the_way_is_found() -> None:
    with database(ORPHAN) as target, database() as source:
        finding = check_references(target, source)
    assert (finding.verdict, finding.value) == ("fail", 1)
    assert finding.where == ("children, rowid 10: no such row in parents",)


def test_a_parent_that_was_lost_on_the_way_is_found() -> None:
    with database("DELETE FROM parents WHERE id = 2") as target, database() as source:
        assert check_references(target, source).where == ("children, rowid 2: no such row in parents",)


def test_a_reference_that_the_source_has_broken_too_is_known_and_does_not_fail() -> None:
    with database(ORPHAN) as target, database(ORPHAN) as source:
        finding = check_references(target, source)
    assert (finding.verdict, finding.value, finding.where) == ("pass", 0, ())
    assert "1 broken in the source already" in finding.evidence


def test_one_new_among_three_known_is_the_one_that_is_named() -> None:
    known = [f"INSERT INTO children VALUES ({10 + i}, 77, 1)" for i in range(3)]
    with database(*known, "INSERT INTO children VALUES (20, 77, 1)") as target, database(*known) as source:
        finding = check_references(target, source)
    assert (finding.verdict, finding.value) == ("fail", 1)
    assert finding.where == ("children, rowid 20: no such row in parents",)
    assert "3 broken in the source already" in finding.evidence


def test_many_are_counted_and_some_are_shown() -> None:
    many = [f"INSERT INTO children VALUES ({100 + i}, 77, 1)" for i in range(50)]
    with database(*many) as target, database() as source:
        finding = check_references(target, source)
    assert (finding.value, len(finding.where)) == (50, 20)


def test_a_check_that_was_broken_behind_its_back_is_found() -> None:
    with database("UPDATE children SET n = -1 WHERE id = 2") as db:
        finding = check_pages(db)
    assert finding.verdict == "fail"
    assert finding.where == ("CHECK constraint failed in children",)


def test_sound_pages_pass() -> None:
    with database() as db:
        assert check_pages(db).verdict == "pass"


@pytest.mark.parametrize(
    ("sql", "loosen"),
    [
        ("UPDATE users SET role = 'root' WHERE id = 2", ""),
        ("UPDATE users SET is_active = 2 WHERE id = 2", ""),
        ("UPDATE users SET created_at = 4102444800 WHERE id = 2", ""),
        ("UPDATE users SET permissions = '[1,]' WHERE id = 2", ""),
        ("UPDATE users SET login_count = 'many' WHERE id = 2", "users"),
        ("UPDATE users SET bio = X'00' WHERE id = 2", "users"),
    ],
)
def test_a_value_that_breaks_a_rule_of_the_target_is_found_twice(pair: Any, sql: str, loosen: str) -> None:
    if loosen:
        pair.force(loosen, sql.split()[3], sql)
    else:
        pair.edit(sql)
    assert set(pair.failing()) == {"verify.integrity", "verify.content.users"}


def test_an_index_that_does_not_hold_what_its_table_holds_is_found(pair: Any) -> None:
    with closing(sqlite3.connect(pair.target, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        name = "idx_answers_question"
        (sql,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql + " WHERE id < 0", name))
        db.execute("PRAGMA writable_schema = RESET")
        db.execute("UPDATE user_answers SET question_id = question_id + 1 WHERE id = 5")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, name))
        db.execute("PRAGMA writable_schema = RESET")
    assert "verify.integrity" in pair.failing()


def test_a_reference_that_leads_nowhere_is_found_in_a_migrated_database(pair: Any) -> None:
    pair.edit("UPDATE user_answers SET question_id = 99999 WHERE id = 5")
    assert set(pair.failing()) == {"verify.foreign-keys", "verify.content.user_answers"}


def test_a_parent_that_is_gone_is_found_through_its_children(pair: Any) -> None:
    pair.edit("DELETE FROM exams")
    assert {"verify.foreign-keys", "verify.content.exams", "verify.rows"} <= set(pair.failing())


def test_a_reference_that_was_broken_in_a_carried_table_already_is_known(pair: Any, tmp_path: Path) -> None:
    source, target, out = tmp_path / "source.db", tmp_path / "new.db", tmp_path / "out"
    shutil.copy(pair.source, source)
    out.mkdir()
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id))")
        db.execute("INSERT INTO notes VALUES (1, 2), (2, 99999)")
    migrate(source, target, out, run="t", on_dirty="quarantine")
    findings = {f.id: f for f in verify(source, target).findings}
    assert findings["verify.foreign-keys"].verdict == "pass"
    assert "1 broken in the source already" in findings["verify.foreign-keys"].evidence
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.execute("UPDATE notes SET user_id = 88888 WHERE id = 1")
    failing = {f.id for f in verify(source, target).findings if f.verdict == "fail"}
    assert failing == {"verify.foreign-keys", "verify.content.carried"}


def test_looking_at_the_pages_leaves_the_target_to_the_byte(pair: Any) -> None:
    before = pair.target.read_bytes()
    assert pair.failing() == {}
    assert pair.target.read_bytes() == before
