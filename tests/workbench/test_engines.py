"""Engines side by side: on a small head by all four, and each way in which one can differ, on small files."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.engine.candidates import EngineName
from ptp.engine.meters import Statement
from ptp.errors import UsageError
from ptp.evidence import Stage, read_stage, write_stage
from ptp.report.page import render
from ptp.workbench import engines as engines_module
from ptp.workbench.engine_files import first_refused, make_ready, table_difference, written_tables
from ptp.workbench.engine_rounds import Effort, Recorded, rounds_of, take_rounds
from ptp.workbench.engine_rows import Likeness, compare, likeness
from ptp.workbench.engine_worker import Call, EngineGone, EngineProcess, EngineRefused
from ptp.workbench.engines import compare_engines
from ptp.workbench.migrating import migrate
from ptp.workbench.parts import Part
from ptp.workload.demo import write_demo
from ptp.workload.limits import LIMITS_MS

NAMES = ("sqlite3", "libsql", "turso", "apsw")
FEW = Effort(rounds=6, warmup=1, share_ns=1)
ROUNDS = Effort(rounds=9, warmup=2, share_ns=10**9)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    source = write_demo(shape="drizzle", size="tiny", seed=5, out=folder / "old.db").path
    migrate(source, folder / "new.db", folder, run="test")
    return folder / "new.db"


@pytest.fixture(scope="module")
def compared(target: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Part, Path, list[float]]:
    out, told = tmp_path_factory.mktemp("out"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines_module, "EFFORTS", {"quick": FEW})
        found = compare_engines(
            target, out, engines=["turso", "libsql", "apsw", "turso"], seed=3, progress=lambda f, _: told.append(f)
        )
    return found, out, told


Compared = tuple[Part, Path, list[float]]


def rows_of(part: Part) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["engine"], row["query"]): dict(row) for row in part.tables["Engines"]}


def test_every_query_has_a_row_by_every_engine_once_with_the_reference_first(compared: Compared) -> None:
    part, _, _ = compared
    assert len(part.tables["Engines"]) == len(LIMITS_MS) * 4
    assert [row["engine"] for row in part.tables["Engines"][:4]] == ["sqlite3", "turso", "libsql", "apsw"]
    assert set(rows_of(part)) == {(engine, query) for engine in NAMES for query in LIMITS_MS}


def test_sqlite3_runs_all_and_the_other_two_sqlites_give_its_rows(compared: Compared) -> None:
    rows = rows_of(compared[0])
    for query in LIMITS_MS:
        assert (rows["sqlite3", query]["n"], rows["sqlite3", query]["ratio"]) == (6, None)
        for engine in ("libsql", "apsw"):
            row = rows[engine, query]
            assert row["n"] == 6 and row["p50_ms"] > 0 and row["ratio_low"] <= row["ratio"] <= row["ratio_high"], row
            assert "wrong" not in row["note"]


def test_turso_works_without_the_search_and_says_what_it_cannot_run(compared: Compared) -> None:
    part, _, _ = compared
    rows, versions = rows_of(part), {row["engine"]: row for row in part.tables["Engine versions"]}
    assert "left out: virtual table question_search and 3 triggers" in versions["turso"]["note"]
    assert versions["turso"]["driver"].startswith("pyturso 0.") and versions["libsql"]["sqlite"].startswith("3.")
    assert "no such table: question_search" in rows["turso", "search_questions"]["note"]
    assert "WITHOUT ROWID" in rows["turso", "log_generation"]["note"]
    assert rows["turso", "change"]["note"].startswith("does less: question_search")
    assert rows["turso", "study_questions"]["n"] == 6  # the rest is measured


def test_the_findings_are_notes_and_say_the_same(compared: Compared) -> None:
    part, _, _ = compared
    found = {f.id: f for f in part.findings}
    assert set(found) == {f"engines.{engine}.{query}" for engine in NAMES[1:] for query in LIMITS_MS}
    assert {f.severity for f in part.findings} == {"note"}
    assert found["engines.turso.search_questions"].verdict == "not applicable"
    passed = found["engines.apsw.leaderboard"]
    assert (passed.verdict, passed.unit, passed.n) == ("pass", "times", 6)
    assert passed.value == rows_of(part)["apsw", "leaderboard"]["ratio"]


def test_the_samples_are_kept_and_the_page_shows_the_ratios(compared: Compared, tmp_path: Path) -> None:
    part, _, _ = compared
    stage = Stage("03_engines", "Engines", 1.0, part.results, part.tables)
    write_stage(tmp_path, stage)
    assert read_stage(tmp_path / "results" / "03_engines.json").tables["Engines"] == list(part.tables["Engines"])
    samples = {m.what: m.samples for m in stage.measurements}
    assert len(samples["engines.libsql.rank"]) == 6
    from ptp.evidence import Evidence, Run

    page = render(Evidence(Run("r", "a", "b", "quick", "dev", "", 1.0), (stage,), None), "queries.html")
    assert "in times of the reference" in page and "rank: " in page


def test_the_target_stays_as_it_was_and_nothing_is_left(target: Path, compared: Compared) -> None:
    before = hashlib.sha256(target.read_bytes()).hexdigest()
    with closing(sqlite3.connect(target)) as db:
        assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'question_search'").fetchone() == (1,)
    _, out, told = compared
    assert list(out.iterdir()) == []
    assert told == sorted(told) and told[-1] <= 1
    assert hashlib.sha256(target.read_bytes()).hexdigest() == before


def test_an_unknown_engine_is_refused_before_anything_is_done(target: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no engine 'duckdb'"):
        compare_engines(target, tmp_path, engines=["libsql", "duckdb"])
    assert list(tmp_path.iterdir()) == []


SMALL = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, r REAL, s TEXT) STRICT",
    "CREATE TABLE log (id INTEGER PRIMARY KEY, n)",
    "CREATE TRIGGER logged AFTER UPDATE ON t BEGIN INSERT INTO log (n) VALUES (NEW.n); END",
    "INSERT INTO t VALUES (1, 10, 1.5, 'one'), (2, 20, 2.5, 'two'), (3, 30, 3.5, 'three')",
)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return made(tmp_path / "small.db", *SMALL)


def made(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)
    return path


@pytest.fixture
def start(small: Path) -> Iterator[Callable[..., EngineProcess]]:
    """Starts an engine on a copy of the small file, after it was changed by statements."""
    started: list[EngineProcess] = []

    def opened(name: EngineName, *changes: str, copy: str = "") -> EngineProcess:
        path = small.with_name(copy or f"{name}.db")
        shutil.copy(small, path)
        made(path, *changes)
        started.append(EngineProcess(name))
        started[-1].open(path, ())
        return started[-1]

    yield opened
    for engine in started:
        engine.end()


def query(sql: str, *values: object, count: int = 12) -> Recorded:
    writes = not sql.startswith("SELECT")
    calls = tuple(Call(writes, ((sql, values),)) for _ in range(count))
    return Recorded("q", writes, calls, (Statement(sql, (values,)),))


def rounds(engines: list[EngineProcess], asked: Recorded, effort: Effort = ROUNDS) -> dict[EngineName, Any]:
    return dict(take_rounds(engines, asked, effort=effort, chance=random.Random(1)))


def test_engines_take_turns_on_the_same_calls_and_the_warm_up_does_not_count(
    start: Callable[..., EngineProcess],
) -> None:
    found = rounds([start("sqlite3"), start("apsw"), start("libsql")], query("SELECT n FROM t WHERE id = ?", 2))
    assert {name: sorted(taken.samples) for name, taken in found.items()} == {
        name: list(range(9)) for name in ("sqlite3", "apsw", "libsql")
    }
    assert all(ns > 0 for taken in found.values() for ns in taken.samples.values())


def test_a_wrong_row_is_an_error_however_fast_it_came(start: Callable[..., EngineProcess]) -> None:
    wrong = start("apsw", "UPDATE t SET n = 21 WHERE id = 2")
    found = rounds([start("sqlite3"), wrong], query("SELECT n FROM t WHERE id = ?", 2))
    assert found["apsw"].wrong == "column 1 of a row is 21 where sqlite3 has 20"
    assert found["apsw"].samples == {} and len(found["sqlite3"].samples) == 9


def test_a_statement_that_an_engine_cannot_run_is_told_in_its_words(start: Callable[..., EngineProcess]) -> None:
    lacking = start("apsw", "DROP TABLE log")
    found = rounds([start("sqlite3"), lacking], query("SELECT count(*) FROM log"))
    assert found["apsw"].error == "SQLError: no such table: log" and len(found["sqlite3"].samples) == 9


def test_where_the_reference_fails_nobody_is_measured(start: Callable[..., EngineProcess]) -> None:
    found = rounds([start("sqlite3"), start("apsw")], query("SELECT absent FROM t"))
    assert "no such column: absent" in found["sqlite3"].error
    assert found["apsw"].is_over and not found["apsw"].samples


def test_an_engine_that_dies_is_told_and_the_others_go_on(start: Callable[..., EngineProcess]) -> None:
    dying = start("turso")
    os.kill(dying._process.pid, signal.SIGKILL)
    found = rounds([start("sqlite3"), dying], query("SELECT n FROM t WHERE id = ?", 2))
    assert found["turso"].gone and found["turso"].error == "its process ended: exit -9, without a word"
    assert len(found["sqlite3"].samples) == 9


class Panic:
    """What reads this message panics, as a driver in Rust does."""

    def __reduce__(self) -> tuple[Any, ...]:
        lines = "thread 'main' panicked at src/btree.rs:7:\\nindex out of bounds"
        return exec, (f'import os; os.write(2, b"note\\n{lines}\\n"); os._exit(101)',)


def test_the_last_words_of_a_panic_are_told(start: Callable[..., EngineProcess]) -> None:
    engine = start("turso")
    with pytest.raises(EngineGone, match=r"thread 'main' panicked at src/btree\.rs:7: index out of bounds"):
        engine._ask("run", Panic())


def test_an_engine_that_does_not_answer_is_given_up(
    start: Callable[..., EngineProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start("sqlite3")
    monkeypatch.setattr("ptp.workbench.engine_worker.PATIENCE_S", 0.05)
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    engine_calls = (Call(False, ((endless, ()),)),)
    engine._pipe.send(("load", engine_calls))
    engine._pipe.recv()
    with pytest.raises(EngineGone, match="did not answer within"):
        engine.run(0)
    assert engine._process.wait(5) == -9


def test_those_that_write_make_as_many_calls_each_and_slow_readers_fewer() -> None:
    costs: dict[EngineName, int] = {"sqlite3": 1_000_000, "turso": 100_000_000}
    effort = Effort(rounds=50, warmup=5, share_ns=1_000_000_000)
    assert rounds_of(costs, writes=False, effort=effort) == {"sqlite3": 50, "turso": 10}
    assert rounds_of(costs, writes=True, effort=effort) == {"sqlite3": 10, "turso": 10}
    assert rounds_of({"sqlite3": 10**9, "apsw": 1}, writes=False, effort=effort) == {"sqlite3": 50, "apsw": 50}
    assert rounds_of({"sqlite3": 10**12}, writes=False, effort=effort) == {"sqlite3": 6}


def test_a_slow_engine_takes_part_in_rounds_spread_over_all(
    start: Callable[..., EngineProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: dict[EngineName, int] = {"sqlite3": 9, "apsw": 3}
    monkeypatch.setattr("ptp.workbench.engine_rounds.rounds_of", lambda *_, **__: wanted)
    found = rounds([start("sqlite3"), start("apsw")], query("SELECT n FROM t WHERE id = ?", 2))
    assert sorted(found["sqlite3"].samples) == list(range(9))
    assert sorted(found["apsw"].samples) == [2, 5, 8]


UPDATE = query("UPDATE t SET n = n + 1 WHERE id = ?", 2, count=3)


def test_a_trigger_that_an_engine_skips_is_found_in_the_tables(
    start: Callable[..., EngineProcess], small: Path
) -> None:
    both = [start("sqlite3"), start("apsw", "DROP TRIGGER logged")]
    found = rounds(both, UPDATE)
    for engine in both:
        engine.close()
    assert not found["apsw"].wrong  # the rows it gave are right
    tables = written_tables(small, UPDATE.statements)
    assert tables == {"t", "log"}
    difference = table_difference(small.with_name("sqlite3.db"), small.with_name("apsw.db"), tables)
    assert difference.likeness is Likeness.WRONG
    assert difference.text == "log has 0 rows where sqlite3 has 3"
    assert table_difference(small.with_name("sqlite3.db"), small.with_name("apsw.db"), {"t"}).likeness is Likeness.SAME


def test_a_value_that_was_written_otherwise_is_found_by_its_row(small: Path) -> None:
    other = small.with_name("other.db")
    shutil.copy(small, other)
    made(other, "DROP TRIGGER logged", "UPDATE t SET r = 9.5 WHERE id = 3")
    found = table_difference(small, other, {"t", "log"})
    assert found.text == "1 rows of t are not as sqlite3 wrote them: column 3 of a row is 9.5 where sqlite3 has 3.5"


def test_an_index_for_searching_that_no_longer_says_what_its_table_says_is_found(tmp_path: Path) -> None:
    schema = (
        "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT)",
        "CREATE VIRTUAL TABLE s USING fts5 (x, content = 'a', content_rowid = 'id')",
        "INSERT INTO a VALUES (1, 'word')",
        "INSERT INTO s (s) VALUES ('rebuild')",
    )
    right, stale = made(tmp_path / "right.db", *schema), made(tmp_path / "stale.db", *schema)
    assert table_difference(right, stale, {"s"}).likeness is Likeness.SAME
    made(stale, "UPDATE a SET x = 'other'")
    assert "s does not say what its table says any more" in table_difference(right, stale, {"s"}).text


@pytest.mark.parametrize(
    ("schema", "stopper"),
    [
        ("CREATE VIRTUAL TABLE stops using fts5(x)", "stops"),  # in small letters pyturso does not know the word
        ("CREATE VIRTUAL TABLE stops USING fts5(x)", "stops"),  # this one hides what stands after it
    ],
)
def test_what_keeps_an_engine_from_the_file_is_left_out_and_named(small: Path, schema: str, stopper: str) -> None:
    made(
        small,
        schema,
        "CREATE TABLE after (x)",
        "CREATE TRIGGER fills AFTER INSERT ON t BEGIN INSERT INTO stops VALUES ('x'); END",
    )
    engine = EngineProcess("turso")
    try:
        ready = make_ready(engine, small, small.with_name("copy.db"), ())
        assert engine.unread(["t", "after"]) == {}
    finally:
        engine.end()
    assert ready.absent == ""
    assert [(one.name, one.kind, one.also) for one in ready.left_out] == [(stopper, "virtual table", ("fills",))]


def test_a_table_that_keeps_an_engine_from_the_file_is_named_and_the_engine_left_out(small: Path) -> None:
    made(small, "CREATE TABLE made (a INT, b INT GENERATED ALWAYS AS (a + 1) STORED)", "CREATE TABLE last (x)")
    assert first_refused("turso", small) == "made"
    engine = EngineProcess("turso")
    try:
        ready = make_ready(engine, small, small.with_name("copy.db"), ())
    finally:
        engine.end()
    assert ready.facts is None and "turso cannot serve this file, for made: " in ready.absent
    assert "generated columns" in ready.absent


def test_a_file_that_is_no_database_is_refused_by_every_engine(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_bytes(b"not a database at all, but long enough" * 200)
    for name in ("sqlite3", "libsql", "apsw"):
        engine = EngineProcess(name)  # type: ignore[arg-type]
        with pytest.raises(EngineRefused, match="not a database"):
            engine.open(tmp_path / "no.db", ())
        engine.end()


@pytest.mark.parametrize(
    ("mine", "theirs", "wanted"),
    [
        (1, 1, Likeness.SAME),
        (0.1 + 0.2, 0.3, Likeness.SAME),
        (46.0, 46, Likeness.OTHER_TYPE),
        ('{"a":0.8}', '{"a":0.80000000000000004}', Likeness.WRITTEN_OTHERWISE),
        ('{"a":1}', '{"a":2}', Likeness.WRONG),
        ('{"a":1}', '{"a":true}', Likeness.WRONG),
        ("1", 1, Likeness.WRONG),
        (b"x", "x", Likeness.WRONG),
        (None, 0, Likeness.WRONG),
        (0.3001, 0.3, Likeness.WRONG),
        ("x", "y", Likeness.WRONG),
    ],
)
def test_how_far_two_values_are_from_each_other(mine: object, theirs: object, wanted: Likeness) -> None:
    assert likeness(mine, theirs) is wanted


def test_the_order_of_rows_counts_where_the_statement_asks_for_one() -> None:
    mine, theirs = [(1, "a"), (2, "b")], [(2, "b"), (1, "a")]
    assert compare("SELECT * FROM t", mine, theirs).likeness is Likeness.SAME
    assert compare("SELECT * FROM t order  by 1", mine, theirs).likeness is Likeness.WRONG
    assert compare("SELECT * FROM t", [(1, "a")] * 2, theirs).likeness is Likeness.WRONG
    assert compare("SELECT * FROM t", mine, theirs[:1]).text == "2 rows where sqlite3 has 1"


def test_no_text_of_a_row_is_told() -> None:
    told = compare("ORDER BY", [("secret@example.org",)], [("other@example.org",)]).text
    assert "example" not in told and "a str of 18" in told
