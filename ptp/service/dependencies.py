"""What routes are given: who asks, the queries, and the way an answer goes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from ptp.service.auth import ADMIN, Access, Identity
from ptp.service.models import ProblemOut
from ptp.service.problems import MEDIA_TYPE, Problem
from ptp.service.queries import Queries
from ptp.service.watching import Watching


def identity(request: Request) -> Identity:
    """Who asks; raises a Problem of status 401 where the request does not prove it."""
    access: Access = request.app.state.access
    found = access.identity(request.headers)
    request.state.user_id = found.user_id
    return found


def administrator(request: Request) -> Identity:
    """Who asks, and is an administrator; raises a Problem of status 401 or 403."""
    found = identity(request)
    if ADMIN not in found.roles:
        raise Problem(403, f"This needs the role {ADMIN}.")
    return found


def queries(request: Request) -> Queries:
    """The queries of this process."""
    watching: Watching = request.app.state.watching
    return watching.queries


async def _identity(request: Request) -> Identity:
    return identity(request)


async def _administrator(request: Request) -> Identity:
    return administrator(request)


async def _queries(request: Request) -> Queries:
    return queries(request)


SUPPLIED: Mapping[Any, Callable[[Request], Any]] = {
    _identity: identity,
    _administrator: administrator,
    _queries: queries,
}
"""What the framework is told to depend on, which it runs in the event loop only where it is a coroutine; and itself."""

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
