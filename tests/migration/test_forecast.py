"""Forecast: billed rows as libSQL was measured to count them, time by rates, and a trial that touches nothing."""

from dataclasses import replace
from typing import Any

import pytest

from ptp.migration.forecast import Rates, billed, forecast, measured_rates, parts, total_seconds, trial_rates
from ptp.migration.plan import Plan, Statement
from ptp.workbench.migrating import plan_of


def bill(*statements: Statement) -> list[tuple[int, int]]:
    plan = Plan("any", "stop", statements, (), {}, {})
    return [(b.read, b.written) for b in billed(plan)]


TABLE = Statement("table", "CREATE TABLE q (id INTEGER PRIMARY KEY, exam INT)")


@pytest.mark.parametrize(
    ("rows", "read", "written"), [(10_000, 20_053, 10_001), (20_000, 40_133, 20_004)], ids=["10,000", "20,000"]
)
def test_an_index_is_billed_as_libsql_was_measured_to_count_it(rows: int, read: int, written: int) -> None:
    _, found = bill(TABLE, Statement("index", "CREATE INDEX i ON q (exam)", rows, ("q",)))
    assert found[0] == pytest.approx(read, rel=0.005)
    assert found[1] == pytest.approx(written, rel=0.005)


@pytest.mark.parametrize(
    ("more", "writes"), [("", 1), (", UNIQUE (exam)", 2), (", UNIQUE (exam), UNIQUE (id, exam)", 3)]
)
def test_an_insert_writes_a_row_and_one_more_for_each_index_that_is_there(more: str, writes: int) -> None:
    table = Statement("table", TABLE.sql.replace(" INT)", f" INT{more})"))
    copy = Statement("copy", 'INSERT INTO main."q" (id, exam) SELECT a, b FROM source."s" AS s', 1_000, ("s",))
    assert bill(table, copy)[1] == (1_000, 1_000 * writes)


def test_a_setting_is_not_billed_and_a_table_is_one_row_of_the_schema() -> None:
    assert bill(Statement("setting", "PRAGMA threads = 2"), TABLE) == [(0, 0), (0, 1)]


@pytest.mark.parametrize("policy", ["stop", "quarantine"])
def test_every_statement_is_forecast_and_none_twice(case: Any, policy: str) -> None:
    plan = plan_of(case.source, on_dirty=policy)  # type: ignore[arg-type]
    found = forecast(plan, trial_rates(plan, case.source, rows=50))
    assert [f.statement for f in found] == list(plan.statements)
    assert None not in [f.seconds for f in found]
    by_kind = parts(found)
    assert sum(p.statements for p in by_kind) == len(plan.statements)
    assert sum(p.seconds or 0 for p in by_kind) == pytest.approx(total_seconds(found))
    copied = next(p for p in by_kind if p.kind == "copy")
    assert copied.rows == sum(case.ask_source(f'SELECT count(*) FROM "{name}"')[0][0] for name in plan.rows)


def test_rates_of_an_earlier_run_are_its_seconds_by_its_rows() -> None:
    rates = measured_rates([("copy", 3, 1_000, 2.0), ("table", 4, 0, 0.4)], basis="a run")
    assert rates.seconds(Statement("copy", "x", 500)) == 1.0
    assert rates.seconds(Statement("table", "x")) == pytest.approx(0.1)
    assert rates.seconds(Statement("index", "x", 5)) is None
    assert total_seconds(forecast(Plan("any", "stop", (TABLE, Statement("index", "x", 5)), (), {}, {}), rates)) is None


def test_a_statement_that_was_tried_grows_with_its_rows_from_what_it_takes_without_any() -> None:
    rates = Rates("a trial", {"copy": 9.0}, {}, own={"x": 0.5}, fixed={"copy": 2.0})
    assert rates.seconds(Statement("copy", "x", 10)) == 7.0
    assert rates.seconds(Statement("copy", "another", 10)) == 90.0


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_trial_leaves_the_source_and_its_folder_as_they_were(case: Any, mode: str) -> None:
    case.edit(f"PRAGMA journal_mode = {mode}")
    before, names = case.source.read_bytes(), case.files()
    trial_rates(plan_of(case.source), case.source)
    assert case.source.read_bytes() == before
    assert case.files() == names


def test_dirt_does_not_keep_a_plan_from_being_tried(raw: Any) -> None:
    raw.edit("UPDATE user_answers SET answered_at = x'00'", "UPDATE users SET created_at = 'never'")
    plan = plan_of(raw.source)
    assert None not in [f.seconds for f in forecast(plan, trial_rates(plan, raw.source))]


def test_an_empty_source_is_forecast_too(small: Any) -> None:
    case = small("raw", {})
    plan = plan_of(case.source)
    assert total_seconds(forecast(plan, trial_rates(plan, case.source))) is not None
    assert sum(b.read for b in billed(plan)) == 0


def test_what_is_rebuilt_from_a_table_goes_over_its_rows(raw: Any) -> None:
    plan = plan_of(raw.source)
    (rebuild,) = [s for s in plan.statements if "'rebuild'" in s.sql]
    assert rebuild.over == ("questions",)
    assert rebuild.rows == raw.ask_source("SELECT count(*) FROM questions")[0][0]
    assert replace(rebuild, rows=0, over=()).sql == rebuild.sql
