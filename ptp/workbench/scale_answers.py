"""The answers in words: whether the budget holds, on which plan, what breaks it; whether everyone is served in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from ptp.results import Finding, Verdict
from ptp.scale.cost import End, cents
from ptp.scale.sensitivity import Input
from ptp.workbench.scale_bill import Month, furthest
from ptp.workbench.scale_bill_tables import what_ends
from ptp.workbench.scale_inputs import billed_words
from ptp.workbench.scale_latency import Answer, Tried, World, furthest_from, nearest_primary
from ptp.workbench.scale_shapes import CLAIMED, BothWays
from ptp.workbench.scale_wanted import LIMIT_MS, Estimates
from ptp.workload.limits import LIMITS_MS


def cost_finding(month: Month, ends: Mapping[str, End], severity: Estimates) -> Finding:
    """Whether the budget holds for the users asked for; a bill with an unknown price is inconclusive."""
    wanted, bill = month.wanted, month.bill()
    low, high = month.range()
    return Finding(
        id="scale.cost.month",
        claim=f"Estimated: a month of {wanted.users:,} active users costs at most ${wanted.dollars:,.2f}",
        verdict=_held(low, high, wanted.dollars),
        severity=severity,
        value=None if bill.dollars is None else float(cents(bill.dollars)),
        unit="$ a month",
        limit=wanted.budget,
        low=None if low is None else float(cents(low)),
        high=None if high is None else float(cents(high)),
        n=len(month.seen.queries),
        evidence=f"{_on_plan(month)} {_breaks(month, ends)} Billed rows: {billed_words(month.seen)}, by "
        f"{month.seen.billing}; traffic is declared, not measured; prices of {month.prices.date}.",
    )


def _held(low: Decimal | None, high: Decimal | None, budget: Decimal) -> Verdict:
    if high is not None and high <= budget:
        return "pass"
    return "fail" if low is not None and low > budget else "inconclusive"


def _on_plan(month: Month) -> str:
    bill, users = month.bill(), f"{month.wanted.users:,} active users"
    if bill.dollars is None:
        return f"With {users} the bill on {bill.plan} is unknown: {' and '.join(bill.unknown)} over the quota."
    over = f", with {' and '.join(bill.over)} over the quota" if bill.over else ", within every quota"
    return f"With {users} the bill is ${cents(bill.dollars):,} on {bill.plan}{over}."


def _breaks(month: Month, ends: Mapping[str, End]) -> str:
    """Up to where the budget holds, and on which plan it goes furthest."""
    here, best = ends[month.tariff.name], furthest(ends)
    budget = f"${month.wanted.dollars:,.2f}"
    if best is None:
        return f"{budget} carries no plan at all."
    parts = []
    if here.people is not None:
        parts.append(f"On {here.plan} {budget} holds up to {here.people:,} users; one more, and {what_ends(here)}.")
    if best.plan != here.plan:
        parts.append(f"It goes furthest on {best.plan}: {best.people:,} users, and then {what_ends(best)}.")
    parts.append(f"On {best.plan} the first quota that is used up is {best.binds}, at {best.binds_at:,} users.")
    return " ".join(parts)


def answers_rows(
    month: Month, world: World, asked: Answer, tried: Sequence[Tried], ends: Mapping[str, End], shape: BothWays
) -> list[dict[str, str]]:
    """The questions that are asked first, each with its answer."""
    wanted, bill = month.wanted, month.bill()
    holds = bill.dollars is not None and bill.dollars <= wanted.dollars
    over = [name for name, found in asked.regions.items() if found.value >= LIMIT_MS]
    rows = [
        (
            f"Does ${wanted.dollars:,.2f} a month hold with {wanted.users:,} active users?",
            f"{'Yes' if holds else 'No' if bill.dollars is not None else 'Unknown'}. {_on_plan(month)} "
            f"{_breaks(month, ends)}",
        ),
        (
            f"Does every region see a p95 under {LIMIT_MS:g} ms with the {asked.variant.title}?",
            _served(world, asked, over, tried),
        ),
        ("Does head cost 40 % less than the raw shape?", _forty(shape)),
        (
            "What commit does the plan add?",
            f"Up to {month.tariff.commit_latency_ms or 0:g} ms on {month.tariff.name}, by "
            f"{month.prices.commit_latency_source} of {month.prices.commit_latency_date}; a dearer plan adds less.",
        ),
        ("What is measured, and what assumed?", "See the table Inputs of the model: each input says which it is."),
    ]
    return [{"question": question, "answer": answer} for question, answer in rows]


def _served(world: World, asked: Answer, over: Sequence[str], tried: Sequence[Tried]) -> str:
    worst, primary = asked.regions[asked.worst], asked.variant.primary
    text = (
        f"With the primary in {primary} the worst is {asked.worst}, {worst.value:.0f} ms ({worst.low:.0f} to "
        f"{worst.high:.0f}); all users together {asked.everyone.value:.0f} ms. "
    )
    if not over:
        return f"Yes. {text}"
    text = f"No. {text}Over the limit: {', '.join(over)}. "
    helps = [one.title for one in tried if one.holds(LIMIT_MS)]
    if helps:
        return f"{text}What would help: {'; or '.join(helps)}."
    best = min(tried, key=lambda one: one.regions[one.worst])
    return (
        f"{text}Nothing that was tried is enough; least is {best.regions[best.worst]:.0f} ms in {best.worst}, by "
        f"{best.title}. {_floor(world)}"
    )


def _floor(world: World) -> str:
    """What no setting can go below: a write goes once to the one primary and back."""
    best = nearest_primary(world)
    far, region = furthest_from(world, best)
    least = far + world.wanted.last_mile
    cannot = "so one primary is not enough for all of these regions" if least >= LIMIT_MS else "so little else fits in"
    return (
        f"Wherever the one primary stands, a write from the furthest region takes at least {least:.0f} ms "
        f"({region} to {best}, and the last mile), {cannot}."
    )


def _forty(shape: BothWays) -> str:
    more = "less" if shape.saved >= 0 else "more"
    reads = [f"{row['query']} {row['raw_read']:,.0f} to {row['head_read']:,.0f}" for row in shape.rows]
    return (
        f"{'Yes' if shape.saved >= CLAIMED else 'No'}: {abs(shape.saved):.0f} % {more}, counted: ${shape.raw:.4f} a "
        f"month in the raw shape and ${shape.head:.4f} at head for the same {len(shape.rows)} operations, each row at "
        "its price. Rows read of a call: "
        f"{'; '.join(reads)}."
    )


def traffic_inputs(month: Month, world: World) -> Iterator[Input]:
    """What the model takes as it is, with where it comes from; none of it is swung."""
    wanted, seen = month.wanted, month.seen
    trips = [one.trips for one in world.asked.values()]
    yield _as_is("active users", "", wanted.users, measured=False, source="as asked for")
    yield _as_is("growth", "% a month", wanted.growth, measured=False, source="as asked for")
    yield _as_is("requests", "a second, in the mean", world.rate, measured=False, source="the declared traffic")
    mean = sum(trips) / max(len(trips), 1)
    yield Input(
        "round trips a call", "", mean, min(trips), max(trips), True, "counted at the driver, BEGIN and COMMIT too"
    )
    yield _as_is("bytes stored now", "", seen.stored_bytes, measured=True, source="pages of the target")
    for table, each in seen.row_bytes.items():
        yield _as_is(f"bytes a row of {table}", "", each, measured=True, source="pages of the table and its indexes")
    yield _as_is("queries counted", f"of {len(LIMITS_MS)}", len(seen.queries), measured=True, source=seen.billing)
    paid = f"{month.prices.source}, {month.prices.date}"
    yield _as_is(f"price of {month.tariff.name}", "$ a month", month.tariff.month, measured=False, source=paid)


def _as_is(name: str, unit: str, value: float, *, measured: bool, source: str) -> Input:
    return Input(name, unit, value, value, value, measured, source)
