"""Search of questions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from ptp.service.calls import calling
from ptp.service.dependencies import QuerySet, User, answer, problems
from ptp.service.models import LONGEST_TEXT, Id, PageLimit, SearchOut

router = APIRouter(prefix="/api", tags=["search"])


@router.get("/search", response_model=SearchOut, responses=problems(404))
def search_questions(
    _user: User,
    queries: QuerySet,
    words: Annotated[str, Query(min_length=1, max_length=LONGEST_TEXT)],
    exam_id: Id | None = None,
    limit: PageLimit = 20,
) -> Response:
    """Questions that hold all the words, in one exam or in all; a word that ends in * stands for all that begin so."""
    with calling("search_questions"):
        found = queries.study.search_questions(words, exam_id=exam_id, limit=limit)
    return answer(SearchOut, found)
