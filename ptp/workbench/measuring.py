"""What `ptp bench` was asked to measure, checked and measured, and the run folder that it leaves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ptp.engine import database_path
from ptp.engine.addresses import parse_address
from ptp.engine.candidates import engine_named
from ptp.errors import UsageError
from ptp.evidence import Evidence, Run, Stage, write_run, write_stage, write_verdict
from ptp.results import Finding, worst
from ptp.workbench.against import compare_refs
from ptp.workbench.against_runs import check_comparable, compare_runs
from ptp.workbench.benchmarking import benchmark, check_benchmarkable
from ptp.workbench.engines import compare_engines
from ptp.workbench.floors import measure_floors
from ptp.workbench.histories import is_run
from ptp.workbench.identity import as_given, versions
from ptp.workbench.outputs import write_outputs
from ptp.workbench.progress import Progress, part
from ptp.workbench.remote_bench import bench_remote
from ptp.workbench.worktree import find_commit, source_tree
from ptp.workload.limits import Measure, Profile

ENGINES = "03_engines"
_ENGINES_TITLE = "Engines"
_NO_TARGET = "Name the database at head that is to be measured: --target FILE, or the URL of a server."


@dataclass(frozen=True, slots=True)
class Asked:
    """What to measure: the target against its limits, if none of `floors`, `against` and `engines` is given."""

    target: str | None
    source: str | None
    profile: Profile
    seed: int
    measure_what: Measure = "all"
    floors: bool = False
    against: str | None = None
    engines: tuple[str, ...] = ()

    @property
    def is_of_commits(self) -> bool:
        """Whether the code is compared with that of another commit, which needs no target."""
        return self.against is not None and not is_run(self.against)

    @property
    def is_remote(self) -> bool:
        """Whether the target is on a server."""
        return self.target is not None and parse_address(self.target).is_remote

    def check(self) -> None:
        """Make sure, before anything is measured, that it can be; raises UsageError."""
        chosen = [name for name in ("floors", "against", "engines") if getattr(self, name)]
        if self.measure_what == "times" and chosen:
            raise UsageError("--measure times is of the queries against their limits, and measures nothing else.")
        if self.is_remote:
            if chosen or self.source:
                given = chosen[0].replace("engines", "engine") if chosen else "source"
                raise UsageError(f"--{given} is for a database in a file; of one on a server its queries are timed.")
            return
        if len(chosen) > 1:
            first, second = (name.replace("engines", "engine") for name in chosen[:2])
            raise UsageError(f"--{first} and --{second} measure different things: give one of them.")
        if self.is_of_commits:
            if self.target:
                raise UsageError(
                    "--against COMMIT builds a database on each side: name its --source, or none for a demo, and no "
                    f"--target. If {self.against} was to be a run folder, it has no run.json."
                )
            find_commit(source_tree(), str(self.against))
            return
        for name in self.engines:
            engine_named(name)
        check_benchmarkable(self._target())
        if self.against:
            check_comparable(Path(self.against), self._target(), profile=self.profile, seed=self.seed)

    def measure(self, folder: Path, progress: Progress) -> Stage:
        """Measure it on copies in `folder`, which are removed."""
        if self.is_of_commits:
            return compare_refs(
                str(self.against), profile=self.profile, seed=self.seed, source=self._source(), progress=progress
            )
        if self.is_remote:
            return bench_remote(
                str(self.target), folder, profile=self.profile, seed=self.seed, progress=part(progress, 0.0, 0.99)
            )
        if self.floors:
            return measure_floors(self._target(), folder, profile=self.profile, seed=self.seed, progress=progress)
        if self.engines:
            return self._beside_engines(folder, progress)
        return self._alone(folder, progress)

    def _beside_engines(self, folder: Path, progress: Progress) -> Stage:
        started = time.perf_counter()
        found = compare_engines(
            self._target(), folder, engines=self.engines, profile=self.profile, seed=self.seed, progress=progress
        )
        results = (_alike(found.findings), *found.results)
        return Stage(ENGINES, _ENGINES_TITLE, time.perf_counter() - started, results, found.tables)

    def _alone(self, folder: Path, progress: Progress) -> Stage:
        stage = benchmark(
            self._target(),
            folder,
            source=self._source(),
            profile=self.profile,
            measure=self.measure_what,
            seed=self.seed,
            progress=part(progress, 0.0, 0.99),
        )
        if self.against is None:
            return stage
        beside = compare_runs(stage, Path(self.against))
        return replace(stage, results=(*stage.results, *beside.results), tables={**stage.tables, **beside.tables})

    def run(self, folder: Path, *, started: datetime, seconds: float) -> Run:
        """What was measured, as the run folder tells it."""
        return Run(
            id=folder.name,
            source=as_given(found) if (found := self._source()) else "",
            target=self._shown(),
            profile=self.profile,
            env="dev",
            started=started.astimezone(UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 1),
            versions=versions(),
        )

    def _shown(self) -> str:
        """The target as the run folder tells it."""
        if self.target is None:
            return ""
        return parse_address(self.target).shown if self.is_remote else as_given(self._target())

    def _target(self) -> Path:
        if self.target is None:
            raise UsageError(_NO_TARGET)
        return database_path(self.target)

    def _source(self) -> Path | None:
        return database_path(self.source) if self.source else None


def _alike(found: Sequence[Finding]) -> Finding:
    """The gate over what the engines gave: times are told only."""
    other = tuple(f"{f.id}: {f.evidence}" for f in found if f.verdict == "fail")
    return Finding(
        id="engines.rows",
        claim="Every engine gives the rows of sqlite3 in every query that it runs",
        verdict="fail" if other else "pass",
        value=len(other),
        unit="queries",
        limit=0,
        n=len(found),
        where=other,
        evidence="Values and types of all rows, and what writes have left behind",
    )


def keep(folder: Path, run: Run, stage: Stage) -> Evidence:
    """Write the run folder of one stage alone: results, report, what CI reads, and the verdict, which is the last."""
    evidence = Evidence(run, (stage,), worst(stage.findings))
    write_run(folder, run)
    write_stage(folder, stage)
    write_outputs(folder, evidence)
    write_verdict(folder, evidence)
    return evidence
