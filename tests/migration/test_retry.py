"""Retry: what a mended rule or a parent that came takes now is brought home; all else stays as it is, to the byte."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from ptp.conversions import Choice, Span
from ptp.errors import CannotFinish, Locked, UsageError
from ptp.migration.home import same_sql
from ptp.schema import Base
from ptp.schema.shapes import known_shapes
from ptp.workbench.keeping import retry_quarantine

Declare = Callable[..., None]
NOON = 1740823200
HEAD = [t.name for t in Base.metadata.sorted_tables]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Declare]:
    """Replaces parts of the conversion that a column declares, as a change of the code would."""

    def change(table: str, column: str, **parts: Any) -> None:
        info = Base.metadata.tables[table].columns[column].info
        monkeypatch.setitem(info, "conversion", replace(info["conversion"], **parts))
        known_shapes.cache_clear()

    yield change
    known_shapes.cache_clear()


def exactly(column: str) -> str:
    return f"typeof({column}) || ':' || quote({column}) || ':' || hex({column})"


def content(case: Any, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of tables (of all, where none is named) to the byte, in order."""
    listed = tables or [
        n
        for (n,) in case.ask("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if not n.startswith("question_search")
    ]
    found = {}
    for table in listed:
        names = [n for (n,) in case.ask("SELECT name FROM pragma_table_info(?)", table)]
        found[table] = sorted(case.ask(f"SELECT {', '.join(map(exactly, names))} FROM {table}"))
    return found


def retried(case: Any, **options: Any) -> dict[tuple[str, str], dict[str, int]]:
    """What a retry says it did: by table and column, the outcomes that are not zero."""
    stage = retry_quarantine(case.target, run="again", **options)
    found = {}
    for row in stage.tables.get("Outcome", ()):
        outcomes = {k: v for k, v in row.items() if v and k not in ("table", "column", "stays for")}
        found[row["table"], row["column"]] = outcomes
    return found


def why(case: Any) -> list[str]:
    return [str(r["stays for"]) for r in retry_quarantine(case.target, run="x", dry_run=True).tables["Outcome"]]


def kept(case: Any) -> list[tuple[Any, ...]]:
    return case.ask(
        "SELECT kind, table_name, row_key, column_name, original, placeholder, reason FROM ptp_quarantine ORDER BY id"
    )


def edit_target(case: Any, *statements: str) -> None:
    with closing(sqlite3.connect(case.target, isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)


def user(number: int, **cells: Any) -> dict[str, Any]:
    return {"id": number, "email": f"u{number}@x", "name": "n", "created_at": None, "updated_at": None, **cells}


# --- single values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["raw", "drizzle"])
def test_a_time_that_is_now_declared_in_milliseconds_comes_home_or_is_rounded(
    small: Any, declare: Declare, shape: str
) -> None:
    times = [NOON * 1000, NOON * 1000 + 123, NOON * 10**7]
    case = small(shape, {"users": [user(n, last_login=t) for n, t in enumerate(times, 1)]})
    case.migrate(on_dirty="quarantine")
    assert case.ask("SELECT last_login FROM users") == [(None,)] * 3
    declare("users", "last_login", milliseconds=True)
    assert "verify.content.users" in case.failing()
    assert retried(case) == {("users", "last_login"): {"came home": 1, "rounded": 1, "still rejected": 1}}
    assert case.ask("SELECT id, last_login FROM users ORDER BY id") == [(1, NOON), (2, NOON), (3, None)]
    assert kept(case) == [
        ("value", "users", "2", "last_login", NOON * 1000 + 123, NOON, "rounded: fraction of a second"),
        ("value", "users", "3", "last_login", NOON * 10**7, None, "rejected: out of range"),
    ]
    assert case.failing() == {}


def test_the_second_time_nothing_more_is_changed_and_the_journal_has_one_line(small: Any, declare: Declare) -> None:
    case = small("raw", {"users": [user(1, last_login=NOON * 1000), user(2, last_login=NOON * 1000 + 1)]})
    case.migrate(on_dirty="quarantine")
    declare("users", "last_login", milliseconds=True)
    retried(case)
    lines = case.ask("SELECT kind, name, run, length(checksum), seconds > 0 FROM ptp_journal WHERE name = 'retry'")
    assert lines == [("phase", "retry", "again", 64, 1)]
    before = content(case)
    assert retried(case) == {("users", "last_login"): {"rounded": 1}}
    assert content(case) == before


def test_a_text_that_a_mended_choice_takes_comes_home(small: Any, declare: Declare) -> None:
    declare("users", "provider", rule=Choice(("google",)))
    case = small("drizzle", {"users": [user(1, provider="email"), user(2, provider="Email")]})
    case.migrate(on_dirty="quarantine")
    declare("users", "provider", rule=Choice(("google", "email")))
    assert retried(case) == {("users", "provider"): {"came home": 1, "still rejected": 1}}
    assert case.ask("SELECT provider FROM users ORDER BY id") == [("email",), (None,)]
    # The reason is the rule that rejects it today.
    assert kept(case) == [
        ("value", "users", "2", "provider", "Email", None, "rejected: breaks the rule IN ('google', 'email')")
    ]
    assert case.failing() == {}


def test_what_the_table_itself_refuses_stays_with_the_words_of_the_database(small: Any, declare: Declare) -> None:
    case = small("raw", {"users": [user(1, provider="github")]})
    case.migrate(on_dirty="quarantine")
    declare("users", "provider", rule=Choice(("google", "email", "github")))
    before = content(case)
    assert retried(case) == {("users", "provider"): {"refused": 1}}
    assert why(case) == ["1 CHECK constraint failed: ck_users_provider"]
    assert content(case) == before


def test_a_reference_to_a_row_that_is_gone_does_not_come_home(small: Any, declare: Declare) -> None:
    declare("audit_log", "user_id", rule=Span(0, 0))
    log = [{"id": n, "user_id": n, "action": "a", "created_at": 1} for n in (1, 2)]
    case = small("drizzle", {"users": [user(1), user(2)], "audit_log": log})
    case.migrate(on_dirty="quarantine")
    declare("audit_log", "user_id", rule=None)
    edit_target(case, "DELETE FROM users WHERE id = 2")
    assert retried(case) == {("audit_log", "user_id"): {"came home": 1, "refused": 1}}
    assert why(case) == ["1 FOREIGN KEY constraint failed"]
    assert case.ask("SELECT user_id FROM audit_log ORDER BY id") == [(1,), (None,)]


def test_a_column_that_was_changed_since_and_a_row_that_is_gone_are_left_alone(small: Any, declare: Declare) -> None:
    case = small("raw", {"users": [user(n, last_login=NOON * 1000 + n % 2) for n in range(1, 7)]})
    case.migrate(on_dirty="quarantine")
    edit_target(case, "UPDATE users SET last_login = 5 WHERE id IN (1, 2)", "DELETE FROM users WHERE id IN (3, 4)")
    declare("users", "last_login", milliseconds=True)
    before = kept(case)
    assert retried(case) == {("users", "last_login"): {"came home": 1, "rounded": 1, "changed since": 2, "row gone": 2}}
    assert case.ask("SELECT id, last_login FROM users ORDER BY id") == [(1, 5), (2, 5), (5, NOON), (6, NOON)]
    assert kept(case)[:4] == before[:4]
    assert len(kept(case)) == 5


def test_values_are_the_same_only_in_their_storage_class_and_bytes() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        pairs = [("1", "1.0"), ("1", "'1'"), ("'a'", "X'61'"), ("'a'", "'A'"), ("NULL", "0"), ("'a'", "'a' || char(0)")]
        assert [db.execute(f"SELECT {same_sql(*pair)}").fetchone()[0] for pair in pairs] == [0] * len(pairs)
        alike = [(value, value) for value in ("1", "1.5", "NULL", "X'00'", "'a' || char(0)")]
        assert [db.execute(f"SELECT {same_sql(f'({a})', f'({b})')}").fetchone()[0] for a, b in alike] == [1] * len(
            alike
        )


def test_without_a_mended_rule_nothing_is_changed_whatever_the_dirt(case: Any) -> None:
    case.edit(
        "UPDATE users SET created_at = 'now', is_active = 2 WHERE id % 7 = 0",
        "UPDATE users SET name = X'00' WHERE id = 5",
        "UPDATE questions SET answers = '[1,]' WHERE id % 50 = 0",
        "UPDATE questions SET tags = '{a:1}', difficulty = 9 WHERE id % 49 = 0",
        "UPDATE user_answers SET question_id = 77777 WHERE id % 103 = 0",
        "UPDATE user_answers SET answered_at = '2025-03-01T10:00:00.5Z' WHERE id % 107 = 0",
        "UPDATE user_progress SET last_study_date = '2025-02-30', last_test_date = 20250301 WHERE id % 4 = 0",
        "UPDATE exams SET passing_score = 'high' WHERE id = 1",
    )
    case.migrate(on_dirty="quarantine")
    before = content(case)
    outcomes = {name for found in retried(case).values() for name in found}
    assert outcomes == {"still rejected", "rounded"}
    assert content(case) == before
    assert case.failing() == {}


# --- whole rows ------------------------------------------------------------------------------------------------------


def test_all_that_went_with_its_parents_comes_home_as_if_it_had_never_gone(case: Any, declare: Declare) -> None:
    case.edit(
        "UPDATE users SET created_at = 'now' WHERE id % 3 = 0",
        "UPDATE user_answers SET answered_at = '2025-03-01T10:00:00.5Z' WHERE id % 10 = 0",
        "UPDATE user_progress SET last_study_date = '2025-02-30' WHERE id % 2 = 0",
    )
    case.migrate(on_dirty="quarantine")
    whole = content(case, *HEAD)
    due = sorted(kept(case), key=repr)
    case.target.unlink()

    declare("users", "name", rule=Choice(("nobody",)))
    declare("questions", "text", rule=Choice(("nothing",)))
    case.migrate(on_dirty="quarantine")
    assert case.ask("SELECT count(*) FROM users") == case.ask("SELECT count(*) FROM user_answers") == [(0,)]
    assert case.ask("SELECT count(*) FROM questions") == [(0,)]
    declare("users", "name", rule=None)
    declare("questions", "text", rule=None)

    before = content(case)
    tried = retried(case, dry_run=True)
    assert content(case) == before
    found = retried(case)
    assert found == tried
    assert found["user_answers", "(whole row)"] == {"came home": len(whole["user_answers"])}
    assert content(case, *HEAD) == whole
    # What a row holds that is not exact stands in quarantine as if it had been migrated so.
    assert sorted(kept(case), key=repr) == due
    assert case.failing() == {}  # what triggers keep is counted anew there, too
    after = content(case)
    retried(case)
    assert content(case) == after


def test_children_of_a_tree_wait_for_their_parents_whatever_their_order(raw: Any, declare: Declare) -> None:
    exam = raw.ask_source("SELECT min(id) FROM exams")[0][0]
    rows = ", ".join(f"({900 + n}, {exam}, 'c', 'n', {901 + n if n < 5 else 'NULL'})" for n in range(6))
    raw.edit(
        f"INSERT INTO objectives (id, exam_id, code, name, parent_id) VALUES {rows}",
        f"INSERT INTO objectives (id, exam_id, code, name, parent_id) VALUES (950, {exam}, 'root', 'n', 950)",
        "UPDATE objectives SET code = 'root' WHERE id = 905",
    )
    codes = {c for (c,) in raw.ask_source("SELECT DISTINCT code FROM objectives WHERE code <> 'root'")}
    declare("objectives", "code", rule=Choice(tuple(sorted(codes))))
    raw.migrate(on_dirty="quarantine")
    assert raw.ask("SELECT count(*) FROM objectives WHERE id >= 900") == [(0,)]
    declare("objectives", "code", rule=None)
    assert retried(raw)["objectives", "(whole row)"] == {"came home": 7}
    assert raw.failing() == {}


def test_a_row_comes_home_when_its_parent_came_by_other_ways(raw: Any) -> None:
    answer = raw.ask_source("SELECT min(id) FROM user_answers")[0][0]
    raw.edit(f"UPDATE user_answers SET question_id = 77777 WHERE id = {answer}")
    raw.migrate(on_dirty="quarantine")
    assert retried(raw) == {("user_answers", "(whole row)"): {"still rejected": 1}}
    assert why(raw) == ["1 rejected: no such row in questions (question_id)"]
    edit_target(
        raw,
        "INSERT INTO questions (id, exam_id, objective_id, text, answers, created_at, updated_at) "
        "SELECT 77777, exam_id, objective_id, 't', '[]', 1, 1 FROM questions LIMIT 1",
    )
    assert retried(raw) == {("user_answers", "(whole row)"): {"came home": 1}}
    assert raw.ask("SELECT question_id FROM user_answers WHERE id = ?", answer) == [(77777,)]
    assert kept(raw) == []


def test_a_twin_comes_home_when_its_place_is_free_and_then_the_next_one_waits(drizzle: Any) -> None:
    drizzle.edit(
        "DROP INDEX users_email_unique",
        "INSERT INTO users (id, email, name, created_at, updated_at) VALUES (901, 'twin@x', 'n', 1, 1), "
        "(902, 'twin@x', 'n', 1, 1), (903, 'twin@x', 'n', 1, 1)",
    )
    drizzle.migrate(on_dirty="quarantine")
    before = content(drizzle)
    assert retried(drizzle) == {("users", "(whole row)"): {"still rejected": 2}}
    assert content(drizzle) == before
    assert why(drizzle) == ["2 rejected: another row has the same value (UNIQUE constraint failed: users.email)"]
    edit_target(drizzle, "DELETE FROM users WHERE id = 901")
    assert retried(drizzle) == {("users", "(whole row)"): {"came home": 1, "still rejected": 1}}
    assert drizzle.ask("SELECT id FROM users WHERE email = 'twin@x'") == [(902,)]


def test_rows_under_one_key_come_home_as_they_were_and_not_mixed(drizzle: Any) -> None:
    columns = drizzle.ask_source("SELECT name, type FROM pragma_table_info('growth_metrics')")
    drizzle.edit(
        "DROP TABLE growth_metrics",
        f"CREATE TABLE growth_metrics ({', '.join(f'{n} {t}' for n, t in columns)})",
        "INSERT INTO growth_metrics (id, date, ai_costs) VALUES (1, '2025-01-01', 11), (1, '2025-01-02', 22), "
        "(1, '2025-01-03', 33)",
    )
    drizzle.migrate(on_dirty="quarantine")
    edit_target(drizzle, "DELETE FROM growth_metrics WHERE id = 1")
    assert retried(drizzle) == {("growth_metrics", "(whole row)"): {"came home": 1, "still rejected": 1}}
    assert drizzle.ask("SELECT date, ai_costs FROM growth_metrics") == [("2025-01-02", 22.0)]
    left = dict(drizzle.ask("SELECT column_name, original FROM ptp_quarantine WHERE original IS NOT NULL"))
    assert (left["date"], left["ai_costs"]) == ("2025-01-03", 33.0)


KEYS = ("CAST(X'61FF' AS TEXT)", "'a' || char(0) || 'b'", "'it''s'", "'ü🎓'", "''", "CAST(X'00FF00' AS TEXT)")


@pytest.mark.parametrize("key", KEYS)
def test_rows_and_values_of_any_bytes_come_home_with_their_bytes(drizzle: Any, declare: Declare, key: str) -> None:
    declare("tweets", "text", rule=Choice(("only this",)))
    drizzle.edit(
        f"INSERT INTO twitter_accounts (id, username, created_at) VALUES ({key}, 'name', {NOON}000)",
        f"INSERT INTO tweets (id, account_id, text) VALUES ({key}, {key}, {key})",
    )
    drizzle.migrate(on_dirty="quarantine")
    declare("tweets", "text", rule=None)
    declare("twitter_accounts", "created_at", milliseconds=True)
    found = retried(drizzle)
    assert found["tweets", "(whole row)"] == {"came home": drizzle.ask_source("SELECT count(*) FROM tweets")[0][0]}
    sql = "SELECT hex(id), hex(account_id), hex(text) FROM tweets ORDER BY id"
    assert drizzle.ask(sql) == drizzle.ask_source(sql)
    assert drizzle.ask(f"SELECT created_at FROM twitter_accounts WHERE id = {key}") == [(NOON,)]


def test_a_database_of_utf_16_is_retried_too(small: Any, declare: Declare) -> None:
    declare("users", "name", rule=Choice(("n",)))
    rows = [user(1, bio="müll", name="ä", last_login=NOON * 1000), user(2, last_login=NOON * 1000)]
    case = small("raw", {"users": rows}, setup=("PRAGMA encoding = 'UTF-16le'",))
    case.migrate(on_dirty="quarantine")
    declare("users", "name", rule=None)
    declare("users", "last_login", milliseconds=True)
    retried(case)
    assert case.ask("SELECT id, name, bio, last_login FROM users ORDER BY id") == [
        (1, "ä", "müll", NOON),
        (2, "n", None, NOON),
    ]
    assert kept(case) == []
    assert case.failing() == {}


def test_extra_columns_come_home_and_where_there_is_no_place_for_them_the_row_stays(
    small: Any, declare: Declare
) -> None:
    declare("users", "name", rule=Choice(("good",)))
    case = small("raw", {"users": [user(1), user(2)]})
    case.edit("ALTER TABLE users ADD COLUMN nick TEXT", "UPDATE users SET nick = CAST(X'FF' AS TEXT) WHERE id = 1")
    case.migrate(on_dirty="quarantine")
    declare("users", "name", rule=None)
    edit_target(case, "ALTER TABLE users RENAME COLUMN nick TO other")
    assert retried(case, dry_run=True) == {("users", "(whole row)"): {"came home": 1, "refused": 1}}
    assert "1 the target has no column nick, in which its value would be kept" in why(case)[0]
    edit_target(case, "ALTER TABLE users RENAME COLUMN other TO nick")
    assert retried(case) == {("users", "(whole row)"): {"came home": 2}}
    assert case.ask("SELECT typeof(nick), hex(nick) FROM users ORDER BY id") == [("text", "FF"), ("null", "")]
    assert case.failing() == {}


def test_a_row_whose_entries_are_not_complete_stays(small: Any, declare: Declare) -> None:
    declare("users", "name", rule=Choice(("good",)))
    case = small("raw", {"users": [user(1), user(2)]})
    case.migrate(on_dirty="quarantine")
    declare("users", "name", rule=None)
    edit_target(case, "DELETE FROM ptp_quarantine WHERE row_key = '1' AND column_name = 'bio'")
    assert retried(case) == {("users", "(whole row)"): {"came home": 1, "refused": 1}}
    edit_target(case, "DELETE FROM ptp_quarantine WHERE column_name = 'picture'")
    assert why(case) == ["1 it has no entry for picture, bio"]


def test_a_row_that_is_rejected_for_another_reason_now_says_so(small: Any, declare: Declare) -> None:
    case = small("raw", {"users": [user(1, name=b"\x00")]})
    case.migrate(on_dirty="quarantine")
    declare("users", "email", rule=Choice(("a@x",)))
    assert retried(case) == {("users", "(whole row)"): {"still rejected": 1}}
    assert {k[-1] for k in kept(case)} == {"rejected: breaks the rule IN ('a@x') (email)"}


# --- all or nothing --------------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(small: Any, declare: Declare) -> Any:
    """A target with a row and a value that would come home."""
    declare("users", "name", rule=Choice(("n",)))
    case = small("raw", {"users": [user(1, last_login=NOON * 1000), user(2, name="other")]})
    case.migrate(on_dirty="quarantine")
    declare("users", "name", rule=None)
    declare("users", "last_login", milliseconds=True)
    return case


def test_a_try_changes_no_byte_of_the_file(waiting: Any) -> None:
    before = hashlib.sha256(waiting.target.read_bytes()).hexdigest()
    assert retried(waiting, dry_run=True) == {
        ("users", "(whole row)"): {"came home": 1},
        ("users", "last_login"): {"came home": 1},
    }
    assert hashlib.sha256(waiting.target.read_bytes()).hexdigest() == before
    assert waiting.files() == {"source.db", "target.db"}


@pytest.mark.parametrize(
    ("trigger", "sentence"),
    [
        ("AFTER INSERT ON users BEGIN DELETE FROM users WHERE id = NEW.id; END", "adds or removes rows"),
        ("AFTER UPDATE ON users BEGIN DELETE FROM users WHERE id = NEW.id; END", "adds or removes rows"),
        ("BEFORE INSERT ON users BEGIN SELECT RAISE(ROLLBACK, 'no'); END", "ended the transaction: no"),
    ],
)
def test_a_trigger_that_would_lose_rows_ends_the_retry_and_nothing_is_changed(
    waiting: Any, trigger: str, sentence: str
) -> None:
    edit_target(waiting, f"CREATE TRIGGER breaks_in {trigger}")
    before = content(waiting)
    with pytest.raises(CannotFinish, match=sentence):
        retried(waiting)
    assert content(waiting) == before


@pytest.mark.parametrize(
    ("trigger", "sentence"),
    [
        ("BEFORE INSERT ON users BEGIN SELECT RAISE(IGNORE); END", "one of its triggers ignores the row"),
        ("AFTER INSERT ON users BEGIN SELECT RAISE(FAIL, 'not on Sundays'); END", "not on Sundays"),
        ("AFTER INSERT ON users BEGIN SELECT RAISE(ABORT, 'not on Sundays'); END", "not on Sundays"),
    ],
)
def test_a_row_that_a_trigger_refuses_stays_and_the_others_come(waiting: Any, trigger: str, sentence: str) -> None:
    edit_target(waiting, f"CREATE TRIGGER refuses {trigger}")
    assert sentence in why(waiting)[0]
    assert retried(waiting) == {("users", "(whole row)"): {"refused": 1}, ("users", "last_login"): {"came home": 1}}
    assert waiting.ask("SELECT id FROM users") == [(1,)]
    assert {k[2] for k in kept(waiting)} == {"2"}


def test_a_target_that_another_process_writes_to_is_left_alone(waiting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0.05}))
    other = connect(waiting.target, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Locked):
        retried(waiting)
    other.close()


def test_entries_of_a_table_that_no_shape_has_are_named(waiting: Any) -> None:
    edit_target(waiting, "UPDATE ptp_quarantine SET table_name = 'strangers' WHERE kind = 'value'")
    with pytest.raises(UsageError, match="holds entries of strangers"):
        retried(waiting)


def test_a_target_that_lacks_a_table_is_refused(waiting: Any) -> None:
    edit_target(waiting, "DROP TABLE audit_log", "DROP TABLE user_progress")
    with pytest.raises(UsageError, match="The target has no table user_progress"):
        retried(waiting)
