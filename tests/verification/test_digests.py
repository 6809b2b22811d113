"""Digests by table and range of keys: what changed since a run is found, with its place, and nothing else is."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptp.errors import UsageError
from ptp.results import Finding
from ptp.verification import parallel
from ptp.verification.digests import Digester, digest_table, label_of, read_digests, write_digests
from ptp.verification.texts import Layout
from ptp.workbench import content
from ptp.workbench.content import DIGESTS
from ptp.workbench.verifying import verify, verify_since


@pytest.fixture
def run(pair: Any, tmp_path: Path) -> Path:
    """The folder of a run that has just verified the pair."""
    folder = tmp_path / "run"
    folder.mkdir()
    assert {f.verdict for f in verify(pair.source, pair.target, out=folder).findings} <= {"pass", "not applicable"}
    return folder


def changed(pair: Any, run: Path) -> dict[str, Finding]:
    return {
        f.id.removeprefix("verify.since."): f for f in verify_since(pair.target, run).findings if f.verdict == "fail"
    }


def test_nothing_has_changed_right_after_a_run(pair: Any, run: Path) -> None:
    assert changed(pair, run) == {}
    assert {"questions", "user_answers", "users"} <= read_digests(run / DIGESTS).keys()


CHANGES = [
    ("user_answers", "UPDATE user_answers SET selected_answer = selected_answer || ' ' WHERE id = 7", "keys 0 to 4095"),
    ("user_answers", "DELETE FROM user_answers WHERE id = 8", "rows then"),
    ("user_answers", "INSERT INTO user_answers (id, user_id, question_id, selected_answer, is_correct) VALUES (900000, 1, 1, 'a', 1)", "keys 897024 to 901119: 0 rows then, 1 now"),
    ("exams", "UPDATE exams SET passing_score = -0.0 WHERE passing_score IS NOT NULL", "keys 0 to 4095"),
    ("users", "UPDATE users SET bio = NULL WHERE id = 2 AND bio IS NOT NULL OR id = 3", "other content"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "sql", "told"), CHANGES)
def test_what_changed_is_named_with_its_range(pair: Any, run: Path, table: str, sql: str, told: str) -> None:
    pair.edit(sql)
    found = changed(pair, run)
    assert list(found) == [table]
    assert told in found[table].where[0]


def test_a_change_taken_back_is_none(pair: Any, run: Path) -> None:
    pair.edit("UPDATE questions SET avg_time_seconds = avg_time_seconds + 1 WHERE id = 5", "VACUUM")
    assert list(changed(pair, run)) == ["questions"]
    pair.edit("UPDATE questions SET avg_time_seconds = avg_time_seconds - 1 WHERE id = 5")
    assert changed(pair, run) == {}


def test_a_table_or_column_that_is_gone_is_named(pair: Any, run: Path) -> None:
    pair.edit("DROP TABLE audit_log", "ALTER TABLE test_attempts RENAME COLUMN score TO points")
    found = changed(pair, run)
    assert "no longer there" in found["audit_log"].where[0] if "audit_log" in read_digests(run / DIGESTS) else True
    assert "column score: no longer there" in found["test_attempts"].where[0]


def test_several_processes_digest_as_one_does(
    pair: Any, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "WORTH_IT", 0)
    monkeypatch.setattr(content, "processors", lambda: 2)
    monkeypatch.setattr(parallel, "ROWS_OF_A_PART", 150)
    for module in ("digests", "parallel"):
        monkeypatch.setattr(f"ptp.verification.{module}.RANGE", 4_096)
    (tmp_path / "other").mkdir()
    verify(pair.source, pair.target, out=tmp_path / "other")
    assert read_digests(tmp_path / "other" / DIGESTS) == read_digests(run / DIGESTS)


VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(VALUES, VALUES), max_size=6), cut=st.integers(0, 6), place=st.integers(0, 5), other=VALUES
)
def test_a_digest_tells_every_value_apart_and_no_batch(rows: list[Any], cut: int, place: int, other: Any) -> None:
    keyed = [(n, *row) for n, row in enumerate(rows)]

    def of(found: list[Any], cut: int = 0) -> dict[str, tuple[int, str]]:
        digester = Digester((0,))
        for part in (found[:cut], found[cut:]):
            digester.take(part)
        return digester.ranges()

    assert of(keyed) == of(keyed, cut)
    if place < len(keyed):
        changed = [*keyed]
        changed[place] = (changed[place][0], other, changed[place][2])
        alike = type(other) is type(keyed[place][1]) and other == keyed[place][1] and (
            not isinstance(other, float) or math.copysign(1, other) == math.copysign(1, keyed[place][1]))  # fmt: skip
        assert (of(changed) == of(keyed)) is alike


@pytest.mark.parametrize(("key", "label"), [
    (0, "keys 0 to 4095"), (4095, "keys 0 to 4095"), (4096, "keys 4096 to 8191"), (-1, "keys -4096 to -1"),
    ("abc", "keys that begin with 'ab'"), ("", "keys that begin with ''"), (None, "keys of class NoneType"),
])  # fmt: skip
def test_a_range_is_told_in_words(key: Any, label: str) -> None:
    assert label_of(key) == label


@pytest.mark.parametrize("spoil", [
    lambda path: path.unlink(),
    lambda path: path.write_text("{"),
    lambda path: path.write_text(json.dumps({"tables": {"users": {"key": ["id"]}}})),
])  # fmt: skip
def test_a_run_without_digests_is_refused_in_one_sentence(pair: Any, run: Path, spoil: Callable[[Path], Any]) -> None:
    spoil(run / DIGESTS)
    with pytest.raises(UsageError, match="digests"):
        verify_since(pair.target, run)


def test_the_file_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE t (k TEXT PRIMARY KEY, v) WITHOUT ROWID")
        db.executemany("INSERT INTO t VALUES (?, ?)", [("a\x00", b"\xff"), ("é", 1e300), ("\U0001f600", None)])
        digest = digest_table(db, "t", key=("k",), layout=Layout(loose=("k", "v")))
    write_digests(tmp_path / "d.json", {"t": digest})
    assert read_digests(tmp_path / "d.json") == {"t": digest}
    assert len(digest.ranges) == 3
    shutil.rmtree(tmp_path)
