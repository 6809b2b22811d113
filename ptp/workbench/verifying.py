"""The second stage: content by the Python witness, structure against the models, integrity, journal."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptp.conversions import Shape
from ptp.engine import Inventory, check_database, connect_file, errors_named, read_inventory
from ptp.errors import SourceChanged, UsageError
from ptp.evidence import Stage
from ptp.migration import journal, quarantine
from ptp.migration.detect import detect_shape
from ptp.migration.plan import Plan, make_plan
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.results import Finding
from ptp.schema import Base
from ptp.schema.ddl import derived_statements, model_statements
from ptp.schema.rules import DERIVED, DOMAIN, FRESH, SEARCH_STEP, SEARCH_TABLE
from ptp.schema.shapes import known_shapes
from ptp.verification.content import (
    Pairing,
    Tally,
    carried_pairing,
    close_account,
    compare_table,
    digest_of,
    mapped_pairing,
)
from ptp.verification.digests import check_against, read_digests, write_digests
from ptp.verification.drift import check_marks, check_schema
from ptp.verification.integrity import check_pages, check_references
from ptp.verification.kept import Kept
from ptp.verification.parallel import WORTH_IT, Files, compare_parts, parts_of, processors
from ptp.verification.rules import check_domain, check_full_text, check_rules
from ptp.workbench.progress import Progress, part, quiet

NAME = "02_verify"
TITLE = "Verification"
HEAD_TABLES = tuple(t.name for t in Base.metadata.sorted_tables)
CARRIED = "verify.content.carried"
SEARCH = "verify.derived.search"


DIGESTS = Path("digests", "content.json")  # in the run folder


def verify(source: Path, target: Path, *, out: Path | None = None, progress: Progress = quiet) -> Stage:
    """Verify `target` against the `source` that it was migrated from; both are only read.

    Into the run folder `out`, if there is one, go the digests of what was seen.
    """
    started = time.perf_counter()
    for path in (source, target):
        check_database(path)
    with (
        errors_named(target),
        _unchanged(source),
        _unchanged(target),
        connect_file(source, read_only=True) as old,
        connect_file(target, read_only=True) as new,
    ):
        old.execute("BEGIN")
        new.execute("BEGIN")
        sides = _sides(old, new, Files(source, target, quarantine.TABLE))
        tallies = _tallies(sides, part(progress, 0.0, 0.7))
        if out is not None:
            (out / DIGESTS).parent.mkdir(exist_ok=True)
            write_digests(out / DIGESTS, {n: digest_of(sides.pairings[n], t) for n, t in tallies.items()})
        results = [*_content(sides, tallies), _rows(tallies), _values(sides, tallies)]
        progress(0.7, "checking pages")
        results.append(check_pages(new, carried=sides.pairings.keys() - set(HEAD_TABLES)))
        progress(0.85, "checking references")
        results += [check_references(new, old), *_structure(sides)]
        progress(0.9, "counting anew what is derived")
        results += [*check_rules(new, (*DERIVED, FRESH)), _search(new), *_domain(sides)]
        progress(1.0, "verified")
    tables = {"Tables": [_row(sides.pairings[n], t) for n, t in tallies.items()]}
    return Stage(NAME, TITLE, time.perf_counter() - started, tuple(results), tables)


def verify_since(target: Path, run: Path, *, progress: Progress = quiet) -> Stage:
    """Find what changed in `target` since the run in the folder `run` verified it; it is only read."""
    started = time.perf_counter()
    known = read_digests(run / DIGESTS)
    check_database(target)
    progress(0.0, "digesting")
    with errors_named(target), connect_file(target, read_only=True) as db:
        db.execute("BEGIN")
        findings = check_against(db, known, tables=read_inventory(db).tables)
    progress(1.0, "compared")
    return Stage("verify_since", "Since the run", time.perf_counter() - started, tuple(findings))


@contextmanager
def _unchanged(path: Path) -> Iterator[None]:
    """Raise SourceChanged where somebody writes meanwhile: the processes that compare would not all see the same."""
    with connect_file(path, read_only=True) as db:
        before = db.execute("PRAGMA data_version").fetchone()
        yield
        if db.execute("PRAGMA data_version").fetchone() != before:
            raise SourceChanged(
                f"{path} was written to while it was verified: stop what writes to it, and run the command again."
            )


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both databases, open, with what they hold and how their tables pair up."""

    files: Files
    old: sqlite3.Connection
    new: sqlite3.Connection
    source: Inventory
    target: Inventory
    shape: Shape
    plan: Plan
    pairings: Mapping[str, Pairing]


def _sides(old: sqlite3.Connection, new: sqlite3.Connection, files: Files) -> _Sides:
    source, live = read_inventory(old), read_inventory(new)
    shape = detect_shape(source, known_shapes())
    if journal.TABLE not in live.tables:
        raise UsageError(f"{files.target} was not built by ptp: it has no journal. Name the target of a migration.")
    plan = make_plan(old, inventory=source, shape=shape, steps=load_steps(folder("sql")), on_dirty="stop")
    pairings = {
        m.target: mapped_pairing(m, source.tables[m.source], live.tables[m.target])
        for m in shape.tables
        if m.target in live.tables
    }
    carried = [e.name for e in plan.extras if e.kind == "table" and e.carried and e.name in live.tables]
    pairings |= {name: carried_pairing(source.tables[name]) for name in carried}
    return _Sides(files, old, new, source, live, shape, plan, pairings)


def _tallies(sides: _Sides, progress: Progress) -> dict[str, Tally]:
    kept = Kept(sides.new, quarantine.TABLE, sides.target.tables)
    total = sum(sides.plan.rows.values())
    workers = processors()
    if workers > 1 and total >= WORTH_IT:
        found = _in_parallel(sides, workers, lambda rows: progress(rows / total, "comparing rows"))
        for name, tally in found.items():
            close_account(tally, sides.pairings[name], kept)
        return found
    found, done = {}, 0
    for name, pairing in sides.pairings.items():
        before = done

        def counted(rows: int, before: int = before, name: str = name) -> None:
            progress((before + rows) / (total or 1), f"comparing {name}")

        found[name] = compare_table(sides.old, sides.new, pairing, kept=kept, progress=counted)
        done += sides.plan.rows[pairing.source]
    return found


def _in_parallel(sides: _Sides, workers: int, progress: Callable[[int], None]) -> dict[str, Tally]:
    parts = [
        part
        for name, pairing in sides.pairings.items()
        for part in parts_of(name, pairing, sides.plan.rows[pairing.source], source=sides.old, target=sides.new)
    ]
    return dict(compare_parts(sides.files, parts, workers=workers, progress=progress))


def _content(sides: _Sides, tallies: Mapping[str, Tally]) -> Iterator[Finding]:
    for table in HEAD_TABLES:
        if table in tallies:
            yield _compared(
                f"verify.content.{table}", f"Every row and value of {table} is as declared", [tallies[table]]
            )
        elif table in sides.target.tables:
            yield _stays_empty(sides, table)
    carried = [t for n, t in tallies.items() if n not in HEAD_TABLES]
    if carried:
        yield _compared(CARRIED, "What was carried over is unchanged", carried)
    else:
        yield Finding(
            CARRIED, "What was carried over is unchanged", "not applicable", evidence="the source has no further tables"
        )


def _compared(name: str, claim: str, tallies: list[Tally]) -> Finding:
    found = sum(t.differences for t in tallies)
    rows = sum(t.rows_in for t in tallies)
    return Finding(
        id=name,
        claim=claim,
        verdict="fail" if found else "pass",
        severity="data",
        value=found,
        unit="differences",
        limit=0,
        n=rows,
        where=tuple(str(place) for t in tallies for place in t.places),
        evidence="every row and column, against the conversion computed in Python",
    )


def _stays_empty(sides: _Sides, table: str) -> Finding:
    """A table of head that the source's shape does not have: it must have come out empty."""
    rows: int = sides.new.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
    return Finding(
        id=f"verify.content.{table}",
        claim=f"{table} is empty, as the source has no such table",
        verdict="fail" if rows else "pass",
        severity="data",
        value=rows,
        unit="rows",
        limit=0,
        n=rows,
        evidence="count",
    )


def _rows(tallies: Mapping[str, Tally]) -> Finding:
    rows_in = sum(t.rows_in for t in tallies.values())
    lost = {n: t.rows_in - t.rows_out - t.rows_quarantined for n, t in tallies.items()}
    places = tuple(f"{n}: {abs(d)} rows {'missing' if d > 0 else 'too many'}" for n, d in lost.items() if d)
    return Finding(
        id="verify.rows",
        claim="Rows in = rows out + rows in quarantine, for every table",
        verdict="fail" if places else "pass",
        severity="data",
        value=sum(abs(d) for d in lost.values()),
        unit="rows unaccounted",
        limit=0,
        n=rows_in,
        where=places,
        evidence="counted by the comparison itself",
    )


def _values(sides: _Sides, tallies: Mapping[str, Tally]) -> Finding:
    """Values in = exact + rounded + rejected, those of rows in quarantine included."""
    missing = 0
    for name, tally in tallies.items():
        columns = len(sides.pairings[name].columns)
        judged = tally.exact + tally.rounded + tally.rejected + tally.rows_quarantined * columns
        missing += abs(tally.rows_in * columns - judged)
    inexact = sum(t.rounded + t.rejected for t in tallies.values())
    kept = Kept(sides.new, quarantine.TABLE, sides.target.tables)
    strangers = tuple(kept.strangers({p.source for p in sides.pairings.values()}))
    return Finding(
        id="verify.values",
        claim="Values in = exact + rounded + rejected, for every column",
        verdict="fail" if missing or strangers else "pass",
        severity="data",
        value=missing,
        unit="values unaccounted",
        limit=0,
        where=strangers,
        n=sum(t.exact for t in tallies.values()) + inexact,
        evidence=f"{inexact} values rounded or rejected, each with its original in quarantine",
    )


def _structure(sides: _Sides) -> Iterator[Finding]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        left_out = journal.steps_left_out(sides.new)
        steps = [step for step in load_steps(folder("sql")) if step.name not in left_out]
        for sql in (*model_statements(), *derived_statements(steps), journal.DDL, *quarantine.DDL):
            scratch.execute(sql)
        for extra in sides.plan.extras:
            for sql in extra.statements if extra.carried else ():
                scratch.execute(sql)
        expected = read_inventory(scratch)
    yield check_schema(sides.target, expected, own=())
    yield check_marks(sides.target, sides.source)
    why = journal.why_untrusted(sides.new, load_steps(folder("sql"))) or journal.why_incomplete(
        sides.new, load_steps(folder("sql"))
    )
    yield Finding(
        id="verify.journal",
        claim="The journal names the steps in sql/, all of them, unedited and in order, and the build",
        verdict="fail" if why else "pass",
        severity="data",
        where=(why,) if why else (),
        evidence="SHA-256 chain",
    )


def _search(target: sqlite3.Connection) -> Finding:
    left_out = journal.steps_left_out(target).get(SEARCH_STEP, "")
    return check_full_text(target, SEARCH_TABLE, name=SEARCH, left_out=left_out)


def _domain(sides: _Sides) -> Iterator[Finding]:
    return check_domain(sides.new, sides.old, DOMAIN, kept=Kept(sides.new, quarantine.TABLE, sides.target.tables))


def _row(pairing: Pairing, tally: Tally) -> dict[str, object]:
    return {
        "table": pairing.target,
        "rows in": tally.rows_in,
        "rows out": tally.rows_out,
        "rows quarantined": tally.rows_quarantined,
        "values exact": tally.exact,
        "values rounded": tally.rounded,
        "values rejected": tally.rejected,
        "differences": tally.differences,
    }
