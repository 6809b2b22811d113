"""Content, compared: every row and value of the tables that pair up, in as many processes as are worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ptp.migration import quarantine
from ptp.results import Finding
from ptp.verification.content import Pair, close_account, compare_table, digest_of
from ptp.verification.digests import write_digests
from ptp.verification.kept import Kept
from ptp.verification.pairing import Pairing
from ptp.verification.parallel import WORTH_IT, Files, compare_parts, parts_of, processors
from ptp.verification.tally import SHOWN, Counts, Tally
from ptp.workbench.progress import Progress
from ptp.workbench.sides import HEAD_TABLES, Sides

CARRIED = "verify.content.carried"
DIGESTS = Path("digests", "content.json")  # in the run folder


def compare_content(
    sides: Sides, *, out: Path | None, progress: Progress
) -> tuple[list[Finding], dict[str, list[dict[str, object]]]]:
    """The findings over the content of all tables, and what was counted; digests of it go into the run folder `out`."""
    tallies = _tallies(sides, progress, is_digested=out is not None)
    if out is not None:
        (out / DIGESTS).parent.mkdir(exist_ok=True)
        write_digests(out / DIGESTS, {n: digest_of(sides.pairings[n], t) for n, t in tallies.items()})
    findings = [*_content(sides, tallies), _rows(tallies), _values(sides, tallies)]
    rows = [_row(sides.pairings[n], t) for n, t in tallies.items()]
    columns = [row for n, t in tallies.items() for row in _columns(sides.pairings[n], t)]
    return findings, {"Tables": rows, "Values by column": columns}


def _tallies(sides: Sides, progress: Progress, *, is_digested: bool) -> dict[str, Tally]:
    kept = Kept(sides.new, quarantine.TABLE, sides.target.tables)
    total = sum(sides.plan.rows.values())
    workers = processors()
    if workers > 1 and total >= WORTH_IT:
        files = replace(sides.files, is_digested=is_digested)
        found = _in_parallel(sides, files, workers, lambda rows: progress(rows / total, "comparing rows"))
        for name, tally in found.items():
            close_account(tally, sides.pairings[name], kept)
        return found
    dbs = Pair(sides.old, sides.new, sides.old, sides.new, is_digested)
    found, done = {}, 0
    for name, pairing in sides.pairings.items():
        before = done

        def counted(rows: int, before: int = before, name: str = name) -> None:
            progress((before + rows) / (total or 1), f"comparing {name}")

        found[name] = compare_table(dbs, pairing, kept=kept, progress=counted)
        done += sides.plan.rows[pairing.source]
    return found


def _in_parallel(sides: Sides, files: Files, workers: int, progress: Callable[[int], None]) -> dict[str, Tally]:
    parts = [
        part
        for name, pairing in sides.pairings.items()
        for part in parts_of(name, pairing, sides.plan.rows[pairing.source], source=sides.old, target=sides.new)
    ]
    return dict(compare_parts(files, parts, workers=workers, progress=progress))


def _content(sides: Sides, tallies: Mapping[str, Tally]) -> Iterator[Finding]:
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


def _stays_empty(sides: Sides, table: str) -> Finding:
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


def _values(sides: Sides, tallies: Mapping[str, Tally]) -> Finding:
    """Values in = exact + rounded + rejected for every column, those of rows in quarantine left out on both sides."""
    missing = {
        f"{name}, column {column}: {values} values in, {counts.judged} judged": abs(values - counts.judged)
        for name, tally in tallies.items()
        for column, values, counts in _by_column(sides.pairings[name], tally)
        if values != counts.judged
    }
    inexact = sum(t.total.rounded + t.total.rejected for t in tallies.values())
    kept = Kept(sides.new, quarantine.TABLE, sides.target.tables)
    strangers = tuple(kept.strangers({p.source for p in sides.pairings.values()}))
    return Finding(
        id="verify.values",
        claim="Values in = exact + rounded + rejected, for every column",
        verdict="fail" if missing or strangers else "pass",
        severity="data",
        value=sum(missing.values()),
        unit="values unaccounted",
        limit=0,
        where=(*list(missing)[:SHOWN], *strangers),
        n=sum(t.total.exact for t in tallies.values()) + inexact,
        evidence=f"{inexact} values rounded or rejected, each with its original in quarantine",
    )


def _by_column(pairing: Pairing, tally: Tally) -> Iterator[tuple[str, int, Counts]]:
    """Each column of a table: how many values of it should have been judged, and what was found of those that were."""
    for _, column, _ in pairing.columns:
        yield column, tally.rows_in - tally.rows_quarantined, tally.columns.get(column, Counts())


def _columns(pairing: Pairing, tally: Tally) -> Iterator[dict[str, object]]:
    """A line for each column in which a value is not exact, and one for all of the table."""
    columns = list(_by_column(pairing, tally))
    for column, values, counts in columns:
        if counts.exact != values:
            yield _values_row(pairing.target, column, values, counts)
    yield _values_row(pairing.target, f"all {len(columns)}", sum(values for _, values, _ in columns), tally.total)


def _values_row(table: str, column: str, values: int, counts: Counts) -> dict[str, object]:
    return {
        "table": table,
        "column": column,
        "values in": values,
        "exact": counts.exact,
        "rounded": counts.rounded,
        "rejected": counts.rejected,
    }


def _row(pairing: Pairing, tally: Tally) -> dict[str, object]:
    return {
        "table": pairing.target,
        "rows in": tally.rows_in,
        "rows out": tally.rows_out,
        "rows quarantined": tally.rows_quarantined,
        "values exact": tally.total.exact,
        "values rounded": tally.total.rounded,
        "values rejected": tally.total.rejected,
        "differences": tally.differences,
    }
