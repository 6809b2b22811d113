"""The Twitter growth system, for administrators: what to engage with, and what it brought."""

from __future__ import annotations

from fastapi import APIRouter, Response

from ptp.service.calls import calling
from ptp.service.dependencies import Administrator, QuerySet, answer, problems
from ptp.service.models import Days, GrowthOut, OpportunitiesOut, PageLimit

router = APIRouter(prefix="/api", tags=["twitter"])


@router.get("/opportunities", response_model=OpportunitiesOut, responses=problems(403))
def pending_opportunities(_admin: Administrator, queries: QuerySet, limit: PageLimit = 20) -> Response:
    """Pending opportunities with their tweet and account."""
    with calling("pending_opportunities"):
        found = queries.twitter.pending_opportunities(limit=limit)
    return answer(OpportunitiesOut, {"opportunities": found})


@router.get("/growth", response_model=GrowthOut, responses=problems(403))
def growth_analytics(_admin: Administrator, queries: QuerySet, days: Days = 30) -> Response:
    """Each of the last days that is there, with means over a week."""
    with calling("growth_analytics"):
        found = queries.twitter.growth_analytics(days=days)
    return answer(GrowthOut, {"days": found})
