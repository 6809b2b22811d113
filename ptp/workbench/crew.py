"""A crew: calls made side by side, some here and some in processes of their own.

A helper is a Python that reads calls from its standard input and writes what they return to its standard output. It is
not one of `multiprocessing`: those run the main module again, and one whose parent was killed would wait for ever.
"""

from __future__ import annotations

import contextlib
import pickle
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

from ptp.errors import CannotFinish

T = TypeVar("T")
Helper: TypeAlias = subprocess.Popen[bytes]


class Crew:
    """This process and its helpers, for as long as they are wanted."""

    def __init__(self, helpers: Sequence[Helper] = ()) -> None:
        """A crew of these helpers; of this process alone where there are none."""
        self._helpers = helpers

    def results(self, calls: Sequence[Callable[[], T]], done: Callable[[int], None]) -> list[T]:
        """What the calls return, in their order; `done` is told how many have been made, here between two calls.

        A call and what it returns can be pickled. Raises what a call raises, and CannotFinish where a helper ended.
        """
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(calls)):
            waiting.put(number)
        found: dict[int, T] = {}
        with ThreadPoolExecutor(max(1, len(self._helpers))) as threads:
            driven = [threads.submit(_take, waiting, calls, found, _sent_to(helper)) for helper in self._helpers]
            _take(waiting, calls, found, lambda call: call(), lambda: done(len(found)))
            for future in driven:
                future.result()
        done(len(found))
        return [found[number] for number in range(len(calls))]


def _take(
    waiting: queue.SimpleQueue[int],
    calls: Sequence[Callable[[], T]],
    found: dict[int, T],
    make: Callable[[Callable[[], T]], T],
    done: Callable[[], None] = lambda: None,
) -> None:
    """Make one call after the other, until none is left or one fails, which ends it for all."""
    with contextlib.suppress(queue.Empty):
        while True:
            number = waiting.get_nowait()
            try:
                done()
                found[number] = make(calls[number])
            except BaseException:
                _drain(waiting)  # or the others would go on with what nobody wants any more
                raise


def _drain(waiting: queue.SimpleQueue[int]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            waiting.get_nowait()


def _sent_to(helper: Helper) -> Callable[[Callable[[], T]], T]:
    assert helper.stdin is not None and helper.stdout is not None
    to, back = helper.stdin, helper.stdout

    def make(call: Callable[[], T]) -> T:
        try:
            to.write(pickle.dumps(call))
            to.flush()
            raised, answer = pickle.load(back)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise CannotFinish("A process that helps ended before it was done: is there enough memory?") from None
        if raised:
            raise answer
        result: T = answer
        return result

    return make


@contextlib.contextmanager
def crew(workers: int) -> Iterator[Crew]:
    """A crew of so many processes, this one included; the others are gone at the end, whatever happens."""
    command = [sys.executable, "-c", f"from {__name__} import serve; serve()"]
    helpers: list[Helper] = []
    try:
        for _ in range(workers - 1):
            # In a session of its own, so that Ctrl-C is ours alone.
            helpers.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        yield Crew(helpers)
    finally:
        for helper in helpers:
            helper.kill()
            helper.communicate()


def serve() -> None:
    """Be a helper: make the calls that come in, until there are no more; an error is an answer too."""
    back, sys.stdout = sys.stdout.buffer, sys.stderr
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            call: Callable[[], Any] = pickle.load(sys.stdin.buffer)
            try:
                answer: tuple[bool, Any] = (False, call())
            except Exception as problem:
                answer = (True, problem)
            back.write(pickle.dumps(answer))
            back.flush()
