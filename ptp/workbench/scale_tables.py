"""Response times for the reader: by region and topology, what would help, round trips, inputs, and answers in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ptp.evidence import Stage
from ptp.results import Estimate, Finding, Verdict
from ptp.scale.sensitivity import Input, Swing
from ptp.scale.simulate import quantile, windows
from ptp.scale.topology import TOPOLOGIES
from ptp.stats import percentile
from ptp.workbench.scale_bill_tables import BILLS, CONTRIBUTIONS
from ptp.workbench.scale_latency import Answer, Spread, Tried, World
from ptp.workbench.scale_wanted import LIMIT_MS, Estimates
from ptp.workbench.terminal_tables import table_text
from ptp.workload.calls import API_CALLS, WRITERS

ANSWERS, REGIONS, REMEDIES, TRIPS = "Scale", "Response times by region", "What would help", "Round trips"
INPUTS, SENSITIVITY = "Inputs of the model", "Sensitivity"
EVERYONE = "everyone"
MODEL = (
    "simulation, request by request: service times as measured, round trips as counted over distances of the data, "
    "waiting for servers and for the write lock, the commit of the plan"
)

_SHOWN: Mapping[str, tuple[str, ...]] = {
    REMEDIES: ("what", "worst_region", "worst_p95_ms", "everyone_p95_ms", "verdict"),
    TRIPS: ("query", "statements", "around", "trips", "service_p50_ms"),
    BILLS: ("plan", "dollars", "quota_that_binds_first", "at_users", "budget_carries_users", "then"),
    CONTRIBUTIONS: ("query", "calls_a_month", "rows_read", "rows_written", "dollars", "share_percent"),
}
"""Which columns of which tables; the report shows all of them."""


def verdict_of(found: Spread, limit: float = LIMIT_MS) -> Verdict:
    """The side of the limit on which the whole range lies, or inconclusive."""
    if found.high < limit:
        return "pass"
    return "fail" if found.low >= limit else "inconclusive"


def region_rows(answers: Sequence[Answer]) -> Iterator[dict[str, Any]]:
    """A row for each region and topology, and one for the users of all regions together."""
    for answer in answers:
        title = answer.variant.title
        for name, found in (*answer.regions.items(), (EVERYONE, answer.everyone)):
            region = None if name == EVERYONE else name
            kinds = {kind: _p95(answer, region, writes=kind == "writes") for kind in ("reads", "writes")}
            yield {
                "region": name,
                "topology": title,
                "p50_ms": quantile(answer.usual.of(region=region), 0.5),
                "p95_ms": found.value,
                "low_ms": found.low,
                "high_ms": found.high,
                **{f"{kind}_p95_ms": value for kind, value in kinds.items()},
                "limit_ms": LIMIT_MS,
                "verdict": verdict_of(found),
            }


def _p95(answer: Answer, region: str | None, *, writes: bool) -> float | None:
    names = [name for name in answer.usual.calls if (name in WRITERS) == writes]
    times = answer.usual.of(region=region, calls=names)
    return quantile(times, 0.95) if len(times) else None


def region_findings(answer: Answer, found: Sequence[Tried], severity: Estimates) -> Iterator[Finding]:
    """The claim on each region, of the topology asked for; one that does not hold says what would help."""
    for name, spread in answer.regions.items():
        verdict = verdict_of(spread)
        advice = "" if verdict == "pass" else _advice(answer, found, name)
        yield Finding(
            id=f"scale.p95.{name}",
            claim=f"Estimated: p95 of users in {name} is under {LIMIT_MS:g} ms ({answer.variant.title})",
            verdict=verdict,
            severity=severity,
            value=round(spread.value, 1),
            unit="ms",
            limit=LIMIT_MS,
            low=round(spread.low, 1),
            high=round(spread.high, 1),
            n=len(answer.usual.of(region=name)),
            where=(advice,) if advice else (),
            evidence=f"Estimated, not measured: the table {INPUTS} says what is measured and what assumed",
        )


def region_estimates(answers: Sequence[Answer], inputs: Sequence[Input]) -> Iterator[Estimate]:
    """The p95 of every region and topology."""
    given: dict[str, float | str] = {one.name: one.value for one in inputs}
    for answer in answers:
        for name, found in (*answer.regions.items(), (EVERYONE, answer.everyone)):
            what = f"p95 of {name}, {answer.variant.title}"
            value, low, high = (round(each, 2) for each in (found.value, found.low, found.high))
            yield Estimate(what, "ms", value, low, high, MODEL, given)


def _advice(answer: Answer, found: Sequence[Tried], region: str) -> str:
    """What to make of an estimate that is not under the limit with all of its range."""
    if answer.regions[region].value < LIMIT_MS:
        most = " and ".join(swing.input.name for swing in answer.swings[:2])
        return f"The estimate is under the limit, its range is not; what moves it most: {most}."
    return what_helps(found, region)


def what_helps(found: Sequence[Tried], region: str) -> str:
    """What brings a region's users under the limit, of all that was tried, in a sentence."""
    helps = [one.title for one in found if one.regions[region] < LIMIT_MS]
    if helps:
        return f"What brings {region} under the limit, tried in the model: {'; '.join(helps)}."
    best = min(found, key=lambda one: one.regions[region])
    return f"Nothing that was tried in the model is enough; least is {best.regions[region]:.0f} ms, by {best.title}."


def remedy_rows(found: Sequence[Tried]) -> Iterator[dict[str, Any]]:
    """A row for each that was tried."""
    for one in found:
        yield {
            "what": one.title,
            "worst_region": one.worst,
            "worst_p95_ms": one.regions[one.worst],
            "everyone_p95_ms": one.everyone,
            "over_limit": ", ".join(name for name, value in one.regions.items() if value >= LIMIT_MS),
            "limit_ms": LIMIT_MS,
            "verdict": "pass" if one.holds(LIMIT_MS) else "fail",
        }


def trip_rows(world: World) -> Iterator[dict[str, Any]]:
    """A row for each call of the API: its round trips as counted."""
    for call in API_CALLS:
        one = world.asked.get(call.query)
        if one is None:
            yield {"route": call.route, "query": call.query, "not_applicable": world.seen.absent.get(call.query)}
            continue
        yield {
            "route": call.route,
            "query": call.query,
            "statements": one.statements,
            "around": one.around,
            "trips": one.trips,
            "reply_bytes": one.reply_bytes,
            "further_windows": windows(one.reply_bytes),
            "service_p50_ms": percentile(sorted(one.service_ms), q=0.5),
            "service_p95_ms": percentile(sorted(one.service_ms), q=0.95),
            "samples": len(one.service_ms),
            "times_from": one.times_from,
            "not_applicable": None,
        }


def input_rows(inputs: Sequence[Input]) -> Iterator[dict[str, Any]]:
    """A row an input, each once."""
    for one in {one.name: one for one in inputs}.values():
        yield {
            "input": one.name,
            "value": one.value,
            "unit": one.unit,
            "low": None if one.low == one.high else one.low,
            "high": None if one.low == one.high else one.high,
            "measured_or_assumed": one.kind,
            "source": one.source,
        }


def swing_rows(result: str, unit: str, usual: float, moved: Sequence[Swing]) -> Iterator[dict[str, Any]]:
    """A row for each input that moves a result."""
    for one in moved:
        yield {
            "result": result,
            "unit": unit,
            "input": one.input.name,
            "from": one.input.low,
            "to": one.input.high,
            "input_unit": one.input.unit,
            "low": one.low,
            "high": one.high,
            "usual": usual,
            "measured_or_assumed": one.input.kind,
        }


def regions_wide(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a region with the p95 of each topology beside each other, for a terminal."""
    names = dict.fromkeys(str(row["region"]) for row in rows)
    titles = {t.title: t.name for t in TOPOLOGIES.values()}
    return [
        {
            "region": name,
            **{
                f"{titles.get(str(row['topology']), row['topology'])}_ms": row["p95_ms"]
                for row in rows
                if row["region"] == name
            },
        }
        for name in names
    ]


def text_of(stage: Stage) -> str:
    """What a person wants to see at once, as lines of text."""
    answers = "\n".join(f"{row['question']}\n  {row['answer']}" for row in stage.tables.get(ANSWERS, ()))
    wide = regions_wide(stage.tables.get(REGIONS, ()))
    parts = [table_text([_rounded(row) for row in wide], tuple(wide[0]))] if wide else []
    for name in (REMEDIES, TRIPS, BILLS, CONTRIBUTIONS):
        if rows := stage.tables.get(name):
            parts.append(table_text([_rounded(row) for row in rows], _SHOWN[name]))
    return "\n\n".join((*parts, answers))


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    digits = {"dollars": 2, "service_p50_ms": 2}
    return {
        name: round(value, digits.get(name, 0 if name.endswith(("_ms", "rows_read", "rows_written")) else 1))
        if isinstance(value, float)
        else value
        for name, value in row.items()
    }
