"""Quarantine where rows are hard to name: keys that repeat, are missing, or hold bytes that are no text."""

from __future__ import annotations

from typing import Any

import pytest

from ptp.errors import DirtySource

SAME = "rejected: an earlier row has the same value (id)"


def without_key(case: Any, table: str) -> None:
    """Rebuild a source table as an import from a data frame would have made it: no key, no rule, no index."""
    columns = case.ask_source(f"SELECT name, type FROM pragma_table_info('{table}')")
    case.edit(
        "PRAGMA legacy_alter_table = ON",
        f"CREATE TABLE new_table ({', '.join(f'{n} {t}' for n, t in columns)})",
        f"INSERT INTO new_table SELECT * FROM {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE new_table RENAME TO {table}",
    )


def gone(case: Any, table: str) -> dict[str, str]:
    """Keys of the rows of a table that went whole, with the reason."""
    return dict(
        case.ask("SELECT DISTINCT row_key, reason FROM ptp_quarantine WHERE kind = 'row' AND table_name = ?", table)
    )


def test_a_source_table_without_a_primary_key_migrates(drizzle: Any) -> None:
    for table in ("growth_metrics", "tweets"):
        without_key(drizzle, table)
    drizzle.migrate()
    assert drizzle.failing() == {}


def test_rows_that_repeat_a_primary_key_go_except_the_first(drizzle: Any) -> None:
    for table in ("growth_metrics", "tweets", "users"):
        without_key(drizzle, table)
    drizzle.edit(
        "INSERT INTO growth_metrics (id, date) VALUES (1, '1999-01-01'), (1, '1999-01-02'), (NULL, '1999-01-03'), "
        "(NULL, '1999-01-04')",
        "INSERT INTO tweets (id, account_id, text) SELECT id, account_id, 'twin' FROM tweets LIMIT 1",
        "INSERT INTO users (id, email, name) VALUES (1, 'twin@x', 'twin')",
    )
    with pytest.raises(DirtySource, match="an earlier row has the same value"):
        drizzle.migrate()
    assert not drizzle.target.exists()
    drizzle.migrate(on_dirty="quarantine")
    assert gone(drizzle, "growth_metrics") == {"1": SAME, "NULL": "rejected: NULL is not allowed (id)"}
    assert drizzle.ask(
        "SELECT original FROM ptp_quarantine WHERE column_name = 'date' AND kind = 'row' ORDER BY original"
    ) == [(f"1999-01-0{n}",) for n in (1, 2, 3, 4)]
    assert list(gone(drizzle, "tweets").values()) == [SAME]
    assert gone(drizzle, "users") == {"1": SAME}
    assert drizzle.ask("SELECT count(*) FROM users WHERE email = 'twin@x'") == [(0,)]
    assert drizzle.ask("SELECT count(*) FROM user_answers") == drizzle.ask_source("SELECT count(*) FROM user_answers")
    assert drizzle.failing() == {}


KEYS = ("CAST(X'61FF' AS TEXT)", "'a' || char(0) || 'b'", "'it''s'", "'ü🎓'", "''", "CAST(X'00FF00' AS TEXT)")


def test_orphans_whose_keys_are_no_utf_8_are_kept_to_the_byte(drizzle: Any) -> None:
    for number, key in enumerate(KEYS):
        drizzle.edit(
            f"INSERT INTO twitter_accounts (id, username, bio) VALUES ({key}, 'name {number}', {key})",
            f"INSERT INTO tweets (id, account_id, text, created_at) VALUES ({key}, {key}, {key}, 'now' || {key})",
            # an orphan: its account is another text that has the same first bytes
            f"INSERT INTO tweets (id, account_id, text) VALUES ({key} || 'x', {key} || CAST(X'FE00' AS TEXT), {key})",
        )
    drizzle.edit("INSERT INTO tweets (id, account_id, text) VALUES (X'00FF', 'a', 't')")  # a blob for a key
    before = drizzle.ask_source("SELECT hex(id), hex(account_id), hex(text) FROM tweets")
    drizzle.migrate(on_dirty="quarantine")
    there = drizzle.ask("SELECT hex(id), hex(account_id), hex(text) FROM tweets")
    kept: dict[str, dict[str, str]] = {}
    for key, column, original in drizzle.ask(
        "SELECT hex(row_key), column_name, hex(original) FROM ptp_quarantine WHERE table_name = 'tweets' AND kind = 'row'"
    ):
        kept.setdefault(key, {})[column] = original
    assert len(kept) == len(KEYS) + 1
    assert sorted([*there, *((r["id"], r["account_id"], r["text"]) for r in kept.values())]) == sorted(before)
    times = drizzle.ask("SELECT hex(original) FROM ptp_quarantine WHERE column_name = 'created_at' AND kind = 'value'")
    assert len(times) == len(KEYS)
    assert drizzle.failing() == {}


def test_a_twin_whose_unique_text_is_no_utf_8_is_kept(drizzle: Any) -> None:
    drizzle.edit(
        "DROP INDEX users_email_unique",
        "INSERT INTO users (id, email, name) VALUES (9001, CAST(X'FF' AS TEXT), 'a'), (9002, CAST(X'FF' AS TEXT), 'b')",
    )
    drizzle.migrate(on_dirty="quarantine")
    assert list(gone(drizzle, "users")) == ["9002"]
    assert drizzle.failing() == {}


def test_a_row_that_goes_whole_keeps_its_extra_columns_too(raw: Any) -> None:
    raw.edit(
        "ALTER TABLE users ADD COLUMN nick TEXT",
        "ALTER TABLE users ADD COLUMN shout AS (upper(name))",
        "INSERT INTO users (id, email, name, nick) VALUES (9001, X'00', 'n', CAST(X'FF' AS TEXT))",
    )
    raw.migrate(on_dirty="quarantine")
    assert raw.ask(
        "SELECT typeof(original), hex(original) FROM ptp_quarantine WHERE row_key = '9001' AND column_name = 'nick'"
    ) == [("text", "FF")]
    assert raw.failing() == {}


def test_a_row_with_several_faults_goes_once(raw: Any) -> None:
    raw.edit(
        "INSERT INTO questions (id, exam_id, objective_id, text, answers, tags) VALUES (9001, 99, 98, X'', '', '')"
    )
    raw.migrate(on_dirty="quarantine")
    columns = raw.ask_source("SELECT count(*) FROM pragma_table_info('questions')")
    assert raw.ask("SELECT count(*) FROM ptp_quarantine") == columns
    assert raw.failing() == {}


def test_a_unique_index_over_an_expression_is_no_reason_for_or_against(raw: Any) -> None:
    raw.edit(
        "CREATE UNIQUE INDEX users_low ON users (lower(name), id)",
        "INSERT INTO users (id, email, name) VALUES (9001, X'00', 'n')",
    )
    raw.migrate(on_dirty="quarantine")
    assert list(gone(raw, "users")) == ["9001"]
    assert raw.failing() == {}


def test_keys_are_compared_by_bytes_whatever_collation_the_source_has(drizzle: Any) -> None:
    drizzle.edit("DROP INDEX users_email_unique", "DROP INDEX idx_users_email", "DROP INDEX idx_tweets_account")
    drizzle.edit("DROP INDEX idx_tweets_account_created")
    drizzle.rewrite("email TEXT", "email TEXT COLLATE NOCASE", table="users")
    drizzle.rewrite("account_id TEXT", "account_id TEXT COLLATE NOCASE", table="tweets")
    drizzle.edit(
        "INSERT INTO users (id, email, name) SELECT 9001, upper(email), 'other case' FROM users WHERE id = 3",
        "INSERT INTO twitter_accounts (id, username) VALUES ('acc', 'acc')",
        "INSERT INTO tweets (id, account_id, text) VALUES ('1', 'acc', 't'), ('2', 'ACC', 'an orphan to the target')",
    )
    drizzle.migrate(on_dirty="quarantine")
    assert gone(drizzle, "users") == {}
    assert drizzle.ask("SELECT name FROM users WHERE id = 9001") == [("other case",)]
    assert gone(drizzle, "tweets") == {"'2'": "rejected: no such row in twitter_accounts (account_id)"}
    assert drizzle.failing() == {}
