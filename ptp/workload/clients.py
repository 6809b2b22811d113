"""Two ways to put the application under load, with one interface: its queries in process, and its API over HTTP.

Both are opened in the processes of the generator, and keep what they were told of answers (`ptp.workload.answer_log`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from ptp.benchmark.load import Planned
from ptp.engine import open_engine
from ptp.queries import AnalyticsQueries, ProgressQueries, RecordedAnswer, StudyQueries, TwitterQueries
from ptp.settings import load_settings
from ptp.workload.answer_log import AnswerLog
from ptp.workload.cases import filtered_page
from ptp.workload.draws import Drawn
from ptp.workload.scenarios import ANSWER, Cast

CONNECT_S, READ_S = 2.0, 5.0
"""How long a client waits for a connection, and for an answer."""

DAYS, PAGE = 90, 20
_LOOKED_INTO = 16  # of so many answers one is read to its end; of writes, each


class Refused(Exception):
    """The service answered, and not with what was asked for."""


class InProcess:
    """The queries, on a database file, in the process that asks."""

    inside = True

    def __init__(self, database: Path, cast: Cast, folder: Path, place: int) -> None:
        """Open the database."""
        self._cast = cast
        self._engine = open_engine(database, settings=load_settings())
        self._log = AnswerLog(folder, place)
        self._calls = _queries(self._engine, cast.now)

    def call(self, request: Planned) -> object:
        """Run the query of a request."""
        if request.operation == ANSWER:
            return self._study.record_answer(self._cast.answer(request), now=self._cast.now)
        return self._calls[request.operation](self._cast.person(request))

    def check(self, request: Planned, answered: object) -> str | None:
        """Whether the answer belongs to what was asked."""
        if request.operation == ANSWER:
            given = self._cast.answer(request)
            right = isinstance(answered, RecordedAnswer) and answered.question_id == given.question_id
            if not right:
                return "wrong answer: another one was recorded"
            self._log.note(given)
        elif request.operation.startswith("study_questions"):
            exam = self._cast.person(request).exam_id
            if not isinstance(answered, tuple) or any(q.exam_id != exam for q in answered):
                return "wrong answer: questions of another exam"
        return None

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()
        self._log.close()

    @property
    def _study(self) -> StudyQueries:
        return StudyQueries(self._engine)


def _queries(engine: Any, now: int) -> Mapping[str, Callable[[Drawn], object]]:
    study, progress = StudyQueries(engine), ProgressQueries(engine)
    twitter, analytics = TwitterQueries(engine), AnalyticsQueries(engine)
    return {
        "study_questions": lambda d: study.study_questions(exam_id=d.exam_id, user_id=d.user_id, now=now),
        "study_questions_filtered": filtered_page(study, now=now),
        "search_questions": lambda d: study.search_questions(d.words, exam_id=d.exam_id),
        "session_progress": lambda d: study.session_progress(session_id=d.session_id or 0),
        "user_progress": lambda d: progress.user_progress(user_id=d.user_id, exam_id=d.exam_id, now=now),
        "leaderboard": lambda d: progress.leaderboard(exam_id=d.exam_id, now=now),
        "pending_opportunities": lambda d: twitter.pending_opportunities(),
        "growth_analytics": lambda d: twitter.growth_analytics(days=DAYS, now=now),
        "ai_cost_summary": lambda d: analytics.ai_cost_summary(now=now),
    }


class OverHttp:
    """The API of a running server: each thread has a connection of its own, kept open."""

    inside = False

    def __init__(self, url: str, cast: Cast, folder: Path, place: int) -> None:
        """Keep the address; connections are made when they are first wanted."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._cast = cast
        self._log = AnswerLog(folder, place)
        self._own = threading.local()

    def call(self, request: Planned) -> tuple[int, bytes]:
        """Make a request; gives status and body. Raises the client's errors."""
        who = self._cast.person(request)
        method, path, body = self._asked(request, who)
        headers = {"X-User-Id": str(who.user_id), "X-Roles": "admin"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            found = self._pool.urlopen(method, path, body=body, headers=headers, retries=False)
        except urllib3.exceptions.HTTPError as problem:
            raise Refused(_short(problem)) from None
        return found.status, found.data

    def check(self, request: Planned, answered: object) -> str | None:
        """Whether status and body are what was asked for; one body in so many is read to its end, and each write's."""
        assert isinstance(answered, tuple)
        status, body = answered
        if status >= 300:
            return f"HTTP {status}"
        if request.operation == ANSWER:
            return self._acknowledged(request, body)
        if request.number % _LOOKED_INTO == 0 and request.operation.startswith("study_questions"):
            exam = self._cast.person(request).exam_id
            if any(q["exam_id"] != exam for q in json.loads(body)["questions"]):
                return "wrong answer: questions of another exam"
        return None if body[:1] in (b"{", b"[") else "wrong answer: no JSON"

    def close(self) -> None:
        """Close the log; connections end with their threads."""
        self._log.close()

    def _acknowledged(self, request: Planned, body: bytes) -> str | None:
        given = self._cast.answer(request)
        (recorded,) = json.loads(body)["recorded"]
        if recorded.get("question_id", given.question_id) != given.question_id:
            return "wrong answer: another one was recorded"
        self._log.note(given)
        return None

    def _asked(self, request: Planned, who: Drawn) -> tuple[str, str, bytes | None]:
        """Method, path and body of a request."""
        if request.operation == ANSWER:
            return "POST", "/api/study/answers", answers_body(self._cast.answer(request))
        if request.operation == "session_progress":
            return "PATCH", f"/api/study/sessions/{who.session_id}/progress", None
        path, query = _reading(request.operation, who)
        return "GET", f"{path}?{urlencode(query, doseq=True)}" if query else path, None

    @property
    def _pool(self) -> urllib3.HTTPConnectionPool:
        pool: urllib3.HTTPConnectionPool | None = getattr(self._own, "pool", None)
        if pool is None:
            timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
            pool = self._own.pool = urllib3.HTTPConnectionPool(self._host, self._port, maxsize=1, timeout=timeout)
        return pool


def answers_body(answer: Any) -> bytes:
    """One answer as the API takes it."""
    names = ("question_id", "selected_answer", "is_correct", "time_spent_seconds", "study_session_id", "key")
    given = {name: getattr(answer, name) for name in names if getattr(answer, name) is not None}
    return json.dumps({"answers": [given]}).encode()


def _reading(operation: str, who: Drawn) -> tuple[str, Mapping[str, Any]]:
    """Path and query of an operation that reads."""
    exam, draw = who.exam_id, {"exam_id": who.exam_id, "limit": PAGE, "mode": "practice"}
    levels = {"min_difficulty": 2, "max_difficulty": 4}
    objectives = {"objectives": who.objectives[:2]} if who.objectives else {}
    found: dict[str, tuple[str, Mapping[str, Any]]] = {
        "study_questions": ("/api/study/questions", draw),
        "study_questions_filtered": ("/api/study/questions", {**draw, **levels, **objectives}),
        "search_questions": ("/api/search", {"words": who.words, "exam_id": exam}),
        "user_progress": (f"/api/progress/{exam}", {}),
        "leaderboard": (f"/api/leaderboard/{exam}", {"limit": PAGE}),
        "pending_opportunities": ("/api/opportunities", {"limit": PAGE}),
        "growth_analytics": ("/api/growth", {"days": DAYS}),
        "ai_cost_summary": ("/api/ai/costs", {"days": 30}),
    }
    return found[operation]


def _short(problem: Exception) -> str:
    """A client's error without what differs from one to the next, so that errors can be counted by kind."""
    if isinstance(problem, urllib3.exceptions.ReadTimeoutError):
        return f"no answer within {READ_S:g} s"
    cause = problem.args[-1] if problem.args else problem
    return f"{type(cause).__name__ if isinstance(cause, Exception) else type(problem).__name__}"
