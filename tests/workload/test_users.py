"""Users under load: how many, how often and what they do, as declared; and who they are, drawn from the database."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ptp.benchmark.load import Planned, shares
from ptp.errors import UsageError
from ptp.queries import RecordedAnswer
from ptp.workload.answer_log import Acknowledged, acknowledged
from ptp.workload.clients import InProcess, OverHttp, answers_body
from ptp.workload.limits import LIMITS_MS
from ptp.workload.scenarios import SCENARIOS, WRITES, Cast, cast_of, write_share
from ptp.workload.users import PROFILES


@pytest.fixture
def cast(studied: Engine) -> Cast:
    return cast_of(studied, users=5, seed=1, key="k")


def test_profiles_are_stated_in_users_and_requests_a_second() -> None:
    assert {name: p.users for name, p in PROFILES.items()} == {
        "light": 100,
        "medium": 500,
        "heavy": 1_000,
        "spike": 1_500,
    }
    assert {name: round(p.rate) for name, p in PROFILES.items()} == {
        "light": 26,
        "medium": 132,
        "heavy": 263,
        "spike": 300,
    }


def test_1000_users_make_over_250_requests_a_second_of_which_15_percent_write() -> None:
    plan = PROFILES["heavy"].schedule(60.0, seed=1)
    assert len(set(plan.actor.tolist())) == 1_000 and plan.rate > 250
    counts = plan.counts()
    assert sum(counts[name] for name in WRITES) / len(plan) == pytest.approx(0.15, abs=0.01)
    assert write_share() == pytest.approx(0.15)


def test_a_spike_is_three_times_as_many_for_a_third_of_the_time() -> None:
    plan = PROFILES["spike"].schedule(30.0, seed=1)
    begin = plan.phases[0].seconds
    before, spike, after = (
        float(((plan.due >= a * 1e9) & (plan.due < (a + 10) * 1e9)).sum()) / 10 for a in (begin, begin + 10, begin + 20)
    )
    assert before == pytest.approx(100, rel=0.1) == after and spike == pytest.approx(300, rel=0.1)


def test_more_users_and_another_rate_keep_the_rest() -> None:
    light = PROFILES["light"]
    assert light.of(300).rate == pytest.approx(3 * light.rate)
    assert (light.at(50).rate, light.at(50).users) == (pytest.approx(50), 100)


def test_each_operation_has_a_limit_and_the_rarest_is_not_rare() -> None:
    assert set(shares(SCENARIOS)) <= set(LIMITS_MS)
    assert min(shares(SCENARIOS).values()) >= 0.05


def test_users_are_those_who_answer_each_in_an_exam_of_theirs(cast: Cast, studied: Engine) -> None:
    assert {d.user_id for d in cast.people} <= {1, 2} and len(cast.people) == 5
    assert cast == cast_of(studied, users=5, seed=1, key="k") != cast_of(studied, users=5, seed=2, key="k")
    assert pickle.loads(pickle.dumps(cast)) == cast


def test_each_answer_has_a_key_of_its_own_and_is_always_the_same(cast: Cast) -> None:
    answers = [cast.answer(Planned(n, "record_answer", n % 5)) for n in range(40)]
    assert len({a.key for a in answers}) == 40 and answers[7] == cast.answer(Planned(7, "record_answer", 2))
    assert len({a.question_id for a in answers}) > 20


def test_without_answers_there_are_no_users(engine: Engine) -> None:
    with pytest.raises(UsageError, match="holds no answers"):
        cast_of(engine, users=5, seed=1, key="k")


def test_every_operation_runs_in_process_and_answers_are_noted(operated: Engine, head: Path, tmp_path: Path) -> None:
    cast = cast_of(operated, users=2, seed=1, key="k")
    service = InProcess(head, cast, tmp_path, 0)
    for number, operation in enumerate(shares(SCENARIOS)):
        request = Planned(number, operation, number)
        assert service.check(request, service.call(request)) is None
        if operation == "record_answer":
            given = cast.answer(request)
    other = service.call(Planned(90, "record_answer", 0))
    assert isinstance(other, RecordedAnswer)
    wrong = other._replace(question_id=other.question_id + 1)
    assert "wrong answer" in (service.check(Planned(90, "record_answer", 0), wrong) or "")
    service.close()
    noted = Acknowledged(given.key or "", given.user_id, given.question_id, given.is_correct)
    assert list(acknowledged(tmp_path)) == [noted]


def test_an_answer_over_http_is_acknowledged_by_what_it_holds_and_nothing_else(cast: Cast, tmp_path: Path) -> None:
    service = OverHttp("http://127.0.0.1:1", cast, tmp_path, 3)
    request = Planned(1, "record_answer", 0)
    given = cast.answer(request)
    body = json.dumps({"recorded": [{"answer_id": 1, "question_id": given.question_id}]}).encode()
    assert service.check(request, (500, body)) == "HTTP 500"
    assert "wrong answer" in (
        service.check(
            request,
            (200, body.replace(b": 1,", b': 1, "x": 0,').replace(str(given.question_id).encode() + b"}", b"999}")),
        )
        or ""
    )
    assert list(acknowledged(tmp_path)) == []
    assert service.check(request, (200, body)) is None
    assert [a.key for a in acknowledged(tmp_path)] == [given.key]
    assert json.loads(answers_body(given))["answers"][0]["key"] == given.key
    with pytest.raises(Exception, match="Error"):
        service.call(request)
