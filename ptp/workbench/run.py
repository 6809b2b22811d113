"""One run: the notebooks in order, each stage's evidence gathered, the verdict and the report written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ptp.engine import errors_named, settle_log
from ptp.errors import CannotFinish, PtpError, UsageError
from ptp.evidence import Evidence, Run, Stage, read_stage, write_run, write_verdict
from ptp.migration.build import remove_partial
from ptp.migration.plan import OnDirty, Plan
from ptp.report.page import write_report
from ptp.results import exit_code, missing, worst
from ptp.settings import Environment
from ptp.workbench import proofs, scratch
from ptp.workbench.gates import required_gates
from ptp.workbench.identity import as_given, versions
from ptp.workbench.load_wanted import NAME as LOADED
from ptp.workbench.load_wanted import Wanted
from ptp.workbench.migrating import BACKUP, check_target, plan_of
from ptp.workbench.notebooks import execute
from ptp.workbench.outputs import OUTPUTS, write_outputs
from ptp.workbench.parameters import NOTEBOOKS, left_out_of, notebooks_of
from ptp.workbench.places import make_folder
from ptp.workbench.progress import Progress, part
from ptp.workbench.run_index import note_run
from ptp.workload.limits import Measure, Profile

LOAD = Wanted("heavy", "http", workers=2)
"""What a run puts its target under, where its profile has a load: 1,000 users over HTTP for a minute."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to run: `out` is the run folder itself, `target` None puts the target into it.

    `load` is for profiles that have a load, which has the seed of the run; of it only what the notebook takes.
    """

    source: Path
    out: Path
    id: str
    target: Path | None = None
    profile: Profile = "quick"
    env: Environment = "dev"
    on_dirty: OnDirty = "stop"
    prove: proofs.Effort = "quick"
    measure: Measure = "all"
    seed: int = 1
    load: Wanted = LOAD

    @property
    def target_path(self) -> Path:
        """Where the target comes to stand."""
        return self.target or self.out / "target.db"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: its evidence, the exit code that stands for it, and the error that stopped it, if one did."""

    evidence: Evidence
    exit_code: int
    error: PtpError | None


def execute_run(request: Request, *, progress: Progress) -> Outcome:
    """Run all notebooks on one source and write the run folder; the verdict is written last.

    Raises UsageError, with nothing written, for what can be known to be wrong beforehand. A run that is interrupted
    leaves a folder without a verdict, a report that says so, and no half-built target.
    """
    plan = plan_of(request.source, on_dirty=request.on_dirty)
    _check_folder(request.out)
    check_target(request.target_path, out=request.out)
    if LOADED in (name for name, _, _ in notebooks_of(request.profile)):
        request.load.check()
    make_folder(request.out)
    run = _begun(request, plan)
    write_run(request.out, run)
    started = time.perf_counter()
    try:
        with errors_named(request.out):
            error = _notebooks(request, plan.hash, progress)
            return _close(request, replace(run, seconds=round(time.perf_counter() - started, 1)), error)
    except BaseException:
        _close_undecided(request, run, time.perf_counter() - started)
        raise


def _begun(request: Request, plan: Plan) -> Run:
    """The run as it begins."""
    left_out = "; ".join(f"{name}: {reason}" for name, reason in left_out_of(request.profile).items())
    facts = {
        "shape": plan.shape,
        "rows": f"{sum(plan.rows.values()):,}",
        "size": f"{request.source.stat().st_size / 1e6:,.1f} MB",
        "plan": plan.hash[:16],
        **({"left_out": left_out} if left_out else {}),
    }
    return Run(
        id=request.id,
        source=as_given(request.source),
        target=as_given(request.target_path),
        profile=request.profile,
        env=request.env,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        versions=versions(),
        facts=facts,
    )


def _check_folder(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty: a run wants a folder of its own; name another with --out.")


def _notebooks(request: Request, plan: str, progress: Progress) -> PtpError | None:
    """Run the notebooks in order; after one that did not pass, the rest would measure what is not right."""
    for name, begin, end in notebooks_of(request.profile):
        error = execute(name, _parameters(name, request, plan), out=request.out, progress=part(progress, begin, end))
        if error is not None:
            return error
        if not (request.out / "results" / f"{name}.json").is_file():
            return CannotFinish(f"{name} ended early: it wrote no results.")
    progress(1.0, "done")
    return None


def _parameters(name: str, request: Request, plan: str) -> dict[str, Any]:
    """What a notebook is given: what all of them take, and by its name what is meant for it alone."""
    shared = {
        "source": str(request.source.absolute()),
        "target": str(request.target_path.absolute()),
        "out": str(request.out.absolute()),
        "run": request.id,
        "seed": request.seed,
    }
    own: Mapping[str, Mapping[str, Any]] = {
        "01_migrate": {"on_dirty": request.on_dirty, "plan": plan},
        "02_verify": {"prove": request.prove},
        "03_benchmark": {"profile": request.profile, "measure": request.measure},
        LOADED: {
            "users_profile": request.load.profile,
            "driver": request.load.driver,
            "seconds": request.load.seconds,
            "workers": request.load.workers,
        },
    }
    return {k: v for k, v in shared.items() if k in NOTEBOOKS[name].model_fields} | dict(own.get(name, {}))


def _stages(out: Path) -> tuple[Stage, ...]:
    return tuple(read_stage(path) for path in sorted((out / "results").glob("*.json")))


def _tidy(request: Request) -> None:
    """Remove what a stage leaves that was killed in its middle."""
    for half in (request.target_path, request.out / BACKUP):
        remove_partial(half)
    scratch.remove_scratch(request.out)
    settle_log(request.target_path)


def _close(request: Request, run: Run, error: PtpError | None) -> Outcome:
    _tidy(request)
    stages = _stages(request.out)
    findings = [f for stage in stages for f in stage.findings]
    if trust := proofs.told_in_short(findings):
        run = replace(run, facts={**run.facts, "verifier": trust})
    required = required_gates(request.profile)
    absent = missing(findings, required=required)
    verdict = worst(findings, required=required)
    if error and verdict != "fail":  # whatever was found until then, a run that was stopped is no pass
        verdict = "invalid"
    evidence = Evidence(run, stages, verdict, str(error) if error else "", absent)
    write_run(request.out, run)
    write_outputs(request.out, evidence)
    _point_latest(request.out)
    write_verdict(request.out, evidence)
    note_run(request.out)
    code = error.exit_code if error else exit_code(verdict)
    return Outcome(evidence, code or exit_code(verdict), error)


def _close_undecided(request: Request, run: Run, seconds: float) -> None:
    """What an interrupted run leaves: no half-built target, no verdict, and a report that says so."""
    _tidy(request)
    for name in ("verdict.json", *OUTPUTS):
        (request.out / name).unlink(missing_ok=True)
    with suppress(OSError):  # a full disk, which then is what stopped the run
        write_report(request.out, Evidence(replace(run, seconds=round(seconds, 1)), _stages(request.out), None))


def _point_latest(out: Path) -> None:
    """Let `latest` beside the run folder point to it, where run folders stand together."""
    link = out.parent / "latest"
    if link.exists() and not link.is_symlink():
        return
    fresh = link.with_name(f".latest-{out.name}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(out.name, target_is_directory=True)
    fresh.replace(link)
