"""How a user does in an exam, and how the others do."""

from __future__ import annotations

from fastapi import APIRouter, Response

from ptp.service.calls import calling
from ptp.service.dependencies import QuerySet, User, answer, problems
from ptp.service.models import Id, LeaderboardOut, PageLimit, ProgressOut

router = APIRouter(prefix="/api", tags=["progress"])


@router.get("/progress/{exam_id}", response_model=ProgressOut, responses=problems(404))
def user_progress(user: User, queries: QuerySet, exam_id: Id) -> Response:
    """The user's own progress in an exam."""
    with calling("user_progress"):
        found = queries.progress.user_progress(user_id=user.user_id, exam_id=exam_id)
    return answer(ProgressOut, found)


@router.get("/leaderboard/{exam_id}", response_model=LeaderboardOut, responses=problems(404))
def leaderboard(_user: User, queries: QuerySet, exam_id: Id, limit: PageLimit = 20) -> Response:
    """The best of an exam."""
    with calling("leaderboard"):
        found = queries.progress.leaderboard(exam_id=exam_id, limit=limit)
    return answer(LeaderboardOut, {"standings": found})
