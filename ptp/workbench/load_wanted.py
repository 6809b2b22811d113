"""The load that is asked for, checked before anything is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from ptp.errors import UsageError
from ptp.evidence import Run
from ptp.workbench.identity import as_given, versions
from ptp.workbench.server_process import check_servable, is_ready
from ptp.workload.users import PROFILES, LoadProfile, ProfileName

NAME = "04_load"
TITLE = "Load"

DriverName: TypeAlias = Literal["http", "process"]

SECONDS = 60.0
LONGEST_S, MOST_USERS, MOST_RATE = 86_400.0, 100_000, 100_000.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The load that is asked for; `users` and `rate` take the place of those of the profile."""

    profile: ProfileName = "medium"
    driver: DriverName = "http"
    seconds: float = SECONDS
    users: int | None = None
    rate: float | None = None
    seed: int = 1
    url: str | None = None
    workers: int = 1

    def check(self) -> None:
        """Raise UsageError for what cannot be made."""
        if not 1 <= self.seconds <= LONGEST_S:
            raise UsageError(f"A load of {self.seconds:g} s cannot be made: give 1 to {LONGEST_S:,.0f} seconds.")
        if self.users is not None and not 1 <= self.users <= MOST_USERS:
            raise UsageError(f"A load of {self.users} users cannot be made: give 1 to {MOST_USERS:,}.")
        if self.rate is not None and not 0 < self.rate <= MOST_RATE:
            raise UsageError(f"A load of {self.rate:g} requests/s cannot be made: give up to {MOST_RATE:,.0f}.")
        if self.url is not None and self.driver != "http":
            raise UsageError("--url is of a server, and goes with --driver http.")
        if self.url is not None and not is_ready(self.url):
            raise UsageError(f"{self.url} does not answer as ready: start it with ptp serve, or leave out --url.")
        if self.driver == "http" and self.url is None:
            check_servable()

    @property
    def behaviour(self) -> LoadProfile:
        """The profile with what was asked for instead."""
        found = PROFILES[self.profile]
        found = found if self.users is None else found.of(self.users)
        return found if self.rate is None else found.at(self.rate)


def run_of(target: Path, folder: Path, wanted: Wanted, *, started: datetime, seconds: float) -> Run:
    """What was loaded, as the run folder tells it."""
    return Run(
        id=folder.name,
        source="",
        target=as_given(target),
        profile=wanted.profile,
        env="dev",
        started=started.astimezone(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        versions=versions(),
    )
