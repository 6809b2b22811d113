"""Studying: the next questions, the answers to them, and how a session stands."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from ptp.queries import Mode, NewAnswer, RecordedAnswer
from ptp.queries.repeats import LONGEST_KEY
from ptp.service.calls import calling
from ptp.service.dependencies import QuerySet, User, answer, problems
from ptp.service.models import (
    AnswerIn,
    AnswersIn,
    Difficulty,
    Hours,
    Id,
    PageLimit,
    QuestionsOut,
    RecordedAnswersOut,
    SessionProgressOut,
)
from ptp.service.problems import Problem

router = APIRouter(prefix="/api/study", tags=["study"])


@router.get("/questions", response_model=QuestionsOut, responses=problems(404))
def study_questions(
    user: User,
    queries: QuerySet,
    exam_id: Id,
    limit: PageLimit = 20,
    mode: Mode = "practice",
    objectives: Annotated[list[Id] | None, Query(max_length=500)] = None,
    min_difficulty: Difficulty | None = None,
    max_difficulty: Difficulty | None = None,
    exclude_hours: Hours = 24,
) -> Response:
    """Questions of an exam that the user has not answered in the last hours, drawn as the mode says."""
    with calling("study_questions"):
        found = queries.study.study_questions(
            exam_id=exam_id,
            user_id=user.user_id,
            limit=limit,
            objectives=objectives,
            min_difficulty=min_difficulty,
            max_difficulty=max_difficulty,
            exclude_answered_hours=exclude_hours,
            mode=mode,
        )
    return answer(QuestionsOut, {"questions": found})


@router.post("/answers", response_model=RecordedAnswersOut, responses=problems(409))
def record_answers(
    user: User,
    queries: QuerySet,
    body: AnswersIn,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=LONGEST_KEY)] = None,
) -> Response:
    """Record answers, all or none. Sent again with the same keys, they are recorded once, and told as repeated."""
    given = [_new(one, user.user_id, one.key) for one in body.answers]
    if idempotency_key is not None:
        given = [_new(_only(body.answers), user.user_id, idempotency_key)]
    with calling("record_answers"):
        made = queries.study.record_answers(given)
    return answer(RecordedAnswersOut, {"recorded": [_told(one) for one in made]})


@router.patch("/sessions/{session_id}/progress", response_model=SessionProgressOut, responses=problems(404))
def session_progress(user: User, queries: QuerySet, session_id: Id) -> Response:
    """Count the answers of one of the user's sessions, keep the totals with it, and give them.

    Asked again with nothing new, it gives what is kept with the session already, and writes nothing.
    """
    with calling("session_progress"):
        found = queries.study.session_progress(session_id=session_id, user_id=user.user_id)
    return answer(SessionProgressOut, found)


def _only(answers: list[AnswerIn]) -> AnswerIn:
    if len(answers) > 1:
        raise Problem(400, "The header Idempotency-Key is for one answer: give the answers of a batch a key each.")
    if answers[0].key is not None:
        raise Problem(400, "Give a key in the header Idempotency-Key or with the answer, not both.")
    return answers[0]


def _new(given: AnswerIn, user_id: int, key: str | None) -> NewAnswer:
    return NewAnswer(**{**given.model_dump(), "user_id": user_id, "key": key})


def _told(made: RecordedAnswer) -> dict[str, object]:
    values = made._asdict()
    return {"answer_id": values.pop("id"), **values}
