"""The bill of a month: usage in whole rows and bytes, times the prices of a plan, in exact decimal $.

Nothing is rounded on the way, so that one row either side of a quota shows. What is over a quota and has no known
price makes the bill unknown; it is never taken for nothing. Beyond the storage included each GB that is begun is
billed, which is the dearer reading of a price "each GB"; a GB is taken for 10^9 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil
from typing import TypeAlias

from ptp.engine.prices import Tariff

GB = 1_000_000_000
MOST = 10**12
"""No search goes further."""

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a month uses, in whole rows and bytes; `stored_bytes` is what is there at its end."""

    rows_read: int = 0
    rows_written: int = 0
    stored_bytes: int = 0
    synced_bytes: int = 0


UsageOf: TypeAlias = Callable[[int], Usage]
"""What a month of so many people uses; more people never use less."""


@dataclass(frozen=True, slots=True)
class Line:
    """One item of a bill in its own unit: what was used, what the plan includes, and the $ for what is over it.

    `included` and `dollars` are None where they are not known.
    """

    item: str
    used: int
    included: int | None
    dollars: Decimal | None

    @property
    def over(self) -> int:
        """What is beyond the plan; nothing where nobody knows what it includes."""
        return 0 if self.included is None else max(0, self.used - self.included)

    @property
    def share(self) -> float | None:
        """How much of what is included is used."""
        return self.used / self.included if self.included else None


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill of a month on a plan, line by line; `base` is the price of the plan itself."""

    plan: str
    base: Decimal
    lines: tuple[Line, ...]

    @property
    def dollars(self) -> Decimal | None:
        """All of it; None where a line has no known price."""
        parts = [line.dollars for line in self.lines]
        known = [part for part in parts if part is not None]
        return None if len(known) < len(parts) else sum(known, self.base)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The items that are over their quota at a price which nobody knows."""
        return tuple(line.item for line in self.lines if line.dollars is None)

    @property
    def over(self) -> tuple[str, ...]:
        """The items that are over their quota."""
        return tuple(line.item for line in self.lines if line.over)


def bill_of(usage: Usage, tariff: Tariff) -> Bill:
    """What a month with this usage costs on a plan."""
    gb_bytes = (_bytes(tariff.storage_included_gb), _bytes(tariff.syncs_included_gb))
    lines = (
        _line("rows read", usage.rows_read, tariff.read_included, _each(tariff.read_per_billion, 10**9)),
        _line("rows written", usage.rows_written, tariff.written_included, _each(tariff.written_per_million, 10**6)),
        _line("storage", usage.stored_bytes, gb_bytes[0], _each(tariff.storage_per_gb, 1), unit=GB),
        _line("syncs", usage.synced_bytes, gb_bytes[1], _each(tariff.sync_per_gb, 1), unit=GB),
    )
    return Bill(tariff.name, exact(tariff.month), lines)


def cheapest(usage: Usage, tariffs: Iterable[Tariff]) -> Bill | None:
    """The lowest bill that is known; None where no plan's is."""
    bills = [(bill.dollars, place, bill) for place, t in enumerate(tariffs) if (bill := bill_of(usage, t))]
    known = [(dollars, place, bill) for dollars, place, bill in bills if dollars is not None]
    return min(known, key=lambda one: one[:2])[2] if known else None


def exact(price: float) -> Decimal:
    """A price as it is written, not as the nearest binary fraction."""
    return Decimal(str(price))


def cents(dollars: Decimal) -> Decimal:
    """$ to the cent, half a cent up: for showing only."""
    return dollars.quantize(_CENT, rounding=ROUND_HALF_UP)


def _line(item: str, used: int, included: int | None, each: Decimal | None, *, unit: int = 1) -> Line:
    bare = Line(item, used, included, Decimal(0))
    if included is None:  # nobody knows the quota: only nothing is surely free
        return Line(item, used, None, None if used else Decimal(0))
    if not bare.over:
        return bare
    return Line(item, used, included, None if each is None else -(-bare.over // unit) * each)


def _each(price: float | None, of: int) -> Decimal | None:
    return None if price is None else exact(price) / of


def _bytes(gb: int | None) -> int | None:
    return None if gb is None else gb * GB


def greatest(holds: Callable[[int], bool], *, most: int = MOST) -> int | None:
    """The greatest whole number from 0 to `most` for which `holds` is true, by bisection; None where none is.

    `holds` must be monotone: once false, false for all that is greater.
    """
    if not holds(0):
        return None
    low, high = 0, 1
    while high <= most and holds(high):
        low, high = high, high * 2
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


@dataclass(frozen=True, slots=True)
class End:
    """How many people a budget carries on a plan: at most `people`, None where it does not even carry the plan.

    One user more costs over the budget; or, where `unknown` names items, what no price is known for.
    `binds` is the item whose quota is used up first, at `binds_at` people.
    """

    plan: str
    people: int | None
    unknown: tuple[str, ...]
    binds: str
    binds_at: int


def end_of(budget: Decimal, usage_of: UsageOf, tariff: Tariff) -> End:
    """The number of people at which a budget in $ ends on a plan."""

    people = carried(budget, usage_of, tariff)
    beyond = bill_of(usage_of(0 if people is None else people + 1), tariff)
    binds, at = first_quota(usage_of, tariff)
    return End(tariff.name, people, beyond.unknown if exact(tariff.month) <= budget else (), binds, at)


def carried(budget: Decimal, usage_of: UsageOf, tariff: Tariff) -> int | None:
    """The most people whose bill on a plan is known and within a budget in $; None where it is not even for nobody."""

    def holds(people: int) -> bool:
        dollars = bill_of(usage_of(people), tariff).dollars
        return dollars is not None and dollars <= budget

    return greatest(holds)


def first_quota(usage_of: UsageOf, tariff: Tariff) -> tuple[str, int]:
    """The item whose quota is used up first as people become more, and the most people that stay within all of them."""

    def within(item: int) -> int:
        found = greatest(lambda people: not bill_of(usage_of(people), tariff).lines[item].over)
        return -1 if found is None else found

    lines = bill_of(usage_of(0), tariff).lines
    at, place = min((within(item), item) for item in range(len(lines)))
    return ("none", at) if at >= MOST else (lines[place].item, at)


@dataclass(frozen=True, slots=True)
class Demand:
    """One kind of call in a month: how often, and its billed rows as exact means; `only_reads`: it writes nothing."""

    name: str
    calls: int
    read: Fraction
    written: Fraction
    only_reads: bool


def rows_of(
    demands: Sequence[Demand], *, cache_hits: Fraction = Fraction(0), replicas: bool = False
) -> tuple[int, int]:
    """Billed rows read and written in a month, each rounded up to a whole row.

    Of calls that only read, the share `cache_hits` asks no database, and with `replicas` none asks the primary: what
    a local replica reads is not billed.
    """
    read, written = Fraction(0), Fraction(0)
    for one in demands:
        asked = 1 if not one.only_reads else 0 if replicas else 1 - cache_hits
        read += one.calls * one.read * asked
        written += one.calls * one.written
    return ceil(read), ceil(written)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one kind of call adds to a month: rows, their $ as if all quotas were used up, and the share of all $."""

    name: str
    calls: int
    read: Fraction
    written: Fraction
    dollars: Decimal
    share: float


def contributions(demands: Sequence[Demand], tariff: Tariff) -> tuple[Contribution, ...]:
    """What each kind of call contributes, the dearest first; raises ValueError for a plan whose rows have no price."""
    each = _each(tariff.read_per_billion, 10**9), _each(tariff.written_per_million, 10**6)
    if each[0] is None or each[1] is None:
        raise ValueError(f"The tariff {tariff.name} has no known price for a row.")
    of_each = [
        (one, decimal(one.calls * one.read) * each[0] + decimal(one.calls * one.written) * each[1]) for one in demands
    ]
    whole = sum((dollars for _, dollars in of_each), Decimal(0)) or Decimal(1)
    found = [
        Contribution(d.name, d.calls, d.calls * d.read, d.calls * d.written, dollars, float(dollars / whole))
        for d, dollars in of_each
    ]
    return tuple(sorted(found, key=lambda c: (-c.dollars, c.name)))


def decimal(value: Fraction) -> Decimal:
    """A fraction as a decimal number; means over a few calls have no end in it, so to 28 digits."""
    return Decimal(value.numerator) / value.denominator
