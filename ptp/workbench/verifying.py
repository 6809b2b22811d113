"""The second stage: content by the Python witness, structure against the models, integrity, journal."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptp.engine import check_database, connect_file, errors_named, read_inventory
from ptp.errors import SourceChanged
from ptp.evidence import Stage
from ptp.migration import journal, quarantine
from ptp.results import Finding
from ptp.schema.rules import DERIVED, DOMAIN, FRESH, SEARCH_STEP, SEARCH_TABLE
from ptp.verification.digests import check_against, read_digests
from ptp.verification.integrity import check_pages, check_references
from ptp.verification.kept import Kept
from ptp.verification.parallel import Files
from ptp.verification.rules import check_domain, check_full_text, check_rules, converted_views
from ptp.workbench.content import DIGESTS, compare_content
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.sides import HEAD_TABLES, Sides, open_sides
from ptp.workbench.situation import refuse_unopened
from ptp.workbench.structure import check_structure

NAME = "02_verify"
TITLE = "Verification"
SEARCH = "verify.derived.search"


def verify(source: Path, target: Path, *, out: Path | None = None, progress: Progress = quiet) -> Stage:
    """Verify `target` against the `source` that it was migrated from; both are only read.

    Into the run folder `out`, if there is one, go the digests of what was seen.
    """
    started = time.perf_counter()
    for path in (source, target):
        check_database(path)
    refuse_unopened(target)
    with (
        errors_named(target),
        _unchanged(source),
        _unchanged(target),
        connect_file(source, read_only=True) as old,
        connect_file(target, read_only=True) as new,
    ):
        old.execute("BEGIN")
        new.execute("BEGIN")
        sides = open_sides(old, new, Files(source, target, quarantine.TABLE))
        results, tables = compare_content(sides, out=out, progress=part(progress, 0.0, 0.7))
        progress(0.7, "checking pages")
        results.append(check_pages(new, carried=sides.pairings.keys() - set(HEAD_TABLES)))
        progress(0.85, "checking references")
        results += [check_references(new, old), *check_structure(sides)]
        progress(0.9, "counting anew what is derived")
        results += [*check_rules(new, (*DERIVED, FRESH)), _search(new), *_domain(sides)]
        progress(1.0, "verified")
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


def _search(target: sqlite3.Connection) -> Finding:
    left_out = journal.steps_left_out(target).get(SEARCH_STEP, "")
    return check_full_text(target, SEARCH_TABLE, name=SEARCH, left_out=left_out)


def _domain(sides: Sides) -> Iterator[Finding]:
    kept = Kept(sides.new, quarantine.TABLE, sides.target.tables)
    views = converted_views(sides.pairings.values())
    return check_domain(sides.new, sides.old, DOMAIN, kept=kept, views=views)
