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
        begun, spent, status = perf_counter(), Spent(), 500

        async def send_timed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                whole = perf_counter() - begun
                value = f"db;dur={spent.seconds * 1000:.3f}, app;dur={whole * 1000:.3f}"
                message["headers"] = [*message["headers"], (b"server-timing", value.encode())]
            await send(message)

        try:
            with spending(spent):
                await self._app(scope, receive, send_timed)
        finally:
            # The route's template, not the path: each id would be a series of its own.
            route = getattr(scope.get("route"), "path", "none")
            scope["app"].state.watching.observe(route, status, perf_counter() - begun)
