"""Who asked for what, and what came of it: a line of JSON a request, without values of the query or tokens."""

from __future__ import annotations

import json
import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

AUDIT = logging.getLogger("ptp.audit")


class Audit:
    """Writes the line when the request is over, whichever way it ended."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand around `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not AUDIT.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        begun, at = time.perf_counter(), time.time()
        status = 0

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_seen)
        finally:
            state = scope.get("state", {})
            line = {
                "at": round(at, 3),
                "request_id": state.get("request_id"),
                "user": state.get("user_id"),
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round((time.perf_counter() - begun) * 1000, 3),
            }
            # As AUDIT.info does, but for its search of the stack for who called.
            AUDIT.handle(logging.LogRecord(AUDIT.name, logging.INFO, "", 0, json.dumps(line), (), None))
