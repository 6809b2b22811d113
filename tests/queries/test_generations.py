"""The log of AI calls: what is entered, what is refused, and what a period cost."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from ptp.errors import UsageError
from ptp.queries import AiCost, AnalyticsQueries, NewGeneration

DAY = 86_400
NOON = 20_000 * DAY + DAY // 2


@pytest.fixture
def made(head: Any) -> dict[str, int]:
    exam = head.add("exams")
    return {"exam_id": exam, "objective_id": head.add("objectives", exam_id=exam), "user_id": head.add("users")}


def enter(head: Any, *, now: int = NOON, **values: Any) -> int:
    generation = NewGeneration(**{"purpose": "draft", "model": "m1", **values})
    return AnalyticsQueries(head.engine).log_generation(generation, now=now)


def costs(head: Any, *, now: int = NOON, days: int = 30) -> tuple[AiCost, ...]:
    return AnalyticsQueries(head.engine).ai_cost_summary(days=days, now=now)


def test_a_call_is_entered_as_given(head: Any, made: dict[str, int]) -> None:
    key = enter(head, prompt_tokens=10, completion_tokens=32, cost_cents=1.25, success=False, error_message="too long; '",
                generation_time_ms=900, question_ids=(3, 5), tweet_id="t", opportunity_id="o", request_id="r", **made)  # fmt: skip
    assert head.rows("SELECT * FROM ai_generation_log") == [{
        "id": key, "purpose": "draft", "model": "m1", "prompt_tokens": 10, "completion_tokens": 32, "total_tokens": 42,
        "cost_cents": 1.25, **made, "question_ids": "[3, 5]", "tweet_id": "t", "opportunity_id": "o", "success": 0,
        "error_message": "too long; '", "generation_time_ms": 900, "request_id": "r", "ip_address": None,
        "user_agent": None, "created_at": NOON,
    }]  # fmt: skip


@pytest.mark.parametrize(("given", "total"), [
    ({}, None), ({"prompt_tokens": 7}, 7), ({"completion_tokens": 0}, 0), ({"prompt_tokens": 0, "completion_tokens": 5}, 5),
])  # fmt: skip
def test_tokens_add_up_where_they_are_known(head: Any, given: dict[str, int], total: int | None) -> None:
    enter(head, **given)
    assert head.rows("SELECT total_tokens, question_ids FROM ai_generation_log") == [
        {"total_tokens": total, "question_ids": None}
    ]


@pytest.mark.parametrize(("change", "message"), [
    ({"purpose": ""}, "purpose is ''"), ({"purpose": "  "}, "purpose is"), ({"purpose": None}, "purpose is None"),
    ({"model": ""}, "model is ''"), ({"model": 5}, "model is 5"),
    ({"prompt_tokens": -1}, "prompt_tokens is -1"), ({"completion_tokens": 1.5}, "completion_tokens is 1.5"),
    ({"generation_time_ms": "9"}, "generation_time_ms is '9'"),
    ({"cost_cents": -0.01}, "cost_cents is -0.01"), ({"cost_cents": float("nan")}, "cost_cents is nan"),
    ({"cost_cents": float("inf")}, "cost_cents is inf"), ({"cost_cents": "1"}, "cost_cents is '1'"),
    ({"success": 1}, "success is 1"), ({"success": None}, "success is None"),
    ({"exam_id": 999}, "There is no exam with id 999."), ({"objective_id": 999}, "There is no objective with id 999."),
    ({"user_id": 999}, "There is no user with id 999."), ({"now": -1}, "now is -1"), ({"now": 2**33}, "now is 8589934592"),
])  # fmt: skip
def test_a_bad_call_is_one_sentence_and_no_entry(head: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        enter(head, **change)
    assert str(caught.value).startswith(message)
    assert head.rows("SELECT * FROM ai_generation_log") == head.rows("SELECT * FROM ai_cost_days") == []


@pytest.mark.parametrize("text", ["'); DROP TABLE users; --", ":purpose", "né\x01", "%"])
def test_sql_in_purpose_and_model_is_text(head: Any, text: str) -> None:
    enter(head, purpose=text, model=text, cost_cents=100)
    (cost,) = costs(head)
    assert (cost.purpose, cost.model, cost.cost_dollars) == (text, text, 1.0)


def test_a_summary_is_by_purpose_and_model_and_the_dearest_first(head: Any) -> None:
    for purpose, model, cents, success in (
        ("draft", "m1", 50, True), ("draft", "m1", 25, False), ("draft", "m1", None, True), ("draft", "m2", 300, True),
        ("review", "m1", None, False), ("review", "m0", None, True), ("ask", "m1", 75, True),
    ):  # fmt: skip
        enter(head, purpose=purpose, model=model, cost_cents=cents, success=success)
    assert costs(head) == (
        AiCost("draft", "m2", 1, 3.0, 3.0, 1.0),
        AiCost("ask", "m1", 1, 0.75, 0.75, 1.0),
        AiCost("draft", "m1", 3, 0.75, 0.375, 2 / 3),
        AiCost("review", "m0", 1, 0.0, None, 1.0),
        AiCost("review", "m1", 1, 0.0, None, 0.0),
    )


def test_of_equal_costs_the_purpose_decides_and_then_the_model(head: Any) -> None:
    for purpose, model in (("b", "m1"), ("a", "m3"), ("a", "m2"), ("c", "m0")):
        enter(head, purpose=purpose, model=model, cost_cents=10)
    assert [(cost.purpose, cost.model) for cost in costs(head)] == [("a", "m2"), ("a", "m3"), ("b", "m1"), ("c", "m0")]


def test_a_period_is_whole_days_up_to_and_with_today(head: Any) -> None:
    edges = {"too old": 19_999 * DAY - 1, "first": 19_999 * DAY, "last": 20_001 * DAY - 1, "tomorrow": 20_001 * DAY}
    for purpose, at in edges.items():
        enter(head, purpose=purpose, now=at)
    assert {cost.purpose for cost in costs(head, days=2)} == {"first", "last"}
    assert {cost.purpose for cost in costs(head, days=1)} == {"last"}
    assert {cost.purpose for cost in costs(head, days=3)} == {"too old", "first", "last"}
    assert {cost.purpose for cost in costs(head, days=1, now=20_001 * DAY)} == {"tomorrow"}
    assert costs(head, days=3_660, now=0) == ()


def test_what_stays_unknown_of_a_call_from_a_source_is_left_out_of_its_rate(head: Any) -> None:
    head.add("ai_generation_log", purpose="draft", model="m1", cost_cents=None, success=None, created_at=NOON)
    assert costs(head) == (AiCost("draft", "m1", 1, 0.0, None, None),)
    enter(head, cost_cents=10)
    assert costs(head) == (AiCost("draft", "m1", 2, 0.1, 0.1, 1.0),)


def test_many_small_costs_add_up_to_a_tenth_of_a_millionth(head: Any) -> None:
    """Against exact arithmetic, over several days and thousands of cents that no binary number holds."""
    exact = Fraction(0)
    with head.engine.begin() as db:
        for number in range(3_000):
            cents = 0.1 + number % 7 / 100
            exact += Fraction(cents)
            db.exec_driver_sql("INSERT INTO ai_generation_log (purpose, model, cost_cents, created_at) VALUES ('p', 'm', ?, ?)",
                               (cents, NOON - number % 20 * DAY))  # fmt: skip
    (cost,) = costs(head)
    assert abs(Fraction(cost.cost_dollars) - exact / 100) < Fraction(1, 10**7)
    assert cost.calls == 3_000
