"""Rules that a database must keep beyond what SQLite itself holds: data, each with the SQL that finds its breaches."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ptp.conversions.sql import value_sql
from ptp.engine import has_module, quoted
from ptp.engine.files import file_uri
from ptp.results import Finding, Severity
from ptp.verification.kept import Kept
from ptp.verification.pairing import Pairing

_SHOWN = 20
_MOST_PLACES = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """A claim about the rows of a database; `breaches` is SQL that gives one text for each place where it is broken.

    A place is written `TABLE, key KEY` where a row of `table` is one; `beside` are the tables that it is compared with.
    """

    id: str
    claim: str
    breaches: str
    severity: Severity = "data"
    table: str = ""
    beside: tuple[str, ...] = ()


def check_rules(db: sqlite3.Connection, rules: Sequence[Rule]) -> Iterator[Finding]:
    """One finding for each rule, with the number of breaches and the first of them."""
    for rule in rules:
        count, places = _breaches(db, rule)
        yield Finding(
            id=rule.id,
            claim=rule.claim,
            verdict="fail" if count else "pass",
            severity=rule.severity,
            value=count,
            unit="breaches",
            limit=0,
            where=places,
            evidence="SQL over all rows, written apart from what keeps them",
        )


def converted_views(pairings: Iterable[Pairing]) -> tuple[str, ...]:
    """Temporary views that stand before the tables of a source and show them as the target has them.

    They only say whether a breach was there before: that the target is what the source should have become is the
    content's to show, by the witness.
    """
    return tuple(
        f"CREATE TEMP VIEW {quoted(p.target)} AS SELECT "
        + ", ".join(
            f"{value_sql(c, f's.{quoted(source)}') if c else f's.{quoted(source)}'} AS {quoted(target)}"
            for source, target, c in p.columns
        )
        + f" FROM main.{quoted(p.source)} AS s"
        for p in pairings
        if any(conversion for *_, conversion in p.columns)
    )


def check_domain(
    target: sqlite3.Connection,
    source: sqlite3.Connection,
    rules: Sequence[Rule],
    *,
    kept: Kept,
    views: Sequence[str] = (),
) -> Iterator[Finding]:
    """One finding for each rule: breaches that the source has at the same places are known, only new ones fail.

    Both are asked the same SQL, the source through `views` that convert its values: before that, times as text and as
    numbers do not compare. A table or column that the source does not have cannot have had a breach. A breach
    where a value or a row beside it went to quarantine is known too: the content of that is verified on its own.
    """
    for sql in views:
        source.execute(sql)
    for rule in rules:
        seen = _places(target, rule)
        known = _places(source, rule) if seen else {}
        new = tuple(place for place in seen if place not in known and not _is_kept(rule, place, kept))
        old = len(seen) - len(new)
        yield Finding(
            id=rule.id,
            claim=rule.claim,
            verdict="fail" if new else "pass",
            severity=rule.severity,
            value=len(new),
            unit="new breaches",
            limit=0,
            where=new[:_SHOWN],
            known=bool(old) and not new,
            evidence=f"the same SQL on both sides; {old:,} breaches known from the source or its quarantine",
        )


def _is_kept(rule: Rule, place: str, kept: Kept) -> bool:
    """Whether quarantine holds a value of the row at a place, or anything of the tables with which it is compared."""
    if any(kept.count(table, kind) for table in rule.beside for kind in ("row", "value")):
        return True
    return kept.has_value(rule.table, place.removeprefix(f"{rule.table}, key "))


def _places(db: sqlite3.Connection, rule: Rule) -> dict[str, None]:
    """The places where a rule is broken, in order; of a rule that most rows break, not more than a million."""
    try:
        rows = db.execute(f"SELECT * FROM ({rule.breaches}) LIMIT {_MOST_PLACES}")
        return dict.fromkeys(str(row[0]) for row in rows)
    except sqlite3.OperationalError as problem:
        if not str(problem).startswith("no such"):
            raise
        return {}


def _breaches(db: sqlite3.Connection, rule: Rule) -> tuple[int, tuple[str, ...]]:
    """How often a rule is broken, and the first places; a table that it speaks of and that is missing is one."""
    try:
        count: int = db.execute(f"SELECT count(*) FROM ({rule.breaches})").fetchone()[0]
    except sqlite3.OperationalError as problem:
        if not str(problem).startswith("no such"):
            raise
        return 1, (str(problem),)
    rows = db.execute(f"SELECT * FROM ({rule.breaches}) LIMIT {_SHOWN}").fetchall() if count else []
    return count, tuple(str(row[0]) for row in rows)


def check_full_text(db: sqlite3.Connection, table: str, *, name: str, left_out: str = "") -> Finding:
    """FTS5's own integrity check of an external-content index against the rows that it indexes.

    It is a command in the form of an INSERT, so it needs a connection that may write; it writes nothing and is rolled
    back. `left_out` is the reason why there is no such index.
    """
    claim = f"The full-text index {table} holds exactly the words of its rows"
    if left_out:
        return Finding(name, claim, "not applicable", evidence=left_out)
    if not has_module(db, "fts5"):
        return Finding(
            name, claim, "inconclusive", severity="data", evidence="this SQLite has no fts5 to check it with"
        )
    path = Path(db.execute("PRAGMA database_list").fetchone()[2])
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        why = "the integrity check of FTS5 needs a file that can be written: verify it where it can be"
        return Finding(name, claim, "inconclusive", severity="data", evidence=why)
    problem = _integrity(path, table)
    return Finding(
        id=name,
        claim=claim,
        verdict="fail" if problem else "pass",
        severity="data",
        value=int(bool(problem)),
        unit="problems",
        limit=0,
        where=(f"{table}: {problem}; rebuild it with INSERT INTO {table} ({table}) VALUES ('rebuild')",)
        if problem
        else (),
        evidence="integrity-check of FTS5, index against content",
    )


def _integrity(path: Path, table: str) -> str:
    """What FTS5 finds wrong; empty when nothing is."""
    name = quoted(table)
    with closing(sqlite3.connect(f"{file_uri(path)}?mode=rw", uri=True, isolation_level=None)) as writer:
        writer.execute("BEGIN")
        try:
            # With rank 1 the index is compared with the content; without it only with itself.
            writer.execute(f"INSERT INTO {name} ({name}, rank) VALUES ('integrity-check', 1)")
        except sqlite3.DatabaseError as problem:
            if not _is_damage(problem):
                raise
            return str(problem)
        finally:
            writer.execute("ROLLBACK")
    return ""


def _is_damage(problem: sqlite3.DatabaseError) -> bool:
    code: int = getattr(problem, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
