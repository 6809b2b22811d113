"""Damage to what is derived from other rows: the pool, the totals, the full-text index, the indexes."""

from __future__ import annotations

import random
import sqlite3

from ptp.engine import quoted
from ptp.workload.mutations.kinds import NotHere
from ptp.workload.mutations.tools import ask, behind, shuffled, text_of, write_text


def edit_row(db: sqlite3.Connection, rng: random.Random, *, table: str, keys: tuple[str, ...], change: str) -> str:
    """Change or remove (an empty change) one row of a derived table, told by its keys."""
    rows = ask(db, f"SELECT {', '.join(keys)} FROM {quoted(table)} ORDER BY {', '.join(keys)}")
    if not rows:
        raise NotHere(f"{table} is empty, as the source has no rows that it is derived from")
    key = rng.choice(rows)
    verb = f"UPDATE {quoted(table)} SET {change}" if change else f"DELETE FROM {quoted(table)}"
    with behind(db):
        db.execute(f"{verb} WHERE {' AND '.join(f'{k} = ?' for k in keys)}", key)
    return f"{table} {', '.join(map(str, key))}: {change or 'lost'}"


def add_cell(db: sqlite3.Connection, rng: random.Random) -> str:
    """Add a cell of the pool that nothing is in."""
    ((last, exam),) = ask(db, "SELECT max(id), min(exam_id) FROM question_cells")
    with behind(db):
        cell = (last + rng.randint(1, 9), exam, rng.randint(10_000, 20_000))
        db.execute(
            "INSERT INTO question_cells (id, exam_id, objective_id, difficulty, size) VALUES (?, ?, ?, 0, 0)", cell
        )
    return f"question_cells {cell[0]}"


def swap_slots(db: sqlite3.Connection, rng: random.Random) -> str:
    """Exchange two questions of different cells."""
    slots = ask(db, "SELECT slot, question_id FROM question_pool ORDER BY slot")
    one = rng.choice(slots)
    other = rng.choice([s for s in slots if s[0] >> 32 != one[0] >> 32])
    with behind(db):
        for slot, question in ((one[0], -1), (other[0], one[1]), (one[0], other[1])):
            db.execute("UPDATE question_pool SET question_id = ? WHERE slot = ?", (question, slot))
    return f"question_pool {one[0]} and {other[0]}"


def admit(db: sqlite3.Connection, rng: random.Random) -> str:
    """Put a question into the pool that may not be drawn, behind the last of a cell that then has the right size."""
    outside = "SELECT id FROM questions WHERE id NOT IN (SELECT question_id FROM question_pool) ORDER BY id"
    (question,) = rng.choice(ask(db, outside))
    cell, size = rng.choice(ask(db, "SELECT id, size FROM question_cells ORDER BY id"))
    with behind(db):
        db.execute("INSERT INTO question_pool (slot, question_id) VALUES (?, ?)", ((cell << 32) + size, question))
        db.execute("UPDATE question_cells SET size = size + 1 WHERE id = ?", (cell,))
    return f"question_pool, question {question} in cell {cell}"


def add_node(db: sqlite3.Connection, rng: random.Random) -> str:
    """Add a node of the leaderboard's tree that no user stands in."""
    ((exam,),) = ask(db, "SELECT min(exam_id) FROM leaderboard_nodes")
    taken = {node for (node,) in ask(db, "SELECT node FROM leaderboard_nodes")}
    node = rng.choice([n for n in range(262_144, 524_288, 997) if n not in taken])
    with behind(db):
        db.execute("INSERT INTO leaderboard_nodes (exam_id, node, users) VALUES (?, ?, 0)", (exam, node))
    return f"leaderboard_nodes {exam}, {node}: no users"


def wrong_mean(db: sqlite3.Connection, rng: random.Random) -> str:
    """Give a question a total of seconds that its mean does not agree with."""
    return _total(db, rng, "(avg_time_seconds + 2) * total_attempts")


def invent_total(db: sqlite3.Connection, rng: random.Random) -> str:
    """Give a question a total of seconds, which no source has, that its mean does agree with."""
    return _total(db, rng, "avg_time_seconds * total_attempts")


def _total(db: sqlite3.Connection, rng: random.Random, value: str) -> str:
    sql = "SELECT id FROM questions WHERE total_attempts > 0 AND avg_time_seconds IS NOT NULL ORDER BY id"
    (key,) = rng.choice(ask(db, sql))
    with behind(db):
        db.execute(f"UPDATE questions SET total_time_seconds = {value} WHERE id = ?", (key,))
    return f"questions {key}, total_time_seconds"


def lose_words(db: sqlite3.Connection, rng: random.Random) -> str:
    """Take a question out of the full-text index."""
    row = rng.choice(_indexed(db))
    with behind(db):
        _index(db, row, delete=True)
    return f"question_search {row[0]}"


def add_words(db: sqlite3.Connection, rng: random.Random) -> str:
    """Enter a question that there is not into the full-text index."""
    ((last,),) = ask(db, "SELECT max(id) FROM questions")
    with behind(db):
        _index(db, (last + rng.randint(1, 99), "ghost words", None, None, 1), delete=False)
    return "question_search, a question that there is not"


def other_words(db: sqlite3.Connection, rng: random.Random) -> str:
    """Let a question stand in the full-text index under one word more or one less."""
    row = rng.choice(_indexed(db))
    words = row[1].split()
    changed = f"{row[1]} ghost" if rng.random() < 0.5 else " ".join(words[:-1])
    with behind(db):
        _index(db, row, delete=True)
        _index(db, (row[0], changed, *row[2:]), delete=False)
    return f"question_search {row[0]}"


def lose_index_entries(db: sqlite3.Connection, rng: random.Random) -> str:
    """Let an index miss the rows of its table, as damage to a page would."""
    listed = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND sql NOT LIKE '% WHERE %'"
    for (name,) in shuffled(ask(db, f"{listed} AND name NOT LIKE 'ptp%' ORDER BY name"), rng):
        text = text_of(db, name)
        table = text.partition(" ON ")[2].partition(" ")[0]
        ((rows,),) = ask(db, f"SELECT count(*) FROM {table}")
        if rows:
            with behind(db):
                write_text(db, name, f"{text} WHERE 0")
                db.execute(f"REINDEX {quoted(name)}")
                write_text(db, name, text)
            return f"index {name}: {rows} entries lost"
    raise NotHere("no index has entries")


def _indexed(db: sqlite3.Connection) -> list[tuple[int, str, str | None, str | None, int]]:
    sql = "SELECT id, text, explanation, reference, exam_id FROM questions WHERE instr(text, ' ') ORDER BY id"
    return [(row[0], row[1], row[2], row[3], row[4]) for row in ask(db, sql)]


def _index(db: sqlite3.Connection, row: tuple[object, ...], *, delete: bool) -> None:
    if delete:
        names, values = "question_search, rowid, text, explanation, reference, exam_id", ("delete", *row)
    else:
        names, values = "rowid, text, explanation, reference, exam_id", row
    db.execute(f"INSERT INTO question_search ({names}) VALUES ({', '.join('?' for _ in values)})", values)
