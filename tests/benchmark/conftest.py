"""Garbage is collected before each case that is timed: a third of a second in a process as large as the tests'."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The collections asked for, none of which is made."""
    asked: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: asked.append("all"))
    yield asked
