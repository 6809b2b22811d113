"""The largest body that is read, whether its length was told before or it comes in chunks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ptp.service.problems import Problem, problem_response

LARGEST_BODY = 512 * 1024
"""In bytes; 500 answers with the longest keys take about 300 KB."""

_DETAIL = f"The body is larger than {LARGEST_BODY} bytes."


class Limits:
    """Refuses a body that says it is too large before it is read, and stops reading one that turns out to be."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand around `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _told_length(scope) > LARGEST_BODY:
            headers = {"Connection": "close"}  # so that nobody waits for the rest
            await problem_response(Request(scope), 413, _DETAIL, headers=headers)(scope, receive, send)
            return
        read = 0

        async def receive_counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST_BODY:
                raise Problem(413, _DETAIL, headers={"Connection": "close"})
            return message

        await self._app(scope, receive_counted, send)


def _told_length(scope: Scope) -> int:
    for key, value in scope["headers"]:
        if key == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0
