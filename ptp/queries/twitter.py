"""The Twitter growth system: what to engage with, and what it brought and cost per day and month."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import Engine, bindparam, literal_column, select, text
from sqlalchemy.dialects.sqlite import insert

from ptp.engine import atomic
from ptp.queries.arguments import LONGEST_PERIOD_DAYS, day_of, day_text, finite, moment, page, whole
from ptp.queries.tables import GROWTH_METRICS, OPPORTUNITIES, TWEETS, TWITTER_ACCOUNTS, Prepared, rows_of

TARGET_NET_FOLLOWERS = (500, 1_000)
"""What is wanted of a month, both included."""

AgainstTarget: TypeAlias = Literal["below", "within", "above"]


class Opportunity(NamedTuple):
    """A pending opportunity with its tweet and account; times in Unix seconds."""

    id: str
    opportunity_type: str | None
    relevance_score: float | None
    suggested_response: str | None
    created_at: int | None
    tweet_id: str
    tweet_text: str
    tweet_created_at: int | None
    account_id: str
    username: str
    display_name: str | None
    followers_count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyMetrics:
    """What one day brought: `date` as YYYY-MM-DD, `ai_costs` in dollars, None where it is not known."""

    date: str
    followers_count: int | None = None
    following_count: int | None = None
    new_followers: int | None = None
    lost_followers: int | None = None
    tweets_sent: int | None = None
    engagements_made: int | None = None
    impressions: int | None = None
    profile_visits: int | None = None
    engagement_rate: float | None = None
    ai_costs: float | None = None


class GrowthDay(NamedTuple):
    """One day's growth; the means are over the last 7 days up to and with it, of the days that are there.

    Costs are dollars; `cost_per_follower` is None where nobody came.
    """

    date: str
    followers_count: int | None
    new_followers: int | None
    lost_followers: int | None
    impressions: int | None
    engagement_rate: float | None
    ai_costs: float | None
    cost_per_follower: float | None
    mean_new_followers: float | None
    mean_impressions: float | None
    mean_engagement_rate: float | None
    mean_ai_costs: float | None


class GrowthMonth(NamedTuple):
    """Followers won less followers lost in a month (YYYY-MM), over `days` days that are there, beside the target."""

    month: str
    days: int
    net_followers: int
    target_low: int
    target_high: int
    against_target: AgainstTarget


class TwitterQueries:
    """The queries of the Twitter growth system, on an engine of `ptp.engine.open_engine`."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine; nothing is read yet."""
        self._engine = engine

    def pending_opportunities(self, *, limit: int = 20) -> tuple[Opportunity, ...]:
        """The pending opportunities with their tweet and account, most relevant first."""
        with self._engine.connect() as db:
            rows = _PENDING.rows(db, {"limit": page(limit)})
        return rows_of(Opportunity, rows)

    def record_daily_metrics(self, metrics: DailyMetrics, *, now: int | None = None) -> None:
        """Write the metrics of a day; what stood there for that day is replaced.

        Raises UsageError for a day that is not of the calendar.
        """
        values = {**asdict(metrics), "date": day_text("date", metrics.date), "created_at": moment(now)}
        for name, value in asdict(metrics).items():
            if name in ("engagement_rate", "ai_costs") and value is not None:
                finite(name, value)
            elif name != "date" and value is not None:
                whole(name, value, low=-(2**53), high=2**53)
        with atomic(self._engine) as db:
            _RECORD.rows(db, values)

    def growth_analytics(self, *, days: int = 30, now: int | None = None) -> tuple[GrowthDay, ...]:
        """Each of the last `days` days that is there, up to and with today (UTC), in order.

        Raises UsageError unless `days` is from 1 to 3,660.
        """
        last = day_of(moment(now))
        first = _back(last, whole("days", days, low=1, high=LONGEST_PERIOD_DAYS) - 1)
        values = {"first": first, "last": last}
        with self._engine.connect() as db:
            rows = _GROWTH.rows(db, {name: day.isoformat() for name, day in values.items()})
        return rows_of(GrowthDay, rows)

    def net_followers(self, *, months: int = 12, now: int | None = None) -> tuple[GrowthMonth, ...]:
        """Net followers of each of the last `months` months that has a day, this month's included, in order.

        Raises UsageError unless `months` is from 1 to 120.
        """
        last = day_of(moment(now))
        months_since_zero = last.year * 12 + last.month - whole("months", months, low=1, high=120)
        first = date(months_since_zero // 12, months_since_zero % 12 + 1, 1)
        with self._engine.connect() as db:
            rows = _MONTHS.rows(db, {"first": first.isoformat(), "last": last.isoformat()})
        return tuple(_month(*row) for row in rows)


def _against_target(net_followers: int) -> AgainstTarget:
    low, high = TARGET_NET_FOLLOWERS
    return "below" if net_followers < low else "within" if net_followers <= high else "above"


def _month(month: str, days: int, net_followers: int) -> GrowthMonth:
    return GrowthMonth(month, days, net_followers, *TARGET_NET_FOLLOWERS, _against_target(net_followers))


def _back(day: date, days: int) -> date:
    return day - timedelta(days=min(days, (day - date.min).days))


_PENDING = Prepared(
    select(
        *(
            OPPORTUNITIES.c[n]
            for n in ("id", "opportunity_type", "relevance_score", "suggested_response", "created_at")
        ),
        *(TWEETS.c.id, TWEETS.c.text, TWEETS.c.created_at),
        *(TWITTER_ACCOUNTS.c[n] for n in ("id", "username", "display_name", "followers_count")),
    )
    .select_from(
        OPPORTUNITIES.join(TWEETS, TWEETS.c.id == OPPORTUNITIES.c.tweet_id).join(
            TWITTER_ACCOUNTS, TWITTER_ACCOUNTS.c.id == OPPORTUNITIES.c.account_id
        )
    )
    .where(OPPORTUNITIES.c.status == literal_column("'pending'"))
    .order_by(OPPORTUNITIES.c.relevance_score.desc(), OPPORTUNITIES.c.id)
    .limit(bindparam("limit"))
)


def _record() -> Any:
    names = (*DailyMetrics.__dataclass_fields__, "created_at")
    statement = insert(GROWTH_METRICS).values({name: bindparam(name) for name in names})
    replaced = {name: statement.excluded[name] for name in names if name not in ("date", "created_at")}
    return statement.on_conflict_do_update(index_elements=["date"], set_=replaced)


# By days, not by rows: where days are missing, 7 rows are more than 7 days. Both sides go by the index on the date,
# and the groups come in its order, so that nothing is sorted.
_GROWTH = Prepared(
    text("""
    SELECT own.date, own.followers_count, own.new_followers, own.lost_followers, own.impressions,
           own.engagement_rate, own.ai_costs, own.ai_costs * 1.0 / own.new_followers AS cost_per_follower,
           avg(week.new_followers), avg(week.impressions), avg(week.engagement_rate), avg(week.ai_costs)
    FROM growth_metrics AS own
    CROSS JOIN growth_metrics AS week ON week.date BETWEEN date(own.date, '-6 days') AND own.date
    WHERE own.date BETWEEN :first AND :last
    GROUP BY own.date ORDER BY own.date
""")
)

# Each month is a range of days.
_MONTHS = Prepared(
    text("""
    WITH RECURSIVE months (month) AS (
        SELECT :first
        UNION ALL
        SELECT date(month, '+1 month') FROM months WHERE date(month, '+1 month') <= :last
    )
    SELECT substr(months.month, 1, 7) AS month,
           (SELECT count(*) FROM growth_metrics
            WHERE date BETWEEN months.month AND min(date(months.month, '+1 month', '-1 day'), :last)) AS days,
           (SELECT sum(coalesce(new_followers, 0) - coalesce(lost_followers, 0)) FROM growth_metrics
            WHERE date BETWEEN months.month AND min(date(months.month, '+1 month', '-1 day'), :last)) AS net
    FROM months WHERE days > 0
""")
)

_RECORD = Prepared(_record())
