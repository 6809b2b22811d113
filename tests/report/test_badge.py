"""The badge: a picture that anybody can read, of one's own and of a service."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest

from ptp.evidence import Evidence, Run, Stage
from ptp.report.badge import badge_json, badge_svg
from ptp.results import Finding

SVG = "{http://www.w3.org/2000/svg}"
WORDS = {"pass": "pass", "fail": "fail", "inconclusive": "inconclusive", "invalid": "invalid", None: "no verdict"}


def run_of(verdict: str | None, started: str = "2025-01-02T03:04:05+00:00") -> Evidence:
    run = Run("run-1", "old.db", "new.db", "quick", "dev", started, 83.4)
    gate = Finding("g", "A claim", verdict or "pass")  # type: ignore[arg-type]
    return Evidence(run, (Stage("s", "S", 1.0, (gate,)),), verdict)  # type: ignore[arg-type]


def contrast_with_white(colour: str) -> float:
    """WCAG's contrast ratio of a colour beside white."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


@pytest.mark.parametrize("verdict", WORDS)
def test_it_says_verdict_and_day_in_words_and_to_who_cannot_see_it(verdict: str | None) -> None:
    root = ET.fromstring(badge_svg(run_of(verdict)))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts[0] == "migration" and texts[1] is not None
    assert WORDS[verdict] in texts[1] and texts[1].endswith("2025-01-02")
    (title,) = root.iter(f"{SVG}title")
    assert root.get("role") == "img"
    assert root.get("aria-label") == title.text == f"migration: {texts[1]}"


def test_each_verdict_has_a_colour_of_its_own_on_which_white_can_be_read() -> None:
    found = {json.loads(badge_json(run_of(verdict)))["color"] for verdict in WORDS}
    assert len(found) == len(WORDS)
    assert min(map(contrast_with_white, found)) > 4.5


@pytest.mark.parametrize("verdict", WORDS)
def test_both_forms_say_the_same(verdict: str | None) -> None:
    document = json.loads(badge_json(run_of(verdict)))
    svg = badge_svg(run_of(verdict))
    assert set(document) == {"schemaVersion", "label", "message", "color"}
    assert (document["schemaVersion"], document["label"]) == (1, "migration")
    assert document["message"] in svg and f"#{document['color']}" in svg


def test_it_wants_no_network_and_takes_no_markup_from_data() -> None:
    svg = badge_svg(run_of("pass", started="<script>&\"'"))
    ET.fromstring(svg)
    assert "<script" not in svg
    assert " id=" not in svg, "several may stand in one page"
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", svg) == []


def test_a_recorded_pass_that_the_results_belie_has_no_pass_on_it() -> None:
    run = run_of("fail")
    lied = Evidence(run.run, run.stages, "pass")
    assert "invalid" in badge_svg(lied) and "✓" not in badge_svg(lied)
