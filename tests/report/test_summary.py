"""The summary for a pull request: what stands first, what stands in its tables, and what data cannot do to it."""

import re

import pytest

from ptp.evidence import Evidence, Run, Stage
from ptp.report.summary import LONGEST, escaped, markdown_text
from ptp.results import Finding, Measurement

RUN = Run("run-1", "old.db", "new.db", "quick", "dev", "2025-01-02T03:04:05+00:00", 83.4, {"python": "3.11"})
PASS = Finding("content/a", "Every row of a is there", "pass", "data", 0, "rows", 0, n=1000)
OVER = Finding("bench.q2", "p95 of q2 is under 2 ms", "fail", "gate", 3.84, "ms", 2.0, 3.5, 4.25, 300)
OPEN = Finding("bench.q1", "p95 of q1 is under 50 ms", "inconclusive", "gate", 48.4, "ms", 50.0, 45.0, None, 300)
WORSE = Finding(
    "against.q2.vm_steps", "q2 takes no more steps", "fail", "gate", 900, "VM steps", 300, where=("SCAN t",)
)
SAME = Finding("against.q1.vm_steps", "q1 takes no more steps", "pass", "gate", 300, "VM steps", 300)
MEASURED = (
    Measurement("q1", "ms", tuple(20 + i / 10 for i in range(300))),
    Measurement("q2", "ms", tuple(1 + i / 100 for i in range(300))),
    Measurement("q2.before", "ms", (1.0, 2.0)),
    Measurement("pages", "rows", (7.0,)),
)
COUNTERS = {"Counters": [{"query": "q2", "vm_steps": 1_234, "rows_read": 567}], "Other": [{"a": 1}]}


def run_of(*results: object, verdict: str | None = "fail", **more: object) -> Evidence:
    stage = Stage("03_benchmark", "Benchmark", 30.0, results, more.pop("tables", {}))  # type: ignore[arg-type]
    return Evidence(RUN, (stage,), verdict, **more)  # type: ignore[arg-type]


def rows(text: str, title: str) -> list[list[str]]:
    """The cells of the table under a title, as a reader of GitHub's tables splits them."""
    part = text.split(f"### {title}", 1)[1].split("\n### ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_verdict_stands_first() -> None:
    assert markdown_text(run_of(PASS, verdict="pass")).startswith(
        "## ✓ Pass\n\nEvery gate that applies passed: 1 of 1."
    )
    assert markdown_text(run_of(OVER)).startswith("## ✕ Fail\n\n1 of 1 gate failed.")
    assert markdown_text(run_of(PASS, verdict=None)).startswith("## ∅ No verdict")
    assert "not answered (1): bench.q9" in markdown_text(run_of(PASS, verdict="invalid", missing=("bench.q9",)))


def test_what_did_not_pass_stands_under_it_worst_first_with_its_numbers() -> None:
    text = markdown_text(run_of(PASS, OPEN, OVER, *MEASURED))
    found = rows(text, "Gates that did not pass (2)")
    assert [row[:2] for row in found] == [["✕ Fail", OVER.claim], ["? Inconclusive", OPEN.claim]]
    assert [re.sub(r"\s", " ", cell) for cell in found[0][2:6]] == ["3.84 ms", "2 ms", "3.50 – 4.25", "300"]
    assert "Gates that did not pass" not in markdown_text(run_of(PASS, verdict="pass"))


def test_every_query_has_a_row_with_interval_limit_and_counters() -> None:
    text = re.sub("\N{NO-BREAK SPACE}", " ", markdown_text(run_of(OPEN, OVER, *MEASURED, tables=COUNTERS)))
    assert "| Query | p50 | p95 | 95 % interval of p95 | Limit | n | VM steps | rows read |" in text
    assert rows(text, "What was measured (2)") == [
        ["q1", "34.9 ms", "48.4 ms", "45 – unknown", "50 ms", "300", "–", "–"],
        ["q2", "2.49 ms", "**3.84 ms**", "3.50 – 4.25", "2 ms", "300", "1,234", "567"],
    ]


def test_regressions_are_named_and_their_absence_too() -> None:
    text = markdown_text(run_of(WORSE, SAME))
    (row,) = rows(text, "Regressions (1 of 2)")
    assert row[1].startswith("q2.vm\\_steps") and "SCAN t" in row[4]
    assert "### Regressions\n\nNone: 1 comparison passed." in markdown_text(run_of(SAME, verdict="pass"))
    assert "Regressions" not in markdown_text(run_of(PASS, verdict="pass"))


def test_it_says_where_to_look() -> None:
    text = markdown_text(run_of(Finding("b", "All", "fail", evidence="digests/content.json")))
    for name in ("index.html", "verdict.json", "results/03_benchmark.json", "digests/content.json"):
        assert f"`{name}`" in text


def test_one_stage_alone_has_the_verdict_of_its_findings() -> None:
    stage = run_of(PASS, OPEN).stages[0]
    assert markdown_text(stage).startswith("## ? Inconclusive")
    assert "index.html" not in markdown_text(stage)


def test_the_same_results_give_the_same_bytes() -> None:
    assert markdown_text(run_of(OVER, *MEASURED)) == markdown_text(run_of(OVER, *MEASURED))


HOSTILE = (
    "a|b",
    "<img src=x>",
    "`code`",
    "[x](javascript:1)",
    "line\nfeed\n\n# Title",
    "**bold** _it_ ~~no~~",
    "\x1b[31m",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_in_data_stays_in_its_cell_and_is_no_markup(text: str) -> None:
    finding = Finding(text, text, "fail", "gate", text, text, text, where=(text,), evidence=text)
    made = markdown_text(run_of(finding, Measurement(text, "ms", (1.0, 2.0)), reason=text, missing=(text,)))
    assert [len(row) for title in ("Gates", "What was") for row in rows(made, title)] == [7, 6]
    plain = re.sub(r"\\[^\w\s]", "", made)  # what is escaped is a character and nothing else
    assert not re.search(r"<(?!!-- -->)|\x1b", plain)
    assert made.count("\n# ") == 0 and plain.count("`") % 2 == 0
    assert "](" not in plain and plain.count("**") == plain.count("~~") == 0


def test_data_makes_no_link_and_mentions_nobody() -> None:
    assert escaped("see https://a.example, www.b.example and @someone") == (
        "see https&#58;//a.example, www&#46;b.example and @<!-- -->someone"
    )


@pytest.mark.parametrize("text", ["x" * 1_000, "<@a|" * 500, "long name " * 100])
def test_it_stays_under_what_a_comment_may_hold(text: str) -> None:
    gates = [Finding(f"{text}{i}", text, "fail", "gate", text, "", text, where=(text,) * 50) for i in range(150)]
    worse = [Finding(f"against.{text}{i}", text, "fail", evidence=text) for i in range(150)]
    measured = [Measurement(f"{text}{i}", "ms", (1.0, 2.0)) for i in range(90)]
    stages = (Stage(text, text, 1.0, (*gates, *worse, *measured)), *(Stage(text, text, 1.0) for _ in range(20)))
    run = Run(*(text,) * 6, 1.0)
    made = markdown_text(Evidence(run, stages, "fail", text, (text,) * 900))
    assert 10_000 < len(made) < LONGEST
    assert re.search(r"and [\d,]+ more rows in the results", made)
