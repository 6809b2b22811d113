"""The charts of a load: what is said beside the picture, the same bytes again, and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ptp.evidence import Stage
from ptp.report.capacity_chart import capacity_curve
from ptp.report.load_chart import load_timeline, stalls_of
from ptp.report.load_marks import gaps_of
from ptp.report.stage_pictures import pictures_of

Row = dict[str, Any]


def second(place: int, *, most: float = 12.0, p95: float = 9.0, errors: int = 0) -> Row:
    figures = {"p50_ms": 2.0, "p95_ms": p95, "p99_ms": p95 + 1, "most_ms": most}
    return {
        "second": place,
        "measured": place > 1,
        "rate": 100,
        "done": 99,
        **figures,
        "errors": errors,
        "in_flight": 1,
    }


def step(rate: float, p95: float | None, verdict: str, what: str = "") -> Row:
    return {
        "rate": rate, "throughput": min(rate, 450.0), "p50_ms": 2.0, "p95_ms": p95, "p99_ms": p95, "verdict": verdict,
        "is": what,
    }  # fmt: skip


ROWS = [second(n) for n in range(10)]
STALLED = [*ROWS[:5], second(5, most=1_000.0, p95=900.0, errors=3), *ROWS[6:]]
STEPS = [step(400, 18.0, "pass", "the highest that held"), step(100, 5.0, "pass", "the knee"), step(800, None, "fail")]


def test_a_stall_is_marked_and_told_with_its_second() -> None:
    chart = load_timeline(STALLED)
    assert chart is not None
    assert [row["second"] for row in stalls_of(STALLED)] == [5] and stalls_of(ROWS) == []
    assert "1 second with a stall: 5." in chart.alt and "3 failed" in chart.alt and "due in second 5" in chart.alt
    assert chart.svg.count("var(--over)") > load_timeline(ROWS).svg.count("var(--over)")  # type: ignore[union-attr]


def test_a_second_without_an_answer_leaves_the_others() -> None:
    silent = {**second(3), **dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "most_ms")), "errors": 100}
    chart = load_timeline([*ROWS[:3], silent, *ROWS[4:]])
    assert chart is not None and "100 failed" in chart.alt


def phased(place: int, **told: Any) -> Row:
    name, kind = ("warm-up", "ramp") if place < 2 else ("spike", "spike") if place < 6 else ("after", "steady")
    return {**second(place), "phase": name, "kind": kind, **told}


@pytest.mark.parametrize(
    "still",
    [
        {"done": 0, "in_flight": 150},  # all that was due then waits, and is answered later
        dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "most_ms")) | {"errors": 100},  # and none of it ever was
    ],
)
def test_a_second_in_which_nothing_moved_is_marked_and_told(still: Row) -> None:
    rows = [*ROWS[:4], {**ROWS[4], **still}, *ROWS[5:]]
    chart, calm = load_timeline(rows), load_timeline(ROWS)
    assert chart is not None and calm is not None
    assert [row["second"] for row in gaps_of(rows)] == [4] and gaps_of(ROWS) == []
    assert "1 second in which nothing moved: 4." in chart.alt and "no stall" in calm.alt
    assert chart.svg.count("var(--over)") > calm.svg.count("var(--over)")


def test_few_requests_of_which_none_ended_in_their_second_are_no_gap() -> None:
    assert gaps_of([{**second(3), "rate": 1, "done": 0, "in_flight": 1}]) == []
    assert gaps_of([{**second(3), "rate": 0, "done": 0, "in_flight": 0, "most_ms": None}]) == []


def test_phases_are_marked_and_told_with_when_they_begin() -> None:
    chart = load_timeline([phased(n) for n in range(10)])
    assert chart is not None
    assert chart.alt.endswith("phases: warm-up (ramp) from 0 s, spike from 2 s, after (steady) from 6 s.")
    assert ">after (steady)<" in chart.svg and ">spike<" in chart.svg


def test_what_the_service_told_has_a_panel_each_and_its_words() -> None:
    rows = [
        phased(n, cache_hit_percent=None if n == 5 else 10.0 * n, pool_in_use=n % 4, pool_size=15, wal_mb=0.5 * n)
        for n in range(10)
    ]
    chart, bare = load_timeline(rows), load_timeline([phased(n) for n in range(10)])
    assert chart is not None and bare is not None
    assert "the cache answered 0 to 90 % of the calls of a second" in chart.alt
    assert "at most 3 of 15 connections in use" in chart.alt and "the write-ahead log at most 4.50 MB" in chart.alt
    assert "Write-ahead log in MB" in chart.svg and "Write-ahead log" not in bare.svg
    within = load_timeline([{**row, "cache_hit_percent": None} for row in rows])
    assert within is not None and "the cache" not in within.alt and "connections" in within.alt


def test_the_curve_says_each_step_by_rate_and_marks_what_was_found() -> None:
    chart = capacity_curve(STEPS)
    assert chart is not None
    assert chart.alt.index("100/s sent") < chart.alt.index("400/s sent") < chart.alt.index("800/s sent")
    assert "the knee: 100/s" in chart.svg and "the highest that held: 400/s" in chart.svg
    assert "no p95" in chart.alt


@pytest.mark.parametrize("draw", [lambda: load_timeline(STALLED), lambda: capacity_curve(STEPS)])
def test_twice_is_the_same_bytes(draw: Any) -> None:
    assert draw().svg == draw().svg


def test_nothing_gives_no_chart() -> None:
    assert load_timeline([]) is None and capacity_curve([]) is None
    assert capacity_curve([step(100, None, "fail") | {"p50_ms": None}]) is None


def test_a_stage_shows_them() -> None:
    stage = Stage("04_load", "Load", 1.0, (), {"Load timeline": STALLED, "Capacity": STEPS})
    assert [chart.alt.split(",")[0] for chart in pictures_of(stage)] == [
        "Latency against throughput", "A load over 10 seconds: 1"
    ]  # fmt: skip
