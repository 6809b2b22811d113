"""What the quarantine of a target holds, as the verification sees it: verbatim, and for a reason that is true."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ptp.conversions import Value
from ptp.conversions.witness import Judgement, judge
from ptp.engine import quoted
from ptp.engine.inventory import Table
from ptp.verification.exact import same, shown
from ptp.verification.pairing import Pairing
from ptp.verification.rows import Row, exactly, fetch_exactly

LOST = "no such row, and none in quarantine"


@dataclass(frozen=True, slots=True)
class Kept:
    """The quarantine table `name` of a target, and the target's tables by name for the references among them."""

    target: sqlite3.Connection
    name: str
    tables: Mapping[str, Table]

    @property
    def exists(self) -> bool:
        """Whether the target has a quarantine at all."""
        return self.name in self.tables

    def count(self, table: str, kind: str) -> int:
        """Entries of one kind for a source table."""
        if not self.exists:
            return 0
        sql = f"SELECT count(*) FROM {quoted(self.name)} WHERE table_name = ? AND kind = ?"
        found: int = self.target.execute(sql, (table, kind)).fetchone()[0]
        return found

    def has_value(self, table: str, key: str) -> bool:
        """Whether a value of one row was not taken exactly."""
        return bool(self._entries("value", table, key))

    def unexplained(self, table: str, *, rows: int, values: int) -> Iterator[tuple[str, str]]:
        """Where the quarantine holds more or fewer entries for a table than the witness accounts for."""
        for kind, wanted in (("row", rows), ("value", values)):
            if (found := self.count(table, kind)) != wanted:
                yield self.name, f"{found} entries of kind '{kind}', where {wanted} are due"

    def strangers(self, known: Collection[str]) -> Iterator[str]:
        """Entries for tables that the source does not have or that nothing can be rejected from, in words."""
        if not self.exists:
            return
        sql = f"SELECT table_name, count(*) FROM {quoted(self.name)} GROUP BY 1 ORDER BY 1"
        for table, entries in fetch_exactly(self.target, sql):
            if table not in known:
                yield f"{self.name}: {entries!r} entries for {table!r}, where none are due"

    def why_not_value(
        self, table: str, key: str, column: str, original: Value, judgement: Judgement, *, personal: bool
    ) -> str:
        """Why a value that is not exact is not rightly kept; empty when its original stands there verbatim."""
        entries = self._entries("value", table, key).get(column, [])
        if len(entries) != 1:
            return f"{len(entries)} entries"
        kept, placeholder, reason = entries[0]
        if not same(kept, original):
            return f"another value: {shown(kept, personal=personal)}"
        if not same(placeholder, judgement.value):
            return f"another placeholder: {shown(placeholder, personal=personal)}"
        due = f"{judgement.outcome}: {judgement.reason}"
        return "" if reason == due else f"the reason '{reason}' instead of '{due}'"

    def why_not_row(self, pairing: Pairing, row: Row, key: str) -> str:
        """Why an absent row is not rightly kept; empty when all of it stands there, for a reason that holds."""
        entries = self._entries("row", pairing.source, key)
        if not entries:
            return LOST
        if set(entries) != set(pairing.stored) or len({len(kept) for kept in entries.values()}) != 1:
            return "a row in quarantine that misses columns"
        names = [source for source, _, _ in pairing.columns]
        # Where the source lacks the key, several rows may go under one; the n-th entries are those of the n-th.
        rows = list(zip(*(entries[name] for name in names), strict=True))
        if not any(all(same(kept[0], value) for kept, value in zip(r, row, strict=True)) for r in rows):
            other = next(n for n, kept, value in zip(names, rows[0], row, strict=True) if not same(kept[0], value))
            return f"another value of {other} in quarantine"
        due = set(self._why_it_goes(pairing, row))
        told = {kept[2] for entry in entries.values() for kept in entry}
        if not due:
            return "a row in quarantine that no rule rejects"
        return "" if told <= due else f"the reason '{min(told - due)}' instead of '{min(due)}'"

    def _entries(self, kind: str, table: str, key: str) -> dict[str, list[tuple[Value, Value, str]]]:
        if not self.exists:
            return {}
        marks, bound = exactly((table, key, kind))
        sql = (
            f"SELECT column_name, original, placeholder, reason FROM {quoted(self.name)} "
            f"WHERE table_name = {marks[0]} AND row_key = {marks[1]} AND kind = {marks[2]} ORDER BY id"
        )
        found: dict[str, list[tuple[Value, Value, str]]] = {}
        for column, original, placeholder, reason in fetch_exactly(self.target, sql, bound):
            found.setdefault(str(column), []).append((original, placeholder, str(reason)))
        return found

    def _why_it_goes(self, pairing: Pairing, row: Row) -> Iterator[str]:
        """The reasons for which a row goes whole: a value that NOT NULL forbids, no parent, or a twin."""
        values: dict[str, Value] = {}
        for (source, target, conversion), value in zip(pairing.columns, row, strict=True):
            values[target] = value
            if conversion is not None:
                judgement = judge(conversion, value)
                values[target] = judgement.value
                if judgement.outcome == "rejected" and conversion.takes_row:
                    yield f"rejected: {judgement.reason} ({source})"
        table = self.tables[pairing.target]
        for key in table.foreign_keys:
            parent = self.tables.get(key.table)
            own = [values.get(c) for c in key.columns]
            if parent and None not in own and not self._has(key.table, key.to_columns or parent.key, own):
                columns = ", ".join(key.columns)
                yield f"rejected: no such row in {key.table} ({columns})"
                yield f"rejected: its parent in {key.table} is rejected ({columns})"
        for twins in (pairing.key, *table.uniques):
            own = [values.get(c) for c in twins]
            if None not in own and self._has(pairing.target, twins, own):
                yield f"rejected: an earlier row has the same value ({', '.join(twins)})"

    def _has(self, table: str, columns: tuple[str, ...], values: list[Value]) -> bool:
        marks, bound = exactly(values)
        where = " AND ".join(f"{quoted(c)} = {mark}" for c, mark in zip(columns, marks, strict=True))
        return bool(self.target.execute(f"SELECT 1 FROM {quoted(table)} WHERE {where} LIMIT 1", bound).fetchone())
