"""Damage to the migration's own books: the journal, and the quarantine."""

from __future__ import annotations

import random
import sqlite3

from ptp.workload.mutations.tools import ask, behind

_LETTERS = "0123456789abcdef"


def lose_step(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove a step from the journal."""
    key, name = rng.choice(_steps(db))
    return _journal(db, name, "DELETE FROM ptp_journal WHERE id = ?", key)


def lose_phase(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove a phase from the journal."""
    key, name = rng.choice(ask(db, "SELECT id, name FROM ptp_journal WHERE kind = 'phase' ORDER BY id"))
    return _journal(db, name, "DELETE FROM ptp_journal WHERE id = ?", key)


def add_step(db: sqlite3.Connection, rng: random.Random) -> str:
    """Enter a step that there is not."""
    key, name = rng.choice(_steps(db))
    copied = "SELECT kind, '0999_made_up', checksum, chain, run, at FROM ptp_journal WHERE id = ?"
    return _journal(db, name, f"INSERT INTO ptp_journal (kind, name, checksum, chain, run, at) {copied}", key)


def rename_step(db: sqlite3.Connection, rng: random.Random) -> str:
    """Give a step another name."""
    key, name = rng.choice(_steps(db))
    return _journal(db, name, "UPDATE ptp_journal SET name = name || '_again' WHERE id = ?", key)


def leave_out(db: sqlite3.Connection, rng: random.Random) -> str:
    """Say of a step that it was left out, though it was applied."""
    key, name = rng.choice(_steps(db))
    return _journal(db, name, "UPDATE ptp_journal SET left_out = 'not needed' WHERE id = ?", key)


def edit_hash(db: sqlite3.Connection, rng: random.Random, *, column: str) -> str:
    """Change one letter of a step's checksum or chain."""
    key, name = rng.choice(_steps(db))
    ((value,),) = ask(db, f"SELECT {column} FROM ptp_journal WHERE id = ?", (key,))
    at = rng.randrange(len(value))
    changed = value[:at] + rng.choice([c for c in _LETTERS if c != value[at]]) + value[at + 1 :]
    with behind(db):
        db.execute(f"UPDATE ptp_journal SET {column} = ? WHERE id = ?", (changed, key))
    return f"ptp_journal, {name}, {column}"


def lose_entry(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove one entry of the quarantine."""
    return _entry(db, rng, "DELETE FROM ptp_quarantine WHERE id = ?")


def lose_kept_row(db: sqlite3.Connection, rng: random.Random) -> str:
    """Remove all entries of one row that was kept whole."""
    (table, key) = rng.choice(
        ask(db, "SELECT DISTINCT table_name, row_key FROM ptp_quarantine WHERE kind = 'row' ORDER BY 1, 2")
    )
    with behind(db):
        db.execute("DELETE FROM ptp_quarantine WHERE kind = 'row' AND table_name = ? AND row_key = ?", (table, key))
    return f"ptp_quarantine, {table} {key}"


def edit_original(db: sqlite3.Connection, rng: random.Random) -> str:
    """Change an original that is kept: a letter more, or its storage class."""
    change = rng.choice(("coalesce(original, '') || 'x'", "CAST(coalesce(original, 0) AS BLOB)"))
    return _entry(db, rng, f"UPDATE ptp_quarantine SET original = {change} WHERE id = ?")


def edit_placeholder(db: sqlite3.Connection, rng: random.Random) -> str:
    """Change what an entry says the target got instead of the value."""
    change = "UPDATE ptp_quarantine SET placeholder = coalesce(placeholder, 0) + 1 WHERE id = ?"
    return _entry(db, rng, change, kind="value")


def edit_reason(db: sqlite3.Connection, rng: random.Random) -> str:
    """Let an entry give another reason of the same sort."""
    reason = "substr(reason, 1, instr(reason, ':')) || ' for no reason'"
    return _entry(db, rng, f"UPDATE ptp_quarantine SET reason = {reason} WHERE id = ?")


def edit_outcome(db: sqlite3.Connection, rng: random.Random) -> str:
    """Call a value rounded that was rejected, and the reverse."""
    outcome = "CASE WHEN reason LIKE 'rejected:%' THEN 'rounded' ELSE 'rejected' END"
    change = f"UPDATE ptp_quarantine SET reason = {outcome} || substr(reason, instr(reason, ':')) WHERE id = ?"
    return _entry(db, rng, change, kind="value")


def edit_key(db: sqlite3.Connection, rng: random.Random) -> str:
    """Let an entry name another row."""
    return _entry(db, rng, "UPDATE ptp_quarantine SET row_key = row_key || '1' WHERE id = ?")


def edit_column(db: sqlite3.Connection, rng: random.Random) -> str:
    """Let an entry name another column."""
    return _entry(db, rng, "UPDATE ptp_quarantine SET column_name = column_name || '_' WHERE id = ?")


def invent_entry(db: sqlite3.Connection, rng: random.Random, *, table: str) -> str:
    """Enter a value that was never rejected."""
    with behind(db):
        db.execute(
            "INSERT INTO ptp_quarantine (run, kind, table_name, row_key, column_name, original, reason) "
            "VALUES ('r', 'value', ?, ?, 'name', 'made up', 'rejected: not text')",
            (table, str(rng.randint(1, 20))),
        )
    return f"ptp_quarantine, {table}"


def _steps(db: sqlite3.Connection) -> list[tuple[int, str]]:
    rows = ask(db, "SELECT id, name FROM ptp_journal WHERE kind = 'step' ORDER BY id")
    return [(key, name) for key, name in rows]


def _journal(db: sqlite3.Connection, name: str, sql: str, key: int) -> str:
    with behind(db):
        db.execute(sql, (key,))
    return f"ptp_journal, {name}"


def _entry(db: sqlite3.Connection, rng: random.Random, sql: str, *, kind: str = "%") -> str:
    found = "SELECT id, table_name, row_key, column_name FROM ptp_quarantine WHERE kind LIKE ? ORDER BY id"
    key, *place = rng.choice(ask(db, found, (kind,)))
    with behind(db):
        db.execute(sql, (key,))
    return f"ptp_quarantine, {' '.join(map(str, place))}"
