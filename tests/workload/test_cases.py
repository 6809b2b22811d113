"""The benchmark's cases run against a small head database, and name what cannot be measured there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from ptp.benchmark import Case, check_harness, measure
from ptp.engine import open_engine
from ptp.schema import Base
from ptp.workload.cases import SAMPLES, WARM_UP, benchmark_cases
from ptp.workload.limits import LIMITS_MS, REQUIRED

NEWEST = 1_750_000_000
STUDIED = """
    INSERT INTO exams (id, vendor_id, code, name) VALUES (1, 'v', 'E1', 'Exam');
    INSERT INTO objectives (id, exam_id, code, name) VALUES (1, 1, '1', 'one'), (2, 1, '2', 'two');
    INSERT INTO users (id, email, name) VALUES (1, 'keen@example.com', 'Keen'), (2, 'idle@example.com', 'Idle');
    INSERT INTO questions (id, exam_id, objective_id, text, answers, review_status, difficulty)
        WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
        SELECT i, 1, 1 + i % 2, 'Why?', '[]', 'approved', 1 + i % 5 FROM n;
    INSERT INTO study_sessions (id, user_id, exam_id) VALUES (1, 1, 1), (2, 2, 1);
    INSERT INTO user_answers (id, user_id, question_id, study_session_id, selected_answer, is_correct, answered_at)
        SELECT id * 7, 1 + (id % 6 = 0), id, 1 + (id % 6 = 0), 'a', id % 2, 1750000000 - (60 - id) * 86400
        FROM questions
"""
TWITTER = """
    INSERT INTO twitter_accounts (id, username) VALUES ('a', 'acc');
    INSERT INTO tweets (id, account_id, text) VALUES ('t', 'a', 'hello');
    INSERT INTO engagement_opportunities (id, tweet_id, account_id) VALUES ('o', 't', 'a');
    INSERT INTO growth_metrics (date) VALUES ('2025-06-01');
    INSERT INTO ai_generation_log (purpose, model) VALUES ('draft', 'm')
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    path = tmp_path / "head.db"
    made = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(made)
    made.dispose()
    opened = open_engine(path)
    yield opened
    opened.dispose()


def fill(engine: Engine, script: str) -> None:
    with engine.begin() as db:
        for statement in script.split(";"):
            db.execute(text(statement))


def test_there_is_one_case_and_one_required_gate_for_every_limit(engine: Engine) -> None:
    fill(engine, STUDIED)
    cases = benchmark_cases(engine, profile="quick", seed=1)
    assert [case.name for case in cases] == list(LIMITS_MS)
    assert all(case.limit_ms == LIMITS_MS[case.name] for case in cases)
    for profile in ("quick", "full"):
        assert set(REQUIRED[profile]) == {"bench.harness", *(f"bench.{case.name}" for case in cases)}


def test_every_case_runs_and_returns_what_its_check_accepts(engine: Engine) -> None:
    fill(engine, STUDIED)
    fill(engine, TWITTER)
    cases = [_shortened(case) for case in benchmark_cases(engine, profile="quick", seed=1)]
    found = measure(cases, environment={})
    assert [
        (latency.finding.id, latency.finding.evidence) for latency in found if latency.finding.verdict == "fail"
    ] == []
    assert {latency.finding.n for latency in found} == {3}
    assert {check_harness(cases).id, *(latency.finding.id for latency in found)} == set(REQUIRED["quick"])


def _shortened(case: Case) -> Case:
    return Case(case.name, case.claim, case.limit_ms, case.call, 1, 3, case.not_applicable, case.check)


def test_empty_tables_are_told_with_their_name(engine: Engine) -> None:
    fill(engine, STUDIED)
    reasons = {c.name: c.not_applicable for c in benchmark_cases(engine, profile="quick", seed=1) if c.not_applicable}
    assert reasons == {
        "pending_opportunities": "The table engagement_opportunities is empty.",
        "record_daily_metrics": "The table growth_metrics is empty.",
        "growth_analytics": "The table growth_metrics is empty.",
        "net_followers": "The table growth_metrics is empty.",
        "ai_cost_summary": "The table ai_generation_log is empty.",
    }


def test_a_database_without_answers_has_no_case_to_run(engine: Engine) -> None:
    assert all(case.not_applicable for case in benchmark_cases(engine, profile="full", seed=1))


def test_users_come_as_they_are_active_and_the_same_seed_gives_the_same_calls(engine: Engine) -> None:
    from ptp.workload.cases import _draw

    fill(engine, STUDIED)
    drawn = _draw(engine, count=600, seed=3)
    assert drawn == _draw(engine, count=600, seed=3) != _draw(engine, count=600, seed=4)
    keen = sum(one.user_id == 1 for one in drawn)
    assert 440 < keen < 560  # five sixths of 600
    assert all(one.session_id == one.user_id and one.objectives == (1, 2) for one in drawn)


def test_full_takes_more_samples_than_quick(engine: Engine) -> None:
    fill(engine, STUDIED)
    for profile in ("quick", "full"):
        cases = benchmark_cases(engine, profile=profile, seed=1)
        assert {(case.n, case.warmup) for case in cases} == {(SAMPLES[profile], WARM_UP[profile])}
        assert WARM_UP[profile] < SAMPLES[profile]


def test_data_that_does_not_agree_with_itself_does_not_stop_a_case(engine: Engine) -> None:
    """A session of another user, an exam whose objectives stand in another one: the demo has none of these."""
    fill(engine, STUDIED)
    fill(
        engine,
        """
        UPDATE study_sessions SET user_id = 3 - user_id;
        INSERT INTO exams (id, vendor_id, code, name) VALUES (2, 'v', 'E2', 'Other');
        UPDATE objectives SET exam_id = 2;
        UPDATE questions SET review_status = 'pending'
        """,
    )
    found = measure([_shortened(case) for case in benchmark_cases(engine, profile="quick", seed=1)], environment={})
    assert [latency.finding.evidence for latency in found if latency.finding.verdict == "fail"] == []
