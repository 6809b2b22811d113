"""Round trips between regions of the world: a dated file of averages that a cloud vendor measured, kept as data."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ptp.errors import UsageError

_FILE = Path(__file__).with_name("region-rtt.csv")
_OLD_DAYS = 365


@dataclass(frozen=True, slots=True)
class Regions:
    """Average round trips in ms between regions, on a date in ISO 8601, with source; no user's last mile is in them."""

    date: str
    period: str
    source: str
    round_trips: Mapping[tuple[str, str], float]

    @property
    def names(self) -> tuple[str, ...]:
        """The regions, in the order of the file."""
        return tuple(dict.fromkeys(start for start, _ in self.round_trips))

    def between(self, start: str, end: str) -> float:
        """The average round trip in ms; 0 within a region. Raises UsageError for a region that is not in the file."""
        self.check(start)
        self.check(end)
        return self.round_trips[start, end]

    def check(self, name: str) -> None:
        """Raise UsageError unless the region is in the file."""
        if name not in self.names:
            raise UsageError(f"{name!r} is no region that round trips are known of; they are {', '.join(self.names)}.")

    def days_old(self, today: datetime.date) -> int:
        """How old the figures are."""
        return (today - datetime.date.fromisoformat(self.date)).days

    def words(self, today: datetime.date) -> str:
        """Date and source in a few words, with a warning where they are older than a year."""
        age = self.days_old(today)
        old = f"; {age:,} days old: measure your own, or look for newer ones" if age > _OLD_DAYS else ""
        return f"{self.source}, {self.period}{old}"

    def is_old(self, today: datetime.date) -> bool:
        """Whether the figures are older than a year."""
        return self.days_old(today) > _OLD_DAYS


def load_regions() -> Regions:
    """The round trips that ptp knows."""
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    head = dict(line.removeprefix("# ").split(": ", 1) for line in lines if line.startswith("#"))
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    found = {
        (row["from"], name): float(value) for row in rows for name, value in row.items() if name and name != "from"
    }
    return Regions(head["date"], head["period"], head["source"], found)
