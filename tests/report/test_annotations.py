"""Annotations in CI: which gates they name, in which order, and that no text from data acts as a command."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from ptp.evidence import Evidence, Run, Stage
from ptp.report.annotations import annotations_of, github_text
from ptp.results import Finding

RUN = Run("run-1", "old.db", "new.db", "quick", "dev", "2025-01-02T03:04:05+00:00", 83.4)
PASS = Finding("content/a", "Every row of a is there", "pass", "data", 0, "rows", 0, n=1000)
LOST = Finding("content/b", "Every row of b is there", "fail", "data", 2, "rows", 0, where=("b, 7", "b, 9"))
OVER = Finding("bench.q2", "p95 of q2 is under 2 ms", "fail", "gate", 3.84, "ms", 2.0, 3.5, 4.25, 300)
OPEN = Finding("bench.q1", "p95 of q1 is under 50 ms", "inconclusive", "gate", 48.4, "ms", 50.0, 45.0, None, 300)
TOLD = Finding("note.x", "A note", "fail", "note")


def run_of(*results: Finding, verdict: str | None = "fail", **more: object) -> Evidence:
    return Evidence(RUN, (Stage("03_benchmark", "Benchmark", 30.0, results),), verdict, **more)  # type: ignore[arg-type]


def commands(text: str) -> list[tuple[str, str, str]]:
    """Level, title and message of each command, as GitHub's runner reads a line."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"::(error|warning) title=([^:,]*)::(.*)", line)
        assert match, line
        found.append((match[1], unquote(match[2]), unquote(match[3])))
    return found


def test_what_did_not_pass_is_named_worst_first_and_nothing_else() -> None:
    found = commands(github_text(annotations_of(run_of(PASS, OPEN, TOLD, OVER, LOST))))
    assert [(level, title) for level, title, _ in found] == [
        ("error", "Fail: Every row of b is there"),
        ("error", "Fail: p95 of q2 is under 2 ms"),
        ("warning", "Inconclusive: p95 of q1 is under 50 ms"),
    ]
    assert found[0][2].replace("\N{NO-BREAK SPACE}", " ") == "2 rows, limit 0\nb, 7\nb, 9"
    assert re.sub(r"\s", " ", found[1][2]) == "3.84 ms, limit 2 ms; 95 % interval 3.50 – 4.25"


def test_a_run_that_passed_has_none() -> None:
    assert github_text(annotations_of(run_of(PASS, verdict="pass"))) == ""


@pytest.mark.parametrize("many", [10, 11, 400])
def test_there_are_never_more_than_ten_and_the_last_says_how_many_are_left(many: int) -> None:
    gates = [Finding(f"g{i}", f"Gate {i}", "fail" if i else "inconclusive") for i in range(many)]
    found = commands(github_text(annotations_of(run_of(*gates))))
    assert len(found) == 10
    if many > 10:
        assert found[-1][:2] == ("error", f"{many - 9} more gates")
    else:
        assert found[-1][0] == "warning", "what is undecided comes last"


@pytest.mark.parametrize(
    "text", ["a\n::error::b", "a\r\n::set-output name=x::y", "100 %0A, a: b, c::d", "x\u2028::warning::y"]
)
def test_no_text_from_data_acts_as_a_command_or_ends_a_title(text: str) -> None:
    gate = Finding("g", text, "fail", where=(text,), evidence=text)
    told = github_text(annotations_of(run_of(gate)))
    ((level, title, message),) = commands(told)
    assert level == "error"
    assert title.startswith("Fail: ") and "\n" not in title
    assert told.count("\n") == 1 and "\r" not in told
    if "%0A" in text:
        assert text in message, "a percent sign comes back as it was"


def test_a_run_without_a_verdict_or_with_gates_unanswered_says_so_first() -> None:
    dead = commands(github_text(annotations_of(run_of(PASS, verdict=None, reason="The disk is full."))))
    assert dead[0][0] == "error" and dead[0][1].startswith("No verdict") and "The disk is full." in dead[0][2]
    lacks = commands(github_text(annotations_of(run_of(PASS, OVER, verdict="invalid", missing=("a", "b", "c", "d")))))
    assert lacks[0][1:] == ("4 required gates not answered", "a, b, c, …")
    assert lacks[1][1].startswith("Fail: p95")


def test_a_recorded_pass_that_the_results_belie_is_an_error() -> None:
    assert [level for level, _, _ in commands(github_text(annotations_of(run_of(LOST, verdict="pass"))))] == [
        "error"
    ] * 2
