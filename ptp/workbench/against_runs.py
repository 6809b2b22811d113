"""`ptp bench --against RUN`: the counters of this run beside those of an earlier one; never its times.

Within a job times of the same code differ by 0.3 %, between jobs by 26 %: what compares them across jobs measures the
jobs. Counters do not vary, so that they are compared exactly, on the same data and the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ptp
from ptp.benchmark.comparison import Work, compare_work
from ptp.benchmark.history import MACHINE, differences
from ptp.engine.environment import environment
from ptp.errors import UsageError
from ptp.evidence import Evidence, Stage, read_evidence
from ptp.results import Finding
from ptp.workbench.histories import conditions, counters_of, data_of, machine_of, plans_of
from ptp.workbench.parts import Part
from ptp.workload.limits import Profile

_WITHIN = "Compare times within one job: ptp bench --against REF, with the commit of that run"


def check_comparable(folder: Path, target: Path, *, profile: Profile, seed: int) -> None:
    """Make sure, before anything is measured, that a run on `target` can be compared with that in `folder`.

    Raises UsageError for a folder that cannot be read, another machine, other data, and one without counters.
    """
    earlier = _read(folder)
    _refuse_unlike(earlier, folder, machine=environment(), data=conditions(target, profile=profile, seed=seed))


def compare_runs(stage: Stage, folder: Path) -> Part:
    """Hold the counters of a stage that was just measured against those of the run in `folder`.

    The stage has the tables of conditions and counters. Raises UsageError as `check_comparable` does.
    """
    earlier = _read(folder)
    _refuse_unlike(earlier, folder, machine=machine_of([stage]), data=data_of(None, [stage]))
    before, after = counters_of(earlier.stages), counters_of([stage])
    old_plans, new_plans = plans_of(earlier.stages), plans_of([stage])
    than = f"in {earlier.run.id}"
    findings = [
        finding
        for name in after
        if name in before
        for finding in compare_work(
            name,
            Work(before[name], 1, old_plans.get(name, ())),
            Work(after[name], 1, new_plans.get(name, ())),
            than=than,
        )
    ]
    apart = tuple(f"{name} is only here" for name in after if name not in before)
    apart += tuple(f"{name} was only there" for name in before if name not in after)
    return Part((*findings, _told(earlier, apart, n=len(findings)), _no_times(earlier)))


def _read(folder: Path) -> Evidence:
    earlier = read_evidence(folder)
    if not counters_of(earlier.stages):
        raise UsageError(
            f"{folder} holds no counters to compare with: make a run there with this ptp, or name a commit: "
            "ptp bench --against REF."
        )
    return earlier


def _refuse_unlike(earlier: Evidence, folder: Path, *, machine: Mapping[str, str], data: Mapping[str, str]) -> None:
    try:
        old_machine, old_data = machine_of(earlier.stages), data_of(earlier.run, earlier.stages)
    except UsageError as problem:
        raise UsageError(f"{folder} cannot be compared with: {problem}. {_WITHIN}.") from None
    if apart := differences(old_machine, machine, names=MACHINE):
        raise UsageError(
            f"{folder} was measured on another machine, so nothing is compared: {'; '.join(apart)}. {_WITHIN}."
        )
    if apart := differences(old_data, data):
        raise UsageError(
            f"{folder} was measured on other data, so counters are not comparable: {'; '.join(apart)}. Run it on the "
            "same target with the same --profile and --seed, or name a commit."
        )


def _told(earlier: Evidence, apart: tuple[str, ...], *, n: int) -> Finding:
    was, now = earlier.run.versions.get("ptp", "not told"), ptp.__version__
    return Finding(
        id="against.run",
        claim=f"{earlier.run.id} was measured on the same machine and data",
        verdict="pass",
        severity="note",
        n=n,
        where=apart,
        evidence=f"ptp {was} then, {now} now; {', '.join(MACHINE)}, and the arguments of the calls are equal",
    )


def _no_times(earlier: Evidence) -> Finding:
    return Finding(
        id="against.time",
        claim=f"Times are not compared with those of {earlier.run.id}, which is another job",
        verdict="not applicable",
        severity="note",
        evidence=f"within a job times of the same code differ by 0.3 %, between jobs by 26 %. {_WITHIN}",
    )
