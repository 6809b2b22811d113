"""`ptp bench --against`: this tree beside another commit, in one job, on the same data, call by call.

Both sides run here: the working tree, and a worktree of the other commit. Each builds its own database of the same
source with its own code, since what a branch changes may stand in sql/ as well as in a query.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ptp.benchmark.comparison import Work, compare_work, risen, undecided_work
from ptp.benchmark.comparison_times import (
    Rounds,
    Times,
    judge_times,
    processes_for,
    to_measure_again,
    wants_more,
)
from ptp.engine import check_database, connect_file, errors_named
from ptp.engine.environment import environment
from ptp.engine.files import check_temporary_space
from ptp.evidence import Stage
from ptp.migration.backup import step
from ptp.results import Finding, Measurement
from ptp.workbench.against_calls import EFFORT, Effort, Recorded, counting, record, time_in_pairs, why_not
from ptp.workbench.against_rows import change_rows, query_row
from ptp.workbench.against_sides import Called, Tree, Worker, build_heads, workers
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.worktree import checked_out, find_commit, source_tree, workspace
from ptp.workload.demo import write_demo
from ptp.workload.limits import Profile

NAME = "03_against"
TITLE = "Comparison"
TABLE = "Comparison"
CHANGES = "Plan changes"

_ROOM = 8  # times the source: its copy, and for each side a backup, a target, its sorting and the meter's copy
_DEMO_BYTES = 45_000_000
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both trees, the one before first, with the head that each has built."""

    trees: Sequence[Tree]
    heads: Sequence[Path]
    effort: Effort
    seed: int


@dataclass(slots=True)
class Found:
    """What was found so far: of each query that both sides have, both recordings, or why it is not compared."""

    before: dict[str, Recorded] = field(default_factory=dict)
    after: dict[str, Recorded] = field(default_factory=dict)
    apart: dict[str, str] = field(default_factory=dict)
    notes: list[Finding] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def timed(self) -> list[str]:
        """The queries that can be timed: called on both sides without an error."""
        return [name for name, one in self.after.items() if not (one.wrong or self.before[name].wrong)]

    @property
    def risen(self) -> frozenset[str]:
        """The queries that fail on their counters."""
        works = {name: self.works(name) for name in self.after}
        return frozenset(name for name, (old, new) in works.items() if old and new and risen(old, new))

    def works(self, name: str) -> tuple[Work | None, Work | None]:
        """What a query costs on both sides; nothing where a call of it ended early."""
        before, after = self.before[name], self.after[name]
        return (None, None) if before.raised or after.raised else (before.work, after.work)


def compare_refs(
    ref: str,
    *,
    repo: Path | None = None,
    profile: Profile = "quick",
    seed: int = 1,
    source: Path | None = None,
    progress: Progress = quiet,
) -> Stage:
    """Compare the working tree `repo`, that of this ptp if not given, with the commit `ref` of its repository.

    Both are built of a copy of `source`, of a demo if not given, in a temporary folder that is removed; the source and
    the repository are only read, but for the worktree's entry. Raises UsageError for what is no commit, and where the
    other commit's ptp cannot build or be called.
    """
    started = time.perf_counter()
    tree = repo or source_tree()
    if source is not None:
        check_database(source)
    commit = find_commit(tree, ref)
    check_temporary_space(_ROOM * (source.stat().st_size if source else _DEMO_BYTES))
    with workspace(tree) as place, checked_out(tree, commit, place) as other:
        trees = (Tree(f"{ref} ({commit.short})", other), Tree("the working tree", tree))
        progress(0.0, "taking the data")
        data = _data(source, place, seed)
        progress(0.04, "building a database on each side")
        sides = _Sides(trees, build_heads(trees, data, place), EFFORT[profile], seed)
        with _workers(sides, draws=sides.effort.counted) as pair:
            found = _record(sides, pair, part(progress, 0.5, 0.7))
        rounds = _time(sides, found, progress)
    return stage_of(found, rounds, than=trees[0].name, seconds=time.perf_counter() - started)


def _data(source: Path | None, place: Path, seed: int) -> Path:
    data = place / "source.db"
    if source is None:
        write_demo(shape="drizzle", size="quick", seed=seed, out=data)
        return data
    with errors_named(source), connect_file(source, read_only=True) as db, connect_file(data) as copy:
        step(db, copy, source)
        copy.execute("PRAGMA journal_mode = DELETE")  # or both builds would share its log
    return data


def _workers(sides: _Sides, *, draws: int, place: int = 0) -> AbstractContextManager[list[Worker]]:
    """A new pair of processes, with arguments of its own, the same on both sides."""
    return workers(sides.trees, sides.heads, draws=draws, seed=sides.seed + place)


def _record(sides: _Sides, pair: Sequence[Worker], progress: Progress) -> Found:
    """Count the work of every query on both sides, on the databases as they were built."""
    found = Found()
    with ExitStack() as stack:
        counts = [stack.enter_context(counting(head)) for head in sides.heads]
        plain = [stack.enter_context(connect_file(head, read_only=True)) for head in sides.heads]
        known = [{query.name: query for query in side.queries} for side in pair]
        found.notes.extend(_only_one_side(known, than=sides.trees[0].name))
        both = [name for name in known[1] if name in known[0]]
        for place, name in enumerate(sorted(both, key=lambda name: known[1][name].writes)):
            progress(place / len(both), f"counting {name}")
            called = known[0][name], known[1][name]
            if reason := why_not(*called):
                kind = found.absent if any(one.not_applicable for one in called) else found.apart
                kind[name] = reason
                continue
            found.before[name], found.after[name] = (
                record(side, name, calls=sides.effort.counted, count=count, db=db)
                for side, count, db in zip(pair, counts, plain, strict=True)
            )
    return found


def _only_one_side(known: Sequence[Mapping[str, Called]], *, than: str) -> Iterator[Finding]:
    for name in known[1].keys() - known[0].keys():
        yield Finding(f"against.{name}.new", f"{name} is new: {than} does not have it", "pass", severity="note")
    for name in known[0].keys() - known[1].keys():
        yield Finding(f"against.{name}.gone", f"{name} is gone: {than} has it", "pass", severity="note")


def _time(sides: _Sides, found: Found, progress: Progress) -> Rounds:
    """Both rounds, each of several pairs of processes; those of the second go on until nothing more can be decided."""
    first: dict[str, list[Times]] = {name: [] for name in found.timed}
    count = sides.effort.processes
    for place in range(1, count + 1):
        share = part(progress, 0.7 + 0.2 * (place - 1) / count, 0.7 + 0.2 * place / count)
        _add_round(first, list(first), sides, place, share)
    again = to_measure_again(first, failed=found.risen)
    wanted = processes_for(len(again)) if again else 0
    second: dict[str, list[Times]] = {name: [] for name in again}
    for place in range(2 * wanted):
        names = [name for name in again if wants_more(second[name], wanted=wanted)]
        if not names:
            break
        share = part(progress, 0.9 + 0.05 * place / wanted, 0.9 + 0.05 * (place + 1) / wanted)
        _add_round(second, names, sides, count + 1 + place, share)
    return Rounds(first, second, wanted, found.risen)


def _add_round(
    found: Mapping[str, list[Times]], names: Sequence[str], sides: _Sides, place: int, progress: Progress
) -> None:
    """Time queries by one more pair of processes, which is started for them."""
    if not names:
        return
    chance = random.Random(sides.seed + place)
    with _workers(sides, draws=sides.effort.timed, place=place) as (before, after):
        for number, name in enumerate(names):
            progress(number / len(names), f"timing {name} on both sides")
            found[name].append(time_in_pairs(before, after, name, effort=sides.effort, chance=chance))


def stage_of(found: Found, rounds: Rounds, *, than: str, seconds: float) -> Stage:
    """What follows from all that was found: findings, raw samples and tables; a pure function."""
    work = [finding for name in found.after for finding in _judge_work(name, found, than=than)]
    work += [undecided_work(name, reason, than=than) for name, reason in found.apart.items()]
    work += [_absent(name, reason, than=than) for name, reason in found.absent.items()]
    times = judge_times(rounds, than=than)
    findings = (_right_answers(found), *_other_answers(found, than=than), *work, *times, *found.notes)
    rows = [query_row(name, *found.works(name), rounds, findings) for name in found.after]
    tables = {TABLE: rows, CHANGES: change_rows({name: found.works(name) for name in found.after})}
    return Stage(NAME, TITLE, seconds, (*findings, *_measurements(rounds)), {k: v for k, v in tables.items() if v})


def _judge_work(name: str, found: Found, *, than: str) -> tuple[Finding, ...]:
    before, after = found.works(name)
    if before and after:
        return compare_work(name, before, after, than=than)
    if found.before[name].raised or found.after[name].raised:
        return (_absent(name, "a call of it raised an error, so that its counters say nothing", than=than),)
    return (undecided_work(name, found.before[name].uncounted or found.after[name].uncounted, than=than),)


def _absent(name: str, reason: str, *, than: str) -> Finding:
    claim = f"{name} takes no more work than {than}"
    return Finding(f"against.{name}.counters", claim, "not applicable", evidence=reason)


def _right_answers(found: Found) -> Finding:
    wrong = {name: one.wrong for name, one in found.after.items() if one.wrong}
    return Finding(
        id="against.answers",
        claim="Every query that is compared answers without an error",
        verdict="fail" if wrong else "pass" if found.after else "invalid",
        value=len(wrong),
        unit="queries",
        limit=0,
        n=len(found.after),
        where=tuple(f"{name}: {why}" for name, why in wrong.items()),
        known=bool(wrong) and all(found.before[name].wrong for name in wrong),
        evidence="each call made once on both sides, outside of the timing" if found.after else "no query is compared",
    )


def _other_answers(found: Found, *, than: str) -> Iterator[Finding]:
    for name, after in found.after.items():
        before = found.before[name]
        if before.wrong and not after.wrong:
            yield Finding(
                f"against.{name}.mended", f"{name} fails at {than}, and no more", "pass", "note", where=(before.wrong,)
            )
        unlike = sum(a != b for a, b in zip(after.answers, before.answers, strict=True))
        if unlike and not (before.wrong or after.wrong):
            yield Finding(
                id=f"against.{name}.answers",
                claim=f"{name} gives the same rows as {than}",
                verdict="fail",
                severity="note",
                value=unlike,
                unit="calls",
                limit=0,
                n=len(after.answers),
                evidence="the same calls on both sides; a wanted change of what it answers looks the same",
            )


def _measurements(rounds: Rounds) -> Iterator[Measurement]:
    """The raw samples, in ms and in order, all pairs of processes one after the other."""
    seen = environment()
    for suffix, measured in (("", rounds.first), (".again", rounds.second)):
        for name, times in measured.items():
            sides = {"before": [t.before for t in times], "after": [t.after for t in times]}
            for side, taken in sides.items():
                samples = tuple(ns / _NS_PER_MS for one in taken for ns in one)
                if samples:
                    yield Measurement(f"{name}.{side}{suffix}", "ms", samples, seen)
