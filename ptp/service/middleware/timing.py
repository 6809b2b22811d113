"""How long a request took, and how much of it in queries: for its client in Server-Timing, and for the monitor."""

from __future__ import annotations

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ptp.service.calls import Spent, spending


class Timing:
    """Measures the request up to the start of its response, in milliseconds."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand around `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, spent, started = perf_counter(), Spent(), False

        async def send_timed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started, seconds = True, perf_counter() - begun
                value = f"db;dur={spent.seconds * 1000:.3f}, app;dur={seconds * 1000:.3f}"
                message["headers"] = [*message["headers"], (b"server-timing", value.encode())]
                _count(scope, message["status"], seconds)  # now: who has the answer finds it counted
            await send(message)

        try:
            with spending(spent):
                await self._app(scope, receive, send_timed)
        finally:
            if not started:
                _count(scope, 500, perf_counter() - begun)


def _count(scope: Scope, status: int, seconds: float) -> None:
    # The route's template, not the path: each id would be a series of its own.
    scope["app"].state.watching.observe(getattr(scope.get("route"), "path", "none"), status, seconds)
