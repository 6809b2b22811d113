"""Errors as they leave the service: problem details (RFC 9457) that name what is wrong, never what is inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ptp.errors import Conflict, Locked, Moved, PtpError, Unknown, UsageError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
"""For a client that found the database locked, or on the move."""


class Problem(HTTPException):
    """A refusal that the service raises itself, with its status, a sentence, and headers."""


def problem_response(
    request: Request,
    status: int,
    detail: str,
    *,
    errors: Iterable[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The problem details of one request; `errors` names the fields that do not fit."""
    title = HTTPStatus(status).phrase
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "request_id": getattr(request.state, "request_id", ""),
    }
    if found := list(errors):
        body["errors"] = found
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def of_http(request: Request, problem: Exception) -> Response:
    """What the framework or the service refused, such as an unknown path or a missing token."""
    assert isinstance(problem, HTTPException)
    return problem_response(request, problem.status_code, str(problem.detail), headers=problem.headers)


def of_validation(request: Request, problem: Exception) -> Response:
    """Arguments that do not fit: each by its place and the reason; the value is not repeated, it may be a secret."""
    assert isinstance(problem, RequestValidationError)
    errors = [{"field": ".".join(map(str, e["loc"])), "message": str(e["msg"])} for e in problem.errors()]
    fields = ", ".join(dict.fromkeys(error["field"] for error in errors))
    return problem_response(request, 422, f"These do not fit: {fields}.", errors=errors)


def of_ptp(request: Request, problem: Exception) -> Response:
    """An error of the queries: a bad argument is told to who sent it, a lock asks for patience, the rest is ours."""
    if isinstance(problem, Locked | Moved):
        detail = "The database is busy or on the move: try again in a moment."
        return problem_response(request, 503, detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    if isinstance(problem, Conflict):
        return problem_response(request, 409, str(problem))
    if isinstance(problem, Unknown):
        # What a path or a query names is not found; what a body names makes the body unfit.
        return problem_response(request, 422 if request.method == "POST" else 404, str(problem))
    if type(problem) is UsageError:
        return problem_response(request, 400, str(problem))
    assert isinstance(problem, PtpError)
    raise problem
