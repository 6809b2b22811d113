"""Forecasts of a migration on this machine, from the last run here or a trial, and beside them what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import ptp
from ptp.engine.environment import environment
from ptp.engine.headers import companion_bytes
from ptp.engine.prices import load_prices
from ptp.errors import UsageError
from ptp.evidence import Stage, read_stage
from ptp.migration.forecast import SAMPLE_ROWS, Forecast, Rates, forecast, measured_rates, parts, trial_rates
from ptp.migration.plan import Kind, Plan
from ptp.results import Estimate, Measurement
from ptp.settings import load_settings

STAGE = "01_migrate"
PLAN = "Plan"
PREFLIGHT, BACKUP, COMPARISON = "preflight", "backup", "comparison"
_COPY, _REST = "copy in chunks", "indexes and derived tables"
_S_PER_MB = {PREFLIGHT: 0.034, BACKUP: 0.016}  # measured once, 37 MB on two cores; stands in until a run was made here
_COMPARED_S = 1 / 120_000  # a row on one core, answers of 14 columns
_ONLINE = {
    "online: capture": "capture",
    "online: copy": _COPY,
    "online: index": _REST,
    "online: catch up": "catch up",
    "online: verify": COMPARISON,
    "online: cut over": "cut over",
}
_NEWEST = 20  # runs that are looked at
_SMALL, _SMALL_SAMPLE = 20_000, 100  # a plan over few rows is soon done: its trial takes less too
_TARIFF = "Scaler"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan will take: its statements, and in seconds what is done besides them, by name."""

    plan: Plan
    rates: Rates
    statements: tuple[Forecast, ...]
    besides: Mapping[str, float]

    @property
    def rows(self) -> int:
        """All rows of the source that go over."""
        return sum(self.plan.rows.values())

    @property
    def seconds(self) -> float:
        """Everything together, as far as anything is known of it."""
        return sum(self.besides.values()) + sum(f.seconds or 0.0 for f in self.statements)

    @property
    def read(self) -> int:
        """Rows read, as they would be billed."""
        return sum(f.billed.read for f in self.statements)

    @property
    def written(self) -> int:
        """Rows written, as they would be billed."""
        return sum(f.billed.written for f in self.statements)


def look_ahead(plan: Plan, source: Path) -> Outlook:
    """What a plan will take on this machine; reads the last runs, or the first rows of the source."""
    rates = _last_rates(plan)
    if rates is None:
        rows = SAMPLE_ROWS if sum(plan.rows.values()) > _SMALL else _SMALL_SAMPLE
        rates = trial_rates(plan, source, rows=rows)
    size = (source.stat().st_size + companion_bytes(source, "-wal")) / 1e6
    rows = sum(plan.rows.values())
    besides = {
        name: rates.by_row[name] * rows if name in rates.by_row else seconds * size
        for name, seconds in _S_PER_MB.items()
    }
    return Outlook(plan, rates, forecast(plan, rates), besides)


def _last_rates(plan: Plan) -> Rates | None:
    """Rates of the newest run of this ptp on this machine that did all that the plan does, over a tenth of its rows."""
    found = load_settings().reports_dir.glob(f"*/results/{STAGE}.json")
    wanted = {s.kind for s in plan.statements}
    for path in sorted(found, key=_written_at, reverse=True)[:_NEWEST]:
        try:
            stage = read_stage(path)
            measured = list(_measured_parts(stage))
        except (UsageError, KeyError, TypeError, ValueError, AttributeError):  # of another version, or broken
            continue
        rows = sum(count for kind, _, count, _ in measured if kind == "copy")
        is_like = wanted <= {kind for kind, *_ in measured} and rows * 10 >= sum(plan.rows.values())
        if is_like and _is_here(stage):
            return measured_rates(measured, basis=f"the last run here, {path.parent.parent.name}, over {rows:,} rows")
    return None


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it was removed meanwhile
        return 0.0


def _measured_parts(stage: Stage) -> Iterator[tuple[str, int, int, float]]:
    for row in stage.tables.get(PLAN, ()):
        if row["part"] in (*get_args(Kind), PREFLIGHT, BACKUP) and row["measured s"] is not None:
            yield row["part"], row["statements"] or 0, row["rows"] or 0, float(row["measured s"])


def _is_here(stage: Stage) -> bool:
    """Whether a stage was measured on this machine, by this ptp."""
    return any(m.environment == here() for m in stage.measurements)


def here() -> dict[str, str]:
    """What must be equal for seconds to be compared: the machine, and ptp itself."""
    return {**environment(), "ptp": ptp.__version__}


def plan_rows(outlook: Outlook, measured: Mapping[str, float]) -> list[dict[str, object]]:
    """The table `Plan` of an offline run: each part with its predicted and its measured seconds."""
    besides = [_row(name, None, outlook.rows, seconds, measured) for name, seconds in outlook.besides.items()]
    kinds = [_row(p.kind, p.statements, p.rows, p.seconds, measured) for p in parts(outlook.statements)]
    return _with_total([*besides, *kinds])


def online_rows(outlook: Outlook, results: Sequence[object]) -> list[dict[str, object]]:
    """The table `Plan` of an online run, whose measurements are among `results`."""
    found = [r for r in results if isinstance(r, Measurement) and r.what in _ONLINE]
    measured = {_ONLINE[m.what]: m.samples[0] for m in found}
    rows = [
        _row(name, None, outlook.rows, seconds, measured, digits=6) for name, seconds in online_seconds(outlook).items()
    ]
    return _with_total(rows)


def online_seconds(outlook: Outlook) -> dict[str, float | None]:
    """Predicted seconds of each part of an online run; None where it is the writers that decide."""
    copies = [f.seconds or 0.0 for f in outlook.statements if f.statement.kind == "copy"]
    others = [f.seconds or 0.0 for f in outlook.statements if f.statement.kind not in ("copy", "quarantine")]
    known: dict[str, float | None] = {
        _COPY: sum(copies),
        _REST: sum(others),
        COMPARISON: outlook.rows * _COMPARED_S,
    }
    return {name: known.get(name) for name in _ONLINE.values()}


def _row(
    name: str,
    statements: int | None,
    rows: int,
    predicted: float | None,
    measured: Mapping[str, float],
    *,
    digits: int = 4,
) -> dict[str, object]:
    took = measured.get(name)
    return {
        "part": name,
        "statements": statements,
        "rows": rows or None,
        "predicted s": None if predicted is None else round(predicted, digits),
        "measured s": None if took is None else round(took, digits),
    }


def _with_total(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Rows and their sum, over the parts that are known on both sides, so that the two can be compared."""
    both = [r for r in rows if r["predicted s"] is not None and r["measured s"] is not None]
    total = {name: round(sum(float(str(r[name])) for r in both), 4) for name in ("predicted s", "measured s")}
    return (
        [*rows, {"part": "together, where both are known", "statements": None, "rows": None, **total}] if both else rows
    )


def estimates(outlook: Outlook) -> list[Estimate]:
    """What is modelled of a plan: its seconds, its billed rows, and what these would cost."""
    inputs: dict[str, float | str] = {"rows": float(outlook.rows), "basis": outlook.rates.basis}
    seconds = outlook.seconds
    found = [Estimate("the plan's time", "s", seconds, seconds / 2, seconds * 2, "seconds a row, by statement", inputs)]
    for what, value in (("rows read", outlook.read), ("rows written", outlook.written)):
        model = "rows as libSQL counts them: scans, sorts, and one write for each index"
        found.append(Estimate(f"billed {what}", "rows", float(value), value * 0.5, value * 1.2, model, inputs))
    prices = load_prices()
    tariff = next(t for t in prices.tariffs if t.name == _TARIFF)
    cost = tariff.dollars(outlook.read, outlook.written) or 0.0
    told: dict[str, float | str] = {"tariff": tariff.name, "date": prices.date, "source": prices.source}
    model = f"{prices.vendor}'s prices for rows beyond those included"
    return [*found, Estimate("cost if it ran there", "$", cost, cost * 0.5, cost * 1.2, model, told)]
