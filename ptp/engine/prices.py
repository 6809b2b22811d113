"""What billed rows cost: the vendor's price page as it stood on a date, kept as data in prices.json."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("prices.json")
_OLD_DAYS = 365


@dataclass(frozen=True, slots=True)
class Tariff:
    """One plan of the vendor's: $ a month, what it includes, and $ for what is beyond; None is unknown.

    Storage and syncs are in GB, `restore_days` is how far back a point in time can be restored. `commit_latency_ms` is
    the most that the plan adds to a commit, by the vendor's word.
    """

    name: str
    month: float
    read_included: int
    written_included: int
    read_per_billion: float | None
    written_per_million: float | None
    storage_included_gb: int | None = None
    storage_per_gb: float | None = None
    syncs_included_gb: int | None = None
    sync_per_gb: float | None = None
    restore_days: int | None = None
    commit_latency_ms: float | None = None

    def dollars(self, read: float, written: float) -> float | None:
        """What so many rows read and written cost in $ once the included ones are used up; None where unknown."""
        if self.read_per_billion is None or self.written_per_million is None:
            return None
        return read / 1e9 * self.read_per_billion + written / 1e6 * self.written_per_million

    def month_dollars(self, read: float, written: float) -> float | None:
        """The whole bill in $ of a month with so many rows read and written; None where what is over has no price."""
        over_read, over_written = max(0.0, read - self.read_included), max(0.0, written - self.written_included)
        if not over_read and not over_written:
            return self.month
        over = self.dollars(over_read, over_written)
        return None if over is None else self.month + over


@dataclass(frozen=True, slots=True)
class Prices:
    """The vendor's tariffs on a date, in ISO 8601, and where they were taken from."""

    vendor: str
    date: str
    source: str
    tariffs: tuple[Tariff, ...]
    commit_latency_date: str = ""
    commit_latency_source: str = ""

    def tariff(self, name: str) -> Tariff:
        """The tariff of that name."""
        return next(t for t in self.tariffs if t.name == name)

    def cheapest(self, read: float, written: float) -> tuple[Tariff, float]:
        """The tariff with the lowest bill of a month with so many rows read and written, and that bill in $."""
        known = [(dollars, t) for t in self.tariffs if (dollars := t.month_dollars(read, written)) is not None]
        dollars, tariff = min(known, key=lambda pair: pair[0])
        return tariff, dollars

    def words(self, today: datetime.date) -> str:
        """Date and source in a few words, with a warning where they are older than a year."""
        age = (today - datetime.date.fromisoformat(self.date)).days
        old = f"; {age} days old, so look at the vendor's page" if age > _OLD_DAYS else ""
        return f"{self.vendor}'s prices of {self.date}, from {self.source}{old}"


def load_prices() -> Prices:
    """The prices that ptp knows."""
    document = json.loads(_FILE.read_text(encoding="utf-8"))
    tariffs = tuple(Tariff(**each) for each in document["plans"])
    head = {name: value for name, value in document.items() if name != "plans"}
    return Prices(tariffs=tariffs, **head)
