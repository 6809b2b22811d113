"""The application: routes, what stands around them, and what they are given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Engine
from starlette.exceptions import HTTPException

import ptp
from ptp.errors import PtpError
from ptp.service import problems
from ptp.service.auth import Access
from ptp.service.direct import Direct
from ptp.service.middleware import Audit, Errors, Limits, Timing
from ptp.service.models import ProblemOut
from ptp.service.readiness import readiness
from ptp.service.routes import ROUTERS
from ptp.service.watching import watched
from ptp.settings import Settings


def create_app(engine: Engine, *, settings: Settings, access: Access, workers: Path | None = None) -> FastAPI:
    """The API on an engine of `ptp.engine.open_engine`; the caller closes the engine after it.

    `workers` is the folder in which the workers of one server count together.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # A thread a connection of the pool: more would only wait, for a connection or for each other.
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.pool_size
        with watched(engine, settings, workers=workers) as app.state.watching:
            yield

    app = FastAPI(
        title="PingToPass",
        summary="Study questions, answers, progress and growth over the typed data layer.",
        version=ptp.__version__,
        lifespan=lifespan,
        docs_url=None,  # the framework's own pages load their scripts from another host
        redoc_url=None,
    )
    app.state.access = access
    app.state.why_unready = readiness(engine)
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(HTTPException, problems.of_http)
    app.add_exception_handler(RequestValidationError, problems.of_validation)
    app.add_exception_handler(PtpError, problems.of_ptp)
    app.add_middleware(Direct, routers=ROUTERS)
    for around in (Limits, Errors, Timing, Audit):  # the last one is outermost
        app.add_middleware(around)
    app.openapi = _described(app)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The OpenAPI document with the model of a problem, and the token that the routes ask for."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        found = plain()
        parts = found.setdefault("components", {})
        schema = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
        nested = schema.pop("$defs", {})
        parts.setdefault("schemas", {}).update({ProblemOut.__name__: schema, **nested})
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        for path, methods in found["paths"].items():
            if path.startswith("/api/") and not path.startswith("/api/health"):
                for route in methods.values():
                    route["security"] = [{"token": []}]
        return found

    return document
