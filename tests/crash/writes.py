"""What the application of the crash trials writes: transaction by transaction, the same in the old shape and at head.

From its number alone everybody knows what a transaction does, so the witness can do all of them on a copy that never
moved, by plain SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

FIRST = 1_000_000
"""The ids of the rows that are written begin here."""


def statements(number: int, shape: str) -> Iterator[str]:
    """The statements of one transaction."""
    now = "'2026-01-01 10:00:00'" if shape == "raw" else "1767261600"
    yield (
        "INSERT INTO user_answers (id, user_id, question_id, selected_answer, is_correct, answered_at) "
        f"VALUES ({FIRST + number}, {1 + number % 5}, 1, 'a', {number % 2}, {now})"
    )
    yield f"UPDATE users SET bio = 'write {number}' WHERE id = {1 + number % 5}"
    if number % 4 == 3:
        yield f"DELETE FROM user_answers WHERE id = {FIRST + number - 2}"


def written(path: Path) -> int:
    """How many transactions a database holds: the last one's row is never deleted."""
    db = sqlite3.connect(path)
    try:
        last: int | None = db.execute("SELECT max(id) FROM user_answers WHERE id >= ?", (FIRST,)).fetchone()[0]
    finally:
        db.close()
    return 0 if last is None else last - FIRST + 1


def write_all(path: Path, count: int, shape: str) -> None:
    """Do the first `count` transactions by plain SQL."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("BEGIN")
        for number in range(count):
            for sql in statements(number, shape):
                db.execute(sql)
        db.execute("COMMIT")
    finally:
        db.close()
