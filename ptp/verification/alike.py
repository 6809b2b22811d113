"""The short way through content: a range of keys in which everything is exact and as expected, seen at a glance.

It only ever says "all of this is certainly as it should be". A column counts as such where both sides hold literally
the same, of the plain class and inside the rule, for which the witness says 'exact, unchanged'; where values are
converted or must be parsed, Python judges them, a column of the range at once. Whatever is not certain is
left to the comparison of row by row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ptp.conversions import LAST_SECOND, Choice, Conversion, Span, Value
from ptp.conversions.witness import judge_column
from ptp.engine import literal, quoted
from ptp.verification.columns import ABSENT, BETWEEN, SHORT, are_json, seconds_of
from ptp.verification.exact import differing
from ptp.verification.pairing import Pairing, affinities
from ptp.verification.texts import Database, Layout, List, TextReader, Texts, written

_Way: TypeAlias = Literal["whole", "texts", "instants", "loose"]


@dataclass(frozen=True, slots=True)
class _Column:
    source: str
    target: str
    conversion: Conversion | None
    way: _Way
    is_judged: bool  # by the witness, value by value

    @property
    def is_json(self) -> bool:
        """Whether it is enough that the value is a document of JSON; a NULL that is not allowed is odd."""
        return self.conversion is not None and self.conversion.kind == "json" and self.conversion.rule is None

    @property
    def odd(self) -> list[str]:
        """Conditions on the source under which the witness might not say 'exact, unchanged'."""
        name, conversion = f"{quoted(self.source)} COLLATE BINARY", self.conversion
        if conversion is None or self.way == "loose":
            return []
        found = [] if conversion.nullable else [f"{name} IS NULL"]
        if self.way == "whole" and conversion.kind == "boolean":
            found.append(f"{name} NOT BETWEEN 0 AND 1")
        if self.way == "whole" and conversion.kind == "time":
            found.append(f"{name} NOT BETWEEN 0 AND {LAST_SECOND}")
        if isinstance(conversion.rule, Span):
            found.append(f"{name} NOT BETWEEN {conversion.rule.low} AND {conversion.rule.high}")
        if isinstance(conversion.rule, Choice):
            found.append(f"{name} NOT IN ({', '.join(map(literal, conversion.rule.values))})")
        return found


class Glance:
    """Looks at ranges of keys of one pairing whose keys are whole numbers on both sides."""

    def __init__(self, pairing: Pairing, columns: Sequence[_Column], *, old: Database, new: Database) -> None:
        """Look by way of these two connections, which need not be those of the comparison row by row."""

        def named(way: _Way, side: Literal["source", "target"]) -> tuple[str, ...]:
            return tuple(getattr(c, side) for c in columns if c.way == way)

        self._loose = [c for c in columns if c.way == "loose"]
        self._documents = [c for c in columns if c.way == "texts" and c.is_json]
        self._judged = [c for c in columns if c.way == "texts" and c.is_judged and not c.is_json]
        self._instants = [c for c in columns if c.way == "instants"]
        read = (*named("loose", "source"), *(c.source for c in self._judged))
        self.layout = Layout(*(named(way, "target") for way in ("whole", "texts", "instants", "loose")))
        self.source = TextReader(
            old,
            pairing.source,
            pairing.source_key[0],
            layout=Layout(named("whole", "source"), named("texts", "source"), loose=read),
            lists=[
                *(List(c.source, ",", ABSENT) for c in self._instants),
                *(List(c.source, BETWEEN) for c in self._documents),
            ],
            odd=[condition for c in columns for condition in c.odd],
            ranged=[c.source for c in columns if any("NOT BETWEEN" in condition for condition in c.odd)],
        )
        self.target = TextReader(new, pairing.target, pairing.key[0], layout=self.layout)

    def is_alike(self, mine: Texts, theirs: Texts) -> bool:
        """Whether all rows and values of a range are on both sides, exact and as expected."""
        return (
            mine.is_plain
            and theirs.is_plain
            and mine.rows == theirs.rows
            and mine.whole == theirs.whole
            and mine.texts == theirs.texts
            and self._are_instants(mine, theirs)
            and self._are_documents(mine)
            and self._are_loose(mine, theirs)
        )

    def _are_instants(self, mine: Texts, theirs: Texts) -> bool:
        lists = mine.lists[: len(self._instants)]
        columns = [seconds_of(each.joined, rows=mine.rows, present=each.present) for each in lists]
        known = [seconds for seconds in columns if seconds is not None]
        return len(known) == len(columns) and written(known) == theirs.instants

    def _are_documents(self, mine: Texts) -> bool:
        for column, each in zip(self._documents, mine.lists[len(self._instants) :], strict=True):
            if each.longest <= SHORT and are_json(each.joined, count=each.present):
                continue
            if not _is_left_as_it_is(column.conversion, self.source.values(column.source, mine.low, mine.high)):
                return False
        return True

    def _are_loose(self, mine: Texts, theirs: Texts) -> bool:
        if not mine.loose and not theirs.loose:
            return True
        read = list(zip(*mine.loose, strict=True))
        seen = list(zip(*theirs.loose, strict=True)) if self._loose else []
        for column, values, others in zip(self._loose, read, seen, strict=False):
            expected = _exact(column.conversion, values)
            if expected is None or differing(expected, others):
                return False
        # What is written as text is known to be the same on both sides; here it is only judged.
        judged = zip(self._judged, read[len(self._loose) :], strict=True)
        return all(_is_left_as_it_is(column.conversion, values) for column, values in judged)


def _exact(conversion: Conversion | None, values: Sequence[Value]) -> Sequence[Value] | None:
    """What the witness expects of a column; None where not all of it is exact."""
    if conversion is None:
        return values
    expected, problems = judge_column(conversion, values)
    return None if problems else expected


def _is_left_as_it_is(conversion: Conversion | None, values: Sequence[Value]) -> bool:
    expected = _exact(conversion, values)
    return expected is not None and (expected is values or not differing(expected, values))


def glance_at(
    pairing: Pairing, source: sqlite3.Connection, target: sqlite3.Connection, *, old: Database, new: Database
) -> Glance | None:
    """The short way for a pairing; None where the files write texts in other bytes than UTF-8.

    `source` and `target` are asked what the tables are, `old` and `new` for what is in them.
    """
    if any(db.execute("PRAGMA encoding").fetchone() != ("UTF-8",) for db in (source, target)):
        return None
    before, after = affinities(source, pairing.source), affinities(target, pairing.target)
    columns = [_column(s, t, conversion, before.get(s, ""), after.get(t, "")) for s, t, conversion in pairing.columns]
    return Glance(pairing, columns, old=old, new=new)


def _column(source: str, target: str, conversion: Conversion | None, before: str, after: str) -> _Column:
    way, is_judged = _way(conversion, before, after)
    return _Column(source, target, conversion, way, is_judged)


def _way(conversion: Conversion | None, before: str, after: str) -> tuple[_Way, bool]:
    """How a column is read, and whether the witness must see each value; the affinities only choose what is fast."""
    if conversion is None:
        carried: dict[str, _Way] = {"INTEGER": "whole", "TEXT": "texts"}
        return carried.get(before, "loose") if before == after else "loose", False
    kind, rule = conversion.kind, conversion.rule
    if (kind == "integer" and (rule is None or isinstance(rule, Span))) or (kind == "boolean" and rule is None):
        return "whole", False
    if kind == "text" and (rule is None or isinstance(rule, Choice)):
        return "texts", False
    if kind == "time" and rule is None:
        return ("whole", False) if before == "INTEGER" and not conversion.milliseconds else ("instants", True)
    return ("texts", True) if kind in ("json", "date") else ("loose", True)
