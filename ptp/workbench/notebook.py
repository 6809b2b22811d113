"""What a notebook calls: one short function a cell."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from markupsafe import Markup
from pydantic.fields import FieldInfo

from ptp.errors import CannotFinish, GateFailed, UsageError
from ptp.evidence import Stage, read_stage, write_stage
from ptp.migration.build import remove_partial
from ptp.migration.plan import Plan
from ptp.report.cards import chip, rows_card
from ptp.report.charts import Chart, counts
from ptp.report.gates import STATES
from ptp.report.stage_pictures import pictures_of
from ptp.resources import home
from ptp.results import Finding, worst
from ptp.workbench import benchmarking, loading, migrating, notebook_frames, proofs, scaling, scratch
from ptp.workbench.notebook_frames import Distribution as Distribution
from ptp.workbench.notebook_frames import compare_runs as compare_runs
from ptp.workbench.notebook_frames import distribution as distribution
from ptp.workbench.notebook_frames import findings as findings
from ptp.workbench.notebook_frames import measurements as measurements
from ptp.workbench.notebook_frames import samples as samples
from ptp.workbench.notebook_frames import table as table
from ptp.workbench.notebook_progress import following
from ptp.workbench.notebook_shell import prepare
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
from ptp.workbench.progress import Progress


@dataclass(frozen=True, slots=True)
class Session:
    """A notebook's checked parameters and files, and the results that its run folder held when it was started."""

    name: str
    parameters: Parameters
    places: Places
    kept: Stage | None = None

    def following(self, doing: str) -> AbstractContextManager[Progress]:
        """Progress of the work in a block: a bar where somebody looks on, else a note in the run folder."""
        return following(self.places.out, doing=doing)

    def _repr_html_(self) -> str:
        """The parameters with types and help, as they were checked; and the files that they stand for."""
        fields = type(self.parameters).model_fields
        rows = [
            (Markup("<code>{}</code>").format(name), repr(value), _kind(fields[name]), fields[name].description or "")
            for name, value in self.parameters
        ]
        places = [("source", self.places.source), ("target", self.places.target), ("results", self.places.out)]
        files = Markup("<br>").join(Markup("{}: <code>{}</code>").format(what, _shown(path)) for what, path in places)
        return Markup(rows_card("Parameters", ("Parameter", "Value", "Type", "What it is"), rows).html) + Markup(
            "<p>{}</p>"
        ).format(files)

    def __repr__(self) -> str:
        """The same in a line, without help."""
        return f"{self.name}: " + ", ".join(f"{name}={value!r}" for name, value in self.parameters)


def start(notebook: str, namespace: Mapping[str, Any]) -> Session:
    """Check the parameters and find the files; for the first code cell, called with `globals()`.

    Raises UsageError for a parameter that is unknown or of the wrong type.
    """
    prepare()
    parameters = parameters_of(notebook, namespace)
    with following(None, doing="Making a demo") as progress:
        places = places_of(parameters, progress=progress)
    kept = None
    with suppress(UsageError, KeyError, TypeError):  # of another version, or half of it is gone: as good as none
        kept = read_stage(places.out / "results" / f"{notebook}.json")
    return Session(notebook, parameters, places, kept)


def plan(session: Session) -> Plan:
    """The plan of the migration, made without changing anything."""
    assert isinstance(session.parameters, MigrateParameters)
    return migrating.plan_of(session.places.source, on_dirty=session.parameters.on_dirty)


def migrate(session: Session) -> Stage:
    """Build the target. The demo's own target is built anew; any other must not exist yet."""
    assert isinstance(session.parameters, MigrateParameters)
    places = session.places
    if places.owns_target:
        _remove_database(places.target)
    with session.following("Migrating") as progress:
        return migrating.migrate(
            places.source,
            places.target,
            places.out,
            run=session.parameters.run,
            on_dirty=session.parameters.on_dirty,
            shown=session.parameters.plan,
            progress=progress,
        )


def verify(session: Session) -> Stage:
    """Verify the target against its source, and prove the verifier."""
    assert isinstance(session.parameters, VerifyParameters)
    _demo_target(session)
    places = session.places
    with scratch.working(places.out, doing="verifying"), session.following("Verifying") as progress:
        return proofs.verify_and_prove(
            (places.source, places.target), session.parameters.prove, out=places.out, progress=progress
        )


def benchmark(session: Session) -> Stage:
    """Time the queries on a copy of the target."""
    assert isinstance(session.parameters, BenchmarkParameters)
    _demo_target(session)
    given = session.parameters
    places = session.places
    source = places.source if places.source.is_file() else None
    with scratch.working(places.out, doing="measuring"), session.following("Measuring") as progress:
        return benchmarking.benchmark(
            places.target,
            places.out,
            source=source,
            profile=given.profile,
            measure=given.measure,
            seed=given.seed,
            progress=progress,
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
    with scratch.working(places.out, doing="loading"), session.following("Loading") as progress:
        return loading.load_wanted(places.target, places.out, wanted, progress=progress)


def scale(session: Session) -> Stage:
    """Model response times across the world and the bill of a month, with the times that earlier notebooks measured."""
    assert isinstance(session.parameters, ScaleParameters)
    _demo_target(session)
    places, given = session.places, session.parameters.model_dump(exclude=set(Parameters.model_fields))
    source = places.source if places.source.is_file() else None
    with scratch.working(places.out, doing="modelling"), session.following("Modelling") as progress:
        return scaling.scale(
            places.target,
            places.out,
            scaling.Wanted(**given),
            source=source,
            measured=places.out,
            progress=progress,
        )


def _kind(info: FieldInfo) -> str:
    """The type of a parameter: its choices where it has some."""
    choices = get_args(info.annotation)
    return " | ".join(map(str, choices)) if choices else str(getattr(info.annotation, "__name__", info.annotation))


def _shown(path: Path) -> str:
    return str(path.relative_to(home()) if path.is_relative_to(home()) else path)


class Ending(str):
    """How a stage ended, in a sentence that stands without quotation marks; `html` says also where its results are."""

    html: str = ""

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        """The sentence itself."""
        return str(self)


def finish(session: Session, stage: Stage) -> Ending:
    """Write the stage's results; for the last cell. Raises GateFailed or CannotFinish when a gate did not hold."""
    write_stage(session.places.out, stage)
    verdict = worst(stage.findings)
    bad = [f for f in stage.findings if f.verdict in ("fail", "invalid") and f.severity != "note"]
    if bad:
        sentence = f"{stage.title}: {_told(bad[0])}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else "")
        raise (GateFailed if verdict == "fail" else CannotFinish)(sentence)
    gates = sum(f.severity != "note" for f in stage.findings)
    ending = Ending(f"{stage.title}: {verdict}, {gates} gates, {stage.seconds:.1f} s")
    results = _shown(session.places.out / "results" / f"{stage.name}.json")
    ending.html = Markup("<p>{} {}. Results: <code>{}</code></p>").format(chip(STATES[verdict]), ending, results)
    return ending


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


def earlier(session: Session) -> Stage:
    """The results to compare with: what this run folder had before, else those of the newest run beside it."""
    return session.kept or notebook_frames.newest_beside(session.places.out, session.name)


def timings(stage: Stage) -> pd.DataFrame:
    """Seconds by kind of statement, the longest first."""
    return measurements(stage).sort_values("p50", ascending=False, ignore_index=True)[["what", "p50", "unit"]]


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
