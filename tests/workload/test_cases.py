"""The benchmark's cases run against a small head database, and name what cannot be measured there."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from ptp.benchmark import Case, measure, self_check
from ptp.workload.cases import SAMPLES, WARM_UP, benchmark_cases, workload
from ptp.workload.draws import BATCH, batches_of, draw
from ptp.workload.limits import LIMITS_MS, REQUIRED, SELF_CHECKS
from ptp.workload.oracles import oracles_of


@pytest.fixture(autouse=True)
def garbage_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each case garbage is collected, which with all that the tests have loaded takes longer than the case."""
    monkeypatch.setattr("ptp.benchmark.latency.gc.collect", lambda: 0)


def rows(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    with engine.connect() as db:
        return [tuple(row) for row in db.execute(text(sql))]


def change(engine: Engine, *statements: str) -> None:
    with engine.begin() as db:
        for statement in statements:
            db.execute(text(statement))


def shortened(case: Case) -> Case:
    return replace(case, warmup=1, n=3, most=0, cold=0)


def failures(engine: Engine) -> list[str]:
    cases = [shortened(case) for case in benchmark_cases(engine, profile="quick", seed=1)]
    found = [latency.finding for latency in measure(cases, environment={})]
    return [f"{finding.id}: {finding.evidence}" for finding in found if finding.verdict == "fail"]


def test_there_is_one_case_and_one_required_gate_for_every_limit(studied: Engine) -> None:
    cases = benchmark_cases(studied, profile="quick", seed=1)
    assert [case.name for case in cases] == list(LIMITS_MS)
    assert all(case.limit_ms == LIMITS_MS[case.name] for case in cases)
    for profile in ("quick", "full"):
        assert set(REQUIRED[profile]) == {*SELF_CHECKS, *(f"bench.{case.name}" for case in cases)}


def test_every_query_class_is_measured_whole() -> None:
    """A public query without a case would be one without a limit."""
    from ptp.queries import AnalyticsQueries, ProgressQueries, StudyQueries, TwitterQueries

    classes = (AnalyticsQueries, ProgressQueries, StudyQueries, TwitterQueries)
    methods = {name for one in classes for name in vars(one) if not name.startswith("_")}
    assert methods - set(LIMITS_MS) == {"record_answers"}  # that is record_answers_50


def test_every_case_runs_and_returns_what_its_check_accepts(operated: Engine) -> None:
    cases = [shortened(case) for case in benchmark_cases(operated, profile="quick", seed=1)]
    found = measure(cases, environment={})
    assert [(latency.finding.id, latency.finding.evidence) for latency in found if latency.finding.n != 3] == []
    checks = self_check(cases, chance=random.Random(1))
    assert {f.id for f in (*checks, *(latency.finding for latency in found))} == set(REQUIRED["quick"])


def test_every_query_has_its_own_oracle(operated: Engine) -> None:
    queries = workload(operated, count=4, seed=1)
    draws = queries[0].draws
    assert set(oracles_of(operated, draws, batches_of(operated, draws), now=0)) == set(LIMITS_MS)
    assert len({query.check for query in queries}) == len(LIMITS_MS)


def test_a_check_knows_the_arguments_of_its_call_also_after_others_were_made(studied: Engine) -> None:
    cases = {case.name: case for case in benchmark_cases(studied, profile="quick", seed=1)}
    for name in ("weekly_activity", "user_progress", "study_questions"):
        answered: list[Any] = [cases[name].call() for _ in range(40)]
        assert [cases[name].check(one) for one in reversed(answered)] == [None] * 40
        other = next(found for drawn, found in answered if found != answered[0][1])
        assert cases[name].check((answered[0][0], other)) is not None or name == "study_questions"


def test_the_cases_that_say_so_write_and_no_others(operated: Engine) -> None:
    tables = [name for (name,) in rows(operated, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]

    def content() -> list[list[tuple[Any, ...]]]:
        return [rows(operated, f"SELECT * FROM {name}") for name in tables if not name.startswith("question_search")]

    wrote = []
    for query in workload(operated, count=8, seed=2):
        before = content()
        query.run(query.draws[0])
        wrote.append((query.name, content() != before))
    assert wrote == [(query.name, query.writes) for query in workload(operated, count=8, seed=2)]


def test_empty_tables_are_told_with_their_name(studied: Engine) -> None:
    reasons = {c.name: c.not_applicable for c in benchmark_cases(studied, profile="quick", seed=1) if c.not_applicable}
    assert reasons == {
        "pending_opportunities": "The table engagement_opportunities is empty.",
        "record_daily_metrics": "The table growth_metrics is empty.",
        "growth_analytics": "The table growth_metrics is empty.",
        "net_followers": "The table growth_metrics is empty.",
        "ai_cost_summary": "The table ai_generation_log is empty.",
        "audit_trail": "The table audit_log is empty.",
        "change_history": "The table audit_log is empty.",
    }


def test_a_log_of_other_things_has_no_history_to_ask_for(operated: Engine) -> None:
    change(operated, "DELETE FROM audit_log WHERE entity_type = 'question'")
    reasons = {c.name: c.not_applicable for c in benchmark_cases(operated, profile="quick", seed=1) if c.not_applicable}
    assert reasons == {"change_history": "The audit log holds no entry of a question, exam, user or subscription."}


def test_a_database_without_answers_has_no_case_to_run(engine: Engine) -> None:
    assert all(case.not_applicable for case in benchmark_cases(engine, profile="full", seed=1))


def test_users_come_as_they_are_active_and_the_same_seed_gives_the_same_calls(studied: Engine) -> None:
    drawn = draw(studied, count=600, seed=3)
    assert drawn == draw(studied, count=600, seed=3) != draw(studied, count=600, seed=4)
    keen = sum(one.user_id == 1 for one in drawn)
    assert 440 < keen < 560  # five sixths of 600
    assert all(one.session_id == one.user_id and one.objectives == (1, 2) for one in drawn)


def test_search_words_are_two_of_the_question_drawn(studied: Engine) -> None:
    change(
        studied,
        "UPDATE questions SET text = 'Was für ein Maß?' WHERE id = 1",
        "UPDATE questions SET text = '?' WHERE id = 2",
    )
    texts = dict(rows(studied, "SELECT id, text FROM questions"))
    drawn = draw(studied, count=600, seed=3)
    for one in drawn:
        words = one.words.split()
        assert len(set(words)) == (0 if one.question_id <= 2 else 2)  # none of them has four letters
        assert all(word in texts[one.question_id] and len(word) >= 4 for word in words)
    assert {"gateway", "slow"} < {word for one in drawn for word in one.words.split()}


def test_a_search_finds_the_question_whose_words_it_has(studied: Engine) -> None:
    (search,) = [query for query in workload(studied, count=40, seed=1) if query.name == "search_questions"]
    numbered = [d for d in search.draws if any(word.isdigit() for word in d.words.split())]
    assert numbered
    for d in numbered:
        found: Any = search.run(d)
        assert [question.id for question in found.questions] == [d.question_id]


def test_entries_drawn_are_of_things_that_have_a_history(operated: Engine) -> None:
    assert {one.entry for one in draw(operated, count=50, seed=1)} == {("question", 5)}


def test_a_batch_holds_other_answers_than_the_next(studied: Engine) -> None:
    draws = draw(studied, count=10, seed=1)
    batches = batches_of(studied, draws)
    assert {len(batches(d)) for d in draws} == {BATCH}
    assert batches(draws[3]) == batches_of(studied, draws)(draws[3]) != batches(draws[4])
    # Each draw of the pool of 500 is used once: no answer is in two batches that was drawn once.
    pool = draw(studied, count=10 * BATCH, seed=sum(d.question_id for d in draws))
    used = [answer.question_id for d in draws for answer in batches(d)]
    assert used == [one.question_id for one in pool]


def test_full_takes_more_samples_than_quick(studied: Engine) -> None:
    for profile in ("quick", "full"):
        cases = benchmark_cases(studied, profile=profile, seed=1)
        assert {(case.n, case.warmup) for case in cases} == {(SAMPLES[profile], WARM_UP[profile])}
        assert WARM_UP[profile] < SAMPLES[profile]


def test_data_that_does_not_agree_with_itself_does_not_stop_a_case(studied: Engine) -> None:
    """A session of another user, an exam whose objectives stand in another one: the demo has none of these."""
    change(
        studied,
        "UPDATE study_sessions SET user_id = 3 - user_id",
        "INSERT INTO exams (id, vendor_id, code, name) VALUES (2, 'v', 'E2', 'Other')",
        "UPDATE objectives SET exam_id = 2",
        "UPDATE questions SET review_status = 'pending'",
    )
    assert failures(studied) == []
