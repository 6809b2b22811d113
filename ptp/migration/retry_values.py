"""Single values out of quarantine: converted anew, and put into their column where its placeholder still stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from ptp.conversions import ColumnMap
from ptp.conversions.sql import problem_sql, value_sql
from ptp.engine import quoted
from ptp.migration.home import Counted, Home, attempt, same_sql
from ptp.migration.quarantine import TABLE, key_text_sql

_BATCH = 1_000
_VALUES = "temp.ptp_value"
_PLACES = "temp.ptp_place"

_SETUP = (
    "CREATE TEMP TABLE ptp_place (id INTEGER PRIMARY KEY, place)",
    # `stands`: the placeholder is in the column still; `moves`: the new value is another than the placeholder.
    "CREATE TEMP TABLE ptp_value (id INTEGER PRIMARY KEY, table_name TEXT, column_name TEXT, place, value, "
    "problem TEXT, stands INTEGER, moves INTEGER, outcome TEXT, why TEXT)",
)

_VERDICT = (
    "CASE WHEN problem IS NULL THEN 'came home' WHEN problem LIKE 'rounded: %' THEN 'rounded' ELSE 'rejected' END"
)


def gather_values(db: sqlite3.Connection, homes: Sequence[Home]) -> None:
    """Convert every single value in quarantine anew, and look up where it would go."""
    for sql in _SETUP:
        db.execute(sql)
    for home in homes:
        names = db.execute(
            f"SELECT DISTINCT column_name FROM main.{TABLE} WHERE table_name = ? AND kind = 'value'",
            (home.mapped.source,),
        ).fetchall()
        if names:
            # Each row writes its key as the migration did, and looks for entries under it: one pass, any bytes.
            db.execute(
                f"INSERT INTO {_PLACES} SELECT q.id, t.{home.row} FROM {home.name} AS t CROSS JOIN main.{TABLE} AS q "
                f"WHERE q.table_name = ? AND q.row_key = {key_text_sql(home.mapped.key, 't')} AND q.kind = 'value'",
                (home.mapped.source,),
            )
        for column in home.mapped.columns:
            if (column.source,) in names:
                db.execute(_gather_sql(home, column), (home.mapped.source, column.source))
    db.execute(
        f"UPDATE {_VALUES} SET moves = NOT {same_sql('value', 'q.placeholder')} "
        f"FROM main.{TABLE} AS q WHERE q.id = ptp_value.id"
    )
    # A value that a rule rejects still is just that, whatever became of its row.
    db.execute(
        f"UPDATE {_VALUES} SET outcome = CASE WHEN {_VERDICT} = 'rejected' AND NOT stands THEN 'rejected' "
        f"WHEN place IS NULL THEN 'gone' WHEN NOT stands THEN 'changed' WHEN NOT moves THEN {_VERDICT} END, "
        "why = problem"
    )
    db.execute("CREATE INDEX temp.ptp_value_due ON ptp_value (table_name, column_name, id) WHERE outcome IS NULL")


def _gather_sql(home: Home, column: ColumnMap) -> str:
    value, problem = (f(column.conversion, "q.original") for f in (value_sql, problem_sql))
    stands = f"p.place IS NOT NULL AND {same_sql(f't.{quoted(column.target)}', 'q.placeholder')}"
    return (
        f"INSERT INTO {_VALUES} (id, table_name, column_name, place, value, problem, stands) "
        f"SELECT q.id, q.table_name, q.column_name, p.place, {value}, {problem}, {stands} FROM main.{TABLE} AS q "
        f"LEFT JOIN {_PLACES} AS p ON p.id = q.id LEFT JOIN {home.name} AS t ON t.{home.row} = p.place "
        "WHERE q.table_name = ? AND q.kind = 'value' AND q.column_name = ?"
    )


def send_values(db: sqlite3.Connection, homes: Sequence[Home]) -> int:
    """Put each value that is to go into its column; how many went. What the database refuses may be tried again."""
    return sum(_send(db, home, column) for home in homes for column in home.mapped.columns)


def _send(db: sqlite3.Connection, home: Home, column: ColumnMap) -> int:
    update = (
        f"UPDATE {home.name} SET {quoted(column.target)} = (SELECT value FROM {_VALUES} WHERE id = :number) "
        f"WHERE {home.row} = (SELECT place FROM {_VALUES} WHERE id = :number)"
    )
    last, done = 0, 0
    while found := db.execute(
        f"SELECT id FROM {_VALUES} WHERE table_name = ? AND column_name = ? AND outcome IS NULL AND id > ? "
        f"ORDER BY id LIMIT {_BATCH}",
        (home.mapped.source, column.source, last),
    ).fetchall():
        for (number,) in found:
            refused = attempt(db, update, number)
            done += not refused
            sql = "why = ?" if refused else f"outcome = {_VERDICT}, why = coalesce(?, problem)"
            db.execute(f"UPDATE {_VALUES} SET {sql} WHERE id = ?", (refused or None, number))
        last = found[-1][0]
    return done


def settle_values(db: sqlite3.Connection) -> int:
    """Bring the entries in line with what became of them; how many were changed."""
    home = f"SELECT id FROM {_VALUES} WHERE outcome = 'came home'"
    done = db.execute(f"DELETE FROM main.{TABLE} WHERE id IN ({home})").rowcount
    return done + (
        db.execute(
            f"UPDATE main.{TABLE} AS q SET placeholder = v.value, reason = v.problem FROM {_VALUES} AS v "
            "WHERE v.id = q.id AND v.stands AND v.outcome IN ('rounded', 'rejected') "
            "AND (v.moves OR q.reason <> v.problem)"
        ).rowcount
    )


def count_values(db: sqlite3.Connection) -> Iterator[Counted]:
    """What became of the values, by table and column."""
    for table, column, outcome, why, count in db.execute(
        f"SELECT table_name, column_name, coalesce(outcome, 'refused'), coalesce(why, ''), count(*) FROM {_VALUES} "
        "GROUP BY 1, 2, 3, 4 ORDER BY min(id)"
    ).fetchall():
        yield Counted(table, column, outcome, why, count)
