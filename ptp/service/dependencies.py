"""What routes are given: who asks, the queries, and the way an answer goes out."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from ptp.service.auth import ADMIN, Access, Identity
from ptp.service.models import ProblemOut
from ptp.service.problems import MEDIA_TYPE, Problem
from ptp.service.queries import Queries
from ptp.service.watching import Watching


async def _identity(request: Request) -> Identity:
    access: Access = request.app.state.access
    found = access.identity(request.headers)
    request.state.user_id = found.user_id
    return found


async def _administrator(identity: Annotated[Identity, Depends(_identity)]) -> Identity:
    if ADMIN not in identity.roles:
        raise Problem(403, f"This needs the role {ADMIN}.")
    return identity


async def _queries(request: Request) -> Queries:
    watching: Watching = request.app.state.watching
    return watching.queries


User: TypeAlias = Annotated[Identity, Depends(_identity)]
Administrator: TypeAlias = Annotated[Identity, Depends(_administrator)]
QuerySet: TypeAlias = Annotated[Queries, Depends(_queries)]


def answer(model: type[BaseModel], found: Any) -> Response:
    """`found`, checked against the model and written as JSON in one go, which the framework would do twice."""
    body = model.model_validate(found, from_attributes=True).model_dump_json()
    return Response(body, media_type="application/json")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses that a route may give besides, for its OpenAPI page."""
    every = sorted({400, 401, 413, 422, 500, 503, *statuses})
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemOut.__name__}"}}}
    return {status: {"description": "Problem", "content": content} for status in every}
