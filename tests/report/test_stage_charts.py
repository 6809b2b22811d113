"""The charts of a benchmark: what they say is what was put in, nothing is lost in drawing, and they stay small."""

import random
import xml.etree.ElementTree as ET

import pytest

from ptp.evidence import Evidence, Run, Stage
from ptp.report.charts import Chart, distribution
from ptp.report.engine_chart import engine_ratios
from ptp.report.page import render
from ptp.report.pairplot import Comparison, can_compare, pairs, pairs_overview
from ptp.report.scaling import scaling, size_columns
from ptp.report.stage_pictures import comparisons_of, groups_of, pictures_of
from ptp.report.timeline import COLUMNS, shrunk, timeline
from ptp.report.trend import RunValue, levels_of, trend
from ptp.results import Finding, Measurement
from ptp.stats import Bounds

CHANCE = random.Random(1)
BASE = [CHANCE.lognormvariate(0, 0.5) for _ in range(200)]
PLAIN = Measurement("claims.draw.plain", "ms", tuple(7.0 * ms for ms in BASE))
PTP = Measurement("claims.draw.ptp", "ms", tuple(BASE))
NOISY = Measurement("claims.page.plain", "ms", tuple(ms * CHANCE.lognormvariate(0, 0.2) for ms in BASE))
SEVENFOLD = Comparison("draw", PLAIN, PTP)
ALIKE = Comparison("page", NOISY, Measurement("claims.page.ptp", "ms", PTP.samples))
SLOWER = Comparison(
    "slow", Measurement("slow.before", "ms", PTP.samples), Measurement("slow.after", "ms", tuple(4 * ms for ms in BASE))
)

LADDER = [
    {
        "operation": name,
        "pages": pages,
        "lines": lines,
        "plain_p50_ms": 0.001 * pages**power * (3 if lines > 50 else 1),
        "ptp_p50_ms": 0.5,
        "n": 30,
    }
    for name, power in (("draw", 1.0), ("rank", 0.5))
    for pages, lines in ((1_000, 50), (10_000, 50), (100_000, 50), (1_000, 5_000))
]
STALLED = Measurement("q", "ms", tuple(90.0 if i in (7, 40_001, 99_999) else 1 + i % 7 / 10 for i in range(100_000)))
ENGINES = [
    {"query": "q", "engine": "one", "ratio": None},
    {"query": "q", "engine": "two", "ratio": 2.0, "ratio_low": 1.9, "ratio_high": 2.1},
    {"query": "r", "engine": "two", "ratio": 0.5, "ratio_low": None, "ratio_high": None},
    {"query": "r", "engine": "three", "ratio": 80.0, "ratio_low": 70.0, "ratio_high": 95.0},
]
RUNS = [RunValue(f"run-{i}", 10.0 if i < 6 else 13.0, 9.5, None) for i in range(12)]


def drawn(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


def all_charts() -> list[Chart]:
    return [
        timeline(STALLED, limit=50.0, warm_up=(3.0, 2.0), cold=(20.0,)),
        drawn(scaling(LADDER, over="pages")),
        pairs(SEVENFOLD),
        pairs_overview([ALIKE, SEVENFOLD, SLOWER]),
        trend(RUNS, what="p95 of q", unit="ms", changes=(6,), limit=12.0),
        drawn(engine_ratios(ENGINES)),
    ]


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_charts_are_small_well_formed_the_same_each_time_and_follow_light_and_dark() -> None:
    first = all_charts()
    for chart in first:
        ET.fromstring(chart.svg)
        assert len(chart.svg) < 30_000 and "#00fe0" not in chart.svg and "prefers-color-scheme:dark" in chart.svg
        assert "//" not in chart.svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert [(c.svg, c.alt) for c in all_charts()] == [(c.svg, c.alt) for c in first]


def test_many_samples_become_few_places_and_none_of_the_extremes_is_lost() -> None:
    part = shrunk(STALLED.samples)
    assert len(part.places) == len(part.low) == len(part.high) == COLUMNS
    assert sorted(part.high)[-4:] == [1.6, 90.0, 90.0, 90.0]  # each stall in a place of its own
    assert part.high[0] == part.high[-1] == 90.0
    assert set(part.low) == {1.0} and set(part.middle) == {1.3}
    few = shrunk((3.0, 1.0, 2.0))
    assert few.low == few.middle == few.high == (3.0, 1.0, 2.0) and few.places == (0.0, 1.0, 2.0)
    uneven = shrunk(tuple(map(float, range(7))), columns=3)
    assert (uneven.low, uneven.high) == ((0.0, 2.0, 4.0), (1.0, 3.0, 6.0))  # every sample in one place, in order


def test_a_timeline_tells_stalls_and_limit_and_keeps_apart_what_does_not_count() -> None:
    chart = timeline(STALLED, limit=50.0, warm_up=(3.0, 2.0), cold=(200.0,))
    assert plain(chart.alt) == (
        "100,000 samples of q in the order taken: 1 to 90 ms, 3 of them over the limit 50 ms; 3 stalls, the longest "
        "90 ms at sample 8; apart: cold 200 to 200, warm-up 2 to 3."
    )
    for text in ("cold (1)", "warm-up (2)", "limit"):
        assert text in chart.svg
    assert "stall" not in timeline(PTP).alt and "apart" not in timeline(PTP).alt
    with pytest.raises(ValueError, match="no samples"):
        timeline(Measurement("q", "ms", ()))


def test_a_scaling_chart_tells_the_powers_with_which_both_sides_were_made_to_grow() -> None:
    assert size_columns(LADDER) == ("pages", "lines")
    alt = plain(drawn(scaling(LADDER, over="pages")).alt)
    assert alt.startswith("How the p50 of 2 operations grows with pages. draw: plain 1 ms at 1,000 pages and 100 ms at")
    assert alt.count("n^1.00") == 1 and alt.count("n^0.50") == 1 and alt.count("n^0.00") == 2
    assert "lines: plain 1 ms" not in alt
    lines = plain(drawn(scaling(LADDER, over="lines")).alt)  # at the fewest pages: three times as long for 100 times
    assert "draw: plain 1 ms at 50 lines and 3 ms at 5,000, growing as n^0.24" in lines and "n^1" not in lines


def test_without_two_sizes_there_is_no_scaling_chart() -> None:
    assert scaling(LADDER[:1], over="pages") is None
    assert scaling([], over="pages") is None
    assert scaling([{"operation": "x", "pages": None, "plain_p50_ms": 1.0}], over="pages") is None


def test_pairs_tell_the_ratio_that_was_planted_with_its_interval() -> None:
    assert plain(pairs(SEVENFOLD).alt) == (
        "draw: plain takes 7.00 times as long as ptp (median of 200 pairs), interval 7.00 to 7.00; all from 7.00 to 7.00."
    )
    assert "median 7.00×" in pairs(SEVENFOLD).svg and ">alike<" in pairs(SEVENFOLD).svg


def test_an_overview_of_pairs_has_the_furthest_first_and_colours_what_is_shown() -> None:
    chart = pairs_overview([ALIKE, SEVENFOLD, SLOWER])
    lines = chart.alt.split(". ", 1)[1].split("; ")
    assert [line.split(":")[0] for line in lines] == ["draw", "slow", "page"]
    assert "slow: before takes 0.250 times" in plain(chart.alt)
    assert "var(--over)" in pairs(SLOWER).svg  # what became slower is red
    assert "var(--over)" not in pairs(SEVENFOLD).svg
    assert "var(--over)" not in pairs(ALIKE).svg
    with pytest.raises(ValueError, match="no comparison"):
        pairs_overview([])


def test_what_is_no_pair_is_not_compared() -> None:
    assert can_compare(PLAIN, PTP)
    assert not can_compare(PLAIN, Measurement("x", "ms", (1.0,)))
    assert not can_compare(Measurement("a", "ms", (1.0,)), Measurement("b", "us", (1.0,)))
    assert not can_compare(Measurement("a", "ms", (0.0,)), Measurement("b", "ms", (1.0,)))
    assert not can_compare(Measurement("a", "ms", ()), Measurement("b", "ms", ()))


def test_a_trend_tells_its_levels_and_where_they_begin() -> None:
    assert levels_of(RUNS, (6,)) == ((0, 5, 10.0), (6, 11, 13.0))
    assert levels_of(RUNS, ()) == ((0, 11, 10.0),)
    chart = trend(RUNS, what="p95 of q", unit="ms", changes=(6,), limit=12.0)
    assert plain(chart.alt) == (
        "p95 of q over 12 runs, 2 levels: from run run-0 on 10 ms; from run run-6 on 13 ms; "
        "6 of 12 over the limit 12 ms."
    )
    assert "+30 %" in chart.svg
    with pytest.raises(ValueError, match="no runs"):
        trend([], what="p95", unit="ms")


def test_engines_stand_in_times_of_the_reference_and_those_not_measured_are_left_out() -> None:
    alt = drawn(engine_ratios(ENGINES)).alt
    assert alt == "2 rows of two, three, in times of the reference. q: two 2 times; r: two 0.500 times, three 80 times."
    assert engine_ratios(ENGINES[:1]) is None and engine_ratios([]) is None


def test_a_distribution_shows_the_interval_that_the_verdict_was_made_of() -> None:
    given = distribution(PTP, limit=50.0, span=Bounds(1.25, 4.75))
    assert "1.25 – 4.75" in given.svg and "bounds 1.25 to 4.75" in given.alt


QUICK = Measurement("quick", "ms", tuple(1 + i / 100 for i in range(100)))
NEAR = Measurement("near", "ms", tuple(40 + i / 20 for i in range(100)))
JUDGED = (
    Finding("bench.quick", "quick is quick", "pass", value=1.94, unit="ms", limit=50.0),
    Finding("bench.near", "near is quick", "pass", value=44.7, unit="ms", limit=50.0, low=44.1, high=44.9),
)
APART = (
    Measurement("near.cold", "ms", (80.0,)),
    Measurement("near.warm_up", "ms", (60.0, 50.0)),
    Measurement("engines.two.near", "ms", (41.0,)),
    PLAIN,
    PTP,
    NOISY,
    ALIKE.b,
)


def stage(**tables: list[dict[str, object]]) -> Stage:
    return Stage("03_benchmark", "Benchmark", 1.0, (*JUDGED, QUICK, NEAR, *APART), tables)


def test_what_stands_apart_or_beside_is_not_among_what_was_measured_for_itself() -> None:
    own, beside = groups_of(stage())
    assert [m.what for m in own["ms"]] == ["quick", "near"]
    assert [m.what for m in beside["ms"]] == [m.what for m in APART]
    assert [(c.name, c.sides) for c in comparisons_of(stage())] == [
        ("draw", ("plain", "ptp")),
        ("page", ("plain", "ptp")),
    ]


def test_a_benchmark_gets_its_charts_with_the_query_nearest_to_its_limit_in_full() -> None:
    told = [plain(chart.alt) for chart in pictures_of(stage(Claims=LADDER, Engines=ENGINES))]
    begins = [
        "2 measurements in ms. near: p50",
        "Distribution of 100 samples of near: 40 to 45.0 ms, p95 44.7, bounds 44.1 to 44.9",
        "100 samples of near in the order taken",
        "How the p50 of 2 operations grows with pages",
        "How the p50 of 2 operations grows with lines",
        "2 comparisons of plain and ptp in pairs",
        "draw: plain takes 7.00 times as long as ptp",
        "2 rows of two, three, in times of the reference",
    ]
    assert len(told) == len(begins)
    for text, begin in zip(told, begins, strict=True):
        assert text.startswith(begin)
    assert told[2].endswith("apart: cold 80 to 80, warm-up 50 to 60.")


def test_the_page_of_a_whole_benchmark_stays_small_and_is_the_same_each_time() -> None:
    chance = random.Random(2)
    results: list[Finding | Measurement] = []
    for place in range(25):
        samples = tuple(chance.lognormvariate(0, 0.4) for _ in range(300))
        results.append(
            Finding(f"bench.q{place}", f"p95 of q{place} is under 50 ms", "pass", value=2.0, unit="ms", limit=50.0)
        )
        results += [Measurement(f"q{place}{end}", "ms", samples) for end in ("", ".warm_up", ".cold")]
        results += [Measurement(f"claims.q{place}.big.{side}", "ms", samples[:200]) for side in ("plain", "ptp")]
    engines = [row | {"query": f"q{i}"} for i in range(25) for row in ENGINES]
    whole = Stage("03_benchmark", "Benchmark", 1.0, tuple(results), {"Claims": LADDER, "Engines": engines})
    evidence = Evidence(Run("r", "a", "b", "full", "dev", "", 1.0), (whole,), "pass")
    page = render(evidence, "queries.html")
    assert len(page.encode()) < 400_000
    assert page == render(evidence, "queries.html")
    assert len(render(evidence).encode()) < 150_000


@pytest.mark.parametrize("name", ["$x_1$ & <b>", "漢字 🙂", "NUL \x00 \u202e", "x" * 100_000, "\ud800", ""])
def test_any_name_can_be_drawn(name: str) -> None:
    a, b = Measurement(f"{name}.before", name, (1.0, 2.0, 3.0)), Measurement(f"{name}.after", name, (2.0, 2.0, 2.0))
    rows = [row | {"operation": name} for row in LADDER]
    for chart in (
        timeline(a),
        pairs(Comparison(name, a, b)),
        pairs_overview([Comparison(name, a, b)]),
        drawn(scaling(rows, over="pages")),
        trend([RunValue(name, 1.0), RunValue(name, 2.0)], what=name, unit=name),
        drawn(engine_ratios([{"query": name, "engine": name, "ratio": 2.0}])),
    ):
        ET.fromstring(chart.svg.encode())
        assert len(chart.alt) < 5_000
