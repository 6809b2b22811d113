"""Proof of the verifier: a target is damaged in every known way, and each damage must be seen; sound ones must pass.

It runs on a subject of its own, so what it scores is the verifier, never a user's file.
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias

from ptp.engine import connect_file
from ptp.errors import CannotFinish, PtpError
from ptp.evidence import Stage
from ptp.results import Finding, worst
from ptp.workbench.migrating import migrate
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.verifying import verify
from ptp.workload.demo import Shape
from ptp.workload.mutations import CATALOGUE, GROUPS, Kind, NotHere, inflict, write_subject
from ptp.workload.mutations.tools import behind

NAME = "prove"
TITLE = "Proof of the verifier"
Effort: TypeAlias = Literal["quick", "full"]
SHAPES: tuple[Shape, ...] = ("raw", "drizzle")
QUICK, FULL = 1, 25
"""Places a kind: with one, a kind is tried on one shape, by turns; with more, on each."""
RATE, ALARMS = "prove.kill-rate", "prove.false-alarms"
TABLE, GROUP_TABLE = "Kill rate", "Kill rate by group"
_WORKERS = 2
_CLEAN = 4  # other seeds a shape, on a full proof
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """One damage and what came of it: `killers` are the findings that did not pass, empty for a survivor.

    `absent` is the reason where the kind cannot apply to the shape.
    """

    kind: Kind
    shape: Shape
    where: str = ""
    killers: tuple[str, ...] = ()
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A kind to be tried at so many places, on the first of the shapes to which it applies."""

    kind: Kind
    shapes: tuple[Shape, ...]
    places: range
    seed: int


def prove(
    *,
    places: int = QUICK,
    seed: int = 1,
    shapes: Sequence[Shape] = SHAPES,
    kinds: Sequence[Kind] = CATALOGUE,
    progress: Progress = quiet,
) -> Stage:
    """Try the verifier with `places` random damages of each kind, and with sound targets.

    A damage is killed when the verdict over the verification's gates is not a pass, or when the target is refused; a
    survivor fails the proof, and so does a damage over which the verifier falls.
    Raises NoDamage when a mutation changed nothing, and CannotFinish when a subject cannot be damaged at all.
    """
    started = time.perf_counter()
    with TemporaryDirectory(prefix="ptp-prove-") as name:
        folder = Path(name)
        progress(0.0, "building the subjects")
        for shape in shapes:
            build_subject(folder, shape, seed)
        alarms = _false_alarms(folder, shapes, seed, others=_CLEAN if places > QUICK else 1)
        tasks = _tasks(kinds, shapes, places, seed)
        workers = _WORKERS if places > QUICK else 1
        trials = _in_order(kinds, _run(folder, tasks, part(progress, 0.1, 1.0), workers=workers))
    results = (_rate(trials), alarms)
    return Stage(NAME, TITLE, time.perf_counter() - started, results, _tables(kinds, trials))


def verify_and_prove(pair: tuple[Path, Path] | None, effort: Effort | None, *, progress: Progress = quiet) -> Stage:
    """What `ptp verify` does: verify a source and its target, prove the verifier, or one after the other."""
    stages = []
    if pair:
        stages.append(verify(*pair, progress=part(progress, 0.0, 0.2 if effort else 1.0)))
    if effort:
        start = 0.2 if pair else 0.0
        stages.append(prove(places=FULL if effort == "full" else QUICK, progress=part(progress, start, 1.0)))
    results = tuple(result for stage in stages for result in stage.results)
    tables = {name: rows for stage in stages for name, rows in stage.tables.items()}
    return replace(stages[0], seconds=sum(s.seconds for s in stages), results=results, tables=tables)


def rates_text(stage: Stage) -> str:
    """How much of the damage was seen, a line a group."""
    return "\n".join(
        f"{row['group']:<14} {row['killed']:>5} of {row['tried']:>5} seen, {row['kinds']} kinds of damage"
        for row in stage.tables[GROUP_TABLE]
    )


def _tasks(kinds: Sequence[Kind], shapes: Sequence[Shape], places: int, seed: int) -> list[Task]:
    if places > QUICK:
        return [Task(kind, (shape,), range(places), seed) for kind in kinds for shape in shapes]
    turns = [(*shapes[i:], *shapes[:i]) for i in range(len(shapes))]
    return [Task(kind, turns[i % len(turns)], range(places), seed) for i, kind in enumerate(kinds)]


def _run(folder: Path, tasks: Sequence[Task], progress: Progress, *, workers: int) -> Iterator[Trial]:
    if workers == 1:
        for done, task in enumerate(tasks):
            progress(done / len(tasks), f"damaging: {task.kind.id}")
            yield from try_kind(folder, task)
        return
    # Spawned, not forked: a process that has used SQLite must not be continued in another.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        waiting = {pool.submit(try_kind, folder, task): task for task in tasks}
        for done, future in enumerate(as_completed(waiting)):
            progress(done / len(tasks), f"damaging: {waiting[future].kind.id}")
            yield from future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def try_kind(folder: Path, task: Task) -> list[Trial]:
    """One kind at each place; where it applies to none of the shapes, a trial for each that says why."""
    found: list[Trial] = []
    for shape in task.shapes:
        try:
            return [_trial(folder, task, shape, place) for place in task.places]
        except NotHere as reason:
            found.append(Trial(task.kind, shape, absent=str(reason)))
    return found


def _trial(folder: Path, task: Task, shape: Shape, place: int) -> Trial:
    """One damage to a copy, which the place decides together with seed, kind and shape, and nothing else does."""
    rng = random.Random(f"{task.seed} {task.kind.id} {shape} {place}")
    with TemporaryDirectory(dir=folder) as name:
        copy = Path(shutil.copy(_target(folder, shape), name))
        with connect_file(copy) as db:
            db.execute("PRAGMA synchronous = OFF")
            where = inflict(task.kind, db, rng)
        try:
            return Trial(task.kind, shape, where, _killers(_source(folder, shape), copy))
        except Exception as problem:  # a verifier that falls over has said nothing of the damage
            return Trial(task.kind, shape, f"{where}; it fell over: {type(problem).__name__}: {problem}")


def _killers(source: Path, target: Path) -> tuple[str, ...]:
    """The gates that did not pass, or the refusal to verify; empty when the verdict over all gates is a pass."""
    try:
        findings = verify(source, target).findings
    except PtpError as refusal:
        return (type(refusal).__name__,)
    if worst(findings) == "pass":
        return ()
    return tuple(f.id for f in findings if f.severity != "note" and f.verdict not in ("pass", "not applicable"))


def _source(folder: Path, shape: Shape) -> Path:
    return folder / f"{shape}.db"


def _target(folder: Path, shape: Shape) -> Path:
    return folder / f"{shape}-target.db"


def build_subject(folder: Path, shape: Shape, seed: int) -> None:
    """Write the source of a shape into the folder, and migrate it there."""
    write_subject(_source(folder, shape), shape=shape, seed=seed)
    out = folder / f"{shape}-run"
    out.mkdir()
    migrate(_source(folder, shape), _target(folder, shape), out, run="prove", on_dirty="quarantine")


def _false_alarms(folder: Path, shapes: Sequence[Shape], seed: int, *, others: int) -> Finding:
    """Sound targets: the subjects as they are, after the tools of damage alone, and subjects of other seeds."""
    alarms: list[str] = []
    tried = 0
    for shape in shapes:
        for what, place in _sound(folder, shape, seed, others):
            killers = _killers(_source(place, shape), _target(place, shape))
            tried += 1
            alarms += [f"{shape}, {what}: {', '.join(killers)}"] if killers else []
    return Finding(
        id=ALARMS,
        claim="The verifier passes every sound target",
        verdict="fail" if alarms else "pass",
        value=len(alarms),
        unit="false alarms",
        limit=0,
        n=tried,
        where=tuple(alarms[:_SHOWN]),
        evidence="migrations that nobody touched, and ones whose triggers and rules were taken off and put back",
    )


def _sound(folder: Path, shape: Shape, seed: int, others: int) -> Iterator[tuple[str, Path]]:
    """What each sound target is, and the folder in which it stands beside its source."""
    yield "as built", folder
    with TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        shutil.copy(_source(folder, shape), _source(place, shape))
        shutil.copy(_target(folder, shape), _target(place, shape))
        with connect_file(_target(place, shape)) as db, behind(db):
            pass
        yield "after the tools alone", place
    for other in range(seed + 1, seed + 1 + others):
        with TemporaryDirectory(dir=folder) as name:
            build_subject(Path(name), shape, other)
            yield f"seed {other}", Path(name)


def _in_order(kinds: Sequence[Kind], trials: Iterable[Trial]) -> list[Trial]:
    order = {kind.id: i for i, kind in enumerate(kinds)}
    return sorted(trials, key=lambda t: (order[t.kind.id], t.shape, t.where))


def _rate(trials: Sequence[Trial]) -> Finding:
    tried = [t for t in trials if not t.absent]
    if not tried:
        raise CannotFinish("No kind of damage applies to the subjects: nothing was proved.")
    survivors = [t for t in tried if not t.killers]
    return Finding(
        id=RATE,
        claim="The verifier sees every damage of the catalogue",
        verdict="fail" if survivors else "pass",
        value=100 * (len(tried) - len(survivors)) / len(tried),
        unit="%",
        limit=100,
        n=len(tried),
        where=tuple(f"{t.kind.id} on {t.shape}: {t.where} ({t.kind.words})" for t in _spread(survivors)[:_SHOWN]),
        evidence=f"{len({t.kind.id for t in tried})} kinds of damage at random places of subjects of its own: "
        "the score is of the verifier, not of any file that it is given",
    )


def _spread(survivors: Sequence[Trial]) -> list[Trial]:
    """The survivors with one of each kind first."""
    first = {t.kind.id: t for t in reversed(survivors)}
    return [*reversed(first.values()), *(t for t in survivors if t is not first[t.kind.id])]


def _tables(kinds: Sequence[Kind], trials: Sequence[Trial]) -> dict[str, list[dict[str, Any]]]:
    by_kind = {kind.id: [t for t in trials if t.kind.id == kind.id] for kind in kinds}
    rows = [_row(kind, by_kind[kind.id]) for kind in kinds]
    groups = []
    for group in GROUPS:
        own = [row for row in rows if row["group"] == group]
        tried, killed = sum(r["tried"] for r in own), sum(r["killed"] for r in own)
        if own:
            groups.append({"group": group, "kinds": len(own), "tried": tried, "killed": killed})
    return {GROUP_TABLE: groups, TABLE: rows}


def _row(kind: Kind, trials: Sequence[Trial]) -> dict[str, Any]:
    tried = [t for t in trials if not t.absent]
    killers = Counter(name for t in tried for name in _families(t.killers))
    absent = {f"not on {t.shape}: {t.absent}" for t in trials if t.absent}
    return {
        "kind": kind.id,
        "damage": kind.words,
        "group": kind.group,
        "tried": len(tried),
        "killed": sum(bool(t.killers) for t in tried),
        "killed by": ", ".join(f"{name} {times}" for name, times in killers.most_common()),
        "remarks": "; ".join(sorted(absent)),
    }


def _families(killers: Sequence[str]) -> set[str]:
    """The checks, with the tables' contents as one."""
    short = (name.removeprefix("verify.") for name in killers)
    return {"content" if name.startswith("content.") else name for name in short}
