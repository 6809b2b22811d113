"""Before against after: counters exactly, with the plan lines that changed."""

from __future__ import annotations

import pytest

from ptp.benchmark.comparison import Work, compare_work, plan_changes, undecided_work

THAN = "main (abc)"
PLAN = ("SEARCH a USING INDEX i (x=?)", "SEARCH b USING INTEGER PRIMARY KEY (rowid=?)")
SCAN = ("SCAN a", "SEARCH b USING INTEGER PRIMARY KEY (rowid=?)")


def work(plans: tuple[str, ...] = PLAN, **counters: int) -> Work:
    usual = {"statements": 50, "vm_steps": 2_000, "full_scan_steps": 0, "sorts": 0, "automatic_indexes": 0}
    return Work({**usual, **counters}, 50, plans)


@pytest.mark.parametrize("counter", ["statements", "vm_steps", "full_scan_steps", "sorts", "automatic_indexes"])
def test_rule_14_one_more_of_any_counter_fails(counter: str) -> None:
    before = work()
    (gate,) = compare_work("q", before, work(**{counter: before.counters[counter] + 1}), than=THAN)  # type: ignore[arg-type]
    assert (gate.id, gate.verdict, gate.severity) == ("against.q.counters", "fail", "gate")
    assert (gate.value, gate.limit) == (before.counters[counter] + 1, before.counters[counter])


def test_rule_14_the_query_the_counter_before_and_after_and_the_plan_lines_are_named() -> None:
    (gate,) = compare_work("q", work(), work(SCAN, vm_steps=50_000, full_scan_steps=900), than=THAN)
    assert gate.where == (
        "VM steps: 2,000 before, 50,000 after; steps of full scans: 0 before, 900 after, in 50 calls",
        "- SEARCH a USING INDEX i (x=?)",
        "+ SCAN a",
    )
    assert gate.claim == "q takes no more work than main (abc)"


def test_the_same_work_passes_and_less_of_it_is_told() -> None:
    (gate,) = compare_work("q", work(), work(), than=THAN)
    assert (gate.verdict, gate.where) == ("pass", ())
    gate, note = compare_work("q", work(sorts=3), work(sorts=1), than=THAN)
    assert (gate.verdict, note.severity, note.id) == ("pass", "note", "against.q.less")
    assert note.where == ("sorts: 3 before, 1 after, in 50 calls",)


def test_less_of_one_counter_does_not_make_up_for_more_of_another() -> None:
    gate, note = compare_work("q", work(), work(vm_steps=10, sorts=1), than=THAN)
    assert (gate.verdict, note.verdict) == ("fail", "pass")


def test_a_plan_that_changed_for_no_more_work_is_told_only() -> None:
    gate, note = compare_work("q", work(), work(SCAN), than=THAN)
    assert (gate.verdict, note.severity, note.id) == ("pass", "note", "against.q.plan")
    assert note.where == ("- SEARCH a USING INDEX i (x=?)", "+ SCAN a")


def test_a_counter_that_one_side_does_not_know_is_not_compared() -> None:
    (gate,) = compare_work("q", work(), work(rows_read=9_000), than=THAN)
    assert gate.verdict == "pass"


def test_a_long_change_of_plans_is_cut_with_its_length_and_repeated_lines_are_told_once() -> None:
    many = tuple(f"SCAN t{n}" for n in range(30))
    (gate,) = compare_work("q", work(()), work(many, vm_steps=9_999), than=THAN)
    assert len(gate.where) == 1 + 8 + 1 and gate.where[-1] == "and 22 more lines of plans"
    assert plan_changes(work(()), work(("SCAN a",) * 5)) == ("+ SCAN a",)


def test_what_cannot_be_counted_is_inconclusive() -> None:
    assert undecided_work("q", "other arguments", than=THAN).verdict == "inconclusive"
