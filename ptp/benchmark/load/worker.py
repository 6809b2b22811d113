"""One process of the generator: it sends its share of a schedule with a few threads, and tells what became of it.

It is a Python of its own, driven over a socket that only both have, so that what a client prints disturbs nothing. All
processes read the machine's one monotonic clock, and begin at one moment of it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any, Protocol, TypeAlias

import numpy as np

from ptp.benchmark.load.schedule import Column
from ptp.benchmark.openloop import Load, run_load
from ptp.benchmark.threads import Threads
from ptp.errors import CannotFinish

START_S = 60.0
"""How long a process may take to be ready."""

NEVER = -1
"""In a column of times: what did not happen."""

_SWITCH_S = 0.0005  # at Python's 5 ms, one thread that is busy would make each request late
_LONGEST = 120
_NICENESS = -10


@dataclass(frozen=True, slots=True)
class Planned:
    """One request as a service is asked for it; `number` is its place in the schedule."""

    number: int
    operation: str
    actor: int


class Service(Protocol):
    """What is put under load, called from several threads at once; `inside`: the work is done in this process."""

    inside: bool

    def call(self, request: Planned) -> object:
        """Make the request and return what came back; what it raises is the request's error."""

    def check(self, request: Planned, answered: object) -> str | None:
        """What is wrong with the answer, None where nothing is; beside the clock."""

    def close(self) -> None:
        """Let go of everything."""


Open: TypeAlias = Callable[[int], Service]
"""Opens the service in a process of the generator, which is told its place among them. It can be pickled."""


@dataclass(frozen=True, eq=False)
class Share:
    """What one process sends: `numbers` are places in the whole schedule, `operation` places in `operations`."""

    operations: tuple[str, ...]
    numbers: Column
    due: Column
    operation: Column
    actor: Column
    threads: int
    grace_s: float
    most_in_flight: int | None


@dataclass(frozen=True, eq=False)
class Sent:
    """What one process tells: a column for each time in ns from the start, and `error` as places in `errors`, from 1.

    `backlog` is how many of its own were in flight as each came due; `cpu` how busy the process was until all was
    sent, in seconds of processor time, `loop_cpu` the part of the loop alone, `generated` when that was, in ns.
    """

    numbers: Column
    sent: Column
    started: Column
    ended: Column
    error: Column
    errors: tuple[str, ...]
    backlog: Column
    cpu: float
    loop_cpu: float
    generated: int
    strays: int


class Worker:
    """A process of the generator, from outside."""

    def __init__(self, open_service: Open, place: int, share: Share) -> None:
        """Start it; `ready` waits until it has opened its service."""
        ours, theirs = Pipe()
        self._pipe: Connection[Any, Any] = ours
        command = f"from {__name__} import serve; serve({theirs.fileno()})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # so that Ctrl-C is the parent's alone
        )
        theirs.close()
        self._give((open_service, place, share))

    def ready(self) -> None:
        """Wait until it could begin; raises CannotFinish where it cannot."""
        self._take(START_S)

    def begin(self, at: int) -> None:
        """Let it begin at a moment of the monotonic clock, in ns."""
        self._give(at)

    def is_done(self, patience_s: float) -> bool:
        """Whether it has something to tell, after waiting at most so long."""
        return self._pipe.poll(patience_s)

    def result(self, patience_s: float) -> Sent:
        """What became of its share."""
        found: Sent = self._take(patience_s)
        return found

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def _give(self, message: object) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            raise CannotFinish("A process of the load's generator ended before it was done.") from None

    def _take(self, patience_s: float) -> Any:
        try:
            if not self._pipe.poll(patience_s):
                raise CannotFinish(f"A process of the load's generator did not answer within {patience_s:g} s.")
            failed, answer = self._pipe.recv()
        except (EOFError, OSError):
            raise CannotFinish("A process of the load's generator ended before it was done.") from None
        if failed:
            raise CannotFinish(f"The load could not be made: {answer}.")
        return answer


def serve(descriptor: int) -> None:
    """Be a process of the generator: one share, and the end."""
    pipe: Connection[Any, Any] = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):
        try:
            open_service, place, share = pipe.recv()
            service = open_service(place)
            _go_first(inside=service.inside)
            pipe.send((False, None))
            sent = make_load(service, share, begun=pipe.recv())
            service.close()
            pipe.send((False, sent))
        except (EOFError, OSError):
            raise
        except Exception as problem:
            pipe.send((True, f"{type(problem).__name__}: {problem}"[:_LONGEST].rstrip(".")))
    os._exit(0)  # a thread that still waits for an answer must not hold the process


def _go_first(*, inside: bool) -> None:
    """Where the system allows it, be on time though the machine is busy.

    A process that only waits for others may go before everything, with all of its threads. In one that works itself
    only the loop may, or it would take the machine for itself.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    if hasattr(os, "sched_setscheduler"):
        policy = os.SCHED_RR | (os.SCHED_RESET_ON_FORK if inside else 0)
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, policy, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))


def make_load(service: Service, share: Share, *, begun: int) -> Sent:
    """Send a share from this process, from a moment of the monotonic clock on."""
    names = [share.operations[place] for place in share.operation.tolist()]
    planned = [Planned(*one) for one in zip(share.numbers.tolist(), names, share.actor.tolist(), strict=True)]
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()
    meter = _Meter(begun)
    with Threads(
        lambda number: service.call(planned[number]),
        threads=share.threads,
        check=lambda number, answered: service.check(planned[number], answered),
    ) as executor:
        load = run_load(
            share.due.tolist(),
            executor=executor,
            clock=time.perf_counter_ns,
            sleep=time.sleep,
            cpu=meter,
            grace_s=share.grace_s,
            most_in_flight=share.most_in_flight,
            begun=begun,
        )
    return _columns(share, load, meter)


class _Meter:
    """Asked by the loop as it begins and when all is sent: processor time of the process, and of the loop's thread."""

    def __init__(self, begun: int) -> None:
        self._begun = begun
        self._first: tuple[float, float] | None = None
        self.cpu = self.loop_cpu = 0.0

    def __call__(self) -> float:
        now = (time.process_time(), time.thread_time())
        first = self._first = self._first or now
        self.cpu, self.loop_cpu = now[0] - first[0], now[1] - first[1]
        passed = (time.perf_counter_ns() - self._begun) / 1e9
        return self.cpu / passed if passed > 0 else 0.0


def _kind(error: str) -> str:
    """The first line of an error, by which it is counted."""
    return error.partition("\n")[0][:_LONGEST]


def _columns(share: Share, load: Load, meter: _Meter) -> Sent:
    known: dict[str, int] = {}
    errors = [0 if r.error is None else known.setdefault(_kind(r.error), len(known) + 1) for r in load.requests]

    def times(name: str) -> Column:
        return np.array([NEVER if (at := getattr(r, name)) is None else at for r in load.requests], dtype=np.int64)

    return Sent(
        numbers=share.numbers,
        sent=times("sent"),
        started=times("started"),
        ended=times("ended"),
        error=np.array(errors, dtype=np.int64),
        errors=tuple(known),
        backlog=np.array(load.backlog, dtype=np.int64),
        cpu=meter.cpu,
        loop_cpu=meter.loop_cpu,
        generated=load.generated,
        strays=load.strays,
    )
