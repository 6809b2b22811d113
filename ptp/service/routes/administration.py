"""For administrators and their tools: what AI costs, how the database does, and the metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from ptp.service.calls import calling
from ptp.service.dependencies import Administrator, QuerySet, answer, problems
from ptp.service.models import AiCostsOut, Days

router = APIRouter(tags=["administration"])


@router.get("/api/ai/costs", response_model=AiCostsOut, responses=problems(403))
def ai_cost_summary(_admin: Administrator, queries: QuerySet, days: Days = 30) -> Response:
    """What AI generation cost in the last whole days (UTC), by purpose and model."""
    with calling("ai_cost_summary"):
        found = queries.analytics.ai_cost_summary(days=days)
    return answer(AiCostsOut, {"costs": found})


@router.get("/api/admin/database/performance", responses=problems(403))
def performance(request: Request, _admin: Administrator) -> dict[str, Any]:
    """How the statements of this process do, and its pool, cache and alerts."""
    found: dict[str, Any] = request.app.state.watching.performance()
    return found


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """The metrics of this process as Prometheus reads them; keep this path to your own network."""
    watching = request.app.state.watching
    return Response(watching.metrics(), media_type=watching.media_type)
