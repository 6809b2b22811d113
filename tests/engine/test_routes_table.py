"""The guide's table of routes says what the code declares, and what is proven on a stand-in says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ptp.engine.routes import ROUTES

ROOT = Path(__file__).parents[2]


def test_the_guide_has_the_table_as_declared() -> None:
    spec = importlib.util.spec_from_file_location("routes_table", ROOT / "tools/routes_table.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    guide = (ROOT / "docs/guide.md").read_text(encoding="utf-8")
    assert module.table() in guide, "write it anew by tools/routes_table.py"


def test_a_route_that_no_real_server_was_had_for_says_so() -> None:
    for route in ROUTES.values():
        is_server = route.name in ("http3", "websocket", "http1")
        assert ("stand-in" in route.proven) is is_server
        assert ("real" in route.proven) is not is_server
