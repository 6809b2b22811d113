"""Every route, against plain SQL on the same database; errors as problem details; SQL in every text."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ptp.errors import CannotFinish, Locked, NotADatabase
from ptp.queries import StudyQueries
from tests.service.api_heads import HEADERS, TestClient, an_answer, client_of, copy_of, dump, rows

USER = int(HEADERS["X-User-Id"])


@pytest.fixture(scope="module")
def head(api_head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = copy_of(api_head, tmp_path_factory.mktemp("routes"))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE engagement_opportunities SET status = 'pending' WHERE rowid % 2")
        db.execute("UPDATE user_progress SET total_questions_seen = 60 + id % 5")
        db.commit()
    return path


@pytest.fixture(scope="module")
def client(head: Path) -> Iterator[TestClient]:
    with client_of(head) as made:
        made.headers.update(HEADERS)
        yield made


def get(client: TestClient, path: str, **parameters: Any) -> Any:
    found = client.get(path, params=parameters)
    assert found.status_code == 200, found.text
    return found.json()


def test_questions_are_those_that_may_be_studied(client: TestClient, head: Path) -> None:
    exam, objective = rows(head, "SELECT exam_id, objective_id FROM question_cells ORDER BY size DESC LIMIT 1")[0]
    found = get(client, "/api/study/questions", exam_id=exam, limit=500, objectives=[objective], exclude_hours=0)
    due = rows(head, "SELECT id, text, answers FROM questions WHERE exam_id = ? AND objective_id = ? AND is_active = 1 "
               "AND review_status = 'approved'", exam, objective)  # fmt: skip
    assert due and {q["id"]: q["text"] for q in found["questions"]} == {key: text for key, text, _ in due}
    assert {q["id"]: q["answers"] for q in found["questions"]} == {key: json.loads(a) for key, _, a in due}


def test_questions_of_two_objectives_and_a_difficulty(client: TestClient, head: Path) -> None:
    exam = rows(head, "SELECT exam_id FROM question_cells ORDER BY size DESC LIMIT 1")[0][0]
    two = [key for (key,) in rows(head, "SELECT DISTINCT objective_id FROM question_cells WHERE exam_id = ?", exam)][:2]
    found = get(client, "/api/study/questions", exam_id=exam, limit=500, objectives=two, min_difficulty=2,
                max_difficulty=4, mode="speed_drill", exclude_hours=0)  # fmt: skip
    shown = [(q["objective_id"], q["difficulty"]) for q in found["questions"]]
    assert shown and all(objective in two and 2 <= difficulty <= 4 for objective, difficulty in shown)


def test_an_answer_is_written_and_told(api_head: Path, tmp_path: Path) -> None:
    own = copy_of(api_head, tmp_path)
    session, user = rows(own, "SELECT id, user_id FROM study_sessions LIMIT 1")[0]
    with client_of(own) as client:
        sent = [an_answer(1, study_session_id=session, confidence_level=2), an_answer(2, is_correct=False, key="k")]
        found = client.post("/api/study/answers", headers={"X-User-Id": str(user)}, json={"answers": sent})
    assert found.status_code == 200, found.text
    told = found.json()["recorded"]
    written = rows(own, "SELECT id, question_id, is_correct, study_session_id, request_key FROM user_answers "
                   "WHERE user_id = ? ORDER BY id DESC LIMIT 2", user)  # fmt: skip
    first, second = (one["answer_id"] for one in told)
    assert sorted(written) == [(first, 1, 1, session, None), (second, 2, 0, None, "k")]
    assert [one["repeated"] for one in told] == [False, False]


def test_a_session_is_counted_for_its_own_user_only(api_head: Path, tmp_path: Path) -> None:
    own = copy_of(api_head, tmp_path)
    session, user = rows(own, "SELECT study_session_id, user_id FROM user_answers WHERE study_session_id > 0 LIMIT 1")[
        0
    ]
    with closing(sqlite3.connect(own)) as db:
        db.execute("UPDATE study_sessions SET correct_answers = 9999 WHERE id = ?", (session,))
        db.commit()
    path = f"/api/study/sessions/{session}/progress"
    with client_of(own) as client:
        other = client.patch(path, headers={"X-User-Id": str(user + 1)})
        assert other.status_code == 404
        assert rows(own, "SELECT correct_answers FROM study_sessions WHERE id = ?", session) == [(9999,)]
        found = client.patch(path, headers={"X-User-Id": str(user)}).json()
    right = rows(own, "SELECT count(*), sum(is_correct) FROM user_answers WHERE study_session_id = ?", session)
    assert [(found["total_questions"], found["correct_answers"])] == right
    assert rows(own, "SELECT correct_answers FROM study_sessions WHERE id = ?", session) == [(right[0][1],)]


def test_progress_is_the_users_own(client: TestClient, head: Path) -> None:
    user, exam, seen = rows(head, "SELECT user_id, exam_id, total_questions_seen FROM user_progress LIMIT 1")[0]
    found = client.get(f"/api/progress/{exam}", headers={"X-User-Id": str(user)}).json()
    assert (found["user_id"], found["total_questions_seen"]) == (user, seen)


def test_a_leaderboard_is_in_order(client: TestClient, head: Path) -> None:
    exam = rows(head, "SELECT exam_id FROM user_progress GROUP BY 1 ORDER BY count(*) DESC")[0][0]
    due = rows(head, "SELECT user_id FROM user_progress WHERE exam_id = ? AND total_questions_seen > 50 "
               "ORDER BY readiness_score DESC, overall_accuracy DESC, user_id LIMIT 3", exam)  # fmt: skip
    found = get(client, f"/api/leaderboard/{exam}", limit=3)
    assert [(s["rank"], s["user_id"]) for s in found["standings"]] == [(n, u) for n, (u,) in enumerate(due, 1)]


def test_a_search_finds_what_holds_the_word(client: TestClient, head: Path) -> None:
    text = rows(head, "SELECT text FROM questions WHERE is_active = 1 AND review_status = 'approved' LIMIT 1")[0][0]
    word = max(re.findall(r"[a-z]+", text), key=len)
    found = get(client, "/api/search", words=word, limit=5)
    assert found["by"] == "fts5" and found["questions"]
    holds = [f"{q['text']} {q['explanation']} {q['reference']}".lower() for q in found["questions"]]
    assert all(word in text for text in holds)


def test_opportunities_growth_and_costs(client: TestClient, head: Path) -> None:
    due = rows(head, "SELECT id FROM engagement_opportunities WHERE status = 'pending' "
               "ORDER BY relevance_score DESC, id LIMIT 5")  # fmt: skip
    found = get(client, "/api/opportunities", limit=5)["opportunities"]
    assert due and [(o["id"],) for o in found] == due
    days = rows(head, "SELECT date, new_followers FROM growth_metrics WHERE date > date('now', '-3660 days') "
                "AND date <= date('now') ORDER BY 1")  # fmt: skip
    assert days and [(d["date"], d["new_followers"]) for d in get(client, "/api/growth", days=3660)["days"]] == days
    costs = rows(head, "SELECT purpose, model, count(*) FROM ai_generation_log GROUP BY 1, 2")
    assert sorted((c["purpose"], c["model"], c["calls"]) for c in get(client, "/api/ai/costs", days=3660)["costs"]) \
        == sorted(costs) != []  # fmt: skip


def test_health_is_told_without_a_token(client: TestClient, head: Path) -> None:
    plain = dict.fromkeys(HEADERS, "")
    for path, status in (("/api/health/live", "live"), ("/api/health/ready", "ready"), ("/api/health", "ready")):
        assert client.get(path, headers=plain).json() == {"status": status, "reason": None}


UNREADY = {
    "moved": ("CREATE TABLE ptp_move (id, state, shape, other, phase, run, plan, owner, at, deadline);"
              "INSERT INTO ptp_move VALUES (1, 'moved', 'head', '/srv/other.db', '', '', '', '', 0, NULL)", "moved"),
    "behind": ("DELETE FROM ptp_journal WHERE id = (SELECT max(id) FROM ptp_journal WHERE kind = 'step')", "head"),
    "edited": ("UPDATE ptp_journal SET checksum = 'x' WHERE kind = 'step'", "head"),
    "foreign": ("DROP TABLE ptp_journal", "ptp"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADY)
def test_a_database_that_is_not_to_be_served_is_not_ready(case: str, api_head: Path, tmp_path: Path) -> None:
    own = copy_of(api_head, tmp_path)
    with client_of(own) as client:
        assert client.get("/api/health/ready").status_code == 200
        with closing(sqlite3.connect(own)) as db:
            db.executescript(UNREADY[case][0])
        found = client.get("/api/health/ready")
        assert found.status_code == 503 and UNREADY[case][1] in found.json()["reason"]
        assert "/" not in found.json()["reason"]
        assert client.get("/api/health/live").status_code == 200
        if case == "moved":
            refused = client.get("/api/leaderboard/1", headers=HEADERS)
            assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
            assert "other.db" not in refused.text


def test_a_database_that_cannot_be_read_is_not_ready(api_head: Path, tmp_path: Path) -> None:
    own = copy_of(api_head, tmp_path)
    with client_of(own) as client:
        client.app.state.watching.monitor.engine.dispose()  # type: ignore[attr-defined]
        own.unlink()
        assert client.get("/api/health/ready").status_code == 503


def test_performance_and_metrics(client: TestClient) -> None:
    get(client, "/api/leaderboard/1", limit=7)
    shown = get(client, "/api/admin/database/performance")
    assert shown["queries"]["leaderboard"]["n"] >= 1
    text = client.get("/metrics", headers=dict.fromkeys(HEADERS, "")).text
    names = {family.name for family in text_string_to_metric_families(text)}
    assert len(names) > 5
    assert 'query="leaderboard"' in text and "/api/leaderboard/{exam_id}" in text


def test_the_page_of_the_routes_needs_no_other_host(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200 and "openapi.json" in page.text
    assert not re.search(r"https?://|src=|@import", page.text)
    document = get(client, "/openapi.json")
    assert len(document["paths"]) == 14
    text = json.dumps(document)
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= document["components"]["schemas"].keys()


PROBLEM = {"type", "title", "status", "detail", "instance", "request_id"}
REFUSED = {
    "no such path": ("GET", "/api/nothing", None, 404),
    "no such method": ("DELETE", "/api/study/answers", None, 405),
    "unknown exam": ("GET", "/api/leaderboard/987654", None, 404),
    "unknown session": ("PATCH", "/api/study/sessions/987654/progress", None, 404),
    "no exam given": ("GET", "/api/study/questions", None, 422),
    "page too large": ("GET", "/api/leaderboard/1?limit=501", None, 422),
    "no page": ("GET", "/api/leaderboard/1?limit=0", None, 422),
    "unknown mode": ("GET", "/api/study/questions?exam_id=1&mode=all", None, 422),
    "a range upside down": ("GET", "/api/study/questions?exam_id=1&min_difficulty=4&max_difficulty=2", None, 400),
    "no word": ("GET", "/api/search?words=%2B%2B", None, 400),
    "an id beyond 64 bits": ("GET", f"/api/progress/{2**63}", None, 422),
    "no answers": ("POST", "/api/study/answers", {"answers": []}, 422),
    "too many answers": ("POST", "/api/study/answers", {"answers": [an_answer()] * 501}, 422),
    "an unknown question": ("POST", "/api/study/answers", {"answers": [an_answer(987654)]}, 422),
    "somebody else's session": ("POST", "/api/study/answers", {"answers": [an_answer(study_session_id=987654)]}, 422),
    "a field too many": ("POST", "/api/study/answers", {"answers": [an_answer(user_id=1)]}, 422),
    "a text for a truth": ("POST", "/api/study/answers", {"answers": [an_answer(is_correct="yes")]}, 422),
    "no JSON": ("POST", "/api/study/answers", b"{", 422),
    "a character that cannot be stored": ("POST", "/api/study/answers", {"answers": [an_answer(selected_answer="\0")]}, 400),
    "half a character": ("POST", "/api/study/answers", b'{"answers":[{"question_id":1,"selected_answer":"\\ud800",'
                         b'"is_correct":true,"time_spent_seconds":1}]}', 422),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_problem_details_and_changes_nothing(case: str, client: TestClient, head: Path) -> None:
    method, path, body, status = REFUSED[case]
    before = dump(head)
    given = {"content": body} if isinstance(body, bytes) else {"json": body}
    found = client.request(method, path, headers={"content-type": "application/json"}, **given)
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    told = found.json()
    assert told.keys() - {"errors"} == PROBLEM and told["status"] == status
    assert told["instance"] == path.partition("?")[0] and told["request_id"] == found.headers["x-request-id"]
    assert "Traceback" not in found.text and "sqlite" not in found.text.lower() and ".db" not in found.text
    if status == 422 and "errors" in told:
        assert all(error["field"] and error["message"] for error in told["errors"])
    assert dump(head) == before


def test_a_refused_value_is_not_repeated(client: TestClient) -> None:
    secret = "hunter2-hunter2"
    found = client.post("/api/study/answers", json={"answers": [an_answer(confidence_level=secret, password=secret)]})
    assert found.status_code == 422 and secret not in found.text
    fields = {error["field"] for error in found.json()["errors"]}
    assert fields == {"body.answers.0.confidence_level", "body.answers.0.password"}


FAILURES = {
    "a bug": (RuntimeError("secret: /srv/own.db"), 500),
    "damage": (CannotFinish("/srv/own.db is damaged"), 500),
    "not a database": (NotADatabase("/srv/own.db is none"), 500),
    "a lock": (Locked("/srv/own.db is locked"), 503),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_goes_to_the_log_and_only_its_id_to_the_client(
    case: str, client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    problem, status = FAILURES[case]

    def fail(*_: Any, **__: Any) -> None:
        raise problem

    monkeypatch.setattr(StudyQueries, "study_questions", fail)
    logging.getLogger("ptp").propagate = True
    found = client.get("/api/study/questions", params={"exam_id": 1})
    assert found.status_code == status and "own.db" not in found.text
    if status == 500:
        assert found.json()["request_id"] in caplog.text and "own.db" in caplog.text
    else:
        assert found.headers["retry-after"] == "1"


def test_a_request_has_an_id_of_its_own_or_the_clients(client: TestClient) -> None:
    made = {client.get("/api/health/live").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    assert (
        client.get("/api/health/live", headers={"X-Request-Id": "from-client-1"}).headers["x-request-id"]
        == "from-client-1"
    )
    for bad in ("short", "x" * 65, 'a"b{}{}{}', "with blanks in"):
        assert client.get("/api/health/live", headers={"X-Request-Id": bad}).headers["x-request-id"] != bad


def test_a_response_says_where_its_time_went(client: TestClient) -> None:
    found = client.get("/api/leaderboard/1", params={"limit": 9})
    times = re.fullmatch(r"db;dur=([\d.]+), app;dur=([\d.]+)", found.headers["server-timing"])
    assert times and 0 < float(times[1]) <= float(times[2])
    assert client.get("/api/health/live").headers["server-timing"].startswith("db;dur=0.000")


def test_the_audit_says_who_did_what_and_holds_no_value(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("ptp").propagate = True
    with caplog.at_level(logging.INFO, logger="ptp.audit"):
        client.get("/api/search", params={"words": "hunter2"}, headers={"Authorization": "Bearer t0ken"})
        client.get("/api/nothing")
    lines = [json.loads(r.message) for r in caplog.records if r.name == "ptp.audit"]
    assert [(a["user"], a["method"], a["path"], a["status"]) for a in lines] == [
        (USER, "GET", "/api/search", 200), (None, "GET", "/api/nothing", 404)]  # fmt: skip
    assert all(line["ms"] > 0 and line["request_id"] for line in lines)
    assert "hunter2" not in caplog.text and "t0ken" not in caplog.text


INJECTIONS = (
    "'; DROP TABLE user_answers; --", "1 OR 1=1", "' UNION SELECT password_hash FROM users --", '" OR ""="',
    "a' AND (SELECT count(*) FROM users) --", "*) OR exam_id : (1", "\\'; DELETE FROM users; --", "NEAR(a b)",
)  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_a_text_of_the_url_does_nothing(text: str, client: TestClient, head: Path) -> None:
    before = dump(head)
    found = client.get("/api/search", params={"words": text})
    assert found.status_code in (200, 400)
    words = {w for q in (found.json().get("questions") or []) for w in re.findall(r"\w+", json.dumps(q).lower())}
    if found.json().get("questions"):  # what it found holds all of its words, as words
        assert {w.lower() for w in re.findall(r"[A-Za-z]\w*", text)} <= words
    for name in ("exam_id", "limit", "mode", "objectives", "min_difficulty", "max_difficulty", "exclude_hours"):
        asked = {"exam_id": 1, name: text}
        assert client.get("/api/study/questions", params=asked).status_code == 422, name
    for path in (
        f"/api/progress/{text}",
        f"/api/leaderboard/{text}",
        "/api/growth",
        "/api/ai/costs",
        "/api/opportunities",
    ):
        assert client.get(path, params={"limit": text, "days": text}).status_code == 422
    assert client.get("/api/progress/1", headers={"X-User-Id": text}).status_code == 401
    assert client.get("/api/ai/costs", headers={"X-Roles": text}).status_code == 403
    assert dump(head) == before


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_a_text_of_the_body_is_kept_as_text(text: str, client: TestClient, head: Path) -> None:
    before = {
        t: rows(head, f"SELECT count(*) FROM {t}") for t in ("users", "questions", "user_answers", "study_sessions")
    }
    found = client.post("/api/study/answers", json={"answers": [an_answer(selected_answer=text, key=text)]})
    assert found.status_code == 200, found.text
    key = found.json()["recorded"][0]["answer_id"]
    assert rows(head, "SELECT selected_answer, request_key FROM user_answers WHERE id = ?", key) == [(text, text)]
    after = {t: rows(head, f"SELECT count(*) FROM {t}") for t in before}
    assert after == {**before, "user_answers": [(before["user_answers"][0][0] + 1,)]}
    header = client.post("/api/study/answers", json={"answers": [an_answer()]}, headers={"Idempotency-Key": f"h{text}"})
    assert header.status_code == 200
