"""A short way for requests that are as they should be; all others take the framework's own, which says what is wrong.

The framework looks for a route three times, resolves the arguments as a graph, and runs each query in a thread. Here a
table gives the route, its arguments are taken by the framework's own checks, and what the cache holds is answered
without a thread. Whatever is not plain, a path, a method, an argument or a body, goes on as if this were not here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ptp.errors import PtpError
from ptp.service import problems
from ptp.service.caching import POLICIES, NotKept
from ptp.service.dependencies import SUPPLIED
from ptp.service.watching import Watching


@dataclass(frozen=True, slots=True)
class Straight:
    """A route that can be taken straight: what its function is given, and whether what it asks for is kept."""

    route: APIRoute
    supplied: tuple[tuple[str, Callable[[Request], Any]], ...]
    kept: bool

    async def arguments(self, request: Request, parts: Mapping[str, str], body: Any) -> dict[str, Any] | None:
        """What the function is to be called with; None where the framework is to say what does not fit."""
        takes = self.route.dependant
        found = {name: supply(request) for name, supply in self.supplied}
        given: tuple[Any, ...] = (parts, request.query_params, request.headers)
        for fields, values in zip((takes.path_params, takes.query_params, takes.header_params), given, strict=True):
            if fields:
                taken, errors = request_params_to_args(fields, values)
                if errors:
                    return None
                found |= taken
        if takes.body_params:
            embed = self.route._embed_body_fields
            taken, errors = await request_body_to_args(takes.body_params, body, embed_body_fields=embed)
            if errors:
                return None
            found |= taken
        return found


class Direct:
    """Stands before the framework, within everything else that stands around a request."""

    def __init__(self, app: ASGIApp, *, routers: Iterable[APIRouter]) -> None:
        """Make the table."""
        self._app = app
        self._fixed: dict[tuple[str, str], Straight] = {}
        self._moving: list[tuple[str, re.Pattern[str], Straight]] = []
        for route in (route for router in routers for route in router.routes):
            if isinstance(route, APIRoute) and (made := _straight(route)) is not None:
                for method in route.methods or ():
                    if route.param_convertors:
                        self._moving.append((method, route.path_regex, made))
                    else:
                        self._fixed[method, route.path] = made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        found = self._found(scope) if scope["type"] == "http" and not scope.get("root_path") else None
        if found is None:
            await self._app(scope, receive, send)
            return
        straight, parts = found
        scope["route"], request, received = straight.route, Request(scope), _Received(receive)
        try:
            body = await received.json(request) if straight.route.dependant.body_params else None
            arguments = None if body is _NONE else await straight.arguments(request, parts, body)
            response = None if arguments is None else await _answered(request, straight, arguments)
        except (HTTPException, PtpError) as problem:
            tell = problems.of_http if isinstance(problem, HTTPException) else problems.of_ptp
            response = tell(request, problem)
        if response is None:
            await self._app(scope, received.again, send)
        else:
            await response(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[Straight, Mapping[str, str]] | None:
        method, path = scope["method"], scope["path"]
        if (fixed := self._fixed.get((method, path))) is not None:
            return fixed, {}
        for wanted, pattern, straight in self._moving:
            if wanted == method and (match := pattern.match(path)):
                return straight, match.groupdict()
        return None


async def _answered(request: Request, straight: Straight, arguments: Mapping[str, Any]) -> Response:
    watching: Watching = request.app.state.watching

    def call() -> Response:
        found: Response = straight.route.endpoint(**arguments)
        return found

    if straight.kept:
        with suppress(NotKept), watching.cache.only_kept():
            return call()
    return await watching.threads.run(call)


def _straight(route: APIRoute) -> Straight | None:
    """The route, where its function takes nothing but what is known here."""
    takes = route.dependant
    supplied = [(one.name, SUPPLIED.get(one.call)) for one in takes.dependencies]
    if not supplied or takes.cookie_params or takes.request_param_name or not all(supply for _, supply in supplied):
        return None
    # A route bears the name of its query. One that is kept can be asked whether it is, and does nothing else then.
    return Straight(route, tuple(supplied), kept=route.endpoint.__name__ in POLICIES)  # type: ignore[arg-type]


class _Received:
    """The body of a request, which can be received once more."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._read, self._told = receive, list[Message](), 0

    async def json(self, request: Request) -> Any:
        """What the body says; _NONE where it is not whole, or no JSON."""
        while not self._read or self._read[-1].get("more_body"):
            self._read.append(await self._receive())
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" or any(message["type"] != "http.request" for message in self._read):
            return _NONE
        try:
            return json.loads(b"".join(message.get("body", b"") for message in self._read))
        except (ValueError, RecursionError):
            return _NONE

    async def again(self) -> Message:
        """What was received, from its beginning."""
        if self._told < len(self._read):
            self._told += 1
            return self._read[self._told - 1]
        return await self._receive()


_NONE = object()
