"""`ptp step` on a populated target: the drill of every step, both ways; refusals; what a kill leaves; the command."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp import cli
from ptp.engine import connect_file, files, has_module, read_inventory
from ptp.errors import CannotFinish, Locked, StepRefused, UsageError
from ptp.migration import in_place, journal
from ptp.migration.build import build
from ptp.migration.detect import detect_shape
from ptp.migration.plan import make_plan
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.results import worst
from ptp.schema.rules import DERIVED
from ptp.schema.shapes import known_shapes
from ptp.verification.rules import check_rules
from ptp.workbench import health, migrating, sides, stepping
from ptp.workbench.progress import quiet
from ptp.workbench.verifying import verify
from ptp.workload.demo import write_demo

STEPS = load_steps(folder("sql"))
LAST = len(STEPS)
MORE = "-- ptp:up\nALTER TABLE user_answers ADD COLUMN motto TEXT;\nCREATE INDEX idx_motto ON user_answers (motto);\n"
MORE += "-- ptp:down\nDROP INDEX idx_motto;\nALTER TABLE user_answers DROP COLUMN motto;\n"
BAD = "-- ptp:irreversible\n-- ptp:up\nDELETE FROM audit_log;\n"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(shape="drizzle", size="tiny", seed=5, out=tmp_path_factory.mktemp("source") / "source.db").path


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A target as a build with the first 1, 2, 3... steps makes it: the witness of what a step in place must make."""
    place, found = tmp_path_factory.mktemp("built"), []
    for count in range(1, LAST + 1):
        with connect_file(source, read_only=True) as db:
            inventory = read_inventory(db)
            shape = detect_shape(inventory, known_shapes())
            plan = make_plan(db, inventory=inventory, shape=shape, steps=STEPS[:count], on_dirty="stop")
        found.append(place / f"{count}.db")
        build(plan, source=source, target=found[-1], run="built", now=1, progress=quiet)
    return found


@pytest.fixture(scope="module")
def contents(built: list[Path]) -> list[dict[str, Any]]:
    return [content(path) for path in built]


@pytest.fixture
def target(built: list[Path], tmp_path: Path) -> Path:
    return Path(shutil.copy(built[-1], tmp_path / "head.db"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of steps of our own, which starts as sql/."""
    found = tmp_path / "sql"
    found.mkdir()
    for path in folder("sql").glob("*.sql"):
        shutil.copy(path, found / path.name)
    for module in (stepping, sides, health, migrating):
        monkeypatch.setattr(module, "folder", lambda name: found)
    return found


def content(path: Path) -> dict[str, Any]:
    """The rows of every table with their storage classes, and every text of the schema; nothing of ptp's code reads."""
    with closing(sqlite3.connect(path)) as db:
        objects = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        kinds = dict(db.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main'").fetchall())
        found: dict[str, Any] = {"schema": sorted(o for o in objects if not o[1].startswith("sqlite_stat"))}
        for name, kind in kinds.items():
            if kind not in ("shadow", "view") and not name.startswith(("sqlite_s", "ptp_")):
                found[name] = sorted(map(repr, db.execute(f'SELECT * FROM "{name}"')))
        found["marks"] = sorted(db.execute("SELECT * FROM sqlite_sequence WHERE name <> 'ptp_journal'"))
        if "question_search" in kinds:
            db.execute("INSERT INTO question_search (question_search, rank) VALUES ('integrity-check', 1)")
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


def entries(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT kind, name FROM ptp_journal ORDER BY id").fetchall()


def go(target: Path, out: Path, **options: Any) -> Any:
    out.mkdir(exist_ok=True)
    return stepping.step(target, out, run="r", **options)


def failing(stage: Any) -> dict[str, tuple[str, ...]]:
    return {f.id: f.where for f in stage.findings if f.verdict != "pass"}


@pytest.mark.parametrize("ways", [(4, 3, 2, 1, 2, 3, 4, 5), (1, 5)], ids=str)
def test_every_step_goes_down_and_up_again_and_what_a_build_makes_is_there_at_each(
    ways: tuple[int, ...], target: Path, source: Path, tmp_path: Path, contents: list[dict[str, Any]]
) -> None:
    assert LAST == 5, "a new step joins the drill"
    for number, to in enumerate(ways):
        stage = go(target, tmp_path / f"run{number}", to=to)
        assert failing(stage) == {}
        assert content(target) == contents[to - 1]
    assert {f.verdict for f in verify(source, target).findings} == {"pass"}


@pytest.mark.parametrize("count", range(1, LAST))
def test_a_target_of_fewer_steps_takes_those_that_are_pending(
    count: int, built: list[Path], contents: list[dict[str, Any]], tmp_path: Path
) -> None:
    target = Path(shutil.copy(built[count - 1], tmp_path / "early.db"))
    stage = go(target, tmp_path / "out")
    assert [r["step"] for r in stage.tables["Steps"]] == [s.name for s in STEPS[count:]]
    assert content(target) == contents[-1]
    backup = tmp_path / "out" / "backup" / "target.db"
    assert content(backup) == contents[count - 1] and backup.with_name("target.db.json").is_file()


def test_after_writes_what_is_derived_is_made_anew(target: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.execute("PRAGMA recursive_triggers = ON")
        db.execute("UPDATE questions SET review_status = 'approved', is_active = id % 3 > 0, text = 'subnet ' || id")
        db.execute("UPDATE user_progress SET readiness_score = 0.5, total_questions_seen = 51 + id % 2")
        db.execute("DELETE FROM ai_generation_log WHERE id % 2")
    before = content(target)
    go(target, tmp_path / "down", to=1)
    assert "subnet 1" in str(content(target)["questions"]), "what was written stays"
    assert failing(go(target, tmp_path / "up")) == {}
    after = content(target)
    assert {k for k in before if before[k] != after[k]} <= {"question_pool", "question_cells"}, "other slots, no more"
    with connect_file(target, read_only=True) as db:
        assert {f.verdict for f in check_rules(db, DERIVED)} == {"pass"}


def test_pending_steps_go_up_and_the_one_that_is_refused_leaves_those_before_it(
    target: Path, place: Path, tmp_path: Path, contents: list[dict[str, Any]]
) -> None:
    (place / "0006_more.sql").write_text(MORE, encoding="utf-8")
    (place / "0007_bad.sql").write_text(BAD, encoding="utf-8")
    with pytest.raises(StepRefused) as caught:
        go(target, tmp_path / "out")
    assert str(caught.value).startswith("0007_bad.sql, up: table audit_log keeps 0 of its 200 rows")
    assert str(caught.value).endswith("Nothing of this step was kept. Done before it, and kept: 0006_more.")
    assert entries(target)[-1] == ("step", "0006_more")
    assert content(tmp_path / "out" / "backup" / "target.db") == contents[-1]
    (place / "0007_bad.sql").write_text(BAD.replace("-- ptp:i", "-- ptp:deletes audit_log\n-- ptp:i"))
    assert failing(go(target, tmp_path / "again")) == {}
    with pytest.raises(StepRefused, match="Step 0007_bad is irreversible"):
        go(target, tmp_path / "back", to=5)
    assert not (tmp_path / "back" / "backup").exists(), "refused before anything is done"


def test_a_step_that_the_models_do_not_know_is_told(target: Path, place: Path, tmp_path: Path) -> None:
    (place / "0006_less.sql").write_text(
        "-- ptp:irreversible\n-- ptp:up\nDROP INDEX idx_tweets_account;\n", encoding="utf-8"
    )
    stage = go(target, tmp_path / "out")
    assert failing(stage) == {"step.models": ("index of tweets idx_tweets_account is missing",)}
    assert worst(stage.findings) == "fail"


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("number", range(LAST))
def test_one_flipped_bit_in_a_step_is_refused_by_all_who_read_the_journal(
    number: int, target: Path, source: Path, place: Path, tmp_path: Path
) -> None:
    path = sorted(place.glob("0*.sql"))[number]
    before = target.read_bytes()
    flip(path, path.read_bytes().rindex(b" ") + 2)  # in the last word of the last statement
    why = f"step {path.stem} was edited after it was applied"
    for work in (
        lambda: stepping.plan_of(target),
        lambda: stepping.plan_of(target, to=1),
        lambda: go(target, tmp_path / "out", way="down"),
        lambda: migrating.check_target(target, out=tmp_path),
    ):
        with pytest.raises(StepRefused, match=why):
            work()
    assert failing(verify(source, target))["verify.journal"] == (why,)
    assert why in str(next(f.where for f in health.examine(target).findings if f.id == "health.head"))
    assert target.read_bytes() == before


def missing(place: Path) -> None:
    (place / "0005_question_search.sql").unlink()


def renamed(place: Path) -> None:
    (place / "0004_totals.sql").rename(place / "0004_sums.sql")


def reordered(place: Path) -> None:
    (place / "0004_totals.sql").rename(place / "0005_totals.sql")
    (place / "0005_question_search.sql").rename(place / "0004_question_search.sql")


@pytest.mark.parametrize("change", [missing, renamed, reordered])
def test_a_missing_renamed_or_reordered_step_is_refused(
    change: Callable[[Path], None], target: Path, place: Path
) -> None:
    change(place)
    with pytest.raises(StepRefused, match=r"was applied, but stands no longer in its place"):
        stepping.plan_of(target)


def test_a_step_that_needs_what_sqlite_lacks_is_left_out_and_can_be_taken_later(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: list[dict[str, Any]]
) -> None:
    go(target, tmp_path / "down", to=4)
    with monkeypatch.context() as patch:
        patch.setattr(in_place, "has_module", lambda db, name: name != "fts5" and has_module(db, name))
        stage = go(target, tmp_path / "without")
        assert failing(stage) == {}
        with connect_file(target, read_only=True) as db:
            assert journal.steps_left_out(db) == {"0005_question_search": "this SQLite has no fts5"}
    assert content(target) == contents[3]
    go(target, tmp_path / "down again", way="down")
    go(target, tmp_path / "with")
    assert content(target) == contents[4]


def test_killed_at_any_moment_the_steps_done_are_whole_and_the_same_command_goes_on(
    target: Path, tmp_path: Path, contents: list[dict[str, Any]]
) -> None:
    go(target, tmp_path / "down", to=3)
    early, seen = target.read_bytes(), set()
    for stage in range(1, 120, 7):
        target.write_bytes(early)
        child = os.fork()
        if not child:
            heard = 0

            def told(_fraction: float, _text: str, at: int = stage) -> None:
                nonlocal heard
                heard += 1
                if heard == at:
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                go(target, tmp_path / f"out{stage}", progress=told)
                os._exit(0)
            finally:  # nothing of the tests' own goes on in the child
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or status == 0
        done = sum(kind == "step" for kind, _ in entries(target))
        assert content(target) == contents[done - 1]
        seen.add(done)
        if not os.WIFSIGNALED(status):
            break
    assert {3, 4} <= seen
    go(target, tmp_path / "on")
    assert content(target) == contents[-1]


def test_a_database_that_another_one_writes_to_is_left_alone(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BUSY_TIMEOUT_MS", 20)
    with closing(sqlite3.connect(target, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked, match="is locked by another process"):
            go(target, tmp_path / "out", way="down")
    assert entries(target)[-1] == ("phase", "build")


def test_only_the_plan_that_was_shown_runs(target: Path, tmp_path: Path) -> None:
    plan = stepping.plan_of(target, way="down")
    with pytest.raises(CannotFinish, match="not the one that was shown"):
        go(target, tmp_path / "out", to=3, shown=plan.hash)
    go(target, tmp_path / "out", way="down", shown=plan.hash)
    assert plan.text in (tmp_path / "out" / "plan.sql").read_text(encoding="utf-8")


def test_what_ptp_did_not_build_is_refused(source: Path) -> None:
    with pytest.raises(UsageError, match=r"was not built by ptp: it has no journal\. Name the target"):
        stepping.plan_of(source)


Ptp = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ptp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Ptp]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ptp", "step", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_command_goes_down_and_up_and_says_what_it_did(
    ptp: Ptp, target: Path, contents: list[dict[str, Any]]
) -> None:
    code, out, _ = ptp("--help")
    assert code == 0 and "Example: ptp step --target head.db --dry-run" in out
    before = target.read_bytes()
    code, out, err = ptp("--target", "head.db", "--down", "--dry-run")
    assert (code, err) == (0, "") and "DROP TABLE question_search;" in out and "BEGIN IMMEDIATE;" in out
    code, out, _ = ptp("--target", "head.db", "--to", "0003", "--dry-run", "--json")
    plan = json.loads(out)
    assert [(s["step"], s["way"]) for s in plan["steps"]] == [("0005_question_search", "down"), ("0004_totals", "down")]
    assert target.read_bytes() == before
    code, out, _ = ptp("--target", "head.db", "--to", "3", "--plan", plan["hash"], "--out", "down")
    assert code == 0 and out.startswith("0005_question_search down, 0004_totals down.\n")
    assert out.splitlines()[-1] == "Next: ptp step --target head.db --dry-run shows the 2 steps that are pending"
    code, out, err = ptp("--target", "head.db", "--out", "down")
    assert (code, out) == (2, "") and "down holds the backup of a run already" in err
    assert content(target) == contents[2]
    assert {p.name for p in Path("down").iterdir()} == {"backup", "plan.sql", "results"}
    code, out, _ = ptp("--target", "head.db", "--json", "--out", "up")
    found = json.loads(out)
    assert code == 0 and found["verdict"] == "pass" and len(found["tables"]["Steps"]) == 2
    assert content(target) == contents[4]
    code, out, _ = ptp("--target", "head.db", "--up", "--out", "none")
    assert code == 0 and out.startswith("no step: the database is there already.") and not Path("none/backup").exists()
    assert out.splitlines()[-1] == "Next: ptp health --target head.db"


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--up", "--down"), 2, "Give --up or --down, not both"),
        (("--to", "x"), 2, "--to takes the number of a step, such as 0003, not 'x'"),
        (("--to", "0009"), 2, "There is no step 0009 to go to: they run from 0001, which makes the database, to 0005"),
        (("--to", "0"), 2, "There is no step 0000 to go to"),
        (("--up", "--to", "2"), 2, "head.db stands at step 0005: the way to 0002 is not up"),
        (("--down", "--plan", "abc"), 4, "The plan is not the one that was shown"),
        (("--target", "none.db"), 2, "none.db"),
        (("--sideways",), 2, "No such option"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    ptp: Ptp, target: Path, arguments: tuple[str, ...], code: int, why: str
) -> None:
    before = target.read_bytes()
    ended, out, err = ptp("--target", "head.db", *arguments)
    assert ended == code and out == ""
    assert re.fullmatch(r"ptp: [^\n]+\n", err) and why in err
    assert target.read_bytes() == before
