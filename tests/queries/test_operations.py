"""Opportunities, growth, AI cost and question analytics: against a plain Python model of the tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from statistics import fmean
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptp.errors import UsageError
from ptp.queries import AnalyticsQueries, DailyMetrics, TwitterQueries

NOW = 1_750_000_000
TODAY = date(2025, 6, 15)
DAY = 86_400
PROPERTY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def mean(values: list[Any]) -> Any:
    known = [value for value in values if value is not None]
    return pytest.approx(fmean(known)) if known else None


def test_pending_opportunities_come_by_relevance_with_tweet_and_account(head: Any) -> None:
    head.add("twitter_accounts", id="acc", username="somebody", followers_count=12)
    head.add("tweets", id="t", account_id="acc", text="Which exam?")
    rows = (("a", 0.5, "pending"), ("b", 0.9, "pending"), ("c", 1.0, "approved"), ("d", None, "pending"),
            ("e", 0.5, "pending"))  # fmt: skip
    for key, score, status in rows:
        head.add("engagement_opportunities", id=key, tweet_id="t", account_id="acc", relevance_score=score,
                 status=status, opportunity_type="reply")  # fmt: skip
    found = TwitterQueries(head.engine).pending_opportunities()
    assert [o.id for o in found] == ["b", "a", "e", "d"]
    assert (found[0].tweet_text, found[0].username, found[0].followers_count) == ("Which exam?", "somebody", 12)
    assert [o.id for o in TwitterQueries(head.engine).pending_opportunities(limit=2)] == ["b", "a"]


METRIC_DAYS = st.dictionaries(
    st.integers(0, 40),
    st.tuples(
        st.none() | st.integers(0, 50),
        st.none() | st.integers(0, 50),
        st.none() | st.floats(0, 99),
        st.none() | st.floats(0, 1),
    ),
    max_size=25,
)


@PROPERTY
@given(days=METRIC_DAYS, period=st.sampled_from([1, 7, 20, 400]))
def test_growth_agrees_with_a_plain_model(new_head: Callable[[], Any], days: dict[int, Any], period: int) -> None:
    head = new_head()
    queries, model = TwitterQueries(head.engine), {}
    for ago, (new, lost, cost, rate) in days.items():
        day = TODAY - timedelta(days=ago)
        model[day] = (new, lost, cost, rate)
        metrics = DailyMetrics(date=day.isoformat(), new_followers=new, lost_followers=lost, ai_costs=cost,
                               engagement_rate=rate)  # fmt: skip
        queries.record_daily_metrics(metrics, now=NOW)
    queries.record_daily_metrics(DailyMetrics(date="2025-06-16", new_followers=10_000), now=NOW)
    found = queries.growth_analytics(days=period, now=NOW)
    assert [g.date for g in found] == [d.isoformat() for d in sorted(model) if (TODAY - d).days < period]
    for growth in found:
        day = date.fromisoformat(growth.date)
        new, _, cost, rate = model[day]
        week = [model[d] for d in model if 0 <= (day - d).days < 7]
        assert growth.cost_per_follower == (pytest.approx(cost / new) if new and cost is not None else None)
        assert (growth.new_followers, growth.ai_costs, growth.engagement_rate) == (new, cost, rate)
        assert growth.mean_new_followers == mean([row[0] for row in week])
        assert growth.mean_ai_costs == mean([row[2] for row in week])
        assert growth.mean_engagement_rate == mean([row[3] for row in week])
    months = {d.isoformat()[:7] for d in model}
    for month in queries.net_followers(months=2, now=NOW):
        held = [row for d, row in model.items() if d.isoformat()[:7] == month.month]
        assert (month.days, month.net_followers) == (len(held), sum((n or 0) - (lost or 0) for n, lost, *_ in held))
        months.discard(month.month)
    assert months <= {"2025-04"}


@pytest.mark.parametrize(("net", "verdict"), [
    (499, "below"), (500, "within"), (1_000, "within"), (1_001, "above"), (-3, "below"),
])  # fmt: skip
def test_net_followers_stand_beside_their_target(head: Any, net: int, verdict: str) -> None:
    queries = TwitterQueries(head.engine)
    queries.record_daily_metrics(DailyMetrics(date="2025-06-01", new_followers=2_000, lost_followers=2_000 - net))
    (month,) = queries.net_followers(now=NOW)
    assert (month.against_target, month.target_low, month.target_high) == (verdict, 500, 1_000)


def test_a_year_of_months_crosses_new_year(head: Any) -> None:
    queries = TwitterQueries(head.engine)
    for day in ("2024-06-30", "2024-07-01", "2025-01-01"):
        queries.record_daily_metrics(DailyMetrics(date=day, new_followers=1))
    assert [m.month for m in queries.net_followers(months=12, now=NOW)] == ["2024-07", "2025-01"]


def test_a_day_that_is_recorded_again_is_replaced(head: Any) -> None:
    queries = TwitterQueries(head.engine)
    queries.record_daily_metrics(DailyMetrics(date="2025-06-01", new_followers=5, impressions=9), now=NOW)
    queries.record_daily_metrics(DailyMetrics(date="2025-06-01", new_followers=7), now=NOW + 1)
    (row,) = head.rows("SELECT new_followers, impressions, created_at FROM growth_metrics")
    assert row == {"new_followers": 7, "impressions": None, "created_at": NOW}


@pytest.mark.parametrize("day", ["2025-02-30", "20250601", "2025-6-1", "", "'; DROP TABLE growth_metrics; --", "now"])
def test_a_day_that_is_none_is_refused(head: Any, day: str) -> None:
    with pytest.raises(UsageError, match="it must be a day of the calendar"):
        TwitterQueries(head.engine).record_daily_metrics(DailyMetrics(date=day))
    assert head.rows("SELECT * FROM growth_metrics") == []


def test_a_metric_that_is_no_number_is_refused(head: Any) -> None:
    metrics: Any = {"date": "2025-06-01", "impressions": "1); DROP TABLE users; --"}
    with pytest.raises(UsageError, match="impressions is"):
        TwitterQueries(head.engine).record_daily_metrics(DailyMetrics(**metrics))


LOG = st.lists(
    st.tuples(st.sampled_from(["draft", "review"]), st.sampled_from(["m1", "m2"]), st.none() | st.floats(0, 500),
              st.sampled_from([None, 0, 1]), st.sampled_from([None, 0, DAY, *(29 * DAY + NOW % DAY + s for s in (-1, 0, 1)), 31 * DAY])),
    max_size=12,
)  # fmt: skip


@PROPERTY
@given(rows=LOG)
def test_ai_cost_agrees_with_a_plain_model(new_head: Callable[[], Any], rows: list[Any]) -> None:
    head = new_head()
    model: dict[tuple[str, str], list[Any]] = {}
    for purpose, name, cents, success, age in rows:
        head.add("ai_generation_log", purpose=purpose, model=name, cost_cents=cents, success=success,
                 created_at=None if age is None else NOW - age)  # fmt: skip
        if age is not None and (NOW - age) // DAY > NOW // DAY - 30:
            model.setdefault((purpose, name), []).append((cents, success))
    head.add("ai_generation_log", purpose="later", model="m1", cost_cents=1, created_at=NOW + DAY)
    found = AnalyticsQueries(head.engine).ai_cost_summary(now=NOW)
    assert {(c.purpose, c.model) for c in found} == set(model)
    assert [c.cost_dollars for c in found] == sorted((c.cost_dollars for c in found), reverse=True)
    for cost in found:
        calls = model[cost.purpose, cost.model]
        known = [cents / 100 for cents, _ in calls if cents is not None]
        assert (cost.calls, cost.cost_dollars) == (len(calls), pytest.approx(sum(known)))
        assert isinstance(cost.cost_dollars, float)
        assert cost.mean_cost_dollars == mean(known)
        assert cost.success_rate == mean([success for _, success in calls])


@PROPERTY
@given(rows=st.lists(st.tuples(st.sampled_from([None, 0, 10, 11, 40]), st.integers(0, 11)), max_size=12),
       limit=st.sampled_from([2, 100]))  # fmt: skip
def test_question_analytics_agree_with_a_plain_model(new_head: Callable[[], Any], rows: list[Any], limit: int) -> None:
    head = new_head()
    exams = [head.add("exams"), head.add("exams")]
    objectives = [head.add("objectives", exam_id=exam) for exam in exams]
    model = []
    for total, right in rows:
        row = {"total_attempts": total, "correct_attempts": right, "avg_time_seconds": 33, "discrimination_index": 0.2}
        key = head.add("questions", exam_id=exams[0], objective_id=objectives[0], **row)
        head.add("questions", exam_id=exams[1], objective_id=objectives[1], **row)
        if total is not None and total > 10:
            model.append((right / total, key))
    found = AnalyticsQueries(head.engine).question_analytics(exam_id=exams[0], limit=limit)
    assert [(q.success_rate, q.question_id) for q in found] == sorted(model)[:limit]
    assert all((q.avg_time_seconds, q.discrimination_index) == (33, 0.2) for q in found)


def test_bad_periods_limits_and_exams_are_refused(head: Any) -> None:
    twitter, analytics = TwitterQueries(head.engine), AnalyticsQueries(head.engine)
    for call, message in (
        (lambda: twitter.growth_analytics(days=0), "days is 0"),
        (lambda: twitter.net_followers(months=121), "months is 121"),
        (lambda: twitter.pending_opportunities(limit=0), "limit is 0"),
        (lambda: analytics.ai_cost_summary(days=3_661), "days is 3661"),
        (lambda: analytics.question_analytics(exam_id=9), "There is no exam with id 9"),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_the_longest_periods_are_possible_at_any_time(head: Any) -> None:
    assert TwitterQueries(head.engine).growth_analytics(days=3_660, now=0) == ()
    assert TwitterQueries(head.engine).net_followers(months=120, now=0) == ()
    assert AnalyticsQueries(head.engine).ai_cost_summary(days=3_660, now=0) == ()
