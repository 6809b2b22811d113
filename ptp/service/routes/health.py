"""Whether the process lives, and whether it can serve."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from ptp.service.dependencies import answer
from ptp.service.models import HealthOut

router = APIRouter(prefix="/api/health", tags=["health"])
_UNREADY: dict[int | str, dict[str, Any]] = {503: {"model": HealthOut, "description": "Not ready"}}


@router.get("/live", response_model=HealthOut)
async def live() -> Response:
    """Always, while the process answers."""
    return answer(HealthOut, {"status": "live"})


@router.get("/ready", response_model=HealthOut, responses=_UNREADY)
@router.get("", response_model=HealthOut, responses=_UNREADY)
def ready(request: Request) -> Response:
    """When the database can be read, is at head, and has not moved to another."""
    reason = request.app.state.why_unready()
    found = answer(HealthOut, {"status": "unready" if reason else "ready", "reason": reason})
    found.status_code = 503 if reason else 200
    return found
