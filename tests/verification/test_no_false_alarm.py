"""Clean sources of any content migrate and verify without a single finding against them."""

import sqlite3
import string
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptp.conversions import LAST_SECOND, Choice, Conversion, Span
from ptp.resources import folder
from ptp.schema.shapes import known_shapes
from ptp.workbench.migrating import migrate
from ptp.workbench.verifying import verify

# Parents first; the source columns that refer to a row, and to which table.
REFERENCES = {
    "user_id": "users",
    "reviewed_by": "users",
    "exam_id": "exams",
    "objective_id": "objectives",
    "parent_id": "objectives",
    "question_id": "questions",
    "study_session_id": "study_sessions",
    "test_attempt_id": "test_attempts",
    "account_id": "twitter_accounts",
}
ORDER = (
    "users", "exams", "objectives", "questions", "study_sessions", "test_attempts", "user_answers", "user_progress",
    "twitter_accounts", "tweets", "engagement_opportunities", "growth_metrics", "ai_generation_log", "audit_log",
)  # fmt: skip
UNIQUE = {"users": ("email",), "exams": ("code",), "twitter_accounts": ("username",), "growth_metrics": ("date",)}

TEXTS = (
    st.text(max_size=6) | st.text(string.printable, max_size=8) | st.sampled_from(["", " ", "\0", "a\0b", "NULL", "'"])
)
SECONDS = st.integers(0, LAST_SECOND) | st.sampled_from([0, 1, LAST_SECOND])
JSON = st.sampled_from(["[]", "{}", ' {"a": 1}', '{"a":1,"a":2}', '"x"', "1e400", "null", "[[[1]]]", '"\\u0000"', "-0"])
REALS = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, 1e308, 5e-324]) | st.integers(-(2**53), 2**53)


def _text_time(seconds: int, form: str) -> Any:
    stamp = datetime.fromtimestamp(seconds, UTC)
    return {
        "plain": stamp.strftime("%Y-%m-%d %H:%M:%S"),
        "zulu": stamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "zone": stamp.strftime("%Y-%m-%dT%H:%M:%S.000+00:00"),
        "integer": seconds,
    }[form]


def clean(conversion: Conversion) -> st.SearchStrategy[Any]:
    """Values that convert exactly."""
    if isinstance(conversion.rule, Choice):
        values: st.SearchStrategy[Any] = st.sampled_from(conversion.rule.values)
    elif isinstance(conversion.rule, Span):
        low, high = conversion.rule.low, conversion.rule.high
        values = st.floats(low, high) if conversion.kind == "real" else st.integers(low, high)
    else:
        forms = st.sampled_from(["plain", "zulu", "zone", "integer"])
        values = {
            "time": st.builds(_text_time, SECONDS, forms),
            "boolean": st.sampled_from([0, 1, "true", "FALSE"]),
            "json": JSON,
            "integer": st.integers(-(2**63), 2**63 - 1),
            "real": REALS,
            "text": TEXTS.filter(lambda t: not any("\ud800" <= c <= "\udfff" for c in t)),
            "date": st.dates().map(str),
        }[conversion.kind]
    return st.none() | values if conversion.nullable else values


@st.composite
def sources(draw: st.DrawFn, shape: str) -> dict[str, list[dict[str, Any]]]:
    """A few rows for every table, with sound references and unique keys."""
    maps = {t.source: t for s in known_shapes() if s.name == shape for t in s.tables}
    rows: dict[str, list[dict[str, Any]]] = {}
    for table in (t for t in ORDER if t in maps):
        rows[table] = []
        for number in range(draw(st.integers(0, 3))):
            row: dict[str, Any] = {}
            for column in maps[table].columns:
                name = column.source
                parent = "tweets" if (name, table) == ("tweet_id", "engagement_opportunities") else REFERENCES.get(name)
                if name == "id":
                    row[name] = draw(TEXTS) + str(number) if column.conversion.kind == "text" else number * 3 + 1
                elif parent is not None:
                    keys = [r["id"] for r in rows[parent]]
                    nothing = [None] if column.conversion.nullable else []
                    row[name] = draw(st.sampled_from(keys + nothing)) if keys + nothing else ...
                else:
                    row[name] = draw(clean(column.conversion))
                if name in UNIQUE.get(table, ()):
                    row[name] = f"2025-01-0{number + 1}" if name == "date" else f"{row[name]}{number}"
            if ... not in row.values() and not any(_twin(table, row, other) for other in rows[table]):
                rows[table].append(row)
    return rows


def _twin(table: str, row: dict[str, Any], other: dict[str, Any]) -> bool:
    if table != "user_progress":
        return False
    return bool((row["user_id"], row["exam_id"]) == (other["user_id"], other["exam_id"]))


def write(path: Path, shape: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript((folder("sql") / "shapes" / f"{shape}.sql").read_text(encoding="utf-8"))
        db.execute("PRAGMA synchronous = OFF")
        for table, entries in rows.items():
            for row in entries:
                marks = ", ".join("?" for _ in row)
                db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
        db.commit()


_HELD = ("pass", "not applicable")
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@pytest.mark.parametrize("shape", ["raw", "drizzle"])
@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=_SLOW)
def test_a_clean_source_of_any_content_passes_every_finding(shape: str, data: st.DataObject) -> None:
    assert_no_alarm(shape, data)


@pytest.mark.torture
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("shape", ["raw", "drizzle"])
@given(data=st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=_SLOW)
def test_a_hundred_clean_sources_pass_every_finding(shape: str, data: st.DataObject) -> None:
    assert_no_alarm(shape, data)


def assert_no_alarm(shape: str, data: st.DataObject) -> None:
    rows = data.draw(sources(shape))
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out"
        out.mkdir()
        source, target = Path(name) / "source.db", Path(name) / "target.db"
        write(source, shape, rows)
        stages = migrate(source, target, out, run="t"), verify(source, target)
        findings = [f for stage in stages for f in stage.findings]
        assert {f.id: f.where for f in findings if f.severity != "note" and f.verdict not in _HELD} == {}
        with closing(sqlite3.connect(target)) as db:
            for table, entries in rows.items():
                assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (len(entries),)
