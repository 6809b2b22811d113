"""One event loop in a thread of its own, for the drivers that only know asyncio; each call has a deadline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as Late
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The loop; its thread ends with the process."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # what went wrong is told to who asked
    threading.Thread(target=loop.run_forever, name="ptp-remote", daemon=True).start()
    return loop


def waited(work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """The result of a coroutine on the loop; raises TimeoutError after `seconds`, and the work is cancelled."""
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result(seconds)
    except Late:
        if not future.done():
            future.cancel()
        raise TimeoutError from None
    except BaseException:
        future.cancel()
        raise
