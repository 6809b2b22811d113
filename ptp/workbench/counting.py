"""Counters of every query: statements, SQLite's own counters, billed rows and what they cost, plans with their hash.

They do not vary from run to run, so that they say more of a change than milliseconds do. The calls are recorded once,
and each is replayed on the database as it was before them.
"""

from __future__ import annotations

import hashlib
import sqlite3
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Engine

from ptp.engine import connect_file
from ptp.engine.billing import Billed, Biller, biller
from ptp.engine.billing_figures import MODEL_ERRORS, Compared, compare_figures
from ptp.engine.meters import Counters, Statement, meter
from ptp.engine.plans import Plan, plan_of
from ptp.engine.prices import Tariff, load_prices
from ptp.results import Estimate, Finding, Measurement
from ptp.workbench.indexing import Recorded, record_calls
from ptp.workbench.parts import Part
from ptp.workbench.progress import Progress, quiet
from ptp.workload.traffic import TARIFF, TRAFFIC, month_dollars, month_rows

TABLE = "Counters"
PLANS = "Plans"
FIGURES = "Billed rows beside the published figures"
CALLS = 20
"""Calls of each query whose work is counted; it varies with the arguments only."""

Texts: TypeAlias = Mapping[str, Plan]
"""The plan of each different statement of a query, by its text with places for values."""

_SAMPLED = {"vm_steps": "steps", "billed_read": "rows", "billed_written": "rows"}


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of the calls of one query, a call each; `plans` are those of the serving SQLite."""

    query: str
    counters: tuple[Counters, ...]
    billed: tuple[Billed, ...]
    plans: Texts

    @property
    def read(self) -> float:
        """Billed rows read of a call, as the mean, since a bill is a sum."""
        return statistics.fmean(b.rows_read for b in self.billed)

    @property
    def written(self) -> float:
        """Billed rows written of a call, as the mean."""
        return statistics.fmean(b.rows_written for b in self.billed)

    @property
    def plan_hash(self) -> str:
        """A hash over all plans, by which a change of any is noticed."""
        return hashlib.sha256("\n".join(sorted(p.hash for p in self.plans.values())).encode()).hexdigest()[:16]

    def dollars(self, tariff: Tariff) -> float:
        """$ a month at the declared traffic."""
        return month_dollars(self.query, tariff, read=self.read, written=self.written)


def count_work(engine: Engine, path: Path, *, seed: int = 1, calls: int = CALLS, progress: Progress = quiet) -> Part:
    """Count the work of every query; `engine` is on `path`, a copy that may be thrown away: some queries write.

    Raises CannotFinish for a statement that fails as it is replayed.
    """
    with meter(path) as counted, biller(path) as billed:
        progress(0.0, "recording the queries")
        recorded = record_calls(engine, calls=calls, seed=seed)
        found = []
        with connect_file(path, read_only=True) as db:
            db.execute("PRAGMA foreign_keys = ON")
            for place, (name, calls_of_one) in enumerate(recorded.items()):
                progress(0.2 + 0.7 * place / len(recorded), f"counting {name}")
                if not calls_of_one.absent:
                    found.append(_count(name, calls_of_one, db, counted, billed))
        model = billed.model
    progress(0.9, "billing the published figures")
    return _part(found, recorded, model=model, figures=compare_figures())


def _count(
    name: str,
    recorded: Recorded,
    db: sqlite3.Connection,
    counted: Callable[[Sequence[Statement]], Counters],
    billed: Biller,
) -> Counted:
    counters = tuple(counted(call) for call in recorded.calls)
    plans = {s.sql: plan_of(db, s.sql, s.parameters) for s in recorded.statements}
    return Counted(name, counters, tuple(billed(call) for call in recorded.calls), plans)


def _part(
    found: Sequence[Counted], recorded: Mapping[str, Recorded], *, model: str, figures: Sequence[Compared]
) -> Part:
    tariff = load_prices().tariff(TARIFF)
    rows = {c.query: _row(c, tariff) for c in found}
    absent = {name: _absent_row(name, r.absent) for name, r in recorded.items() if r.absent}
    estimates = [e for c in found for e in (*_estimates(c, model), _dollars(c, tariff))]
    samples = [m for c in found for m in _measurements(c)]
    tables = {
        TABLE: [(rows | absent)[name] for name in recorded],
        PLANS: [row for c in found for row in _plan_rows(c)],
        FIGURES: [_figure_row(f) for f in figures],
    }
    return Part((_model_finding(figures, model), *estimates, *_month(found), *samples), tables)


def _row(c: Counted, tariff: Tariff) -> dict[str, object]:
    steps = [one.vm_steps for one in c.counters]
    return {
        "query": c.query,
        "statements": max(one.statements for one in c.counters),
        "vm_steps": int(statistics.median(steps)),
        "vm_steps_most": max(steps),
        "full_scan_steps": max(one.full_scan_steps for one in c.counters),
        "sorts": max(one.sorts for one in c.counters),
        "automatic_indexes": max(one.automatic_indexes for one in c.counters),
        "billed_read": round(c.read, 2),
        "billed_written": round(c.written, 2),
        "billed": "counted" if all(b.exact for b in c.billed) else "estimated",
        "calls_a_month": round(TRAFFIC.rates[c.query].calls),
        "dollars_a_month": round(c.dollars(tariff), 4),
        "plan_hash": c.plan_hash,
        "not_applicable": None,
    }


def _absent_row(name: str, reason: str | None) -> dict[str, object]:
    counters = ("statements", "vm_steps", "vm_steps_most", "full_scan_steps", "sorts", "automatic_indexes")
    empty = dict.fromkeys((*counters, "billed_read", "billed_written", "billed"))
    empty |= dict.fromkeys(("calls_a_month", "dollars_a_month", "plan_hash"))
    return {"query": name, **empty, "not_applicable": reason}


def _plan_rows(c: Counted) -> list[dict[str, object]]:
    return [
        {
            "query": c.query,
            "statement": " ".join(sql.split()),
            "plan": "\n".join("  " * step.depth + step.text for step in plan.steps),
            "hash": plan.hash,
        }
        for sql, plan in c.plans.items()
    ]


def _measurements(c: Counted) -> list[Measurement]:
    """The counters of each call, in order: what the figures of the table can be traced to."""
    samples = {
        "vm_steps": [one.vm_steps for one in c.counters],
        "billed_read": [b.rows_read for b in c.billed],
        "billed_written": [b.rows_written for b in c.billed],
    }
    return [
        Measurement(f"counters.{c.query}.{name}", unit, tuple(map(float, samples[name])))
        for name, unit in _SAMPLED.items()
    ]


def _estimates(c: Counted, model: str) -> list[Estimate]:
    """Billed rows of a call: the mean of the calls counted, with the error of the model and of drawing so few."""
    inputs: dict[str, float | str] = {"calls": float(len(c.billed)), "published figures": _worst_model_error(c)}
    return [
        Estimate(f"billed rows {what}, {c.query}", "rows a call", value, *bounds, model, inputs)
        for what, value, bounds in (
            ("read", c.read, _bounds([b.rows_read for b in c.billed], [b.read_range for b in c.billed])),
            ("written", c.written, _bounds([b.rows_written for b in c.billed], [b.written_range for b in c.billed])),
        )
    ]


def _worst_model_error(c: Counted) -> str:
    if all(b.exact for b in c.billed):
        return "reproduced exactly, every line"
    worst = max(abs(share) for share, _ in MODEL_ERRORS.values())
    typical = statistics.median(abs(share) for share, _ in MODEL_ERRORS.values())
    return f"off by {worst:.0%} at the worst, by {typical:.1%} in the median of the lines that are not met exactly"


def _bounds(values: Sequence[int], ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where the mean of all calls may be: two standard errors beyond the model's least and most."""
    error = 2 * statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    low, high = (statistics.fmean(r[side] for r in ranges) for side in (0, 1))
    return max(0.0, low - error), high + error


def _dollars(c: Counted, tariff: Tariff) -> Estimate:
    read, written = (_bounds_of(e) for e in _estimates(c, ""))
    low, high = (month_dollars(c.query, tariff, read=read[side], written=written[side]) for side in (0, 1))
    inputs: dict[str, float | str] = {
        "calls a month": TRAFFIC.rates[c.query].calls,
        "why": TRAFFIC.rates[c.query].reason,
        "tariff": tariff.name,
        "prices of": load_prices().date,
    }
    model = "billed rows of a call x prices for rows x declared traffic"
    return Estimate(f"cost of {c.query}", "$ a month", c.dollars(tariff), low, high, model, inputs)


def _bounds_of(e: Estimate) -> tuple[float, float]:
    return e.low, e.high


def _month(found: Sequence[Counted]) -> list[Estimate]:
    """The bill of a whole month, at the tariff where it is lowest."""
    if not found:
        return []
    billed = {c.query: (c.read, c.written) for c in found}
    ranges = {c.query: [_bounds_of(e) for e in _estimates(c, "")] for c in found}
    read, written = month_rows(billed)
    prices = load_prices()
    tariff, dollars = prices.cheapest(read, written)
    ends = [month_rows({q: (r[side], w[side]) for q, (r, w) in ranges.items()}) for side in (0, 1)]
    low, high = (prices.cheapest(*end)[1] for end in ends)
    inputs: dict[str, float | str] = {
        "rows read": read,
        "rows written": written,
        "tariff": tariff.name,
        "users": float(TRAFFIC.users),
        "prices of": prices.date,
    }
    model = "billed rows of all queries x declared traffic, at the tariff with the lowest bill"
    return [Estimate("bill of a month", "$ a month", dollars, low, high, model, inputs)]


def _model_finding(figures: Sequence[Compared], model: str) -> Finding:
    """Whether the billing reproduces the published figures, or errs by no more than it declares."""
    beyond = [f for f in figures if abs(f.error) > abs(_declared(f))]
    return Finding(
        id="counters.billed_rows",
        claim="Billed rows are what libSQL was measured to count, in every published line, or err as declared",
        verdict="fail" if beyond else "pass",
        severity="note",
        value=max(abs(f.error) for f in figures) * 100,
        unit="%",
        limit=max(abs(_declared(f)) for f in figures) * 100,
        n=len(figures),
        where=tuple(f"{f.figure.what}: {f.told.rows_read:,} for {f.figure.read:,}" for f in beyond),
        evidence=model,
    )


def _declared(f: Compared) -> float:
    return 0.0 if f.counted else MODEL_ERRORS.get(f.figure.what, (0.0, ""))[0]


def _figure_row(f: Compared) -> dict[str, object]:
    return {
        "statement": f.figure.what,
        "published_read": f.figure.read,
        "counted_read": f.counted.rows_read if f.counted else None,
        "modelled_read": f.estimated.rows_read,
        "model_error_percent": round((f.estimated.rows_read / max(f.figure.read, 1) - (f.figure.read > 0)) * 100, 2),
        "published_written": f.figure.written,
        "counted_written": f.counted.rows_written if f.counted else None,
        "modelled_written": f.estimated.rows_written,
        "why_the_model_errs": MODEL_ERRORS.get(f.figure.what, (0.0, ""))[1] or None,
    }
