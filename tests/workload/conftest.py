"""Demo sources, made once a session; tests only read them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ptp.workload.demo import DemoSummary, write_demo

Made = Callable[[str, str], DemoSummary]

#: A time as Unix seconds, whichever way it is stored.
SECONDS = "CASE typeof({0}) WHEN 'text' THEN CAST(strftime('%s', {0}) AS INTEGER) ELSE {0} END"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Makes the demo source of a shape and size, with seed 7, the first time it is asked for."""
    folder, known = tmp_path_factory.mktemp("demo"), {}

    def make(shape: str, size: str) -> DemoSummary:
        if (shape, size) not in known:
            out: Path = folder / f"{shape}-{size}.db"
            known[shape, size] = write_demo(shape=shape, size=size, seed=7, out=out)  # type: ignore[arg-type]
        return known[shape, size]

    return make


@pytest.fixture(scope="session", params=["raw-tiny", "drizzle-tiny", "raw-quick", "drizzle-quick"], name="demo")
def any_demo(request: pytest.FixtureRequest, made: Made) -> DemoSummary:
    shape, size = request.param.split("-")
    return made(shape, size)


@pytest.fixture(scope="session")
def connection(demo: DemoSummary) -> Iterator[sqlite3.Connection]:
    """The demo source, with its answers also as `answer`: their exam, and their time `at` in seconds."""
    with closing(sqlite3.connect(demo.path)) as opened:
        opened.executescript(f"""
            CREATE TEMP TABLE answer AS
            SELECT a.*, q.exam_id, q.objective_id, {SECONDS.format("a.answered_at")} AS at
            FROM user_answers AS a JOIN questions AS q ON q.id = a.question_id
            ORDER BY a.id;
        """)
        yield opened
