"""The journal of a target refuses steps that are not those that built it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ptp.errors import StepRefused, UsageError
from ptp.migration import journal
from ptp.migration.steps import Step, links, load_steps, parse_step
from ptp.resources import folder
from ptp.workbench import migrating

TEXT = "-- ptp:up\nCREATE TABLE t{0} (a);\n-- ptp:down\nDROP TABLE t{0};\n"
STEPS = tuple(parse_step(f"000{n}_step", TEXT.format(n)) for n in (1, 2, 3))


def built_by(steps: tuple[Step, ...]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(journal.DDL)
    for link in links(steps):
        db.execute(journal.step_sql(link), {"run": "r", "now": 1})
    return db


EDITED = replace(STEPS[1], checksum="0" * 64)


@pytest.mark.parametrize(
    ("now", "what"),
    [
        ((STEPS[0], EDITED, STEPS[2]), "step 0002_step was edited after it was applied"),
        (STEPS[:2], "step 0003_step was applied, but stands no longer in its place"),
        ((STEPS[1], STEPS[0], STEPS[2]), "step 0001_step was applied, but stands no longer in its place"),
        ((STEPS[0], STEPS[2]), "step 0002_step was applied, but stands no longer in its place"),
        ((), "step 0001_step was applied, but stands no longer in its place"),
    ],
)
def test_an_edited_missing_or_reordered_step_is_refused(now: tuple[Step, ...], what: str) -> None:
    with closing(built_by(STEPS)) as db, pytest.raises(StepRefused, match=what):
        journal.check_steps(db, now)


@pytest.mark.parametrize("built", [STEPS, STEPS[:1]])
def test_the_same_steps_and_pending_ones_are_accepted(built: tuple[Step, ...]) -> None:
    with closing(built_by(built)) as db:
        journal.check_steps(db, STEPS)


def test_a_journal_without_steps_or_with_a_broken_chain_is_refused() -> None:
    with closing(built_by(())) as db, pytest.raises(StepRefused, match="names no step"):
        journal.check_steps(db, STEPS)
    with closing(built_by(STEPS)) as db:
        db.execute(f"UPDATE {journal.TABLE} SET chain = 'x' WHERE id = 2")
        with pytest.raises(StepRefused, match="chain is broken at step 0002_step"):
            journal.check_steps(db, STEPS)


def taken_back(db: sqlite3.Connection, number: int) -> None:
    """As a step in place does it: the row goes, and a phase says so."""
    removal, entry = journal.undone_sql(links(STEPS)[number - 1])
    db.execute(removal)
    db.execute(entry, ("r", 2, 0.5))


def test_a_step_that_was_taken_back_and_forth_leaves_a_chain_that_holds_and_a_record() -> None:
    with closing(built_by(STEPS)) as db:
        taken_back(db, 3)
        taken_back(db, 2)
        assert journal.why_untrusted(db, STEPS) == "" and journal.steps_done(db) == 1
        assert journal.why_incomplete(db, STEPS) == "it does not name step 0002_step"
        for link in links(STEPS)[1:]:
            db.execute(journal.done_sql(link), ("r", 3, 0.25))
        assert journal.why_untrusted(db, STEPS) == ""
        rows = db.execute(f"SELECT kind, name, checksum, run, at, seconds FROM {journal.TABLE} ORDER BY id").fetchall()
    checksums = [step.checksum for step in STEPS]
    assert rows[1:] == [
        ("phase", "down 0003_step", checksums[2], "r", 2, 0.5),
        ("phase", "down 0002_step", checksums[1], "r", 2, 0.5),
        ("step", "0002_step", checksums[1], "r", 3, 0.25),
        ("step", "0003_step", checksums[2], "r", 3, 0.25),
    ]


def test_a_step_that_was_taken_back_out_of_order_is_seen() -> None:
    with closing(built_by(STEPS)) as db:
        taken_back(db, 2)
        assert journal.why_untrusted(db, STEPS).startswith(
            "step 0003_step was applied, but stands no longer in its place"
        )


def test_only_what_ptp_built_has_a_journal() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        assert not journal.has_journal(db)
    with closing(built_by(STEPS)) as db:
        assert journal.has_journal(db)


def own_steps(tmp_path: Path) -> Path:
    place = tmp_path / "sql"
    place.mkdir()
    for step in sorted(folder("sql").glob("0*.sql")):
        (place / step.name).write_text(step.read_text(encoding="utf-8"), encoding="utf-8")
    return place


def edit(place: Path) -> None:
    step = place / "0002_indexes.sql"
    step.write_text(step.read_text(encoding="utf-8") + "-- a remark\n", encoding="utf-8")


def drop(place: Path) -> None:
    max(place.glob("0*.sql")).unlink()


def reorder(place: Path) -> None:
    (place / "0001_tables.sql").rename(place / "0003_tables.sql")
    (place / "0002_indexes.sql").rename(place / "0001_indexes.sql")
    (place / "0003_tables.sql").rename(place / "0002_tables.sql")


@pytest.mark.parametrize("change", [edit, drop, reorder])
def test_a_target_is_refused_when_its_steps_were_changed(
    raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    raw.migrate()
    before = raw.target.read_bytes()
    place = own_steps(tmp_path)
    monkeypatch.setattr(migrating, "folder", lambda name: place)
    with pytest.raises(UsageError, match="is at head already") as at_head:
        raw.migrate()
    assert not isinstance(at_head.value, StepRefused)
    change(place)
    with pytest.raises(StepRefused, match="The steps cannot be trusted"):
        raw.migrate()
    assert raw.target.read_bytes() == before


def test_the_journal_tells_steps_and_the_phase_with_the_hash_of_its_plan(raw: Any) -> None:
    plan = migrating.plan_of(raw.source)
    raw.migrate(run="run 7")
    rows = raw.ask(
        "SELECT kind, name, checksum, chain, run, at > 1700000000, seconds >= 0 FROM ptp_journal ORDER BY id"
    )
    steps = [("step", k.name, k.checksum, k.chain, "run 7", 1, None) for k in links(load_steps(folder("sql")))]
    assert rows == [*steps, ("phase", "build", plan.hash, None, "run 7", 1, 1)]
