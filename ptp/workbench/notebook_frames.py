"""Results as pandas frames, for a notebook's reader to filter, compare and look into: one short function each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from ptp.benchmark.history import MACHINE, differences
from ptp.errors import UsageError
from ptp.evidence import Stage, read_stage
from ptp.report.charts import Chart, within
from ptp.report.charts import distribution as distribution_chart
from ptp.report.display import findings_frame, measurements_frame, samples_frame
from ptp.report.matching import limit_of
from ptp.report.stage_pictures import groups_of
from ptp.report.words import is_number, number
from ptp.results import Finding, Measurement
from ptp.stats import percentile
from ptp.workbench.histories import data_of, machine_of

COMPARED = ("id", "before", "after", "unit", "ratio", "verdict_before", "verdict_after", "change", "why")
_ORDER = ("fail", "invalid", "inconclusive", "pass")
_BROKEN = (UsageError, OSError, KeyError, TypeError, ValueError, AttributeError)


def findings(stage: Stage) -> pd.DataFrame:
    """The stage's findings, a row each, in the order in which they were found; `n` as a number, also where none has."""
    return findings_frame(stage).astype({"n": "Int64"})


def measurements(stage: Stage) -> pd.DataFrame:
    """The stage's measurements, a row each: percentiles, and the 95 % bounds of the p95."""
    return measurements_frame(stage)


def samples(stage: Stage) -> pd.DataFrame:
    """Every raw sample of the stage, a row each, in the order of measuring."""
    return samples_frame(stage)


def table(stage: Stage, name: str) -> pd.DataFrame:
    """One of the stage's tables; empty where the stage had nothing to tell there."""
    return pd.DataFrame(list(stage.tables.get(name, ())))


def compare_runs(before: Stage | Path | str, after: Stage | Path | str) -> pd.DataFrame:
    """What the findings of one stage were and are, a row each: `ratio` is after / before, `change` in a word, and why.

    worse and better: another verdict, or intervals that lie apart; not apart: they overlap, whatever the ratio; same:
    the same verdict of what has no interval. Times of another machine or of other data are not compared. A side is a
    stage, or the file of one in a run folder. Raises UsageError for any other file.
    """
    old, new = (one if isinstance(one, Stage) else read_stage(Path(one)) for one in (before, after))
    was, now = ({f.id: f for f in one.findings if f.severity != "note"} for one in (old, new))
    unlike = _unlike(old, new)
    names = dict.fromkeys((*now, *was)) if old.results else ()
    rows = [_compared(was.get(name), now.get(name), unlike) for name in names]
    return pd.DataFrame(rows, columns=list(COMPARED)).astype({"ratio": "float64"})


def newest_beside(out: Path, name: str) -> Stage:
    """The newest results of a notebook in a run folder beside `out`; an empty stage where none stands there."""
    for path in sorted(_results_beside(out, name), key=lambda path: path.stat().st_mtime, reverse=True):
        with suppress(*_BROKEN):
            return read_stage(path)
    return Stage(name, "No earlier run", 0.0)


@dataclass(frozen=True, slots=True)
class Distribution:
    """How the samples of one measurement spread, between two shares of them in order; `zoom` draws the borders in."""

    measurement: Measurement
    limit: float | None = None
    start: float = 0.0
    end: float = 1.0

    def zoom(self, start: float, end: float) -> Distribution:
        """The part between two shares of all samples, such as 0.95 and 1 for the longest twentieth.

        Raises UsageError for shares that are not in order from 0 to 1.
        """
        if not 0 <= start < end <= 1:
            raise UsageError(f"A distribution is zoomed between two shares from 0 to 1, not {start:g} and {end:g}.")
        return replace(self, start=start, end=end)

    @property
    def frame(self) -> pd.DataFrame:
        """Eleven places of the part, from its first share to its last: the value there, and how many are longer."""
        ordered = sorted(self.measurement.samples)
        shares = [round(self.start + (self.end - self.start) * step / 10, 9) for step in range(11)] if ordered else []
        values = [percentile(ordered, q=share) if share > 0 else ordered[0] for share in shares]
        rows = [(share, value, sum(v > value for v in ordered)) for share, value in zip(shares, values, strict=True)]
        return pd.DataFrame(rows, columns=["share", self.measurement.unit or "value", "longer"])

    @property
    def chart(self) -> Chart | None:
        """The part as a chart; None where nothing was measured."""
        if not self.measurement.samples:
            return None
        return distribution_chart(self.measurement, limit=self.limit, shares=(self.start, self.end))

    def _repr_html_(self) -> str:
        chart = self.chart
        if chart is None:
            return "<p>Nothing was measured.</p>"
        return Markup(chart._repr_html_()) + Markup(self.frame.to_html(index=False, border=0, float_format=number))

    def __repr__(self) -> str:
        """What it is of, in a line."""
        part = within(sorted(self.measurement.samples), self.start, self.end) if self.measurement.samples else ()
        return f"{self.measurement.what}: {len(part):,} of {len(self.measurement.samples):,} samples"


def distribution(stage: Stage, what: str = "") -> Distribution:
    """How what was measured spreads: `what` by name, else the time whose p95 is nearest to its limit.

    Raises UsageError for a name that the stage did not measure.
    """
    own = [m for group in groups_of(stage)[0].values() for m in group]
    limits = {m.what: limit for m in own if (limit := limit_of(m, stage.findings))}
    if what:
        found = next((m for m in stage.measurements if m.what == what), None)
        if found is None:
            named = ", ".join(m.what for m in own[:20]) or "nothing"
            raise UsageError(f"{stage.title} did not measure {what!r}; it measured {named}.")
        return Distribution(found, limits.get(what))
    limited = [m for m in own if m.what in limits]
    if not limited:
        return Distribution(own[0] if own else Measurement("nothing", "", ()))
    nearest = max(limited, key=lambda m: percentile(sorted(m.samples), q=0.95) / limits[m.what])
    return Distribution(nearest, limits[nearest.what])


def _results_beside(out: Path, name: str) -> Iterator[Path]:
    mine = out.resolve()
    for path in mine.parent.glob(f"*/results/{name}.json"):
        folder = path.parents[1]
        if folder != mine and not folder.is_symlink():
            yield path


def _unlike(old: Stage, new: Stage) -> str:
    """Why times of the two are not compared; empty where they are."""
    try:
        if apart := differences(machine_of([old]), machine_of([new]), names=MACHINE):
            return f"another machine: {'; '.join(apart)}"
        if apart := differences(data_of(None, [old]), data_of(None, [new])):
            return f"other data: {'; '.join(apart)}"
    except _BROKEN as problem:
        return str(problem)
    return ""


def _compared(was: Finding | None, now: Finding | None, unlike: str) -> Mapping[str, Any]:
    a, b = was and was.value, now and now.value
    either = now or was
    ratio = b / a if is_number(a) and is_number(b) and a else None
    change, why = _change(was, now, unlike)
    row = {"id": either.id if either else "", "before": a, "after": b, "unit": either.unit if either else ""}
    row |= {"ratio": ratio, "verdict_before": was.verdict if was else "", "verdict_after": now.verdict if now else ""}
    return row | {"change": change, "why": why}


def _change(was: Finding | None, now: Finding | None, unlike: str) -> tuple[str, str]:
    if was is None or now is None:
        return "other", "only one side has it"
    if was.verdict != now.verdict:
        if was.verdict not in _ORDER or now.verdict not in _ORDER:
            return "other", "another verdict"
        return ("worse" if _ORDER.index(now.verdict) < _ORDER.index(was.verdict) else "better"), "another verdict"
    if was.low is None and was.high is None:
        return "same", "" if was.value == now.value else "judged by its verdict"
    if unlike:
        return "not compared", unlike
    ends = [(_end(f.low, -math.inf), _end(f.high, math.inf)) for f in (was, now)]
    if ends[0][1] < ends[1][0]:
        return "worse", "intervals lie apart"
    return ("better", "intervals lie apart") if ends[1][1] < ends[0][0] else ("not apart", "intervals overlap")


def _end(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
