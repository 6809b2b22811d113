"""Demo sources, made once a session, which tests only read; and small databases at head."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from ptp.engine import open_engine
from ptp.migration.steps import load_steps
from ptp.resources import folder
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


STUDIED = """
    INSERT INTO exams (id, vendor_id, code, name) VALUES (1, 'v', 'E1', 'Exam');
    INSERT INTO objectives (id, exam_id, code, name) VALUES (1, 1, '1', 'one'), (2, 1, '2', 'two');
    INSERT INTO users (id, email, name) VALUES (1, 'keen@example.com', 'Keen'), (2, 'idle@example.com', 'Idle');
    INSERT INTO questions (id, exam_id, objective_id, text, answers, review_status, difficulty)
        WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
        SELECT i, 1, 1 + i % 2, 'Why is gateway ' || (1000 + i) || ' so slow?', '[]', 'approved', 1 + i % 5 FROM n;
    INSERT INTO study_sessions (id, user_id, exam_id) VALUES (1, 1, 1), (2, 2, 1);
    INSERT INTO user_answers (id, user_id, question_id, study_session_id, selected_answer, is_correct, answered_at)
        SELECT id * 7, 1 + (id % 6 = 0), id, 1 + (id % 6 = 0), 'a', id % 2, 1750000000 - (60 - id) * 86400
        FROM questions
"""
OPERATED = """
    INSERT INTO twitter_accounts (id, username) VALUES ('a', 'acc');
    INSERT INTO tweets (id, account_id, text) VALUES ('t', 'a', 'hello');
    INSERT INTO engagement_opportunities (id, tweet_id, account_id) VALUES ('o', 't', 'a');
    INSERT INTO growth_metrics (date, new_followers) VALUES ('2025-06-01', 3);
    INSERT INTO ai_generation_log (purpose, model, cost_cents, created_at) VALUES ('draft', 'm', 2.5, 1749990000);
    INSERT INTO audit_log (action, entity_type, entity_id, created_at)
        VALUES ('question.update', 'question', '5', 1749990000), ('tweet.like', 'tweet', 't', 1749990000)
"""


def fill(engine: Engine, script: str) -> None:
    with engine.begin() as db:
        for statement in script.split(";"):
            db.execute(text(statement))


@pytest.fixture(scope="session")
def _empty_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the steps, as a target is: with its triggers and what they derive."""
    path = tmp_path_factory.mktemp("head") / "empty.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for step in load_steps(folder("sql")):
            for sql in step.up:
                db.execute(sql)
    return path


@pytest.fixture
def head(_empty_head: Path, tmp_path: Path) -> Path:
    path = tmp_path / "head.db"
    path.write_bytes(_empty_head.read_bytes())
    return path


@pytest.fixture
def engine(head: Path) -> Iterator[Engine]:
    """On an empty database at head."""
    opened = open_engine(head)
    yield opened
    opened.dispose()


@pytest.fixture
def studied(engine: Engine) -> Engine:
    """60 questions of an exam, answered by two users."""
    fill(engine, STUDIED)
    return engine


@pytest.fixture
def operated(studied: Engine) -> Engine:
    """The same, with a row in each table of the operations."""
    fill(studied, OPERATED)
    return studied
