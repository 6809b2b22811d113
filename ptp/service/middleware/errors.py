"""A request id for every request; what goes wrong unforeseen is told to the log, and to the client by that id."""

from __future__ import annotations

import logging
import re
import uuid

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ptp.service.problems import problem_response

HEADER = b"x-request-id"
_GIVEN = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_LOG = logging.getLogger("ptp.service")


class Errors:
    """Gives a request its id, or keeps the client's own where it is a plain one, and answers 500 for a failure."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand around `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _id_of(scope)
        scope.setdefault("state", {})["request_id"] = name
        started = False

        async def send_named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (HEADER, name.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception:
            _LOG.exception("request %s failed", name)
            if started:
                raise
            detail = "Something went wrong on our side; the request id names it in the log."
            await problem_response(Request(scope), 500, detail)(scope, receive, send_named)


def _id_of(scope: Scope) -> str:
    for key, value in scope["headers"]:
        if key == HEADER and _GIVEN.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex
