"""Proof of the verifier: a target is damaged in every known way, and each damage must be seen; sound ones must pass.

It runs on a subject of its own, so what it scores is the verifier, never a user's file.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias, TypeVar

from ptp.engine import connect_file
from ptp.errors import PtpError
from ptp.evidence import Stage
from ptp.results import worst
from ptp.verification.parallel import processors
from ptp.workbench.crew import Crew, crew
from ptp.workbench.migrating import migrate
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.trials import Task, Trial, alarms_of, rate_of, tables_of
from ptp.workbench.verifying import verify
from ptp.workload.demo import Shape
from ptp.workload.mutations import CATALOGUE, Kind, NotHere, inflict, write_subject
from ptp.workload.mutations.tools import behind

NAME = "prove"
TITLE = "Proof of the verifier"
SHAPES: tuple[Shape, ...] = ("raw", "drizzle")
QUICK, FULL = 1, 25
"""Places a kind: with one, a kind is tried on one shape, by turns; with more, on each."""
AS_BUILT, AFTER_TOOLS = "as built", "after the tools alone"
_CLEAN = 4  # other seeds a shape, on a full proof
_SCRATCH = ".ptp-prove-"

T = TypeVar("T")
Sound: TypeAlias = tuple[str, tuple[str, ...]]
"""What a sound target is, and the gates that did not pass."""


def prove(
    *,
    places: int = QUICK,
    seed: int = 1,
    shapes: Sequence[Shape] = SHAPES,
    kinds: Sequence[Kind] = CATALOGUE,
    out: Path | None = None,
    progress: Progress = quiet,
) -> Stage:
    """Try the verifier with `places` random damages of each kind, and with sound targets, in a folder in `out`.

    A damage is killed when the verdict over the verification's gates is not a pass, or when the target is refused; a
    survivor fails the proof, and so does a damage over which the verifier falls.
    Raises NoDamage when a mutation changed nothing, and CannotFinish when a subject cannot be damaged at all.
    """
    started = time.perf_counter()
    with TemporaryDirectory(prefix=_SCRATCH, dir=out) as name, crew(processors()) as team:
        folder = Path(name)
        progress(0.0, "building the subjects")
        team.results([partial(build_subject, folder, shape, seed) for shape in shapes], lambda _: None)
        others = _CLEAN if places > QUICK else 1
        whats = [(s, w) for s in shapes for w in (*range(seed + 1, seed + 1 + others), AS_BUILT, AFTER_TOOLS)]
        calls = [partial(try_sound, folder, *what) for what in whats]
        sound = _told(team, calls, part(progress, 0.1, 0.2), "sound targets")
        tasks = [partial(try_kind, folder, task) for task in _tasks(kinds, shapes, places, seed)]
        tried = _told(team, tasks, part(progress, 0.2, 1.0), "kinds of damage")
    order = {kind.id: i for i, kind in enumerate(kinds)}
    trials = sorted((t for found in tried for t in found), key=lambda t: (order[t.kind.id], t.shape, t.where))
    results = (rate_of(trials), alarms_of(sound))
    return Stage(NAME, TITLE, time.perf_counter() - started, results, tables_of(kinds, trials))


def _told(team: Crew, calls: Sequence[Callable[[], T]], progress: Progress, what: str) -> list[T]:
    return team.results(calls, lambda done: progress(done / len(calls), f"{what}: {done} of {len(calls)}"))


def _tasks(kinds: Sequence[Kind], shapes: Sequence[Shape], places: int, seed: int) -> list[Task]:
    if places > QUICK:
        return [Task(kind, (shape,), range(places), seed) for kind in kinds for shape in shapes]
    turns = [(*shapes[i:], *shapes[:i]) for i in range(len(shapes))]
    return [Task(kind, turns[i % len(turns)], range(places), seed) for i, kind in enumerate(kinds)]


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


def try_sound(folder: Path, shape: Shape, what: int | str) -> Sound:
    """A sound target: the subject as it is, after the tools of damage alone, or a subject of another seed."""
    if what == AS_BUILT:
        return f"{shape}, {what}", _killers(_source(folder, shape), _target(folder, shape))
    with TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        if isinstance(what, int):
            build_subject(place, shape, what)
        else:
            for path in (_source(folder, shape), _target(folder, shape)):
                shutil.copy(path, place)
            with connect_file(_target(place, shape)) as db, behind(db):
                pass
        told = f"{shape}, {f'seed {what}' if isinstance(what, int) else what}"
        return told, _killers(_source(place, shape), _target(place, shape))
