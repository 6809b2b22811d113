"""An executor of threads in this process: real requests for the open loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from types import TracebackType

from ptp.benchmark.clocks import Clock
from ptp.benchmark.openloop import Done

_STOP = -1
_PATIENCE_S = 1.0


class Threads:
    """Makes `call(number)` for each request, in one of `threads` threads; a context manager that ends them.

    What a call raises is the request's error, and so is what `check` says of its number and what it returned, after the
    clock has been read. Few threads in a process: they wait for each other's interpreter.
    """

    def __init__(
        self,
        call: Callable[[int], object],
        *,
        threads: int,
        clock: Clock = time.perf_counter_ns,
        check: Callable[[int, object], str | None] | None = None,
    ) -> None:
        """Start the threads. They are daemons, so that a call which never returns does not hold the process."""
        self._call = call
        self._clock = clock
        self._check = check
        self._due: SimpleQueue[int] = SimpleQueue()
        self._done: SimpleQueue[Done] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def start(self, number: int) -> None:
        """Hand a request to the next thread that is free."""
        self._due.put(number)

    def finished(self) -> Iterator[Done]:
        """The requests that have ended since this was last asked."""
        try:
            while True:
                yield self._done.get_nowait()
        except Empty:
            return

    def __enter__(self) -> Threads:
        """The executor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads that are free; one that hangs is left behind."""
        for _ in self._threads:
            self._due.put(_STOP)
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def _work(self) -> None:
        while (number := self._due.get()) != _STOP:
            started = self._clock()
            try:
                answered = self._call(number)
                ended = self._clock()
                error = self._check(number, answered) if self._check else None
            except Exception as problem:
                ended, error = self._clock(), f"{type(problem).__name__}: {problem}"
            self._done.put(Done(number, started, ended, error))
