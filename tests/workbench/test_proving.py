"""Proof of the verifier: each kind of damage is seen, each check is needed by one, and sound targets pass."""

import functools
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ptp.cli import app
from ptp.errors import CannotFinish
from ptp.evidence import Stage
from ptp.results import Finding, worst
from ptp.workbench import proving
from ptp.workbench.gates import VERIFICATION
from ptp.workbench.migrating import migrate
from ptp.workbench.proving import SHAPES, prove, try_kind
from ptp.workbench.sides import HEAD_TABLES
from ptp.workbench.trials import ALARMS, RATE, TABLE, Task, Trial
from ptp.workbench.verifying import verify
from ptp.workload.demo import Shape
from ptp.workload.mutations import CATALOGUE, Kind, NoDamage, inflict, write_subject

KINDS = {kind.id: kind for kind in CATALOGUE}

ONLY = {
    "verify.content.carried": "value-carried",
    "verify.values": "quarantine-stranger",
    "verify.integrity": "index-entries-lost",
    "verify.schema": "index-dropped",
    "verify.marks": "mark-lost",
    "verify.journal": "journal-chain",
    "verify.derived.question-pool": "pool-slot-lost",
    "verify.derived.leaderboard": "leaderboard-users",
    "verify.derived.ai-costs": "ai-calls",
    "verify.derived.head-only": "total-invented",
    "verify.derived.search": "search-words",
}
"""A kind for each check that no other check sees."""

_OF_SOURCE = "on values that come from the source: what breaks it anew is another value or row, which content sees"
REDUNDANT = {
    "verify.rows": "counted by the same comparison that finds the row lost or added; another sum of what content found",
    "verify.foreign-keys": "a reference breaks by another value or by a lost row, and content sees both",
    "verify.derived.times": "on a target to which nobody has written, any total is seen as one that no source has",
    **{name: _OF_SOURCE for name in VERIFICATION if name.startswith("verify.domain.")},
}
"""Checks that see nothing that no other sees, each with the reason: witnesses of another sort."""


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("subjects")
    for shape in SHAPES:
        proving.build_subject(folder, shape, 5)
    return folder


@pytest.fixture(scope="module")
def tried(subjects: Path) -> Callable[[str, Shape], Trial]:
    """What came of a kind on a shape, tried once for all tests."""

    @functools.cache
    def trial(kind: str, shape: Shape) -> Trial:
        (found,) = try_kind(subjects, Task(KINDS[kind], (shape,), range(1), 11))
        return found

    return trial


@pytest.fixture
def ready(subjects: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `prove` find its subjects built, whatever its seed, and do all in this process."""

    def copied(folder: Path, shape: Shape, seed: int) -> None:
        for path in subjects.glob(f"{shape}*.db"):
            shutil.copy(path, folder)

    monkeypatch.setattr(proving, "build_subject", copied)
    monkeypatch.setattr(proving, "processors", lambda: 1)


def verify_without(check: str, source: Path, target: Path) -> Stage:
    """A verification one of whose checks always passes."""
    stage = verify(source, target)
    passed = (replace(f, verdict="pass") if f.id == check else f for f in stage.findings)
    return replace(stage, results=tuple(passed))


def found(stage: Stage, name: str) -> Finding:
    return next(f for f in stage.findings if f.id == name)


def where_of(kind: Kind, shape: Shape, seed: int, subjects: Path, tmp_path: Path) -> str:
    """The place that `prove` damages with this seed."""
    copy = shutil.copy(subjects / f"{shape}-target.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        return inflict(kind, db, random.Random(f"{seed} {kind.id} {shape} 0"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_seen(tried: Any, kind: str, shape: Shape) -> None:
    trial = tried(kind, shape)
    if trial.absent:
        assert (kind, shape) in {("row-invented", "drizzle")} | {
            (f"ai-{k}", "raw") for k in ("calls", "cost", "day-lost")
        }
        return
    assert trial.killers, trial.where


def test_every_check_is_spoken_of() -> None:
    content = {f"verify.content.{table}" for table in HEAD_TABLES}
    assert set(ONLY) | set(REDUNDANT) | content == set(VERIFICATION)


@pytest.mark.parametrize(("check", "kind"), ONLY.items(), ids=ONLY)
def test_without_a_check_a_kind_survives(
    check: str, kind: str, tried: Any, ready: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which place is damaged depends on the seed, and some places are seen by others too.
    kept = [KINDS[kind]]
    assert found(prove(kinds=kept, shapes=["drizzle"]), RATE).verdict == "pass"
    monkeypatch.setattr(proving, "verify", functools.partial(verify_without, check))
    stages = (prove(kinds=kept, shapes=["drizzle"], seed=seed) for seed in range(1, 20))
    stage = next(s for s in stages if worst(s.findings) == "fail")
    assert found(stage, RATE).where[0].startswith(f"{kind} on drizzle: ")
    assert found(stage, ALARMS).verdict == "pass"


@pytest.mark.parametrize("table", HEAD_TABLES)
def test_without_the_content_of_a_table_a_kind_survives(
    table: str, subjects: Path, ready: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kind = KINDS["null-to-empty" if table == "users" else "json-space" if table == "questions" else "value-to-null"]
    seeds = (s for s in range(500) if where_of(kind, "drizzle", s, subjects, tmp_path).startswith(f"{table} "))
    monkeypatch.setattr(proving, "verify", functools.partial(verify_without, f"verify.content.{table}"))
    rates = (found(prove(kinds=[kind], shapes=["drizzle"], seed=s), RATE) for s in seeds)
    assert next(r for r in rates if r.verdict == "fail").value == 0


def test_without_the_emptiness_of_a_table_an_invented_row_survives(
    subjects: Path, ready: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Of the six tables that the raw shape has not, one whose row refers to no other.
    kind = KINDS["row-invented"]
    places = (where_of(kind, "raw", s, subjects, tmp_path).startswith("growth_metrics") for s in range(200))
    seed = next(s for s, hit in enumerate(places) if hit)
    monkeypatch.setattr(proving, "verify", functools.partial(verify_without, "verify.content.growth_metrics"))
    assert found(prove(kinds=[kind], shapes=["raw"], seed=seed), RATE).value == 0


@pytest.mark.parametrize("check", REDUNDANT)
def test_what_a_redundant_check_sees_another_sees_too(check: str, tried: Any) -> None:
    seen = [t for kind in KINDS for shape in SHAPES if check in (t := tried(kind, shape)).killers]
    assert [t.where for t in seen if len(t.killers) == 1] == []
    assert seen or check.startswith("verify.domain.")


def _another_run(db: sqlite3.Connection, rng: random.Random) -> str:
    """Damage that no check looks for, so that there is a survivor to count."""
    db.execute("UPDATE ptp_journal SET run = 'another' WHERE id = 1")
    return "the run in the journal"


UNSEEN = Kind("run-renamed", "the run in the journal is another", "journal", _another_run)


def test_the_rate_counts_what_was_tried(ready: None) -> None:
    kinds = [KINDS["row-lost"], KINDS["row-invented"], KINDS["index-dropped"], UNSEEN]
    told: list[float] = []
    stage = prove(kinds=kinds, progress=lambda fraction, _: told.append(fraction))
    rate = found(stage, RATE)
    assert (rate.verdict, rate.value, rate.limit, rate.n) == ("fail", 75.0, 100, 4)
    assert [(r["kind"], r["tried"], r["killed"]) for r in stage.tables[TABLE]] == [
        ("row-lost", 1, 1), ("row-invented", 1, 1), ("index-dropped", 1, 1), ("run-renamed", 1, 0)
    ]  # fmt: skip
    assert stage.tables[TABLE][2]["killed by"] == "schema 1"
    assert found(stage, ALARMS).verdict == "pass"
    assert told == sorted(told)


def test_a_kind_that_does_not_apply_says_why(ready: None) -> None:
    stage = prove(kinds=[KINDS["row-invented"], KINDS["index-dropped"]], shapes=["drizzle"])
    row = stage.tables[TABLE][0]
    assert (row["tried"], row["remarks"]) == (0, "not on drizzle: the source has rows for every table")
    with pytest.raises(CannotFinish, match="nothing was proved"):
        prove(kinds=[KINDS["row-invented"]], shapes=["drizzle"])


def _nothing(db: sqlite3.Connection, rng: random.Random) -> str:
    return "nowhere"


def test_a_mutation_that_changes_nothing_stops_the_proof(ready: None) -> None:
    with pytest.raises(NoDamage, match="idle changed nothing"):
        prove(kinds=[Kind("idle", "Nothing", "rows", _nothing)])


def test_an_alarm_over_a_sound_target_fails_the_proof(ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def nervous(source: Path, target: Path) -> Stage:
        stage = verify(source, target)
        return replace(stage, results=tuple(replace(f, verdict="fail") for f in stage.findings))

    monkeypatch.setattr(proving, "verify", nervous)
    stage = prove(kinds=[KINDS["row-lost"]], shapes=["raw"])
    assert found(stage, RATE).verdict == "pass"
    assert (found(stage, ALARMS).verdict, found(stage, ALARMS).value) == ("fail", 3)
    assert found(stage, ALARMS).where[2].startswith("raw, after the tools alone: verify.content.")


def test_a_verifier_that_falls_over_has_seen_nothing_and_one_that_refuses_has(
    ready: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, problem = verify, Exception()

    def falling(source: Path, target: Path) -> Stage:
        if not (target.parent / source.name).exists():  # a damaged copy, which stands alone
            raise problem
        return real(source, target)

    monkeypatch.setattr(proving, "verify", falling)
    for problem, verdict in ((KeyError("x"), "fail"), (CannotFinish("No."), "pass")):  # noqa: B007
        stage = prove(kinds=[KINDS["row-lost"]], shapes=["raw"])
        assert found(stage, RATE).verdict == verdict
    assert stage.tables[TABLE][0]["killed by"] == "CannotFinish 1"


def test_two_processes_find_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [KINDS["row-lost"], KINDS["mark-lost"]]
    monkeypatch.setattr(proving, "_CLEAN", 0)
    monkeypatch.setattr(proving, "processors", lambda: 2)
    two = prove(kinds=kinds, places=2)
    monkeypatch.setattr(proving, "processors", lambda: 1)
    one = prove(kinds=kinds, places=2)
    assert two.results == one.results
    assert two.tables == one.tables
    assert found(two, RATE).n == 8


@pytest.mark.parametrize("kind", [KINDS["row-lost"], UNSEEN], ids=["row-lost", "run-renamed"])
def test_the_command_proves_alone_and_after_a_verification(
    kind: Kind, subjects: Path, ready: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "prove", functools.partial(prove, kinds=[kind]))
    run, code = CliRunner().invoke, int(kind is UNSEEN)
    alone = run(app, ["verify", "--prove", "quick"])
    assert alone.stdout.startswith(f"{kind.group:<14} {1 - code:>5} of     1 seen")
    assert ("run-renamed on " in alone.stdout, alone.exit_code) == (bool(code), code)
    pair = ["--source", str(subjects / "raw.db"), "--target", str(subjects / "raw-target.db")]
    both = run(app, ["verify", *pair, "--prove", "quick", "--json"])
    document = json.loads(both.stdout)
    assert {"verify.rows", RATE, ALARMS} <= {f["id"] for f in document["results"]}
    assert {"Tables", TABLE} <= document["tables"].keys()
    assert (document["verdict"], both.exit_code) == (("pass", "fail")[code], code)
    for wrong in ([], ["--source", "a.db"], ["--target", "a.db", "--prove", "quick"]):
        assert "Missing option" in str(run(app, ["verify", *wrong]).exception)


@pytest.mark.torture
@pytest.mark.timeout(1200)
def test_a_hundred_sound_migrations_raise_no_alarm(tmp_path: Path) -> None:
    alarms: dict[str, Any] = {}
    for seed in range(100):
        shape = SHAPES[seed % 2]
        place = tmp_path / str(seed)
        (place / "run").mkdir(parents=True)
        source, target = place / "source.db", place / "target.db"
        write_subject(source, shape=shape, seed=seed)
        disturb(source, random.Random(seed))
        migrate(source, target, place / "run", run="t", on_dirty="quarantine")
        stage = verify(source, target)
        if worst(stage.findings) != "pass":
            alarms[f"{shape} {seed}"] = {
                f.id: f.where[:2] for f in stage.findings if f.verdict not in ("pass", "not applicable")
            }
        shutil.rmtree(place)
    print(f"\n{len(alarms)} false alarms over 100 sound migrations")
    assert alarms == {}


DIRT = (
    None,
    "",
    " ",
    "now",
    "2025-03-01T10:00:00.5",
    "2025-02-30",
    1.5,
    -1,
    9e99,
    b"\xff",
    "é",
    "{",
    "[1,",
    "true",
    2**60,
)


def disturb(source: Path, rng: random.Random) -> None:
    """Put dirt of every sort anywhere, rows without parents, and tables, columns and indexes that no shape knows."""
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("PRAGMA synchronous = OFF")
        tables = [
            t for (t,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        ]
        for _ in range(rng.randint(5, 60)):
            table = rng.choice(tables)
            column = rng.choice([row[1] for row in db.execute(f"PRAGMA table_info({table})")][1:])
            row = f"rowid = (SELECT rowid FROM {table} ORDER BY random() LIMIT 1)"
            db.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {row}", (rng.choice(DIRT),)) if not needs(
                db, table, column
            ) else None
        for _ in range(rng.randint(0, 3)):
            parent = rng.choice(("users", "questions", "objectives", "study_sessions"))
            db.execute(f"DELETE FROM {parent} WHERE rowid = (SELECT rowid FROM {parent} ORDER BY random() LIMIT 1)")
        for number in range(rng.randint(0, 3)):
            kept = rng.choice(
                (
                    "id INTEGER PRIMARY KEY, a, b TEXT",
                    "a TEXT PRIMARY KEY, b BLOB",
                    "a, b",
                    "a INT, b, PRIMARY KEY (a, b)",
                )
            )
            db.execute(f"CREATE TABLE extra_{number} ({kept})")
            for i in range(rng.randint(0, 9)):
                db.execute(f"INSERT INTO extra_{number} (a, b) VALUES (?, ?)", (i, rng.choice(DIRT)))
            db.execute(f"CREATE INDEX extra_{number}_b ON extra_{number} (b DESC)")


def needs(db: sqlite3.Connection, table: str, column: str) -> bool:
    """Whether the source itself holds a column to NOT NULL."""
    return any(row[1] == column and row[3] for row in db.execute(f"PRAGMA table_info({table})"))
