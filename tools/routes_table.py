"""Print the table of routes for docs/guide.md, from their declarations; a test holds the guide to it.

.venv/bin/python tools/routes_table.py
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from ptp.engine.routes import CAPABILITIES, ROUTES, Route

ROOT = Path(__file__).parents[1]


def table() -> str:
    """The table, and what its words mean."""
    lines = ["| URL | by | proven on | cannot |", "|---|---|---|---|"]
    lines += [_row(route) for route in ROUTES.values()]
    known = [name for name in CAPABILITIES if any(name not in route.can for route in ROUTES.values())]
    words = "; ".join(f"*{name}*: {CAPABILITIES[name]}" for name in known)
    return "\n".join([*lines, "", f"What a route can is declared in these words. {words}."])


def _row(route: Route) -> str:
    urls = ", ".join(f"`{url}`" for url in route.urls)
    lacks = ", ".join(name for name in CAPABILITIES if name not in route.can)
    return f"| {urls} | {_package(route)} | {route.proven} | {lacks} |"


def _package(route: Route) -> str:
    if not route.package:
        return "the standard library"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = [*project["dependencies"], *(pin for extra in project["optional-dependencies"].values() for pin in extra)]
    version = next(pin.split("==")[1] for pin in pins if pin.startswith(f"{route.package}=="))
    return f"{route.package} {version}" + (f" (extra `{route.extra}`)" if route.extra else "")


if __name__ == "__main__":
    print(table())
