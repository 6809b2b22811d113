"""The plan: shown before it runs, the same for the same schema, and exactly what runs."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.engine import read_inventory, split_statements
from ptp.errors import StepRefused, UsageError
from ptp.migration import build as building
from ptp.migration.detect import detect_shape
from ptp.migration.plan import Plan, make_plan
from ptp.migration.steps import Step, load_steps, parse_step
from ptp.resources import folder
from ptp.schema.shapes import known_shapes
from ptp.workbench.migrating import plan_of
from ptp.workload.demo import write_demo


def plan_with(path: Path, steps: tuple[Step, ...]) -> Plan:
    with closing(sqlite3.connect(path)) as db:
        inventory = read_inventory(db)
        shape = detect_shape(inventory, known_shapes())
        return make_plan(db, inventory=inventory, shape=shape, steps=steps, on_dirty="stop")


def test_other_data_of_the_same_schema_give_the_same_plan(case: Any, tmp_path: Path) -> None:
    write_demo(shape=case.shape, size="tiny", seed=99, out=tmp_path / "other.db")
    assert plan_of(case.source).hash == plan_of(tmp_path / "other.db").hash
    assert plan_of(case.source).rows.keys() == plan_of(tmp_path / "other.db").rows.keys()


def test_the_plan_changes_with_the_policy(case: Any) -> None:
    stop, keep = (plan_of(case.source, on_dirty=policy) for policy in ("stop", "quarantine"))
    assert stop.hash != keep.hash
    assert "ptp_quarantine" in stop.text
    assert "rejected_users" not in stop.text
    assert "rejected_users" in keep.text


def test_the_plan_changes_with_the_steps(raw: Any) -> None:
    steps = load_steps(folder("sql"))
    more = parse_step("0003_more", "-- ptp:up\nCREATE INDEX more ON users (name);\n-- ptp:down\nDROP INDEX more;\n")
    remarked = parse_step(
        steps[1].name, (folder("sql") / f"{steps[1].name}.sql").read_text(encoding="utf-8") + "-- remark\n"
    )
    hashes = {plan_with(raw.source, s).hash for s in (steps, (*steps, more), (steps[0], remarked))}
    assert len(hashes) == 3


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE extra (a)",
        "ALTER TABLE users ADD COLUMN more",
        "CREATE VIEW v AS SELECT 1",
        "PRAGMA user_version = 7",
    ],
)
def test_the_plan_changes_with_the_schema_of_the_source(raw: Any, change: str) -> None:
    before = plan_of(raw.source).hash
    raw.edit(change)
    assert plan_of(raw.source).hash != before


def test_the_plan_names_the_rows_of_every_table(case: Any) -> None:
    rows = plan_of(case.source).rows
    names = [n for (n,) in case.ask_source("SELECT name FROM sqlite_schema WHERE type = 'table'") if "sqlite_" not in n]
    assert rows == {n: case.ask_source(f"SELECT count(*) FROM {n}")[0][0] for n in names}


def test_the_plan_creates_parents_before_their_children(drizzle: Any) -> None:
    copies = [s.sql for s in plan_of(drizzle.source).statements if s.kind == "copy"]
    order = [sql.split('"')[1] for sql in copies]
    for child, parent in [
        ("questions", "objectives"),
        ("objectives", "exams"),
        ("user_answers", "study_sessions"),
        ("engagement_opportunities", "tweets"),
        ("tweets", "twitter_accounts"),
    ]:
        assert order.index(parent) < order.index(child)


@pytest.mark.parametrize("policy", ["stop", "quarantine"])
def test_what_runs_is_what_was_shown(case: Any, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    case.edit("CREATE TABLE extra (a)", "CREATE TRIGGER t AFTER INSERT ON extra BEGIN SELECT 1; SELECT 2; END")
    shown = plan_of(case.source, on_dirty=policy)  # type: ignore[arg-type]
    ran: list[str] = []

    class Recorder:
        def __init__(self, db: sqlite3.Connection) -> None:
            self.db = db

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            ran.append(sql)
            return self.db.execute(sql, *values)

    original = building._run
    monkeypatch.setattr(building, "_run", lambda db, *rest: original(Recorder(db), *rest))
    case.migrate(on_dirty=policy)
    assert ran == [s.sql for s in shown.statements]
    first, *script = (case.out / "plan.sql").read_text(encoding="utf-8").split("\n")
    assert first == f"-- plan {shown.hash}"
    assert split_statements("\n".join(script)) == ran
    assert case.ask("SELECT checksum FROM ptp_journal WHERE kind = 'phase'") == [(shown.hash,)]


def test_planning_changes_nothing(case: Any) -> None:
    before = case.source.read_bytes()
    plan_of(case.source)
    assert case.source.read_bytes() == before
    assert case.files() == {"source.db"}


def test_mappings_that_refer_to_each_other_in_a_ring_are_refused(raw: Any) -> None:
    steps = load_steps(folder("sql"))
    ring = Step(
        steps[0].name,
        tuple(
            s.replace("code TEXT NOT NULL,", "code TEXT NOT NULL REFERENCES questions (id),", 1) for s in steps[0].up
        ),
        steps[0].down,
        "x",
    )
    with pytest.raises(UsageError, match="in a ring"):
        plan_with(raw.source, (ring, steps[1]))


@pytest.mark.parametrize("sql", ["CREATE TABEL more (a)", "CREATE TABLE users (a)", "CREATE INDEX more ON nowhere (a)"])
def test_a_step_that_sqlite_refuses_is_named_before_anything_runs(raw: Any, sql: str) -> None:
    step = parse_step("0003_more", f"-- ptp:up\n{sql};\n-- ptp:down\nDROP TABLE more;\n")
    with pytest.raises(StepRefused, match=r"^0003_more\.sql: SQLite refuses 'CREATE"):
        plan_with(raw.source, (*load_steps(folder("sql")), step))
    assert raw.files() == {"source.db"}
