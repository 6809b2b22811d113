"""What an index is worth, from the effects of its absence: rows, $ a month at the declared traffic, and the advice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ptp.engine.prices import Tariff
from ptp.workbench.trying import Effect, Side
from ptp.workload.traffic import TRAFFIC, month_dollars

Advice: TypeAlias = Literal["keep", "drop", "add", "do not add"]

NEGLIGIBLE = 0.10
"""$ a month for which nobody should change an index."""
_CENT = 0.01
SLOWER, SLOWER_MS = 2.0, 0.1
"""A query is slower without an index where it takes this many times as long, and so many ms more."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What one query's calls save and cost with an index, beside without it; rows are of a call."""

    query: str
    with_it: Side
    without: Side

    @property
    def calls(self) -> float:
        """Calls a month at the declared traffic."""
        return TRAFFIC.rates[self.query].calls

    @property
    def reads_saved(self) -> float:
        """Billed rows read that a call saves."""
        return self.without.read - self.with_it.read

    @property
    def writes_added(self) -> float:
        """Billed rows written that a call takes more."""
        return self.with_it.written - self.without.written

    @property
    def times(self) -> float | None:
        """How many times as long a call takes without it; None where it is run the same way."""
        return self.without.ms / self.with_it.ms if self.without.ms and self.with_it.ms else None

    @property
    def is_slower(self) -> bool:
        """Whether a call takes so much longer without it that this counts."""
        if self.without.ms is None or self.with_it.ms is None:
            return False
        return self.without.ms >= SLOWER * self.with_it.ms and self.without.ms - self.with_it.ms >= SLOWER_MS

    def dollars(self, tariff: Tariff, *, read: float, written: float) -> float:
        """$ a month of so many rows of a call."""
        return month_dollars(self.query, tariff, read=read, written=written)


@dataclass(frozen=True, slots=True)
class Worth:
    """What an index is worth: its differences by query, and `broken`, the queries that do not run without it."""

    differences: tuple[Difference, ...]
    broken: tuple[str, ...]
    tariff: Tariff

    @property
    def reads_saved(self) -> float:
        """Billed rows read that are saved in a month."""
        return sum(d.calls * d.reads_saved for d in self.differences)

    @property
    def writes_added(self) -> float:
        """Billed rows written that a month takes more."""
        return sum(d.calls * d.writes_added for d in self.differences)

    @property
    def saved(self) -> float:
        """$ a month for the rows read that are saved."""
        return sum(d.dollars(self.tariff, read=d.reads_saved, written=0) for d in self.differences)

    @property
    def cost(self) -> float:
        """$ a month for the rows written more."""
        return sum(d.dollars(self.tariff, read=0, written=d.writes_added) for d in self.differences)

    @property
    def net(self) -> float:
        """$ a month that it saves, less what it costs."""
        return self.saved - self.cost

    @property
    def net_range(self) -> tuple[float, float]:
        """The least and most of `net`, as far as the model of billed rows is known."""
        ends = [list(_ends(d)) for d in self.differences]
        low, high = (
            sum(
                d.dollars(self.tariff, read=end[side][0], written=0)
                for d, end in zip(self.differences, ends, strict=True)
            )
            - sum(
                d.dollars(self.tariff, read=0, written=end[1 - side][1])
                for d, end in zip(self.differences, ends, strict=True)
            )
            for side in (0, 1)
        )
        return min(low, self.net), max(high, self.net)

    @property
    def most_gained(self) -> Difference | None:
        """The query that gains the most by it; None where none is run another way."""
        timed = [d for d in self.differences if d.times is not None]
        return max(timed, key=lambda d: (d.is_slower, d.times), default=None)


def worth_of_dropped(effects: tuple[Effect, ...], tariff: Tariff) -> Worth:
    """What an index is worth, from what dropping it does."""
    found = tuple(Difference(e.query, e.before, e.after) for e in effects if e.before and e.after)
    return Worth(found, tuple(e.query for e in effects if e.error), tariff)


def worth_of_created(effects: tuple[Effect, ...], tariff: Tariff) -> Worth:
    """What an index would be worth, from what creating it does."""
    turned = tuple(replace(e, before=e.after, after=e.before) for e in effects if not e.error)
    return worth_of_dropped(turned, tariff)


def advice_of(
    worth: Worth, *, serves: tuple[str, ...], waiting: tuple[str, ...] = (), duty: str | None
) -> tuple[Advice, str]:
    """Whether to keep an index, and why; `duty` is what it is there for besides queries, None where that is all.

    `waiting` are queries that would look in it, but have nothing here to be called with: of them nothing was measured.
    A few cents are no reason to drop one: rows grow, and with them what it saves.
    """
    gains = worth.most_gained
    if worth.broken:
        return "keep", f"{worth.broken[0]} does not run without it"
    if gains and gains.is_slower:
        return "keep", f"without it {gains.query} takes {_ms(gains.without)} for {_ms(gains.with_it)}; {_told(worth)}"
    if serves and worth.net >= 0:
        return "keep", _told(worth)
    if duty:
        return "keep", f"it is there for a duty besides queries: {duty}; {_told(worth)}"
    if waiting:
        return "keep", f"{waiting[0]} reads it, and has nothing here to be called with: not measured"
    if serves and worth.net > -NEGLIGIBLE:
        return "keep", f"{_told(worth)}, which is next to nothing"
    lack = f"no query takes {SLOWER:g} times as long without it" if serves else "no query of the workload reads it"
    return "drop", f"{lack}; {_told(worth)}"


def advice_to_add(worth: Worth) -> tuple[Advice, str]:
    """Whether to add an index that was suggested, after it was tried."""
    gains = worth.most_gained
    if gains and gains.is_slower:
        return "add", f"with it {gains.query} takes {_ms(gains.with_it)} for {_ms(gains.without)}; {_told(worth)}"
    if worth.net > NEGLIGIBLE:
        return "add", _told(worth)
    return "do not add", f"no query gains {SLOWER:g} times by it; {_told(worth)}"


def _ends(d: Difference) -> Iterator[tuple[float, float]]:
    """Rows read saved and written added by a call, at the least and at the most."""
    for side in (0, 1):
        read = (
            d.without.billed.read_range[side] / d.without.calls
            - d.with_it.billed.read_range[1 - side] / d.with_it.calls
        )
        written = (
            d.with_it.billed.written_range[side] / d.with_it.calls
            - d.without.billed.written_range[1 - side] / d.without.calls
        )
        yield read, written


def _ms(side: Side) -> str:
    return f"{side.ms:,.3g} ms"


def _told(worth: Worth) -> str:
    """What it saves and costs, in a few words."""
    if abs(worth.net) < _CENT / 2:
        return "it saves and costs less than a cent a month"
    if worth.net < 0:
        return f"it costs ${-worth.net:,.2f} a month more than it saves"
    return f"it saves ${worth.net:,.2f} a month more than it costs"
