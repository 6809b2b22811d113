"""The bill for the reader: by plan, month, number of users and query, what would save, and what it depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

from ptp.engine.prices import Tariff
from ptp.report.words import plural
from ptp.results import Estimate
from ptp.scale.cost import End, bill_of, carried, cents, cheapest, contributions, exact
from ptp.scale.sensitivity import Input, Swing, swings
from ptp.workbench.scale_bill import Month, at_end
from ptp.workbench.scale_inputs import billed_words
from ptp.workload.traffic import TARIFF

BILLS, GROWTH, BY_USERS = "Bills", "Bill by month", "Bill by size"
CONTRIBUTIONS, SAVINGS = "Cost by query", "What would save"
CACHED, KEPT = "share of reads from a cache", "months of answers kept"
_STEPS = (1, 2, 5)


def bill_rows(month: Month, ends: Mapping[str, End]) -> Iterator[dict[str, Any]]:
    """A row a plan: the bill line by line, and where the budget ends."""
    for tariff in month.prices.tariffs:
        bill, end = month.bill(tariff), ends[tariff.name]
        yield {
            "plan": tariff.name,
            "dollars": money(bill.dollars),
            "base": money(bill.base),
            **{f"{line.item.replace(' ', '_')}_dollars": money(line.dollars) for line in bill.lines},
            **{f"{line.item.replace(' ', '_')}_share": line.share for line in bill.lines},
            "over_quota": ", ".join(bill.over),
            "price_unknown": ", ".join(bill.unknown),
            "quota_that_binds_first": end.binds,
            "at_users": end.binds_at,
            "budget_carries_users": end.people,
            "then": what_ends(end),
            "commit_latency_up_to_ms": tariff.commit_latency_ms,
            "restore_days": tariff.restore_days,
        }


def what_ends(end: End) -> str:
    """Why one user more is too many, in words."""
    if end.people is None:
        return "the plan alone is over the budget"
    if end.unknown:
        return f"no price is known for {' and '.join(end.unknown)} over the quota"
    return "the bill is over the budget"


def growth_rows(month: Month) -> Iterator[dict[str, Any]]:
    """A row a month at the growth asked for: users, the least bill, and on which plan."""
    wanted = month.wanted
    factor, kept = 1 + Fraction(str(wanted.growth)) / 100, Fraction(0)
    for number in range(1, wanted.months + 1):
        users = ceil(wanted.users * factor ** (number - 1))
        kept += month.month_bytes(users)
        usage = replace(month.usage(users, month=0), stored_bytes=ceil(month.seen.stored_bytes + kept))
        chosen = [month.tariff] if wanted.plan_in(month.prices) else list(month.prices.tariffs)
        bill = cheapest(usage, chosen)
        dollars = bill.dollars if bill else None
        yield {
            "month": number,
            "users": users,
            "plan": bill.plan if bill else None,
            "dollars": money(dollars),
            "within_budget": dollars is not None and dollars <= wanted.dollars,
            "rows_read": usage.rows_read,
            "rows_written": usage.rows_written,
            "stored_bytes": usage.stored_bytes,
            "synced_bytes": usage.synced_bytes,
        }


def rows_by_users(month: Month, ends: Mapping[str, End]) -> Iterator[dict[str, Any]]:
    """Bills of each plan at more and more users, with the places where the budget and the quotas end."""
    last = max([month.wanted.users, *(end.people or 0 for end in ends.values())])
    counts = {n * 10**power for power in range(2, 10) for n in _STEPS if n * 10**power <= 3 * last}
    edges = [n for end in ends.values() for n in (end.people, end.binds_at) if n and n <= 3 * last]
    counts |= {month.wanted.users, *edges, *(n + 1 for n in edges)}
    for users in sorted(counts):
        usage = month.usage(users)
        for tariff in month.prices.tariffs:
            bill = bill_of(usage, tariff)
            yield {
                "active_users": users,
                "plan": tariff.name,
                "dollars": None if bill.dollars is None else float(bill.dollars),
                "budget": month.wanted.budget,
                "over_quota": ", ".join(bill.over),
            }


def contribution_rows(month: Month) -> list[dict[str, Any]]:
    """A row a query: rows of a month, and what each is worth as if quotas were used up, at the prices of `TARIFF`."""
    rates = month.wanted.traffic().rates
    return [
        {
            "query": c.name,
            "calls_a_month": c.calls,
            "why": rates[c.name].reason,
            "rows_read": float(c.read),
            "rows_written": float(c.written),
            "dollars": float(c.dollars),
            "share_percent": 100 * c.share,
        }
        for c in contributions(month.demands(month.wanted.users), month.prices.tariff(TARIFF))
    ]


def saving_rows(month: Month, tariff: Tariff) -> list[dict[str, Any]]:
    """What caches and replicas save: rows read, the bill, and how many more users the budget carries."""
    plain = replace(month, wanted=replace(month.wanted, cache_hits=0.0, topology="primary"))
    tries = [("no cache, no replicas", plain)]
    for share in (0.5, 0.8, 0.95):
        cached = replace(plain.wanted, cache_hits=share)
        tries.append((f"a cache that answers {share:.0%} of the reads", replace(plain, wanted=cached)))
    for count, names in _replicated(month.wanted.where):
        nearby = replace(plain.wanted, topology="replicas", regions=names)
        tries.append((f"local replicas in {plural(count, 'region')}", replace(plain, wanted=nearby)))
    return [_saving_row(what, tried, plain, tariff) for what, tried in tries]


def _replicated(where: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    return [(count, tuple(where[:count])) for count in dict.fromkeys((min(2, len(where)), len(where)))]


def _saving_row(what: str, tried: Month, plain: Month, tariff: Tariff) -> dict[str, Any]:
    usage, before = tried.usage(tried.wanted.users), plain.usage(plain.wanted.users)
    bill, end = bill_of(usage, tariff), tried.end(tariff)
    saved = before.rows_read - usage.rows_read
    each = tariff.read_per_billion
    return {
        "what": what,
        "plan": tariff.name,
        "rows_read": usage.rows_read,
        "rows_read_saved": saved,
        "worth_dollars": None if each is None else float(exact(each) * saved / 10**9),
        "synced_bytes": usage.synced_bytes,
        "dollars": money(bill.dollars),
        "price_unknown": ", ".join(bill.unknown),
        "budget_carries_users": end.people,
        "then": what_ends(end),
    }


def cost_inputs(month: Month) -> tuple[Input, ...]:
    """What the number of users that the budget carries depends on."""
    wanted = month.wanted
    read, written = (_spread(month, kind) for kind in ("read", "written"))
    counted = f"billed rows of {len(month.seen.queries)} queries, {billed_words(month.seen)}"
    twice = "declared traffic; half and twice"
    halves = [(max(1, value // 2), value * 2) for value in (wanted.sessions, wanted.answers)]
    return (
        Input("sessions a user", "a month", wanted.sessions, *halves[0], measured=False, source=twice),
        Input("answers a session", "", wanted.answers, *halves[1], measured=False, source=twice),
        Input("billed rows read", "times", 1.0, *read, measured=True, source=counted),
        Input("billed rows written", "times", 1.0, *written, measured=True, source=counted),
        Input(CACHED, "", wanted.cache_hits, 0.0, 0.9, measured=False, source="as asked for; none, and nine of ten"),
        Input(KEPT, "", wanted.months, 1, max(24, wanted.months), measured=False, source="as asked for; 1 and 24"),
    )


def _spread(month: Month, kind: str) -> tuple[float, float]:
    """By which factor the rows of a month may be off, at the declared traffic of each query."""
    calls = {demand.name: demand.calls for demand in month.demands(month.wanted.users)}
    rows = [
        (calls[name], getattr(one, kind), getattr(one, f"{kind}_range")) for name, one in month.seen.queries.items()
    ]
    whole = sum(n * float(value) for n, value, _ in rows) or 1.0
    low, high = (sum(n * ends[side] for n, _, ends in rows) / whole for side in (0, 1))
    return min(1.0, low), max(1.0, high)


def cost_swings(month: Month, tariff: Tariff) -> tuple[Swing, ...]:
    """How many users the budget carries on a plan, with each input at its ends."""

    def users_of(values: Mapping[str, float]) -> float:
        wanted = replace(
            month.wanted,
            sessions=round(values["sessions a user"]),
            answers=round(values["answers a session"]),
            cache_hits=values[CACHED],
            months=round(values[KEPT]),
        )
        scale = (Fraction(values["billed rows read"]), Fraction(values["billed rows written"]))
        moved = replace(month, wanted=wanted, scale=scale)
        return float(carried(wanted.dollars, moved.usage, tariff) or 0)

    return swings(cost_inputs(month), users_of)


def bill_estimates(month: Month) -> Iterator[Estimate]:
    """The bill of each plan whose price is known, that of the plan of the month last."""
    chosen = month.tariff.name
    for tariff in sorted(month.prices.tariffs, key=lambda t: t.name == chosen):
        dollars = month.bill(tariff).dollars
        low, high = (replace(month, seen=at_end(month.seen, side)).bill(tariff).dollars for side in (0, 1))
        if dollars is not None and low is not None and high is not None:
            what = "bill of a month" if tariff.name == chosen else f"bill on {tariff.name}"
            values = (float(cents(each)) for each in (dollars, min(low, dollars), max(high, dollars)))
            yield _estimate(month, tariff, what, *values)


def _estimate(month: Month, tariff: Tariff, what: str, value: float, low: float, high: float) -> Estimate:
    wanted, usage = month.wanted, month.usage(month.wanted.users)
    inputs: dict[str, float | str] = {
        "rows read": float(usage.rows_read),
        "rows written": float(usage.rows_written),
        "tariff": tariff.name,
        "users": float(wanted.users),
        "sessions a user": float(wanted.sessions),
        "answers a session": float(wanted.answers),
        "months kept": float(wanted.months),
        "bytes stored": float(usage.stored_bytes),
        "bytes synced": float(usage.synced_bytes),
        "prices of": month.prices.date,
        "billed rows": month.seen.billing,
    }
    model = "billed rows of a call x calls of a month x prices, and storage and syncs"
    return Estimate(what, "$ a month", value, low, high, model, inputs)


def money(dollars: Decimal | None) -> float | None:
    """$ to the cent, for a table."""
    return None if dollars is None else float(cents(dollars))
