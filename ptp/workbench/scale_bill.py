"""The bill of a month: billed rows of a call, as counted, times the traffic asked for, times dated prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil

from ptp.engine.prices import Prices, Tariff
from ptp.scale.cost import Bill, Demand, End, Usage, bill_of, cheapest, end_of, rows_of
from ptp.workbench.scale_inputs import Observations, Observed
from ptp.workbench.scale_wanted import Wanted
from ptp.workload.calls import WRITERS, new_rows


@dataclass(frozen=True, slots=True)
class Month:
    """The month that is billed: its inputs, what was observed, and the prices.

    `scale` multiplies the rows observed, for trying other figures: of reads, of writes.
    """

    wanted: Wanted
    seen: Observations
    prices: Prices
    scale: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))

    def demands(self, users: int) -> tuple[Demand, ...]:
        """How often each query is called in a month of so many users, with its rows."""
        rates = self.wanted.traffic(users).rates
        read, written = self.scale
        return tuple(
            Demand(name, round(rates[name].calls), one.read * read, one.written * written, name not in WRITERS)
            for name, one in self.seen.queries.items()
        )

    def usage(self, users: int, *, month: int | None = None) -> Usage:
        """What a month of so many users uses, when the answers of `month` months are kept."""
        demands = self.demands(users)
        replicas = self.wanted.topology == "replicas"
        read, written = rows_of(demands, cache_hits=self.wanted.hits, replicas=replicas)
        kept = self.wanted.months if month is None else month
        stored = self.seen.stored_bytes + kept * self.month_bytes(users)
        return Usage(read, written, ceil(stored), self.synced(users))

    def month_bytes(self, users: int) -> Fraction:
        """The bytes that a month of so many users adds to the database."""
        rows = new_rows(self.wanted.traffic(users))
        return sum(
            (Fraction(round(rows[table])) * Fraction(each) for table, each in self.seen.row_bytes.items()), Fraction(0)
        )

    def synced(self, users: int) -> int:
        """The bytes that go to local replicas in a month: what the calls write to the log, once for each replica."""
        if self.wanted.topology != "replicas":
            return 0
        logged = sum(d.calls * self.seen.queries[d.name].logged_bytes for d in self.demands(users))
        return logged * len(self.wanted.where)

    @property
    def tariff(self) -> Tariff:
        """The plan asked for, or the one with the lowest bill; Pro where none has a known one."""
        name = self.wanted.plan_in(self.prices)
        if name is None:
            least = cheapest(self.usage(self.wanted.users), self.prices.tariffs)
            name = least.plan if least else self.prices.tariffs[-1].name
        return self.prices.tariff(name)

    def bill(self, tariff: Tariff | None = None) -> Bill:
        """The bill of the users asked for."""
        return bill_of(self.usage(self.wanted.users), tariff or self.tariff)

    def end(self, tariff: Tariff) -> End:
        """How many users the budget carries on a plan."""
        return end_of(self.wanted.dollars, lru_cache(maxsize=None)(self.usage), tariff)

    def range(self) -> tuple[Decimal | None, Decimal | None]:
        """The bill with all billed rows at their least, and at their most; on the plan of the month."""
        plan = self.tariff
        found = [replace(self, seen=at_end(self.seen, side)).bill(plan).dollars for side in (0, 1)]
        return found[0], found[1]


def at_end(seen: Observations, side: int) -> Observations:
    """With billed rows at one end of what they may be."""

    def moved(one: Observed) -> Observed:
        read, written = Fraction(one.read_range[side]), Fraction(one.written_range[side])
        return replace(one, read=read, written=written)

    return replace(seen, queries={name: moved(one) for name, one in seen.queries.items()})


def ends_of_plans(month: Month) -> dict[str, End]:
    """How many users the budget carries, by plan."""
    return {t.name: month.end(t) for t in month.prices.tariffs}


def furthest(ends: Mapping[str, End]) -> End | None:
    """The plan on which the budget carries the most users; None where it carries none."""
    able = [end for end in ends.values() if end.people is not None]
    return max(able, key=lambda end: end.people or 0) if able else None
