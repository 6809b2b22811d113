"""What a notebook calls: one short function a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ptp.errors import CannotFinish, GateFailed
from ptp.evidence import Stage, write_stage
from ptp.migration.build import remove_partial
from ptp.report.charts import Chart, counts
from ptp.report.display import findings_frame, measurements_frame, samples_frame
from ptp.report.stage_pictures import pictures_of
from ptp.results import Finding, worst
from ptp.workbench import benchmarking, loading, migrating, proofs, scaling, scratch
from ptp.workbench.parameters import (
    BenchmarkParameters,
    LoadParameters,
    MigrateParameters,
    Parameters,
    ScaleParameters,
    VerifyParameters,
    parameters_of,
)
from ptp.workbench.places import Places, places_of
from ptp.workbench.progress import FileProgress, Progress, quiet


@dataclass(frozen=True, slots=True)
class Session:
    """A notebook's checked parameters and files."""

    parameters: Parameters
    places: Places

    @property
    def progress(self) -> Progress:
        """Where this notebook notes how far it is."""
        return FileProgress(self.places.out)


def start(notebook: str, namespace: Mapping[str, Any]) -> Session:
    """Check the parameters and find the files; for the first code cell, called with `globals()`.

    Raises UsageError for a parameter that is unknown or of the wrong type.
    """
    parameters = parameters_of(notebook, namespace)
    return Session(parameters, places_of(parameters, progress=quiet))


def plan_frame(session: Session) -> pd.DataFrame:
    """The plan of the migration, a row a statement, made without changing anything."""
    assert isinstance(session.parameters, MigrateParameters)
    found = migrating.plan_of(session.places.source, on_dirty=session.parameters.on_dirty)
    return pd.DataFrame([asdict(s) for s in found.statements], columns=["kind", "rows", "sql"])


def migrate(session: Session) -> Stage:
    """Build the target. The demo's own target is built anew; any other must not exist yet."""
    assert isinstance(session.parameters, MigrateParameters)
    places = session.places
    if places.owns_target:
        _remove_database(places.target)
    return migrating.migrate(
        places.source,
        places.target,
        places.out,
        run=session.parameters.run,
        on_dirty=session.parameters.on_dirty,
        shown=session.parameters.plan,
        progress=session.progress,
    )


def verify(session: Session) -> Stage:
    """Verify the target against its source, and prove the verifier."""
    assert isinstance(session.parameters, VerifyParameters)
    _demo_target(session)
    places = session.places
    with scratch.working(places.out, doing="verifying"):
        return proofs.verify_and_prove(
            (places.source, places.target), session.parameters.prove, out=places.out, progress=session.progress
        )


def benchmark(session: Session) -> Stage:
    """Time the queries on a copy of the target."""
    assert isinstance(session.parameters, BenchmarkParameters)
    _demo_target(session)
    given = session.parameters
    places = session.places
    source = places.source if places.source.is_file() else None
    with scratch.working(places.out, doing="measuring"):
        return benchmarking.benchmark(
            places.target,
            places.out,
            source=source,
            profile=given.profile,
            measure=given.measure,
            seed=given.seed,
            progress=session.progress,
        )


def load(session: Session) -> Stage:
    """Load a copy of the target with many users at once, and check what that left behind.

    A database that holds nobody to draw users from has nothing that could be loaded, and its gates say so.
    """
    assert isinstance(session.parameters, LoadParameters)
    _demo_target(session)
    given = session.parameters
    places = session.places
    if not loading.has_users(places.target, seed=given.seed):
        return loading.idle("The database holds no answers to draw users from.")
    wanted = loading.Wanted(given.users_profile, given.driver, given.seconds, seed=given.seed, workers=given.workers)
    with scratch.working(places.out, doing="loading"):
        return loading.load_wanted(places.target, places.out, wanted, progress=session.progress)


def scale(session: Session) -> Stage:
    """Model response times across the world and the bill of a month, with the times that earlier notebooks measured."""
    assert isinstance(session.parameters, ScaleParameters)
    _demo_target(session)
    places, given = session.places, session.parameters.model_dump(exclude=set(Parameters.model_fields))
    source = places.source if places.source.is_file() else None
    with scratch.working(places.out, doing="modelling"):
        return scaling.scale(
            places.target,
            places.out,
            scaling.Wanted(**given),
            source=source,
            measured=places.out,
            progress=session.progress,
        )


def finish(session: Session, stage: Stage) -> str:
    """Write the stage's results; for the last cell. Raises GateFailed or CannotFinish when a gate did not hold."""
    write_stage(session.places.out, stage)
    verdict = worst(stage.findings)
    bad = [f for f in stage.findings if f.verdict in ("fail", "invalid") and f.severity != "note"]
    if bad:
        sentence = f"{stage.title}: {_told(bad[0])}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else "")
        raise (GateFailed if verdict == "fail" else CannotFinish)(sentence)
    return f"{stage.title}: {verdict}, {len(stage.findings)} gates, {stage.seconds:.1f} s"


def _told(finding: Finding) -> str:
    where = f" ({finding.where[0]})" if finding.where else ""
    return f"{finding.claim}: {finding.verdict}{where}"


def _demo_target(session: Session) -> None:
    """Build the demo's target where it is wanted and missing, so that each notebook runs by itself."""
    places = session.places
    if places.owns_target and not places.target.is_file():
        migrating.migrate(places.source, places.target, places.out, run=session.parameters.run)


def _remove_database(path: Path) -> None:
    remove_partial(path)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def gates(stage: Stage) -> pd.DataFrame:
    """The stage's findings, a row each."""
    return findings_frame(stage)


def table(stage: Stage, name: str) -> pd.DataFrame:
    """One of the stage's tables; empty where the stage had nothing to tell there."""
    return pd.DataFrame(list(stage.tables.get(name, ())))


def samples(stage: Stage) -> pd.DataFrame:
    """Every raw sample of the stage, a row each, in the order of measuring."""
    return samples_frame(stage)


def timings(stage: Stage) -> pd.DataFrame:
    """Seconds by kind of statement, the longest first."""
    return measurements_frame(stage).sort_values("p50", ascending=False, ignore_index=True)[["what", "p50", "unit"]]


def rows_chart(stage: Stage) -> Chart:
    """Rows by table, as the migration found them."""
    return counts({str(r["table"]): float(r["rows"]) for r in stage.tables["Source"]}, what="rows")


@dataclass(frozen=True, slots=True)
class Gallery:
    """The charts of a stage, one below the other, as notebooks show them."""

    charts: tuple[Chart, ...]

    def _repr_html_(self) -> str:
        return "".join(chart._repr_html_() for chart in self.charts)


def charts(stage: Stage) -> Gallery:
    """The charts of a stage as the report has them: limits, distribution, timeline, scaling, pairs."""
    return Gallery(pictures_of(stage))
