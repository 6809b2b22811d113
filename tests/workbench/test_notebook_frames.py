"""Frames for a notebook's reader: findings, two runs beside each other, and a distribution looked into."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from ptp.errors import UsageError
from ptp.evidence import Stage, write_stage
from ptp.results import Finding, Measurement
from ptp.workbench.notebook_frames import compare_runs, distribution, findings, newest_beside

NAME = "03_benchmark"
MACHINE = {"cpu": "a", "cores": "2", "sqlite": "3", "python": "3.11", "os": "linux"}
DATA = {"profile": "quick", "seed": "1", "rows": "5", "arguments": "x"}


def gate(name: str, value: float | None, spread: float = 0.0, verdict: str = "pass") -> Finding:
    low, high = (value - spread, value + spread) if value is not None and spread else (None, None)
    return Finding(name, name, verdict, value=value, unit="ms", limit=50.0, low=low, high=high, n=300)  # type: ignore[arg-type]


def stage(*gates: Finding, machine: dict[str, str] = MACHINE, data: dict[str, str] = DATA) -> Stage:
    measured = Measurement("q", "ms", (1.0, 2.0), machine)
    return Stage(NAME, "Benchmark", 1.0, (*gates, measured), {"Conditions": [data]})


BEFORE = stage(gate("slower", 10, 1), gate("faster", 10, 1), gate("alike", 10, 1), gate("broken", 1), gate("gone", 1))
AFTER = stage(
    *(gate("slower", 15, 1), gate("faster", 5, 1), gate("alike", 11, 1), gate("broken", 1, verdict="fail")),
    gate("new", 1),
)


def changes(before: Stage, after: Stage) -> dict[str, str]:
    frame = compare_runs(before, after)
    return dict(zip(frame["id"], frame["change"], strict=True))


def test_worse_and_better_are_said_where_intervals_lie_apart_or_verdicts_differ() -> None:
    found = changes(BEFORE, AFTER)
    assert found == {
        "slower": "worse",
        "faster": "better",
        "alike": "not apart",
        "broken": "worse",
        "new": "other",
        "gone": "other",
    }
    assert changes(AFTER, BEFORE)["slower"] == "better"
    ratios = compare_runs(BEFORE, AFTER).set_index("id")["ratio"]
    assert ratios["slower"] == 1.5 and np.isnan(ratios["new"])


@pytest.mark.parametrize("other", [{"machine": {**MACHINE, "cpu": "b"}}, {"data": {**DATA, "rows": "6"}}])
def test_times_of_another_machine_or_of_other_data_are_not_compared(other: dict[str, dict[str, str]]) -> None:
    found = compare_runs(BEFORE, stage(*AFTER.findings, **other)).set_index("id")
    assert set(found.loc[["slower", "faster", "alike"], "change"]) == {"not compared"}
    assert found.loc["broken", "change"] == "worse"
    assert all(word in found.loc["slower", "why"] for word in (next(iter(other)),))


def test_two_files_of_results_are_compared_as_stages_are(tmp_path: Path) -> None:
    for name, one in (("a", BEFORE), ("b", AFTER)):
        (tmp_path / name).mkdir()
        write_stage(tmp_path / name, one)
    files = [tmp_path / name / "results" / f"{NAME}.json" for name in ("a", "b")]
    assert compare_runs(str(files[0]), files[1]).equals(compare_runs(BEFORE, AFTER))
    with pytest.raises(UsageError, match="nobody"):
        compare_runs(tmp_path / "nobody.json", AFTER)


def test_without_an_earlier_run_the_frame_is_empty_and_can_be_worked_with(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    frame = compare_runs(newest_beside(tmp_path / "lab", NAME), AFTER)
    assert len(frame.nlargest(8, "ratio")) == 0


def test_the_newest_run_beside_is_taken_that_can_be_read(tmp_path: Path) -> None:
    for age, name in enumerate(("broken", "new", "old", "lab")):
        (tmp_path / name).mkdir()
        write_stage(tmp_path / name, Stage(NAME, name, 1.0, (gate("g", 1),)))
        file = tmp_path / name / "results" / f"{NAME}.json"
        os.utime(file, (2e9 - age, 2e9 - age))
    broken = tmp_path / "broken" / "results" / f"{NAME}.json"
    broken.write_text(json.dumps({"version": 1}), encoding="utf-8")
    os.utime(broken, (2e9, 2e9))
    (tmp_path / "latest").symlink_to("old")
    assert newest_beside(tmp_path / "lab", NAME).title == "new"


def test_findings_can_be_filtered_by_number_also_where_none_has_one() -> None:
    frame = findings(stage(Finding("a", "a", "pass"), Finding("b", "b", "fail")))
    assert len(frame.query("n > 0")) == 0
    assert list(frame.query("verdict != 'pass'")["id"]) == ["b"]


SAMPLES = tuple(float(v) for v in np.random.default_rng(2).permutation(np.arange(1, 1_001)))


def measured() -> Stage:
    slow, fast = Measurement("slow", "ms", SAMPLES), Measurement("fast", "ms", (1.0,) * 100)
    gates = [Finding(name, name, "pass", value=1.0, unit="ms", limit=2_000.0) for name in ("slow", "fast")]
    return Stage("b", "Benchmark", 1.0, (slow, fast, *gates))


def test_the_distribution_nearest_to_its_limit_is_taken_or_the_one_that_is_named() -> None:
    assert distribution(measured()).measurement.what == "slow"
    assert distribution(measured(), "fast").measurement.what == "fast"
    with pytest.raises(UsageError, match="did not measure 'nobody'; it measured slow, fast"):
        distribution(measured(), "nobody")
    nothing = distribution(Stage("b", "Benchmark", 1.0))
    assert "Nothing was measured" in nothing._repr_html_()
    assert len(nothing.frame) == 0


def test_zooming_keeps_the_places_of_all_samples() -> None:
    frame = distribution(measured()).zoom(0.9, 1.0).frame
    assert list(frame["ms"]) == [
        np.quantile(SAMPLES, q, method="inverted_cdf") for q in np.round(np.linspace(0.9, 1, 11), 2)
    ]
    assert list(frame["longer"]) == [sum(v > value for v in SAMPLES) for value in frame["ms"]]


def test_a_zoomed_chart_draws_a_part_and_says_which() -> None:
    spread = distribution(measured())
    whole, part = spread.chart, spread.zoom(0.9, 1.0).chart
    assert whole is not None and part is not None
    assert "Drawn from" not in whole.alt
    assert part.alt.endswith("Drawn from 901 to 1,000.") and "1,000 samples" in part.alt
    assert "100 of 1,000 samples" in part.svg
    # The limit of 2,000 ms is past the part, which the whole is drawn as far as.
    assert "limit" in whole.svg and "limit" not in part.svg


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.5), (0.9, 0.1), (-0.1, 1.0), (0.0, 1.1)])
def test_shares_that_are_no_part_are_refused(start: float, end: float) -> None:
    with pytest.raises(UsageError, match="between two shares"):
        distribution(measured()).zoom(start, end)
