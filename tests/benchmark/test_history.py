"""A history of runs: only what is alike is compared, and the run in which a level begins is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ptp.benchmark.history import Past, differences, make_history, series, table

MACHINE = {"cpu": "A", "cores": "2", "os": "Linux 6", "python": "CPython 3.11.7", "sqlite": "3.40.1"}
DATA = {"profile": "quick", "seed": "1", "rows": "145,660"}


def past(number: int, machine: Mapping[str, str] = MACHINE, data: Mapping[str, str] = DATA, **values: float) -> Past:
    usual = {"p95_ms": 1.0, "low_ms": 0.9, "high_ms": 1.1, "vm_steps": 500.0}
    started = f"2026-11-{1 + number:02d}T00:00:00+00:00"
    return Past(f"run-{number:02d}", started, machine, data, {"q": {**usual, **values}})


def changes(runs: Sequence[Past]) -> dict[str, tuple[str, ...]]:
    found = make_history(runs, times=("p95_ms",), counters=("vm_steps",))
    return {point.run: point.changed for point in found.points["q"] if point.changed}


def test_runs_stand_in_order_of_time_whatever_the_order_they_are_read_in() -> None:
    found = make_history([past(3), past(1), past(2)], times=("p95_ms",), counters=())
    assert [point.run for point in found.points["q"]] == ["run-01", "run-02", "run-03"]


def test_each_change_of_a_counter_is_one_and_back_again() -> None:
    assert changes([past(n, vm_steps=501.0 if n == 4 else 500.0) for n in range(8)]) == {
        "run-04": ("vm_steps",),
        "run-05": ("vm_steps",),
    }


def test_a_level_of_times_is_found_where_it_begins_and_a_single_spike_is_none() -> None:
    chance = np.random.default_rng(3)
    noisy = [float(chance.normal(1.0 if n < 12 else 1.5, 0.05)) for n in range(24)]
    assert changes([past(n, p95_ms=value) for n, value in enumerate(noisy)]) == {"run-12": ("p95_ms",)}
    quiet = [float(chance.normal(1.0, 0.05)) + (5.0 if n == 9 else 0) for n in range(24)]
    assert changes([past(n, p95_ms=value) for n, value in enumerate(quiet)]) == {}


def test_rule_17_a_run_of_another_machine_or_other_data_is_not_among_them_and_says_what_differs() -> None:
    other = {**MACHINE, "cpu": "B"}
    found = make_history(
        [past(1, machine=other), past(2, data={**DATA, "seed": "2"}), past(3), past(4)],
        times=(),
        counters=("vm_steps",),
    )
    assert [point.run for point in found.points["q"]] == ["run-03", "run-04"]
    assert found.skipped == ("run-01: cpu was B and is A in run-04", "run-02: seed was 2 and is 1 in run-04")


def test_what_is_not_told_differs() -> None:
    assert differences({"cpu": "A"}, {}, names=("cpu",)) == ("cpu was A and is not told",)
    assert differences({}, {}, names=("cpu",)) == ("cpu was not told and is not told",)
    assert differences({"a": "1"}, {"a": "1", "b": "2"}) == ("b was not told and is 2",)
    assert differences(MACHINE, dict(MACHINE)) == ()


def test_a_run_that_lacks_a_value_moves_no_change_point() -> None:
    runs = [past(n, vm_steps=500.0 if n < 5 else 600.0) for n in range(8)]
    bare = Past("run-02", runs[2].started, MACHINE, DATA, {"q": {"p95_ms": 1.0}})
    assert changes([*runs[:2], bare, *runs[3:]]) == {"run-05": ("vm_steps",)}


def test_the_rows_for_a_plot_and_the_table() -> None:
    found = make_history([past(1), past(2, vm_steps=700.0)], times=("p95_ms",), counters=("vm_steps",))
    first, second = series(found)
    assert first == {
        "query": "q",
        "run": "run-01",
        "started": "2026-11-02T00:00:00+00:00",
        "p95_ms": 1.0,
        "low_ms": 0.9,
        "high_ms": 1.1,
        "vm_steps": 500.0,
        "change_point": None,
    }
    assert (second["vm_steps"], second["change_point"]) == (700.0, "vm_steps")
    assert table(found, values=("vm_steps",)) == [
        {
            "query": "q",
            "runs": 2,
            "first_vm_steps": 500.0,
            "last_vm_steps": 700.0,
            "changes": 1,
            "last_change": "run-02: vm_steps",
        }
    ]


def test_no_run_is_no_history() -> None:
    assert series(make_history([], times=(), counters=())) == []
