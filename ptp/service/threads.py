"""The threads that run queries for the event loop: as many as there are connections, since more would only wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class _Task(NamedTuple):
    run: Callable[[], Any]
    context: Context
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


class Threads:
    """A queue and its threads. An executor of the standard library does the same for twice the time of a short task."""

    def __init__(self, count: int) -> None:
        """Begin none: each begins when a task comes and all others are busy, up to `count` of them."""
        self._count, self._begun, self._busy = count, 0, 0
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """What the function gives or raises, from a thread, in this context; to be called by the event loop."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._busy += 1
        if self._busy > self._begun < self._count:
            self._begun += 1
            # A daemon: a query that never ends must not keep the process from ending.
            threading.Thread(target=self._work, name=f"ptp-query-{self._begun}", daemon=True).start()
        self._tasks.put(_Task(function, copy_context(), loop, done))
        return done

    def close(self) -> None:
        """End the threads once they have done what is in the queue."""
        for _ in range(self._begun):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            result, problem = None, None
            try:
                result = task.context.run(task.run)
            except BaseException as raised:
                problem = raised
            try:
                task.loop.call_soon_threadsafe(self._finish, task.done, result, problem)
            except RuntimeError:  # the loop has ended, and nobody waits any more
                return
            del task, result, problem  # what a request held is not kept until the next

    def _finish(self, done: asyncio.Future[Any], result: Any, problem: BaseException | None) -> None:
        self._busy -= 1
        if done.cancelled():
            return
        if problem is None:
            done.set_result(result)
        else:
            done.set_exception(problem)
