"""The subject on which the verifier is tried: a small source with some of everything that a migration meets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ptp.workload.demo import Shape, write_demo

_DIRT = (
    # Values that are rejected or rounded, and rows that go whole: what quarantine is for.
    "UPDATE users SET last_login = 'now', login_count = 1.5 WHERE id IN (4, 9)",
    "UPDATE users SET last_login = '2025-03-01T10:00:00.5' WHERE id = 5",
    "INSERT INTO objectives (id, exam_id, code, name) VALUES (9001, 77, 'lost', 'lost'), (9002, 78, 'lost', 'lost')",
)
_BESIDES = (
    # What a shape does not know is carried over.
    "CREATE TABLE release_notes (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, body TEXT, stars REAL)",
    "INSERT INTO release_notes (title, body, stars) VALUES ('One', 'é', 1.5), ('Two', NULL, -0.0), ('Three', '', 3.25)",
    "CREATE UNIQUE INDEX release_notes_title ON release_notes (title)",
    "CREATE VIEW release_titles AS SELECT title FROM release_notes",
    "ALTER TABLE exams ADD COLUMN legacy_note TEXT",
    "UPDATE exams SET legacy_note = 'kept'",
)
_VARIETY = (
    # Texts with more than one normal form, empty texts, and ids that were given out and are gone.
    "UPDATE questions SET text = text || ' – à quoi sert é?', explanation = '' WHERE id % 7 = 0",
    "UPDATE users SET bio = 'Zoë', stripe_customer_id = '' WHERE id % 3 = 0",
    "DELETE FROM user_answers WHERE id = (SELECT max(id) FROM user_answers)",
    "DELETE FROM objectives WHERE id = 9002",
)


def write_subject(path: Path, *, shape: Shape, seed: int) -> None:
    """Write a source of about 3,000 rows, some of them dirty; it is migrated with quarantine."""
    write_demo(shape=shape, size="tiny", seed=seed, out=path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        for sql in (*_DIRT, *_BESIDES, *_VARIETY):
            db.execute(sql)
