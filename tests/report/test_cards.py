"""Cards: results as HTML that stands by itself, and as a short text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from ptp.evidence import Stage
from ptp.report.cards import FEW_GATES, estimate_card, finding_card, findings_card, measurement_card, stage_card
from ptp.results import Estimate, Finding, Measurement

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
VOID = {"br", "img", "path", "rect", "circle"}


class Reader(HTMLParser):
    """Reads a piece of HTML and notes what is open, used and styled."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.said = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag in {"rect", "path", "circle"}:
            assert "style" in dict(attrs), "a shape without a style is black"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def finding(number: int, **given: object) -> Finding:
    return Finding(**{"id": f"g.{number}", "claim": f"Claim {number}", "verdict": "pass"} | given)  # type: ignore[arg-type]


def test_a_finding_says_its_verdict_its_claim_and_where() -> None:
    card = finding_card(
        finding(
            1, verdict="fail", value=61.5, unit="ms", limit=50.0, low=60.0, high=63.0, n=300, where=("users, 5, name",)
        )
    )
    read = Reader(card.html)
    for text in ("Fail", "Claim 1", "61.5", "50", "60 – 63", "300", "users, 5, name"):
        assert text in read.said
    assert (
        card.text == "fail           Claim 1: 61.5\N{NO-BREAK SPACE}ms (limit 50\N{NO-BREAK SPACE}ms) at users, 5, name"
    )


@pytest.mark.parametrize("field", ["claim", "id", "unit", "value", "evidence", "where"])
def test_what_comes_from_data_is_text(field: str) -> None:
    given = {field: (HOSTILE,) if field == "where" else HOSTILE}
    read = Reader(finding_card(finding(1, **given)).html)
    assert not {"script", "img"} & set(read.seen)


def test_a_measurement_says_its_percentiles_and_is_short() -> None:
    samples = tuple(float(v) for v in np.random.default_rng(1).permutation(np.arange(1, 2_001)))
    card = measurement_card(Measurement(HOSTILE, "ms", samples))
    read = Reader(card.html)
    assert not {"script", "img"} & set(read.seen)
    wanted = [np.percentile(samples, q, method="inverted_cdf") for q in (50, 95, 99)]
    assert all(f"{value:,.0f}" in read.said for value in (*wanted, 2_000))
    assert len(card.text) < 400


def test_a_measurement_without_samples_says_so() -> None:
    assert measurement_card(Measurement("x", "ms", ())).text == "x: no samples"


def test_an_estimate_says_its_range_and_its_model() -> None:
    card = estimate_card(Estimate("bill", "$", 7.5, 5.0, 9.0, "rows times price", {"users": 1000.0}))
    read = Reader(card.html)
    for text in ("bill", "7.5", "5 – 9", "rows times price", "users: 1,000"):
        assert text in read.said


def test_few_findings_stand_open_and_of_many_only_what_did_not_hold() -> None:
    few = Reader(findings_card([finding(n) for n in range(FEW_GATES)]).html)
    assert "details" not in few.seen
    many = [finding(n) for n in range(FEW_GATES)] + [finding(99, verdict="fail", claim="Broken")]
    html = findings_card(many).html
    assert Reader(html).seen.count("details") == 1
    assert html.index("Broken") < html.index("<details") < html.index("Claim 0")
    assert f"{FEW_GATES} findings held" in html


def test_a_stage_says_its_verdict_and_the_worst_first() -> None:
    results = (finding(1), finding(2, verdict="fail", severity="data"), Measurement("m", "ms", (1.0,)))
    card = stage_card(Stage("s", "Stage", 2.5, results))
    assert card.text.splitlines()[0] == "Stage: fail, 2 gates, 1 measurement"
    assert [line.split()[0] for line in card.text.splitlines()[1:]] == ["fail", "pass"]
    assert re.search(r"Fail.*Stage", Reader(card.html).said)
