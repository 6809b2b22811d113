"""Whole rows out of quarantine: put together again, judged anew, inserted where nothing rejects them any more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ptp.conversions.sql import problem_sql, value_sql
from ptp.engine import literal, quoted
from ptp.engine.inventory import ForeignKey
from ptp.migration.home import Counted, Home, attempt
from ptp.migration.quarantine import TABLE

_BATCH = 1_000
_TAKEN = "rejected: another row has "
_OF_OTHERS = (_TAKEN, "rejected: no such row in ", "rejected: its parent in ", "rejected: an earlier row has ")
"""How reasons begin that lie in other rows, not in the values of this one."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rejected rows of one table, in two temporary tables: the rows with a column for each original, the entries.

    `columns` are those of the source, in order; the original of the n-th stands in column `o<n>`.
    """

    home: Home
    columns: tuple[str, ...]
    rows: str
    entries: str

    @property
    def lacking(self) -> list[str]:
        """Mapped columns of which there is no entry at all."""
        return [c.source for c in self.home.mapped.columns if c.source not in self.columns]

    @property
    def place(self) -> Mapping[str, str]:
        """SQL for the original of a source column, over the row `r`."""
        return {name: f"r.o{n}" for n, name in enumerate(self.columns)}

    def converted(self, targets: tuple[str, ...]) -> list[str]:
        """SQL for the converted values of target columns, over the row `r`."""
        found = {c.target: value_sql(c.conversion, self.place[c.source]) for c in self.home.mapped.columns}
        return [f"({found[t]})" for t in targets]


def gather_rows(db: sqlite3.Connection, home: Home, *, number: int) -> Rows | None:
    """Put the rejected rows of a table together from their entries and judge their values; None where there are none.

    Under one key the n-th entries of all columns are those of the n-th row.
    """
    names = db.execute(
        f"SELECT column_name FROM main.{TABLE} WHERE table_name = ? AND kind = 'row' "
        "GROUP BY column_name ORDER BY min(id)",
        (home.mapped.source,),
    ).fetchall()
    if not names:
        return None
    gathered = Rows(home, tuple(n for (n,) in names), f"temp.ptp_row_{number}", f"temp.ptp_entry_{number}")
    for sql in (*_gather_sql(gathered), *_judge_sql(gathered)):
        db.execute(sql)
    return gathered


def _gather_sql(rows: Rows) -> Iterator[str]:
    originals = [f"o{n}" for n in range(len(rows.columns))]
    # max() of the one entry of a column gives it back as it is.
    picked = [f"max(CASE WHEN column_name = {literal(name)} THEN original END)" for name in rows.columns]
    numbered = (
        f"(SELECT *, row_number() OVER (PARTITION BY row_key, column_name ORDER BY id) AS nth FROM main.{TABLE} "
        f"WHERE table_name = {literal(rows.home.mapped.source)} AND kind = 'row')"
    )
    index = f"{rows.rows}_key".removeprefix("temp.")
    yield (
        f"CREATE TEMP TABLE {rows.rows.removeprefix('temp.')} (nr INTEGER PRIMARY KEY, row_key TEXT, nth INTEGER, "
        f"entries INTEGER, stored TEXT, outcome TEXT, why TEXT, {', '.join(originals)})"
    )
    yield (
        f"INSERT INTO {rows.rows} (row_key, nth, entries, stored, {', '.join(originals)}) "
        f"SELECT row_key, nth, count(*), min(reason), {', '.join(picked)} FROM {numbered} "
        "GROUP BY row_key, nth ORDER BY min(id)"
    )
    yield f"CREATE INDEX temp.{index} ON {rows.rows.removeprefix('temp.')} (row_key, nth)"
    yield f"CREATE TEMP TABLE {rows.entries.removeprefix('temp.')} (id INTEGER PRIMARY KEY, nr, column_name TEXT)"
    yield (
        f"INSERT INTO {rows.entries} SELECT e.id, r.nr, e.column_name FROM {numbered} AS e "
        f"JOIN {rows.rows} AS r ON r.row_key = e.row_key AND r.nth = e.nth"
    )


def _judge_sql(rows: Rows) -> Iterator[str]:
    """Statements that settle the outcome of the rows that no parent and no other row could bring home."""
    mapped, held = rows.home.mapped, rows.home.table.stored_columns
    if rows.lacking:
        why = literal(f"it has no entry for {', '.join(rows.lacking)}")
        yield f"UPDATE {rows.rows} SET outcome = 'refused', why = {why}"
        return
    yield (
        f"UPDATE {rows.rows} SET outcome = 'refused', why = 'it has not one entry for each column' "
        f"WHERE entries <> {len(rows.columns)}"
    )
    for name in set(rows.columns).difference((c.source for c in mapped.columns), held):
        why = literal(f"the target has no column {name}, in which its value would be kept")
        yield (
            f"UPDATE {rows.rows} AS r SET outcome = 'refused', why = {why} "
            f"WHERE outcome IS NULL AND {rows.place[name]} IS NOT NULL"
        )
    for column in mapped.columns:
        if column.conversion.takes_row:
            problem = problem_sql(column.conversion, rows.place[column.source])
            yield (
                f"UPDATE {rows.rows} AS r SET outcome = 'rejected', why = {problem} || "
                f"{literal(f' ({column.source})')} WHERE outcome IS NULL AND {problem} LIKE 'rejected: %'"
            )


def insert_rows(db: sqlite3.Connection, rows: Rows, homes: Mapping[str, Home]) -> int:
    """Insert the rows that can stand, in the order in which they went; how many did.

    Others may wait for a row that came, in this table or another: call it again until nothing comes any more.
    """
    if rows.lacking:
        return 0
    missing = " ".join(_missing_parent(rows, key, homes) for key in rows.home.table.foreign_keys)
    why = f"CASE {missing} END" if missing.strip() else "NULL"
    db.execute(f"UPDATE {rows.rows} AS r SET why = {why} WHERE outcome IS NULL")
    insert, last, done = _insert_sql(rows), 0, 0
    while found := db.execute(
        f"SELECT nr FROM {rows.rows} WHERE nr > ? AND outcome IS NULL AND why IS NULL ORDER BY nr LIMIT {_BATCH}",
        (last,),
    ).fetchall():
        for (number,) in found:
            if refused := attempt(db, insert, number):
                taken = refused.startswith("UNIQUE constraint failed")
                refused = f"{_TAKEN}the same value ({refused})" if taken else refused
                db.execute(f"UPDATE {rows.rows} SET why = ? WHERE nr = ?", (refused, number))
            else:
                db.execute(f"UPDATE {rows.rows} SET outcome = 'came home' WHERE nr = ?", (number,))
                done += 1
        last = found[-1][0]
    return done


def _missing_parent(rows: Rows, key: ForeignKey, homes: Mapping[str, Home]) -> str:
    """A WHEN for rows whose parent is not in the target; empty for a parent that the shape does not know."""
    parent = homes.get(key.table)
    if parent is None or not {c.target for c in rows.home.mapped.columns}.issuperset(key.columns):
        return ""
    named = key.to_columns or parent.table.key
    own = rows.converted(key.columns)
    match = " AND ".join(f"p.{quoted(c)} = {value}" for c, value in zip(named, own, strict=True))
    due = [f"{value} IS NOT NULL" for value in own]
    if parent.table.name == rows.home.table.name:  # a row may be its own parent
        itself = " AND ".join(f"{a} = {b}" for a, b in zip(rows.converted(named), own, strict=True))
        due.append(f"NOT ({itself})")
    reason = literal(f"rejected: no such row in {parent.mapped.source} ({', '.join(key.columns)})")
    return f"WHEN {' AND '.join(due)} AND NOT EXISTS (SELECT 1 FROM {parent.name} AS p WHERE {match}) THEN {reason}"


def _insert_sql(rows: Rows) -> str:
    mapped = rows.home.mapped.columns
    known = {c.source for c in mapped}
    more = [n for n in rows.columns if n not in known and n in rows.home.table.stored_columns]
    names = ", ".join(quoted(n) for n in (*(c.target for c in mapped), *more))
    values = [*(value_sql(c.conversion, rows.place[c.source]) for c in mapped), *(rows.place[n] for n in more)]
    return (
        f"INSERT INTO {rows.home.name} ({names}) SELECT {', '.join(values)} FROM {rows.rows} AS r WHERE r.nr = :number"
    )


def settle_rows(db: sqlite3.Connection, rows: Rows) -> int:
    """Bring the entries of the rows in line with what became of them; how many entries were changed.

    Of a row that came home, the original of a value that is not exact stays, beside what the target took.
    """
    of_home = f"SELECT e.id FROM {rows.entries} AS e JOIN {rows.rows} AS r ON r.nr = e.nr WHERE r.outcome = 'came home'"
    done = 0
    for column in rows.home.mapped.columns:
        value, problem = (f(column.conversion, "q.original") for f in (value_sql, problem_sql))
        done += db.execute(
            f"UPDATE main.{TABLE} AS q SET kind = 'value', placeholder = {value}, reason = {problem} "
            f"WHERE q.id IN ({of_home} AND e.column_name = {literal(column.source)}) AND {problem} IS NOT NULL"
        ).rowcount
    done += db.execute(f"DELETE FROM main.{TABLE} WHERE kind = 'row' AND id IN ({of_home})").rowcount
    # A reason that lies in other rows says the same in other words: it stays as the migration wrote it.
    by_value = " AND ".join(f"r.why NOT LIKE {literal(w + '%')}" for w in _OF_OTHERS)
    of_value = " AND ".join(f"r.stored NOT LIKE {literal(w + '%')}" for w in _OF_OTHERS)
    done += db.execute(
        f"UPDATE main.{TABLE} AS q SET reason = r.why FROM {rows.entries} AS e JOIN {rows.rows} AS r ON r.nr = e.nr "
        f"WHERE q.id = e.id AND r.outcome IS NOT 'came home' AND r.why LIKE 'rejected: %' AND q.reason <> r.why "
        f"AND (({by_value}) OR ({of_value}))"
    ).rowcount
    return done


def count_rows(db: sqlite3.Connection, rows: Rows) -> Iterator[Counted]:
    """What became of the rows of a table."""
    outcome = "coalesce(outcome, CASE WHEN why LIKE 'rejected: %' THEN 'rejected' ELSE 'refused' END)"
    for kind, why, count in db.execute(
        f"SELECT {outcome}, coalesce(why, ''), count(*) FROM {rows.rows} GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall():
        yield Counted(rows.home.mapped.source, "", kind, why, count)
