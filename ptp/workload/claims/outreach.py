"""The Twitter growth system and the cost of AI as plain SQL does them (see `study`).

The raw shape has no such tables. The first that has them is the drizzle shape, so that plain SQL stands on that: on its
tables and its indexes, with times in Unix seconds.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from ptp.workload.claims.plain import Plain

_DAY = 86_400


def pending_opportunities(db: Plain, *, limit: int = 20) -> list[tuple[Any, ...]]:
    """The most relevant pending opportunities; in the order of `ptp.queries.Opportunity`.

    Assumed: one query for the page, and for each opportunity on it one for the tweet and one for the account.
    """
    found = []
    for *opportunity, tweet_id, account_id in db.execute(_PENDING, (limit,)).fetchall():
        tweet = db.execute("SELECT id, text, created_at FROM tweets WHERE id = ?", (tweet_id,)).fetchone()
        account = db.execute(_ACCOUNT, (account_id,)).fetchone()
        found.append((*opportunity, *tweet, *account))
    return found


def growth_analytics(db: Plain, *, last: date, days: int) -> list[tuple[Any, ...]]:
    """Growth per day up to and with `last`; in the order of `ptp.queries.GrowthDay`.

    Assumed: one statement, which computes each of the four rolling means of a day by a query in its columns.
    """
    first = last - timedelta(days=days - 1)
    return db.execute(_GROWTH, (first.isoformat(), last.isoformat())).fetchall()


def ai_cost_summary(db: Plain, *, now: int, days: int = 30) -> list[tuple[Any, ...]]:
    """Cost by purpose and model of the last whole days; in the order of `ptp.queries.AiCost`.

    Assumed: one statement, which groups the calls of the period.
    """
    today = now // _DAY
    return db.execute(_COSTS, ((today - days + 1) * _DAY, (today + 1) * _DAY)).fetchall()


_PENDING = """
    SELECT id, opportunity_type, relevance_score, suggested_response, created_at, tweet_id, account_id
    FROM engagement_opportunities
    WHERE status = 'pending'
    ORDER BY relevance_score DESC, id
    LIMIT ?"""

_ACCOUNT = "SELECT id, username, display_name, followers_count FROM twitter_accounts WHERE id = ?"


def _mean(column: str) -> str:
    return f"(SELECT avg(w.{column}) FROM growth_metrics w WHERE w.date BETWEEN date(m.date, '-6 days') AND m.date)"


_GROWTH = f"""
    SELECT m.date, m.followers_count, m.new_followers, m.lost_followers, m.impressions, m.engagement_rate, m.ai_costs,
           m.ai_costs * 1.0 / m.new_followers,
           {_mean("new_followers")},
           {_mean("impressions")},
           {_mean("engagement_rate")},
           {_mean("ai_costs")}
    FROM growth_metrics m
    WHERE m.date BETWEEN ? AND ?
    ORDER BY m.date"""

_COSTS = """
    SELECT purpose, model, count(*), coalesce(sum(cost_cents), 0) / 100.0 AS dollars, avg(cost_cents) / 100.0,
           avg(success)
    FROM ai_generation_log
    WHERE created_at >= ? AND created_at < ?
    GROUP BY purpose, model
    ORDER BY dollars DESC, purpose, model"""
