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
    """One plan of the vendor's: $ a month, the billed rows that it includes, $ for those beyond; None is unknown."""

    name: str
    month: float
    read_included: int
    written_included: int
    read_per_billion: float | None
    written_per_million: float | None

    def dollars(self, read: float, written: float) -> float | None:
        """What so many rows read and written cost in $ once the included ones are used up; None where unknown."""
        if self.read_per_billion is None or self.written_per_million is None:
            return None
        return read / 1e9 * self.read_per_billion + written / 1e6 * self.written_per_million


@dataclass(frozen=True, slots=True)
class Prices:
    """The vendor's tariffs on a date, in ISO 8601, and where they were taken from."""

    vendor: str
    date: str
    source: str
    tariffs: tuple[Tariff, ...]

    def words(self, today: datetime.date) -> str:
        """Date and source in a few words, with a warning where they are older than a year."""
        age = (today - datetime.date.fromisoformat(self.date)).days
        old = f"; {age} days old, so look at the vendor's page" if age > _OLD_DAYS else ""
        return f"{self.vendor}'s prices of {self.date}, from {self.source}{old}"


def load_prices() -> Prices:
    """The prices that ptp knows."""
    document = json.loads(_FILE.read_text(encoding="utf-8"))
    tariffs = tuple(Tariff(**each) for each in document["plans"])
    return Prices(document["vendor"], document["date"], document["source"], tariffs)
