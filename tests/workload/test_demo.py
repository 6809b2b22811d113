"""Demo sources: what they hold, and that the seed decides it."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.resources import folder
from ptp.workload.demo import DEMO_NOW, SIZES, DemoSummary, command, write_demo

from .conftest import SECONDS, Made

FACTS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "facts" / "source-schemas.json").read_text(encoding="utf-8")
)
MOMENT = re.compile(r"20\d\d-[01]\d-[0-3]\d [0-2]\d:[0-5]\d:[0-5]\d")
DATE = re.compile(r"20\d\d-[01]\d-[0-3]\d")
DATES = {"last_study_date", "last_test_date", "date"}
ENUMERATIONS = {
    ("engagement_opportunities", "opportunity_type"): {"reply", "quote", "follow"},
    ("engagement_opportunities", "status"): {"pending", "approved", "rejected", "executed"},
}


def digest(path: Path) -> str:
    """A digest of every row of every table, in order of rowid."""
    found = hashlib.sha256()
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
        for (name,) in names.fetchall():
            for row in connection.execute(f"SELECT * FROM {name} ORDER BY rowid"):
                found.update(repr((name, row)).encode())
    return found.hexdigest()


def test_counts(demo: DemoSummary, connection: sqlite3.Connection) -> None:
    size = SIZES[demo.size]
    expected = {
        "users": size.users,
        "exams": size.exams,
        "questions": size.questions,
        "study_sessions": size.sessions,
        "test_attempts": size.attempts,
        "user_answers": size.answers,
    }
    if demo.shape == "drizzle":
        expected |= {
            "twitter_accounts": size.accounts,
            "tweets": size.tweets,
            "engagement_opportunities": size.opportunities,
            "growth_metrics": size.metric_days,
            "ai_generation_log": size.generations,
            "audit_log": size.audits,
            "voice_profiles": size.voices,
        }
    counted = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in FACTS[demo.shape]}
    assert counted == demo.rows
    assert {table: counted[table] for table in expected} == expected
    assert all(counted.values())
    assert 5 * size.exams <= counted["objectives"] <= 8 * size.exams
    assert demo.bytes == demo.path.stat().st_size


@pytest.mark.parametrize("size", ["quick", "full"])
def test_sizes_are_the_agreed_ones(size: str) -> None:
    tenth = 10 if size == "quick" else 1
    agreed = SIZES[size]
    assert (agreed.exams, agreed.questions_per_exam) == ({"quick": 2, "full": 10}[size], 10_000)
    assert [agreed.users * tenth, agreed.sessions * tenth, agreed.attempts * tenth] == [5_000, 50_000, 5_000]
    assert agreed.answers * tenth == 1_000_000
    assert [agreed.accounts * tenth, agreed.tweets * tenth, agreed.opportunities * tenth] == [200, 20_000, 20_000]
    assert [agreed.metric_days * tenth, agreed.text_times * tenth] == [1_000, 1_000]
    assert [agreed.generations * tenth, agreed.audits * tenth] == [50_000, 100_000]


def test_sound(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA main.journal_mode").fetchone() == ("delete",)


def test_one_file(demo: DemoSummary) -> None:
    assert [path.name for path in demo.path.parent.glob(demo.path.name + "?*")] == []


def test_ddl_is_the_shapes(demo: DemoSummary, connection: sqlite3.Connection) -> None:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name <> 'sqlite_sequence' ORDER BY name"
    with closing(sqlite3.connect(":memory:")) as plain:
        plain.executescript((folder("sql") / "shapes" / f"{demo.shape}.sql").read_text(encoding="utf-8"))
        assert connection.execute(query).fetchall() == plain.execute(query).fetchall()


def test_text_times(demo: DemoSummary, connection: sqlite3.Connection) -> None:
    kinds = dict(connection.execute("SELECT typeof(answered_at), count(*) FROM user_answers GROUP BY 1"))
    size = SIZES[demo.size]
    if demo.shape == "raw":
        assert kinds == {"text": size.answers}
    else:
        assert kinds == {"text": size.text_times, "integer": size.answers - size.text_times}


def test_every_value_is_exact(demo: DemoSummary, connection: sqlite3.Connection) -> None:
    for table, facts in FACTS[demo.shape].items():
        for column in facts["columns"]:
            name, allowed = column["name"], not (column["not_null"] or column["primary_key"])
            for (value,) in connection.execute(f"SELECT DISTINCT {name} FROM {table}"):
                meaning = "date" if name in DATES else column["meaning"]
                fits = allowed if value is None else is_exact(meaning, value, shape=demo.shape)
                assert fits, (table, name, value)


def is_exact(meaning: str, value: Any, *, shape: str) -> bool:
    """Whether a value is of its column's meaning without conversion being more than a change of form."""
    match meaning:
        case "unix_seconds" | "utc_text YYYY-MM-DD HH:MM:SS":
            if isinstance(value, str):
                return MOMENT.fullmatch(value) is not None
            return shape == "drizzle" and isinstance(value, int) and 0 <= value < 4_102_444_800
        case "boolean":
            return isinstance(value, int) and value in (0, 1)
        case "integer":
            return isinstance(value, int)
        case "real":
            return isinstance(value, float)
        case "date":
            return isinstance(value, str) and DATE.fullmatch(value) is not None
        case "json":
            json.loads(value, parse_constant=pytest.fail)
            return isinstance(value, str)
    return meaning == "text" and isinstance(value, str)


def test_enumerations(made: Made) -> None:
    with closing(sqlite3.connect(made("drizzle", "quick").path)) as connection:
        for (table, column), expected in ENUMERATIONS.items():
            assert {v for (v,) in connection.execute(f"SELECT {column} FROM {table}")} == expected
        # The raw shape's rules hold in the drizzle shape too, where nothing enforces them.
        for table, facts in FACTS["raw"].items():
            for rule in facts["checks"]:
                broken = f"SELECT count(*) FROM {table} WHERE NOT ({rule})"
                assert connection.execute(broken).fetchone() == (0,), (table, rule)


def test_nothing_is_later_than_now(demo: DemoSummary, connection: sqlite3.Connection) -> None:
    for table, facts in FACTS[demo.shape].items():
        for column in facts["columns"]:
            if "seconds" not in column["meaning"] and "utc_text" not in column["meaning"]:
                continue
            if column["name"] in ("expires_at", "subscription_expires_at"):
                continue
            (last,) = connection.execute(f"SELECT max({SECONDS.format(column['name'])}) FROM {table}").fetchone()
            assert last is None or last <= DEMO_NOW, (table, column["name"])


def test_people(made: Made) -> None:
    with closing(sqlite3.connect(made("raw", "quick").path)) as connection:
        emails = [email for (email,) in connection.execute("SELECT email FROM users")]
        names = [name for (name,) in connection.execute("SELECT name FROM users")]
        spread = connection.execute("SELECT count(*) FROM user_answers GROUP BY user_id ORDER BY 1 DESC")
        per_user = [count for (count,) in spread]
        (shown,) = connection.execute("SELECT avg(is_active AND review_status = 'approved') FROM questions").fetchone()
        distinct, length = connection.execute(
            "SELECT count(DISTINCT text) * 1.0 / count(*), avg(length(text)) FROM questions"
        ).fetchone()
    assert len({email.lower() for email in emails}) == len(emails)
    assert all(email.isascii() for email in emails)
    assert any(not name.isascii() for name in names)
    # The keenest tenth of the users give more than a third of the answers.
    assert sum(per_user[: len(per_user) // 10]) > sum(per_user) / 3
    assert 0.93 < shown < 0.97
    assert distinct > 0.99
    assert 150 < length < 400


def test_same_seed_same_content(made: Made, tmp_path: Path) -> None:
    for shape, size in (("raw", "tiny"), ("drizzle", "tiny"), ("drizzle", "quick")):
        again = write_demo(shape=shape, size=size, seed=7, out=tmp_path / f"{shape}-{size}.db")  # type: ignore[arg-type]
        assert digest(again.path) == digest(made(shape, size).path)


def test_same_content_in_another_process(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere.db"
    code = (
        "import sys, pathlib; from ptp.workload.demo import write_demo;"
        "write_demo(shape='drizzle', size='tiny', seed=7, out=pathlib.Path(sys.argv[1]))"
    )
    environment = {"PYTHONPATH": str(Path(command.__file__).parents[3]), "PYTHONHASHSEED": "99", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, str(out)], check=True, env=environment)
    assert digest(out) == digest(made("drizzle", "tiny").path)


def test_another_seed_other_content(made: Made, tmp_path: Path) -> None:
    other = write_demo(shape="raw", size="tiny", seed=8, out=tmp_path / "other.db")
    assert digest(other.path) != digest(made("raw", "tiny").path)


@pytest.mark.parametrize("seed", range(12))
def test_tiny_fills_every_table(tmp_path: Path, seed: int) -> None:
    summary = write_demo(shape="drizzle", size="tiny", seed=seed, out=tmp_path / "tiny.db")
    assert set(summary.rows) == set(FACTS["drizzle"])
    assert all(summary.rows.values())


def test_both_shapes_tell_of_the_same_people(made: Made) -> None:
    raw, drizzle = made("raw", "quick").path, made("drizzle", "quick").path
    with closing(sqlite3.connect(raw)) as connection:
        connection.execute("ATTACH ? AS other", (str(drizzle),))
        for table, facts in FACTS["raw"].items():
            columns = ", ".join(
                SECONDS.format(column["name"]) if "utc_text" in column["meaning"] else column["name"]
                for column in facts["columns"]
            )
            differ = f"SELECT {columns} FROM main.{table} EXCEPT SELECT {columns} FROM other.{table}"
            assert connection.execute(differ).fetchall() == [], table
