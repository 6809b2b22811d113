"""`ptp quarantine`: what stands in a target's quarantine, its originals as files, another try to bring them home."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ptp.conversions import Shape
from ptp.engine import check_database, connect_file, errors_named
from ptp.errors import UsageError
from ptp.evidence import Stage
from ptp.migration.export import differences, export, read_manifest
from ptp.migration.home import Counted
from ptp.migration.quarantine import TABLE
from ptp.migration.retry import Retried, retry, tables_kept, why_no_quarantine
from ptp.results import Finding
from ptp.schema.shapes import known_shapes
from ptp.verification.exact import printable, shown
from ptp.workbench.places import make_folder
from ptp.workbench.progress import Progress, quiet

EXAMPLES = 5
WHOLE_ROW = "(whole row)"
_MASKED = "(personal, masked)"
_PLACES = 20
_OUTCOMES = {
    "came home": "came home",
    "rounded": "rounded",
    "rejected": "still rejected",
    "refused": "refused",
    "changed": "changed since",
    "gone": "row gone",
}


@dataclass(frozen=True, slots=True)
class Example:
    """One entry for a person's eyes; the original is masked where it is personal."""

    key: str
    column: str
    original: str


@dataclass(frozen=True, slots=True)
class Group:
    """Entries of one column (or rows that went whole) that are kept for one reason by one run."""

    table: str
    column: str
    kind: str
    reason: str
    run: str
    count: int
    examples: tuple[Example, ...]


def list_quarantine(target: Path, *, table: str = "") -> list[Group]:
    """What stands in quarantine, by group, with up to five examples each.

    One pass over the entries; memory grows with the kinds of dirt, not with their number.
    """
    with _opened(target) as db:
        _check_table(db, target, table)
        return [
            Group(
                table=place.table,
                column=WHOLE_ROW if place.kind == "row" else place.column,
                kind=place.kind,
                reason=place.reason,
                run=place.run,
                count=seen.count,
                examples=tuple(_example(db, number) for number in seen.ids),
            )
            for place, seen in _as_rows(_seen(db, table))
        ]


def readable(groups: Sequence[Group]) -> list[dict[str, object]]:
    """The groups as rows to read, each with its examples in one line."""
    return [{**asdict(g), "examples": "; ".join(_in_words(e, g.kind) for e in g.examples)} for g in groups]


def _in_words(example: Example, kind: str) -> str:
    column = f"{example.column} " if kind == "row" else ""
    return f"key {example.key}: {column}{example.original}"


def count_of(groups: Sequence[Group]) -> str:
    """How much stands in quarantine, in words."""
    values, rows = (sum(g.count for g in groups if g.kind == kind) for kind in ("value", "row"))
    return f"{values:,} single values and {rows:,} whole rows stand in quarantine"


@contextmanager
def _opened(target: Path) -> Iterator[sqlite3.Connection]:
    """A target with a quarantine, only read and in one transaction; raises UsageError where it has none."""
    check_database(target)
    with errors_named(target), connect_file(target, read_only=True) as db:
        if why := why_no_quarantine(db):
            raise UsageError(f"{target} {why}")
        db.execute("BEGIN")
        yield db


def _check_table(db: sqlite3.Connection, target: Path, table: str) -> None:
    """Refuse a table that nobody knows, so that a slip of the pen does not look like an empty quarantine."""
    known = {t.source for shape in known_shapes() for t in shape.tables}.union(tables_kept(db))
    if table and table not in known:
        raise UsageError(f"There is no table {table} for the quarantine of {target}: --table takes a source table.")


class _Place(NamedTuple):
    table: str
    column: str
    kind: str
    reason: str
    run: str


@dataclass(slots=True)
class _Seen:
    """How many entries of a group were met, and the ids of the first."""

    count: int = 0
    ids: list[int] = field(default_factory=list)


def _seen(db: sqlite3.Connection, table: str) -> dict[_Place, _Seen]:
    where = "WHERE table_name = :table" if table else ""
    found: dict[_Place, _Seen] = {}
    for number, *place in db.execute(
        f"SELECT id, table_name, column_name, kind, reason, run FROM {TABLE} {where} ORDER BY id", {"table": table}
    ):
        seen = found.setdefault(_Place(*place), _Seen())
        seen.count += 1
        if len(seen.ids) < EXAMPLES:
            seen.ids.append(number)
    return found


def _as_rows(found: Mapping[_Place, _Seen]) -> list[tuple[_Place, _Seen]]:
    """The groups with the columns of whole rows as one: that which the reason names, so that its value is shown."""
    merged: dict[_Place, tuple[_Place, _Seen]] = {}
    for place, seen in found.items():
        group = place._replace(column="") if place.kind == "row" else place
        if group not in merged or place.column in _named(place.reason):
            merged[group] = (place, seen)
    return [merged[group] for group in sorted(merged)]


def _named(reason: str) -> list[str]:
    """The columns that a reason names at its end, in brackets."""
    found = re.search(r"\(([^()]*)\)$", reason)
    return found[1].split(", ") if found else []


def _example(db: sqlite3.Connection, number: int) -> Example:
    """Key and original of an entry, for a person's eyes."""
    db.text_factory = _decoded
    try:
        table, column, key, original = db.execute(
            f"SELECT table_name, column_name, row_key, original FROM {TABLE} WHERE id = ?", (number,)
        ).fetchone()
    finally:
        db.text_factory = str
    mapped = next((t for shape in known_shapes() for t in shape.tables if t.source == table), None)
    personal = {c.source: c.conversion.personal for c in mapped.columns} if mapped else {}
    hidden = mapped is not None and any(personal[c] for c in mapped.source_key)
    # Of a column that the schema does not know, nothing says that it may be shown.
    value = shown(original, personal=personal.get(column, True))
    return Example(_MASKED if hidden else printable(key), column, value)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def export_quarantine(target: Path, out: Path, *, table: str = "", progress: Progress = quiet) -> Stage:
    """Write every original to files in `out`, which must be new or empty, and compare them with the quarantine."""
    started = time.perf_counter()
    with _opened(target) as db:
        _check_table(db, target, table)
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out} is not empty: name a new folder with --out.")
        make_folder(out)
        progress(0.0, "writing")
        with errors_named(out):
            manifest = export(db, out, table=table)
        progress(0.5, "reading back")
        finding = _same(db, out)
    rows: list[dict[str, object]] = [
        {"table": f.table, "entries": f.entries, "file": str(out / f.file), "sha256": f.sha256} for f in manifest.files
    ]
    return Stage("quarantine", "Export", time.perf_counter() - started, (finding,), {"Files": rows} if rows else {})


def check_export(target: Path, folder: Path) -> Stage:
    """Compare an export with the quarantine that it was made from, to the byte; both are only read."""
    started = time.perf_counter()
    with _opened(target) as db:
        finding = _same(db, folder)
    return Stage("quarantine", "Check of an export", time.perf_counter() - started, (finding,))


def _same(db: sqlite3.Connection, folder: Path) -> Finding:
    entries = read_manifest(folder).entries
    found = tuple(printable(place) for place in islice(differences(db, folder), _PLACES + 1))
    return Finding(
        id="quarantine.export",
        claim="The export, read back, is what stands in quarantine, to the byte",
        verdict="fail" if found else "pass",
        severity="data",
        value=entries,
        unit="entries",
        n=entries,
        where=found[:_PLACES],
        evidence=f"{folder}: every entry compared in the database; SHA-256 of each file",
    )


def retry_quarantine(target: Path, *, run: str, dry_run: bool = False, progress: Progress = quiet) -> Stage:
    """Convert what stands in quarantine anew and bring home what can come; with `dry_run` only say what would.

    Raises UsageError for what ptp did not build, and for a file that cannot be written.
    """
    started = time.perf_counter()
    with _opened(target) as db:
        shape = _shape_of(tables_kept(db), target)
    if not os.access(target, os.W_OK):
        raise UsageError(f"{target} cannot be written: it is read-only. Try a copy of it.")
    with errors_named(target), connect_file(target) as db:
        found = retry(db, shape, run=run, now=int(time.time()), dry_run=dry_run, progress=progress)
    progress(1.0, "done")
    rows = _outcome_rows(found.counts)
    finding = _conserved(found, dry_run=dry_run)
    title = "Retry, tried out and taken back" if dry_run else "Retry"
    return Stage("quarantine", title, time.perf_counter() - started, (finding,), {"Outcome": rows} if rows else {})


def _shape_of(tables: Sequence[str], target: Path) -> Shape:
    """The first known shape that has all tables of the quarantine."""
    for shape in known_shapes():
        if set(tables) <= {t.source for t in shape.tables}:
            return shape
    known = {t.source for shape in known_shapes() for t in shape.tables}
    strange = [t for t in tables if t not in known] or list(tables)
    raise UsageError(
        f"The quarantine of {target} holds entries of {', '.join(strange)}, and no known shape has these tables: "
        "add the shape that it was migrated from."
    )


def _conserved(found: Retried, *, dry_run: bool) -> Finding:
    done = "nothing was changed" if dry_run or not found.changed else "one transaction, one line in the journal"
    return Finding(
        id="quarantine.conserved",
        claim="Rows out + rows in quarantine are as many as before, for every table",
        verdict="pass",
        severity="data",
        value=found.rows,
        unit="rows",
        n=found.rows,
        evidence=f"counted before and after, in the same transaction; {done}",
    )


def _outcome_rows(counts: Sequence[Counted]) -> list[dict[str, object]]:
    """One row a column, with the number of entries by outcome and the reasons of those that stay."""
    places: dict[tuple[str, str], list[Counted]] = {}
    for counted in counts:
        places.setdefault((counted.table, counted.column), []).append(counted)
    return [{"table": t, "column": c or WHOLE_ROW, **_outcomes(found)} for (t, c), found in places.items()]


def _outcomes(found: Sequence[Counted]) -> Mapping[str, object]:
    sums: dict[str, object] = {
        words: sum(c.count for c in found if c.outcome == outcome) for outcome, words in _OUTCOMES.items()
    }
    stay = [c for c in found if c.outcome in ("rejected", "refused", "rounded") and c.reason]
    return {**sums, "stays for": "; ".join(f"{c.count} {printable(c.reason)}" for c in stay)}


def without_zeros(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """The outcomes as rows to read: only what happened."""
    return [{name: value for name, value in row.items() if value} for row in rows]
