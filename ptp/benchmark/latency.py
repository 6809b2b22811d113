"""Latency of one call at a time, against a limit: samples first, verdict after, by functions on plain values.

What is decided beforehand: the cold calls, made first and told apart; the warm-up calls, made and not counted; and
the looks, at which the samples so far may decide (`ptp.stats.plan_looks`: one at `n`, or several up to `most`, each
paid for out of the same 5 %). Nothing that is seen on the way can change them. Raw nanoseconds are kept in the order
in which they were taken, none trimmed. Python's garbage is collected before each case, so that none pays for the one
before it; during the calls the collector stays on, because a caller of the application meets its pauses too.

What is timed is `call` alone. Arguments are best drawn before; `check` looks at what came back after the clock
stopped: wrong is an error, however fast it was.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from ptp.benchmark.clocks import Clock, resolution_ns
from ptp.benchmark.judging import QUANTILE, Sight, evidence_of, look_at, row_of
from ptp.errors import CannotFinish
from ptp.results import Finding, Measurement, Verdict
from ptp.stats import Look, percentile, plan_looks

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told the name of the case, how many of its samples are taken, and how many there will be."""

Executor: TypeAlias = Callable[[Callable[[], object]], object]
"""Makes a call and gives its outcome: in this thread, or wherever the calls shall be made."""

_NS_PER_MS = 1e6
_STEPS_OF_PROGRESS = 20


def nothing_wrong(_outcome: object) -> str | None:
    """The check of a case whose outcome needs none."""
    return None


def directly(call: Callable[[], object]) -> object:
    """Make a call in this thread."""
    return call()


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to be timed: `n` samples after `warmup` other calls, whose p95 shall be under `limit_ms`.

    `claim` is the sentence that the verdict is on. `not_applicable` is the reason for which the case cannot be
    measured here, None when it can. `check` says what is wrong with what `call` returned, None when nothing is.

    Where `n` samples do not decide, more are taken, up to `most`; 0 for none. `cold` calls come before the warm-up,
    each after `chill`, which makes it cold. A sample is the mean of `batch` calls (`ptp.benchmark.clocks.batch_for`).
    """

    name: str
    claim: str
    limit_ms: float
    call: Callable[[], object]
    warmup: int
    n: int
    not_applicable: str | None = None
    check: Callable[[Any], str | None] = nothing_wrong
    most: int = 0
    cold: int = 0
    chill: Callable[[], object] = lambda: None
    batch: int = 1
    executor: Executor = directly

    @property
    def looks(self) -> tuple[Look, ...]:
        """After how many samples the verdict may fall, and how sure each bound must then be."""
        return plan_looks(first=self.n, most=max(self.n, self.most), q=QUANTILE)


@dataclass(frozen=True, slots=True)
class Timed:
    """What the samples of a case took, in nanoseconds and in order; `error` is what ended them early, None if nothing.

    `cold` and `warm_up` are what the calls took that are not counted, a call each; a sample is `batch` calls together.
    """

    nanoseconds: tuple[int, ...]
    error: str | None = None
    cold: tuple[int, ...] = ()
    warm_up: tuple[int, ...] = ()
    batch: int = 1

    @property
    def ordered_ms(self) -> tuple[float, ...]:
        """The samples in milliseconds a call, ascending."""
        return tuple(sorted(self.samples_ms))

    @property
    def samples_ms(self) -> tuple[float, ...]:
        """The samples in milliseconds a call, in the order in which they were taken."""
        return in_ms(self.nanoseconds, batch=self.batch)


@dataclass(frozen=True, slots=True)
class Latency:
    """One case measured: its raw samples, its finding, and its row of the table for the reader.

    `apart` are the raw samples that do not count: NAME.cold and NAME.warm_up, where such calls were made. `p_value` is
    how rarely so few samples would lie over the limit if the p95 were at it; None where there are none.
    """

    measurement: Measurement
    finding: Finding
    row: Mapping[str, Any]
    apart: tuple[Measurement, ...] = ()
    p_value: float | None = None


def in_ms(nanoseconds: Sequence[int], *, batch: int = 1) -> tuple[float, ...]:
    """Nanoseconds of `batch` calls each as milliseconds a call."""
    return tuple(ns / batch / _NS_PER_MS for ns in nanoseconds)


def measure(
    cases: Sequence[Case],
    *,
    environment: Mapping[str, str],
    clock: Clock = time.perf_counter_ns,
    progress: Progress | None = None,
) -> tuple[Latency, ...]:
    """Time all cases, one after the other, in their order; those that do not apply are told, not run."""
    resolution = resolution_ns(clock)
    found = []
    for case in cases:
        timed = Timed(()) if case.not_applicable else time_calls(case, clock=clock, progress=progress)
        found.append(judge(case, timed, environment=environment, resolution=resolution))
    return tuple(found)


def time_calls(case: Case, *, clock: Clock, progress: Progress | None = None) -> Timed:
    """Make the calls of a case and time them; the first error or wrong outcome ends it.

    The samples are those of the first look at which they decide, or of the last.
    """
    gc.collect()
    cold: list[int] = []
    warm_up: list[int] = []
    taken: list[int] = []
    looks = case.looks
    error = None
    while error is None and len(cold) < case.cold:
        error = take_samples(case, 1, cold, clock=clock, before=case.chill)
    error = error or take_samples(case, case.warmup, warm_up, clock=clock)
    for place, look in enumerate(looks, start=1):
        if error is not None:
            break
        error = take_samples(case, look.n - len(taken), taken, clock=clock, batch=case.batch, progress=progress)
        if place < len(looks) and _decides(in_ms(taken, batch=case.batch), case.limit_ms, look):
            break
    return Timed(tuple(taken), error, tuple(cold), tuple(warm_up), case.batch)


def judge(case: Case, timed: Timed, *, environment: Mapping[str, str], resolution: int | None = None) -> Latency:
    """The measurement, finding and row that follow from the samples of a case; a pure function.

    A clock whose `resolution` in ns is too coarse for the samples is told in the evidence.
    """
    sight = _sight(case, timed)
    finding = _finding(case, timed, sight, resolution)
    row = row_of(
        case.name, sight, limit=case.limit_ms, cold=in_ms(timed.cold), batch=timed.batch, verdict=finding.verdict
    )
    apart = tuple(
        Measurement(f"{case.name}.{kind}", "ms", in_ms(taken), environment)
        for kind, taken in (("cold", timed.cold), ("warm_up", timed.warm_up))
        if taken
    )
    samples = Measurement(case.name, "ms", timed.samples_ms, environment)
    return Latency(samples, finding, row, apart, sight.p_value if sight else None)


def take_samples(
    case: Case,
    count: int,
    into: list[int],
    *,
    clock: Clock,
    batch: int = 1,
    before: Callable[[], object] | None = None,
    progress: Progress | None = None,
) -> str | None:
    """Take `count` samples more; what ended them early, None if nothing."""
    call, check = _work(case, batch)
    step = max(case.n // _STEPS_OF_PROGRESS, 1)
    for _ in range(count):
        try:
            if before:
                before()
            start = clock()
            outcome = call()
            end = clock()
            wrong = check(outcome)
        except CannotFinish:  # a full disk, a lock: says nothing of the query
            raise
        except Exception as problem:
            return f"{type(problem).__name__}: {problem}"
        if wrong is not None:
            return f"wrong outcome: {wrong}"
        into.append(end - start)
        if progress and (len(into) % step == 0 or len(into) == case.n):
            progress(case.name, min(len(into), case.n), case.n)
    return None


def _work(case: Case, batch: int) -> tuple[Callable[[], object], Callable[[Any], str | None]]:
    """A sample's call and check: those of the case, or of a batch of its calls, made by its executor."""
    call, check = case.call, case.check
    if batch > 1:
        call, check = _calls(case, batch), _checks(case)
    # Without an executor nothing stands between the clock and the call: it would be timed with it.
    return (call if case.executor is directly else partial(case.executor, call)), check


def _calls(case: Case, batch: int) -> Callable[[], object]:
    return lambda: [case.call() for _ in range(batch)]


def _checks(case: Case) -> Callable[[Any], str | None]:
    return lambda outcomes: next((wrong for wrong in map(case.check, outcomes) if wrong is not None), None)


def _decides(samples: Sequence[float], limit: float, look: Look) -> bool:
    return look_at(samples, limit=limit, look=look).decision != "inconclusive"


def _sight(case: Case, timed: Timed) -> Sight | None:
    """What the last look that was reached saw; fewer samples than the first look wants are seen with its confidence."""
    samples = timed.samples_ms
    if not samples:
        return None
    looks = case.looks
    place = max(sum(look.n <= len(samples) for look in looks), 1)
    return look_at(samples, limit=case.limit_ms, look=looks[place - 1], place=place, looks=len(looks))


def _finding(case: Case, timed: Timed, sight: Sight | None, resolution: int | None) -> Finding:
    verdict, evidence = _verdict(case, timed, sight, resolution)
    return Finding(
        id=f"bench.{case.name}",
        claim=case.claim,
        verdict=verdict,
        severity="gate",
        value=percentile(sight.ordered, q=QUANTILE) if sight else None,
        unit="ms",
        limit=case.limit_ms,
        low=sight.low if sight else None,
        high=sight.high if sight else None,
        n=len(timed.nanoseconds),
        evidence=evidence,
    )


def _verdict(case: Case, timed: Timed, sight: Sight | None, resolution: int | None) -> tuple[Verdict, str]:
    if case.not_applicable:
        return "not applicable", case.not_applicable
    if timed.error is not None:
        return "fail", f"After {len(timed.nanoseconds)} of {case.n} samples a call failed: {timed.error}"
    if sight is None:
        return "invalid", "No sample was taken."
    return sight.decision, evidence_of(
        sight, limit=case.limit_ms, warm_up=in_ms(timed.warm_up), batch=timed.batch, resolution=resolution
    )
