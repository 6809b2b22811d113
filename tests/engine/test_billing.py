"""Billed rows: every published line is met by libSQL's counters, and by the model within what it declares."""

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ptp.engine.billing import Billed, Biller, bill, biller
from ptp.engine.billing_figures import FIGURES, MODEL_ERRORS, Compared, compare_figures, figures_biller
from ptp.engine.billing_symbols import functions_in
from ptp.engine.meters import Statement
from ptp.errors import CannotFinish, UsageError

PUBLISHED = """
select 1, as the server bills it | 1 | 0
by primary key | 1 | 0
id in (1..5) | 10 | 0
exam = 3 limit 20, no index | 953 | 0
exam = 3 limit 20, index | 20 | 0
exam = 3 order by topic limit 20, no index | 10,200 | 0
order by topic limit 20 | 20,000 | 0
limit 20 offset 5000 | 5,020 | 0
count(*), no index | 278 | 0
count(*), index | 28 | 0
max(topic), no index | 10,000 | 0
join where u = 3, no index | 20,200 | 0
join where u = 3, index | 403 | 0
group by exam over the join | 59,998 | 0
insert, no index | 0 | 1
insert, 1 index | 0 | 2
update 200 rows, no index | 20,001 | 200
update 201 rows, index on the changed column | 604 | 402
create index on 10,000 rows | 20,053 | 10,001
create index on 20,003 rows | 40,133 | 20,004
"""
"""The table as it was published, typed in once more: what the code says of it is not taken from the code."""

LINES = {
    what: (int(read.replace(",", "")), int(written.replace(",", "")))
    for what, read, written in (line.split(" | ") for line in PUBLISHED.strip().splitlines())
}


@pytest.fixture(scope="module")
def compared() -> dict[str, Compared]:
    return {c.figure.what: c for c in compare_figures()}


@pytest.fixture(scope="module")
def figures() -> Iterator[Biller]:
    with figures_biller() as billed:
        yield billed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as db:
        db.executescript("""
            CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x, y);
            CREATE INDEX t_x ON t (x);
            WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO t (x, y) SELECT i, i FROM n;
        """)
    return file


def one(path: Path, sql: str, *executions: object) -> Billed:
    return bill(path, [Statement(sql, executions or ((),))])  # type: ignore[arg-type]


@pytest.mark.parametrize("what", LINES)
def test_libsql_counts_every_published_line_exactly(compared: dict[str, Compared], what: str) -> None:
    found = compared[what].counted
    assert found is not None and found.exact
    assert (found.rows_read, found.rows_written) == LINES[what]
    assert found.read_range == (found.rows_read, found.rows_read)


@pytest.mark.parametrize("what", LINES)
def test_the_model_meets_every_published_line_or_declares_its_error(compared: dict[str, Compared], what: str) -> None:
    found, (read, written) = compared[what].estimated, LINES[what]
    declared, _ = MODEL_ERRORS.get(what, (0.0, ""))
    error = (found.rows_read - read) / max(read, 1)
    assert not found.exact and found.rows_written == written
    # As much as it declares, on the same side, and not declared for show.
    assert min(0, declared) <= error <= max(0, declared) and abs(error) >= abs(declared) / 2
    assert found.read_range[0] <= read <= found.read_range[1]


def test_all_published_lines_are_there_and_each_declared_error_has_a_reason() -> None:
    assert [f.what for f in FIGURES] == list(LINES)
    assert all((f.read, f.written) == LINES[f.what] for f in FIGURES)
    assert set(MODEL_ERRORS) <= set(LINES) and all(reason for _, reason in MODEL_ERRORS.values())


def test_what_is_rolled_back_is_billed(path: Path) -> None:
    statements = [Statement(sql) for sql in ("SAVEPOINT s", "INSERT INTO t (x) VALUES (1)", "ROLLBACK TO s")]
    with biller(path) as billed:
        # The row, its entry in the index, its mark in sqlite_sequence.
        assert [b.rows_written for b in billed.each(statements)] == [0, 3, 0]
        assert billed(statements).rows_written == 3


def test_each_count_is_of_the_state_at_the_beginning_and_the_file_stays_as_it_was(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    delete, look = Statement("DELETE FROM t WHERE id > 10"), Statement("SELECT * FROM t")
    with biller(path) as billed:
        first = billed([delete, look])
        assert billed([look]).rows_read == 100
        assert billed([delete, look]) == first
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert list((tmp_path / "temporary").iterdir()) == []


def test_each_execution_is_billed_with_its_own_values(path: Path) -> None:
    by_place = ((1,), (2,), (None,), (1.5,), ("a",), (b"\0",))
    assert one(path, "INSERT INTO t (x) VALUES (?)", *by_place).rows_written == 6 * 3
    by_name = ({"least": 1, "most": 10}, {"least": 11, "most": 60})
    assert (
        one(path, "SELECT y FROM t WHERE id BETWEEN :least AND :most", *by_name).rows_read == 10 + 50 + 2
    )  # and where it sees that each range ends
    # By value, not by text: a number in quotes is another value.
    assert [one(path, "SELECT y FROM t WHERE x = ?", (value,)).rows_read for value in (7, "7", 7.0)] == [2, 1, 2]


def test_an_execution_that_does_nothing_is_billed_one_row(path: Path) -> None:
    assert one(path, "SELECT ?", (1,), (2,), (3,)) == Billed(3, 0)


def test_what_libsql_does_not_know_is_estimated_and_says_so(path: Path) -> None:
    found = one(path, "SELECT unistr(y) FROM t")
    assert not found.exact and found.rows_read == 100
    assert found.read_range[0] < 100 < found.read_range[1]


def test_a_statement_that_fails_is_named(path: Path) -> None:
    with pytest.raises(CannotFinish, match="no such column: nope"):
        one(path, "SELECT nope FROM t")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no database file"):
        bill(tmp_path / "none.db", [])


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("raise ImportError", "the package libsql is not installed"),
        ("", "does not name PyInit_libsql"),
        ("import os; os.abort()", "cannot be called"),
    ],
)
def test_without_libsqls_counters_it_is_estimated_with_the_reason(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, why: str
) -> None:
    (tmp_path / "libsql").mkdir()
    (tmp_path / "libsql/__init__.py").touch()
    (tmp_path / "libsql/libsql.py").write_text(module or "x = 1\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with biller(path) as billed:
        found = billed([Statement("SELECT y FROM t")])
        assert found == Billed(100, 0, exact=False)
        assert why in billed.model and "libSQL's own" not in billed.model


def test_the_process_that_counts_may_end_and_it_is_told(figures: Biller, path: Path) -> None:
    with biller(path) as billed:
        counters = billed._counters
        assert counters is not None and "SQLite 3." in billed.model
        counters._process.kill()
        counters._process.wait()
        with pytest.raises(CannotFinish, match="ended before it was done"):
            billed([Statement("SELECT 1")])


def test_functions_are_not_looked_for_in_a_file_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"\xcf\xfa\xed\xfe" + bytes(100))
    assert functions_in(tmp_path / "lib.so", {"main"}) == {}


def test_the_model_knows_triggers_and_several_executions(figures: Biller) -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE q SET topic = topic + 1 WHERE id = new.q; END"
    rows = tuple((u, 1 + u) for u in range(10))
    statements = [Statement(trigger), Statement("INSERT INTO a (u, q) VALUES (?, ?)", rows)]
    counted, estimated = figures.each(statements)[-1], figures.estimated(statements)[-1]
    assert counted.exact and counted.rows_written == estimated.rows_written == 20
    assert estimated.read_range[0] <= counted.rows_read <= estimated.read_range[1]
