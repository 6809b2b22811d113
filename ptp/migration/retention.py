"""Which backups a policy lets go: the newest N stay, and the newest of each day for D days, for each database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from ptp.migration.record import Record


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup with its record."""

    path: Path
    record: Record

    @property
    def taken(self) -> datetime:
        """When it was taken, in UTC."""
        return datetime.fromisoformat(self.record.taken).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Decided:
    """A backup and why it stays; one with no reason goes."""

    backup: Kept
    reason: str


def decide(
    backups: Sequence[Kept], *, keep: int, days: int, now: datetime, proven: Collection[Path], named: Collection[Path]
) -> list[Decided]:
    """For each backup whether it stays, newest first within each database.

    `proven` are those that were just found whole, of which the newest of each database stays whatever the policy says;
    `named` are those on which a run relies.
    """
    found: list[Decided] = []
    by_source = sorted(backups, key=lambda b: b.record.source)
    for _, group in groupby(by_source, key=lambda b: b.record.source):
        newest_first = sorted(group, key=lambda b: (b.taken, b.path.name), reverse=True)
        newest = next((b.path for b in newest_first if b.path in proven), None)
        seen: set[object] = set()
        for number, backup in enumerate(newest_first):
            day = backup.taken.date()
            is_daily = day not in seen and day > (now - timedelta(days=days)).date()
            seen.add(day)
            reasons = (
                ("the newest that is proven", backup.path == newest),
                ("a run relies on it", backup.path in named),
                (f"one of the newest {keep}", number < keep),
                ("the newest of its day", is_daily),
            )
            found.append(Decided(backup, next((reason for reason, holds in reasons if holds), "")))
    return found
