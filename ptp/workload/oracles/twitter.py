"""The Twitter growth system: what is pending, and each day's numbers, counted day by day from the rows of the days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ptp.workload.draws import Drawn
from ptp.workload.oracles.comparing import descending, ratio, told, unlike_rows, unlike_values
from ptp.workload.oracles.witness import Check, Witness

DAYS = 400
MONTHS = 12
_PENDING = 20
_TARGET = (500, 1_000)
_OPPORTUNITY = (
    "id", "opportunity_type", "relevance_score", "suggested_response", "created_at", "tweet_id", "tweet_text",
    "tweet_created_at", "account_id", "username", "display_name", "followers_count",
)  # fmt: skip
_STORED = (
    "date", "followers_count", "new_followers", "lost_followers", "impressions", "engagement_rate", "ai_costs",
)  # fmt: skip
_MEANS = ("new_followers", "impressions", "engagement_rate", "ai_costs")
_DAY = (*_STORED, "cost_per_follower", *(f"mean_{name}" for name in _MEANS))
_MONTH = ("month", "days", "net_followers", "target_low", "target_high", "against_target")


def pending(witness: Witness) -> Check:
    """The check of the 20 most relevant opportunities that are pending."""
    sql = """
        SELECT o.id, o.opportunity_type, o.relevance_score, o.suggested_response, o.created_at,
               t.id, t.text, t.created_at, a.id, a.username, a.display_name, a.followers_count
        FROM engagement_opportunities AS o
        JOIN tweets AS t ON t.id = o.tweet_id JOIN twitter_accounts AS a ON a.id = o.account_id
        WHERE o.status = 'pending'"""

    def make() -> list[Any]:
        return sorted(witness.rows(sql), key=lambda row: (descending(row[2]), row[0].encode()))[:_PENDING]

    def check(_drawn: Drawn, found: Any) -> str | None:
        return unlike_rows(found, witness.kept("pending", make), _OPPORTUNITY)

    return witness.checking_equal("pending", lambda _: None, check)


def writing_a_day(witness: Witness, *, metrics: Callable[[Drawn], Any], now: int) -> Check:
    """The check of writing a day's metrics: the day's row is these and no other row changes.

    Each call starts from what the one before it left, so none may be left unchecked.
    """

    def read() -> dict[str, dict[str, Any]]:
        return {row["date"]: row for row in witness.records("SELECT * FROM growth_metrics")}

    days = read()

    def check(drawn: Drawn, found: Any) -> str | None:
        given = metrics(drawn)
        before, now_there = dict(days), read()
        days.clear()
        days.update(now_there)
        own = now_there.pop(given.date, None)
        known = before.pop(given.date, {"created_at": now})
        if found is not None or own is None:
            return f"{told(found)} was returned" if found is not None else f"there is no row of {given.date}"
        due = {**known, **{name: getattr(given, name) for name in given.__dataclass_fields__}}
        wrong = unlike_values(own, due)
        return wrong or (None if now_there == before else "the row of another day was changed")

    return witness.checking(check)


def growth(witness: Witness, *, now: int) -> Check:
    """The check of growth over 400 days."""
    last = datetime.fromtimestamp(now, UTC).date()

    def make() -> list[Any]:
        days = _days(witness)
        wanted = (last - timedelta(days=back) for back in reversed(range(DAYS)))
        return [_growth(days, day) for day in wanted if day in days]

    def check(_drawn: Drawn, found: Any) -> str | None:
        return unlike_rows(found, witness.kept("growth", make), _DAY)

    return witness.checking_equal("growth", lambda _: None, check)


def net_followers(witness: Witness, *, now: int) -> Check:
    """The check of net followers of 12 months."""
    last = datetime.fromtimestamp(now, UTC).date()

    def make() -> list[Any]:
        months: dict[tuple[int, int], list[int]] = {}
        for day, row in sorted(_days(witness).items()):
            ago = (last.year - day.year) * 12 + last.month - day.month
            if day <= last and ago < MONTHS:
                net = (row["new_followers"] or 0) - (row["lost_followers"] or 0)
                months.setdefault((day.year, day.month), []).append(net)
        return [_month(f"{year:04}-{month:02}", nets) for (year, month), nets in months.items()]

    def check(_drawn: Drawn, found: Any) -> str | None:
        return unlike_rows(found, witness.kept("months", make), _MONTH)

    return witness.checking_equal("months", lambda _: None, check)


def _days(witness: Witness) -> dict[date, dict[str, Any]]:
    rows = witness.records(f"SELECT {', '.join(_STORED)} FROM growth_metrics")
    return {date.fromisoformat(row["date"]): row for row in rows}


def _growth(days: Mapping[date, Mapping[str, Any]], day: date) -> tuple[Any, ...]:
    own = days[day]
    week = [days[one] for back in range(7) if (one := day - timedelta(days=back)) in days]
    cost, came = own["ai_costs"], own["new_followers"]
    per_follower = cost / came if cost is not None and came else None
    known = {name: [row[name] for row in week if row[name] is not None] for name in _MEANS}
    means = (ratio(float(sum(values)), len(values)) for values in known.values())
    return (*(own[name] for name in _STORED), per_follower, *means)


def _month(month: str, nets: list[int]) -> tuple[Any, ...]:
    net, (low, high) = sum(nets), _TARGET
    against = "below" if net < low else "above" if net > high else "within"
    return month, len(nets), net, low, high, against
