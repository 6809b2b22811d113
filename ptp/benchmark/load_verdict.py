"""The verdict on a load, from a loop that has run: a pure function.

First the generator shows that it was not the bottleneck itself, then that all was answered, then how fast. A request
that was skipped, failed, or had no answer at the end was not fast: it counts as an error, and as slower than any limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ptp.benchmark.judging import STEADY_PART, drift_of, finite
from ptp.benchmark.openloop import Load
from ptp.results import Finding, Verdict
from ptp.stats import bounds, decide_by, decide_rate, percentile, rate_bounds, sample_bounds, trend

ACHIEVED = 0.99
"""The least share of the declared rate that must have been generated."""

CPU_SHARE = 0.8
"""How busy the processors may be before the generator is no longer believed."""

LAG_PART = 10
"""A request may be handed over late by 1/10 of the limit, at p99."""

ERROR_LIMIT = 0.01
THREADS_FACTOR = 3.0
"""How many times the p99 of one thread that of several may be."""

_P99 = 0.99
_SURE = 0.999
_NS_PER_S = 1e9


def judge_load(
    name: str, load: Load, *, limit_ms: float, q: float = 0.95, error_limit: float = ERROR_LIMIT
) -> tuple[Finding, ...]:
    """The findings load.NAME.generator, .errors and .response; the last two are invalid where the first is."""
    generator = judge_generator(name, load, limit_ms=limit_ms)
    rest = (judge_errors(name, load, limit=error_limit), judge_response(name, load, limit_ms=limit_ms, q=q))
    return generator, *(rest if generator.verdict == "pass" else map(disbelieved, rest))


def disbelieved(finding: Finding) -> Finding:
    """The finding of a load whose generator was not sound."""
    return replace(finding, verdict="invalid", evidence=f"The generator was not sound; {finding.evidence}")


def judge_generator(name: str, load: Load, *, limit_ms: float) -> Finding:
    """Whether the load was generated as declared: in time, at the rate, with processors to spare, and nothing lost."""
    lag = sorted(load.lag_ms)
    late = percentile(lag, q=_P99) if lag else math.inf
    planned = load.requests[-1].due if load.requests else 0
    achieved = min(planned / load.generated, 1.0) if load.generated else 1.0
    wrong = [
        text
        for is_wrong, text in (
            (late > limit_ms / LAG_PART, f"requests were handed over {late:.3g} ms late at p99"),
            (achieved < ACHIEVED, f"only {achieved:.1%} of the rate was achieved"),
            (load.cpu_share > CPU_SHARE, f"the processors were {load.cpu_share:.0%} busy"),
            (sum(load.counts.values()) != load.scheduled or load.strays > 0, "the requests do not add up"),
        )
        if is_wrong
    ]
    counts = ", ".join(f"{load.counts[state]:,} {state}" for state in ("completed", "error", "skipped", "in flight"))
    shown = (
        f"{load.scheduled:,} scheduled = {counts}; rate achieved {achieved:.1%}, processors {load.cpu_share:.0%} busy"
    )
    return Finding(
        id=f"load.{name}.generator",
        claim="The generator of the load was not the bottleneck: start lag, rate, processors, sum of requests",
        verdict="invalid" if wrong else "pass",
        value=finite(late),
        unit="ms",
        limit=limit_ms / LAG_PART,
        n=load.scheduled,
        evidence=f"{'; '.join([*wrong, shown])}.",
    )


def flag_threads(threads: int, *, alone_ms: Sequence[float], together_ms: Sequence[float]) -> Finding:
    """Whether so many threads in one process slow down what one thread does: times in ms of the same call in both.

    invalid where p99 is surely over three times that of one thread: more processes are then wanted, not more threads.
    """
    alone, together = (sorted(taken) for taken in (alone_ms, together_ms))
    one, several = bounds(alone, q=_P99), bounds(together, q=_P99)
    is_flagged = several.low > THREADS_FACTOR * one.high
    p99 = percentile(together, q=_P99)
    of_one = percentile(alone, q=_P99)
    return Finding(
        id="load.threads",
        claim=f"{threads} threads in a process take at most {THREADS_FACTOR:g} times the p99 of one",
        verdict="invalid" if is_flagged else "pass",
        value=p99,
        unit="ms",
        limit=THREADS_FACTOR * of_one,
        low=finite(several.low),
        high=finite(several.high),
        n=len(together),
        evidence=f"p99 of one thread {of_one:.3g} ms, of {threads} {p99:.3g} ms."
        + (" Use several processes with few threads each." if is_flagged else ""),
    )


def judge_errors(name: str, load: Load, *, limit: float = ERROR_LIMIT) -> Finding:
    """The finding load.NAME.errors: whether the share of requests without a right answer is under `limit`."""
    counts = load.counts
    unanswered = counts["skipped"] + counts["in flight"]
    bad = counts["error"] + unanswered
    verdict: Verdict = decide_rate(bad, load.scheduled, limit=limit) if load.scheduled else "invalid"
    if verdict == "pass" and unanswered:
        verdict = "inconclusive"  # few, but whether they would have been answered is not known
    span = rate_bounds(bad, load.scheduled)
    return Finding(
        id=f"load.{name}.errors",
        claim=f"Under {limit:.2%} of the requests fail",
        verdict=verdict,
        value=100 * bad / load.scheduled if load.scheduled else None,
        unit="%",
        limit=100 * limit,
        low=100 * span.low,
        high=100 * span.high,
        n=load.scheduled,
        evidence=f"{counts['error']:,} failed, {unanswered:,} without an answer, of {load.scheduled:,}; first error: "
        + next((r.error for r in load.requests if r.error), "none"),
    )


def judge_response(
    name: str, load: Load, *, limit_ms: float, q: float = 0.95, steady_part: float | None = STEADY_PART
) -> Finding:
    """The finding load.NAME.response: whether the q-quantile of the response time is under its limit, by bounds.

    Withheld where response times drift by more than the limit over `steady_part` in the load; None: where the load
    itself is not even, and no steady state is due.
    """
    times = [(r.ended - r.due) / 1e6 if r.ended is not None and r.error is None else math.inf for r in load.requests]
    span, effective = sample_bounds(times, q=q)
    verdict, evidence = (None, "") if steady_part is None else _steady_verdict(load, limit_ms, steady_part)
    if not times:
        verdict, evidence = "invalid", "Nothing was scheduled."
    elif verdict is None:
        service = sorted(load.service_ms)
        middle = f"{percentile(service, q=0.5):.3g} ms" if service else "of none"
        verdict = decide_by(span, limit=limit_ms)
        evidence = f"From when each was due; median service time {middle}; worth {effective:,.0f} independent ones"
    return Finding(
        id=f"load.{name}.response",
        claim=f"p{100 * q:g} of the response time is under {limit_ms:g} ms",
        verdict=verdict,
        value=finite(percentile(sorted(times), q=q)) if times else None,
        unit="ms",
        limit=limit_ms,
        low=finite(span.low),
        high=finite(span.high),
        n=len(times),
        evidence=evidence,
    )


def _steady_verdict(load: Load, limit_ms: float, part: float) -> tuple[Verdict | None, str]:
    """inconclusive where response times or the backlog drift; None where both are steady."""
    allowed = limit_ms * STEADY_PART / part
    drift = drift_of(load.response_ms, limit=allowed) if load.response_ms else None
    if drift is not None:
        way = "rose" if drift > 0 else "fell"
        return "inconclusive", f"Withheld: not steady; response times {way} by about {abs(drift):.3g} ms over the load"
    rising = trend([float(open_) for open_ in load.backlog], confidence=_SURE)
    seconds = load.generated / _NS_PER_S
    more = rising.slope * len(load.backlog)
    # What is open longer than before waits as much longer as it takes to send as many (Little's law).
    if rising.low > 0 and load.scheduled and 1_000 * more * seconds / load.scheduled > allowed / STEADY_PART:
        return "inconclusive", f"Withheld: not steady; the backlog grew by about {more:,.0f} requests over the load"
    return None, ""
