"""How long a remote is waited for, and how often it is asked again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ptp.errors import CannotFinish

_T = TypeVar("_T")


class Unreachable(CannotFinish):
    """The remote cannot be reached now, or broke off; asking again later may help."""


class RemoteRefused(CannotFinish):
    """The remote answered, and said no; asking again will not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: to connect, of silence in an answer, and for all of one attempt; then attempts and pauses between them.

    Before the attempt n a pause is drawn from 0 to `first_pause_s` x 2^n, `longest_pause_s` at most, so that many
    replicas that lost one server do not come back at the same moment.
    """

    connect_s: float = 5.0
    silence_s: float = 30.0
    attempt_s: float = 600.0
    attempts: int = 4
    first_pause_s: float = 0.25
    longest_pause_s: float = 5.0


def with_retries(
    work: Callable[[], _T], patience: Patience, *, sleep: Callable[[float], None] = time.sleep
) -> tuple[_T, int]:
    """What `work` gives, and the attempts that it took; only Unreachable is tried again, the last one is raised.

    `work` must do no more when it is done twice.
    """
    attempt = 1
    while True:
        try:
            return work(), attempt
        except Unreachable:
            if attempt >= patience.attempts:
                raise
            sleep(random.uniform(0.0, min(patience.longest_pause_s, patience.first_pause_s * 2**attempt)))
            attempt += 1
