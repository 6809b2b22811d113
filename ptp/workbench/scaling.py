"""The fifth stage: response times across the world and the bill of a month, modelled from what can be measured here.

Nothing of it is measured where it matters, far away and on the vendor's machines, and so all of it is estimates: each
with its range, its model, and its inputs, of which some were measured and some are assumed. The target is only read.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ptp.engine import check_database
from ptp.engine.environment import environment
from ptp.engine.prices import load_prices
from ptp.evidence import Run, Stage
from ptp.results import Finding, Measurement, Result, Verdict
from ptp.scale.cost import End
from ptp.scale.queues import Stay, arrivals_at, ends_of, mean_wait_md1, mean_wait_mmc
from ptp.scale.topology import TOPOLOGIES
from ptp.workbench import scale_bill_tables as bills
from ptp.workbench import scale_tables as tables
from ptp.workbench import scratch
from ptp.workbench.benchmarking import check_benchmarkable
from ptp.workbench.identity import as_given, versions
from ptp.workbench.parts import Part
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.scale_answers import answers_rows, cost_finding, traffic_inputs
from ptp.workbench.scale_bill import Month, ends_of_plans, furthest
from ptp.workbench.scale_indexes import TABLE as BY_INDEX
from ptp.workbench.scale_indexes import index_rows
from ptp.workbench.scale_inputs import Observations, observe, with_times_of
from ptp.workbench.scale_latency import Answer, Tried, World, answer_of, tried
from ptp.workbench.scale_shapes import TABLE as SHAPES
from ptp.workbench.scale_shapes import BothWays, Compared, bill_both_ways, claim_finding, verdict_of
from ptp.workbench.scale_wanted import Wanted as Wanted

NAME = "05_scale"
TITLE = "Scale and the bill"
SELF_CHECK = "scale.model"
_OFF = 0.1
"""By how much a simulated mean wait may differ from theory."""


def scale(
    target: Path,
    out: Path,
    wanted: Wanted | None = None,
    *,
    source: Path | None = None,
    measured: Path | None = None,
    progress: Progress = quiet,
) -> Stage:
    """Model response times and the bill of `target`, on copies in `out` which are removed; `target` is only read.

    `measured` is a run folder with service times of earlier stages, `source` what the target was migrated from: of
    the raw shape, it is billed beside head. Raises UsageError for an input that cannot be modelled.
    """
    started, asked = time.perf_counter(), wanted or Wanted()
    asked.check()
    check_benchmarkable(target)
    if source is not None:
        check_database(source)
    progress(0.0, "copying the target")
    with scratch.copied(target, out) as copy:
        seen = observe(copy, seed=asked.seed, progress=part(progress, 0.0, 0.3))
    seen = with_times_of(seen, measured)
    compared = bill_both_ways(source, target, out, seed=asked.seed, progress=part(progress, 0.3, 0.55))
    whole = _self_check() + modelled(asked, seen, compared, progress=part(progress, 0.55, 1.0))
    progress(1.0, "modelled")
    return Stage(NAME, TITLE, time.perf_counter() - started, whole.results, whole.tables)


def modelled(wanted: Wanted, seen: Observations, compared: Compared, *, progress: Progress = quiet) -> Part:
    """All that follows from what was observed."""
    month = Month(wanted, seen, load_prices())
    world = World(wanted, seen, month.tariff)
    answers = []
    for place, name in enumerate(TOPOLOGIES):
        progress(place / 4, f"simulating {TOPOLOGIES[name].title}")
        answers.append(answer_of(world, world.as_asked(name)))
    progress(0.75, "trying what would help")
    helps = tried(world)
    progress(0.9, "counting the bill")
    told = Told(month, world, tuple(answers), helps, compared)
    return Part(tuple(told.results()), told.tables())


@dataclass(frozen=True)
class Told:
    """What the model gave, for the reader."""

    month: Month
    world: World
    answers: tuple[Answer, ...]
    tried: tuple[Tried, ...]
    compared: Compared

    @property
    def asked(self) -> Answer:
        """The answer on the topology that was asked for."""
        return next(one for one in self.answers if one.variant.topology == self.month.wanted.topology)

    @cached_property
    def ends(self) -> dict[str, End]:
        """How many users the budget carries, by plan."""
        return ends_of_plans(self.month)

    @cached_property
    def shapes(self) -> BothWays:
        """The raw shape beside head, at the traffic asked for."""
        return verdict_of(self.compared, self.month.wanted.traffic(), self.month.prices)

    def results(self) -> Iterator[Result]:
        """Findings first, then estimates, then what was measured for them."""
        wanted = self.month.wanted
        yield from tables.region_findings(self.asked, self.tried, wanted.estimates)
        yield cost_finding(self.month, self.ends, wanted.estimates)
        yield claim_finding(self.compared, self.shapes, wanted.users)
        yield from self._dates()
        yield from tables.region_estimates(self.answers, self.world.inputs)
        yield from bills.bill_estimates(self.month)
        machine = environment()
        for name, one in self.month.seen.queries.items():
            if one.times_from == "measured here":
                yield Measurement(f"{name}.service", "ms", one.service_ms, machine)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The tables, in the order in which they are read."""
        month, world, ends = self.month, self.world, self.ends
        best = furthest(ends) or End(month.tariff.name, None, (), "none", 0)
        plan = month.prices.tariff(best.plan)
        inputs = (*world.inputs, *bills.cost_inputs(month), *traffic_inputs(month, world))
        worst = f"p95 of {self.asked.worst}, {self.asked.variant.title}"
        carried = f"users that ${month.wanted.budget:,.2f} carries on {plan.name}"
        return {
            tables.ANSWERS: answers_rows(month, world, self.asked, self.tried, ends, self.shapes),
            tables.REGIONS: list(tables.region_rows(self.answers)),
            tables.REMEDIES: list(tables.remedy_rows(self.tried)),
            tables.TRIPS: list(tables.trip_rows(world)),
            bills.BILLS: list(bills.bill_rows(month, ends)),
            bills.BY_USERS: list(bills.rows_by_users(month, ends)),
            bills.GROWTH: list(bills.growth_rows(month)),
            bills.CONTRIBUTIONS: bills.contribution_rows(month),
            BY_INDEX: index_rows(month.seen.index_writes, month.wanted.traffic(), month.prices),
            bills.SAVINGS: bills.saving_rows(month, plan),
            SHAPES: self.shapes.rows,
            tables.SENSITIVITY: [
                *tables.swing_rows(worst, "ms", self.asked.regions[self.asked.worst].value, self.asked.swings),
                *tables.swing_rows(carried, "users", float(best.people or 0), bills.cost_swings(month, plan)),
            ],
            tables.INPUTS: list(tables.input_rows(inputs)),
        }

    def _dates(self) -> Iterator[Finding]:
        """Notes on data that is old."""
        today = datetime.datetime.now(UTC).date()
        regions, prices = self.world.regions, self.month.prices
        for name, words, is_old in (
            ("regions", regions.words(today), regions.is_old(today)),
            ("prices", prices.words(today), "days old" in prices.words(today)),
        ):
            verdict: Verdict = "inconclusive" if is_old else "pass"
            claim = f"The data on {name} is not older than a year"
            yield Finding(f"scale.data.{name}", claim, verdict, severity="note", evidence=words)


def _self_check(count: int = 100_000) -> Part:
    """The simulator against queues whose mean wait is known; what it then says of others can be believed."""
    chance = np.random.default_rng(7)
    nothing = np.zeros(count)
    off = []
    for servers, rate, times, due in (
        (1, 60.0, chance.exponential(10.0, count), mean_wait_mmc(rate=0.06, service=10.0)),
        (3, 180.0, chance.exponential(10.0, count), mean_wait_mmc(rate=0.18, service=10.0, servers=3)),
        (1, 60.0, np.full(count, 10.0), mean_wait_md1(rate=0.06, service=10.0)),
    ):
        arrivals = arrivals_at(rate, count, chance)
        waits = ends_of(arrivals, Stay(times, nothing, nothing), servers=servers) - arrivals - times
        off.append(abs(float(waits.mean()) / due - 1))
    finding = Finding(
        id=SELF_CHECK,
        claim="The simulator gives the mean waits that theory gives for M/M/1, M/M/3 and M/D/1",
        verdict="pass" if max(off) <= _OFF else "invalid",
        value=round(100 * max(off), 2),
        unit="% off",
        limit=100 * _OFF,
        n=3 * count,
        evidence="Erlang C; Pollaczek and Khinchine",
    )
    return Part((finding,))


def run_of(target: Path, folder: Path, *, started: datetime.datetime, seconds: float) -> Run:
    """What was modelled, as the run folder tells it."""
    return Run(
        id=folder.name,
        source="",
        target=as_given(target),
        profile="full",
        env="dev",
        started=started.astimezone(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        versions=versions(),
    )
