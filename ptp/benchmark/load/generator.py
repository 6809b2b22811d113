"""The generator: a schedule is dealt to several processes, which begin together, and brought together again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from ptp.benchmark.load.records import Records
from ptp.benchmark.load.schedule import Schedule
from ptp.benchmark.load.worker import NEVER, Open, Sent, Share, Worker

PROCESSES = 2
"""A process of Python uses one processor at a time."""

FEWEST, MOST = 2, 4
"""Threads of a process. With more they wait for each other: 8 turned a p99 of 2 ms into 34."""

_SERVICE_S, _ROOM = 0.005, 4.0
_LEAD_S = 0.3
_PATIENCE_S = 30.0
_NS_PER_S = 1_000_000_000

Told = Callable[[float], None]
"""Takes the share of the load's time that has passed, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many processes send, and how many threads each has: as many requests can be at the service at once."""

    processes: int
    threads: int


def size_of(rate: float) -> Crowd:
    """The crowd for a rate: by Little's law, with room for four times a service time of 5 ms."""
    at_once = rate * _SERVICE_S * _ROOM
    return Crowd(PROCESSES, min(max(math.ceil(at_once / PROCESSES), FEWEST), MOST))


def generate(
    schedule: Schedule,
    open_service: Open,
    *,
    crowd: Crowd | None = None,
    grace_s: float = 6.0,
    most_in_flight: int | None = None,
    told: Told = lambda share: None,
) -> Records:
    """Send a schedule and wait `grace_s` for the last answers; all requests of an actor come from one process.

    With `most_in_flight` what comes due while so many are open is skipped. Raises CannotFinish where a process of the
    generator cannot begin or dies.
    """
    crowd = crowd or size_of(schedule.rate)
    shares = [_share(schedule, place, crowd, grace_s, most_in_flight) for place in range(crowd.processes)]
    with ExitStack() as stack:
        workers: list[Worker] = []
        for place, share in enumerate(shares):
            workers.append(Worker(open_service, place, share))
            stack.callback(workers[-1].end)
        for worker in workers:
            worker.ready()
        begun = time.perf_counter_ns() + round(_LEAD_S * _NS_PER_S)
        for worker in workers:
            worker.begin(begun)
        _follow(workers, schedule.seconds + grace_s, begun, told)
        sent = [worker.result(_PATIENCE_S) for worker in workers]
    return gathered(schedule, sent, crowd)


def gathered(schedule: Schedule, sent: Sequence[Sent], crowd: Crowd) -> Records:
    """What the processes told, as one set of columns in the order of the schedule."""
    n = len(schedule)
    times = {name: np.full(n, NEVER, dtype=np.int64) for name in ("sent", "started", "ended")}
    error = np.zeros(n, dtype=np.int64)
    known: dict[str, int] = {}
    seen = 0
    for one in sent:
        for name, column in times.items():
            column[one.numbers] = getattr(one, name)
        places = [0, *(known.setdefault(text, len(known) + 1) for text in one.errors)]
        error[one.numbers] = np.array(places, dtype=np.int64)[one.error]
        seen += len(one.numbers)
    return Records(
        schedule=schedule,
        **times,
        error=error,
        errors=tuple(known),
        processes=crowd.processes,
        threads=crowd.threads,
        backlogs=tuple((one.numbers, one.backlog) for one in sent),
        generated=max((one.generated for one in sent), default=0),
        cpu=tuple(one.cpu for one in sent),
        loop_cpu=tuple(one.loop_cpu for one in sent),
        strays=sum(one.strays for one in sent),
        unaccounted=n - seen,
    )


def _share(schedule: Schedule, place: int, crowd: Crowd, grace_s: float, most: int | None) -> Share:
    numbers = np.flatnonzero(schedule.actor % crowd.processes == place)
    return Share(
        operations=schedule.operations,
        numbers=numbers,
        due=schedule.due[numbers],
        operation=schedule.operation[numbers],
        actor=schedule.actor[numbers],
        threads=crowd.threads,
        grace_s=grace_s,
        most_in_flight=None if most is None else math.ceil(most / crowd.processes),
    )


def _follow(workers: Sequence[Worker], seconds: float, begun: int, told: Told) -> None:
    end = begun + round((seconds + _PATIENCE_S) * _NS_PER_S)
    while time.perf_counter_ns() < end and not all(worker.is_done(0.0) for worker in workers):
        told(min(max((time.perf_counter_ns() - begun) / (seconds * _NS_PER_S), 0.0), 1.0))
        workers[0].is_done(0.2) or workers[-1].is_done(0.05)
        time.sleep(0.02)
