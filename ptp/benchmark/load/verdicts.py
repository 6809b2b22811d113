"""The verdicts on a load, from its records: a pure function.

load.generator says whether what sent the load was not the bottleneck itself; where it is invalid, so are the others.
load.sums and load.little hold the records against themselves, load.all.errors and load.OPERATION.response against the
limits. Each operation is judged at 95 %: among ten that all lie just at their limit, one passes by chance now and then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ptp.benchmark.load.phases import is_even
from ptp.benchmark.load.records import Records
from ptp.benchmark.load_verdict import ERROR_LIMIT, disbelieved, judge_errors, judge_generator, judge_response
from ptp.results import Finding
from ptp.stats import percentile

STEADY_PART = 10
"""Under load, response times may drift by 1/10 of the limit before the verdict is withheld: queues come and go."""

LITTLE_WITHIN, LITTLE_FLOOR = 0.25, 0.5
"""By how much the two sides of Little's law may differ: as a share of the larger, and in requests."""

GENERATOR, SUMS, LITTLE, ERRORS = "load.generator", "load.sums", "load.little", "load.all.errors"


def response_gate(operation: str) -> str:
    """The id of the finding on an operation's response time."""
    return f"load.{operation}.response"


def judge(
    records: Records, *, limits: Mapping[str, float], inside: bool = False, error_limit: float = ERROR_LIMIT
) -> tuple[Finding, ...]:
    """All findings on a load; `limits` are those on the p95 of the response time, in ms, by operation.

    `inside` says that the work itself is done in the generator's processes: their processor time is then not the
    generator's own, but that of the loop is.
    """
    generator = judge_crowd(records, limit_ms=min(limits.values()), inside=inside)
    steady_part = STEADY_PART if is_even(records.schedule.phases) else None
    found = [judge_sums(records), judge_little(records)]
    found.append(judge_errors("all", records.load(records.schedule.measured), limit=error_limit))
    for operation in records.schedule.operations:
        own = records.load(records.of(operation))
        found.append(judge_response(operation, own, limit_ms=limits[operation], steady_part=steady_part))
    return generator, *(found if generator.verdict == "pass" else map(disbelieved, found))


def judge_crowd(records: Records, *, limit_ms: float, inside: bool = False) -> Finding:
    """The finding load.generator."""
    load = records.load(records.schedule.measured)
    busy = records.loop_share if inside else records.cpu_share
    found = judge_generator("", replace(load, cpu_share=min(busy, 1.0)), limit_ms=limit_ms)
    waits = sorted(((records.started - records.sent)[records.started >= 0] / 1e6).tolist())
    wait = f", p99 of the wait for a free thread {percentile(waits, q=0.99):.3g} ms" if waits else ""
    whose = "the loop's share of one" if inside else "each process at most one"
    told = f" {records.processes} processes with {records.threads} threads each{wait}; of processors: {whose}."
    return replace(found, id=GENERATOR, evidence=found.evidence + told)


def judge_sums(records: Records) -> Finding:
    """The finding load.sums, of all requests, those of the warm-up too: none is left out, none is there twice."""
    counts, scheduled = records.counts(), len(records.schedule)
    off = abs(scheduled - sum(counts.values())) + records.strays + records.unaccounted
    told = " + ".join(f"{counts[s]:,} {s}" for s in ("completed", "error", "skipped", "in flight"))
    return Finding(
        id=SUMS,
        claim="Scheduled requests = completed + errors + skipped + in flight at the end",
        verdict="invalid" if off else "pass",
        value=off,
        unit="requests unaccounted",
        limit=0,
        n=scheduled,
        evidence=f"{scheduled:,} scheduled = {told}, with the warm-up",
    )


def judge_little(records: Records) -> Finding:
    """The finding load.little: what was open, as the generator counted it, is the rate times the response time.

    A generator that loses requests, or times them wrongly, breaks it.
    """
    counted, rate, response = records.little()
    due = rate * response
    within = LITTLE_WITHIN * max(counted, due) + LITTLE_FLOOR
    return Finding(
        id=LITTLE,
        claim="Requests in flight = requests a second x response time (Little's law)",
        verdict="pass" if abs(counted - due) <= within else "invalid",
        value=counted,
        unit="requests",
        limit=due,
        low=due - within,
        high=due + within,
        n=int(np.sum(records.schedule.measured)),
        evidence=f"{counted:.2f} in flight as counted when each came due; {rate:,.1f}/s x {1_000 * response:.3g} ms = "
        f"{due:.2f}",
    )
