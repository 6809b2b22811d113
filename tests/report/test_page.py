import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ptp.errors import UsageError
from ptp.evidence import Evidence, Run, Stage, write_run, write_stage, write_verdict
from ptp.report.page import render, write_report
from ptp.results import Estimate, Finding, Measurement, Result, Verdict

RUN = Run(
    id="run-1",
    source="old.db",
    target="new.db",
    profile="quick",
    env="dev",
    started="2025-01-02T03:04:05+00:00",
    seconds=83.4,
    versions={"python": "3.11"},
    facts={"shape": "raw, 8 tables", "rows": "1,000"},
)
PASS = Finding("content/a", "Every row of a is there", "pass", "data", 0, "rows that differ", 0, n=1000)
FAIL = Finding("content/b", "Every row of b is there", "fail", "data", 3, "rows that differ", 0, where=("b, 17, x",))
SLOW = Finding("latency/q1", "p95 of q1 is under its limit", "inconclusive", "gate", 49.96, "ms", 50.0, 45.0, 55.0, 300)
BROKEN = Finding("self-check", "The harness finds a planted error", "invalid")
IDLE = Finding("online", "The source kept serving", "not applicable", evidence="this run was offline")
MEASURED = (
    Measurement("q1", "ms", tuple(20 + i / 10 for i in range(300)), {"cpu": "2 cores"}),
    Measurement("q2", "ms", tuple(1 + i / 100 for i in range(300)), {"cpu": "2 cores"}),
)

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</table></main><!--",
    "{{ 7*7 }} {% raw %}",
    "name \u202e\u2066gnp.exe",
    "NUL \x00 bell \x07 escape \x1b[31m",
    "lone \ud800 surrogate",
    "שלום العربية",
    "x" * 1_000_000,
)


class Page(HTMLParser):
    """The start tags of a page with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def evidence(*results: Result, verdict: Verdict | None = "pass", reason: str = "", missing: tuple[str, ...] = ()):
    tables = {"Rows by table": [{"table": "a", "rows": 1_234_567, "seconds": 0.5}, {"table": "b", "rows": 2}]}
    stage = Stage("02_verify", "Verify", 12.5, results or (PASS, *MEASURED), tables)
    return Evidence(RUN, (stage,), verdict, reason, missing)


def first_line(page: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("verdict", "finding", "said"),
    [
        ("pass", PASS, "Pass"),
        ("fail", FAIL, "Fail"),
        ("inconclusive", SLOW, "Inconclusive"),
        ("invalid", BROKEN, "Invalid"),
        (None, PASS, "No verdict: the run was interrupted or died"),
    ],
)
def test_the_first_line_says_the_verdict(verdict: Verdict | None, finding: Finding, said: str):
    page = render(evidence(PASS, finding, verdict=verdict))
    assert first_line(page) == said
    assert f"<title>{said} · run run-1</title>" in page


def test_a_run_without_a_verdict_never_reads_as_a_pass():
    page = render(evidence(PASS, verdict=None))
    assert "No verdict was written: nothing below counts as passed." in page
    assert '<header class="top none">' in page


def test_a_recorded_pass_that_the_results_do_not_bear_out_is_shown_as_invalid():
    page = render(evidence(PASS, FAIL, verdict="pass"))
    assert first_line(page) == "Invalid"
    assert "the results beside it say fail" in page


def test_the_worst_gate_and_the_missing_ones_are_named_first():
    page = render(evidence(PASS, SLOW, FAIL, verdict="fail", reason="Rows of b differ.", missing=("load/peak",)))
    head = page[page.index("<header") : page.index("</header>")]
    assert "Rows of b differ." in head
    assert (
        '<a href="#gate-content/b">Every row of b is there</a>: 3\N{NO-BREAK SPACE}rows that differ, limit 0.' in head
    )
    assert "<code>load/peak</code>" in head


def test_gates_stand_worst_first_each_with_its_anchor():
    page = render(evidence(IDLE, PASS, SLOW, BROKEN, FAIL, verdict="fail"))
    rows = re.findall(r'<tr id="(gate-[^"]+)"', page)
    assert rows == [
        "gate-content/b",
        "gate-self-check",
        "gate-latency/q1",
        "gate-content/a",
        "gate-online",
    ]
    assert "this run was offline" in page


def test_two_gates_of_one_name_have_two_anchors():
    page = render(evidence(PASS, PASS))
    assert re.findall(r'<tr id="([^"]+)"', page) == ["gate-content/a", "gate-content/a-2"]


def test_a_value_near_its_limit_is_not_rounded_onto_it():
    page = render(evidence(SLOW, verdict="inconclusive"))
    assert "49.96\N{NO-BREAK SPACE}ms" in page
    assert "45 – 55" in page


def test_places_are_listed_and_the_rest_counted():
    places = tuple(f"b, {i}, x" for i in range(500))
    page = render(evidence(Finding("b", "All rows", "fail", "data", where=places), verdict="fail"))
    assert "Where: 500 places" in page
    assert "and 488 more" in page
    assert "b, 11, x" in page and "b, 12, x" not in page


def test_tables_of_a_stage_have_numbers_at_the_right_and_thousands_separated():
    page = render(evidence())
    assert '<th scope="col" class="num">rows</th>' in page
    assert '<td class="num">1,234,567</td>' in page
    assert '<td class="num">–</td>' in page


def test_estimates_are_told_apart_from_measurements():
    page = render(evidence(PASS, Estimate("cost", "USD", 12.0, 10.0, 15.0, "rows × price", {"rows": 5})))
    assert "Estimated, not measured" in page and "rows × price" in page


def test_a_measurement_finds_its_limit_by_the_finding_about_it():
    page = render(evidence(SLOW, *MEASURED, verdict="inconclusive"))
    chart = next(tag for tag in Page(page).all("img"))
    assert "q1: p50 34.9, p95 48.4, p99 49.6\N{NO-BREAK SPACE}ms, within the limit 50" in str(chart["alt"])
    assert "q2" in str(chart["alt"])


def test_the_same_evidence_gives_the_same_bytes():
    assert render(evidence(FAIL, SLOW, *MEASURED)) == render(evidence(FAIL, SLOW, *MEASURED))


@pytest.mark.parametrize("text", HOSTILE)
def test_text_in_data_cannot_break_the_page(text: str):
    finding = Finding(text, text, "fail", "data", text, text, text, where=(text,), evidence=text)
    stage = Stage("s", text, 1.0, (finding, Measurement(text, text, (1.0, 2.0))) * 2, {text: [{text: text}]})
    run = Run(text, text, text, text, text, text, 1.0, {text: text}, {text: text})
    page = render(Evidence(run, (stage,), "fail", text, (text,)))
    page.encode()
    calm = Page(render(evidence(FAIL, *MEASURED, verdict="fail", missing=("absent",))))
    read = Page(page)
    assert {tag for tag, _ in read.tags} <= {tag for tag, _ in calm.tags}
    assert not any(name.startswith("on") for _, attrs in read.tags for name in attrs)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", page)
    assert len(page) < 100_000


def test_nothing_on_the_page_names_another_place_or_runs():
    read = Page(render(evidence(SLOW, *MEASURED, verdict="inconclusive")))
    assert not read.all("script")
    values = [value or "" for _, attrs in read.tags for name, value in attrs.items() if not name.startswith("xmlns")]
    for text in [*values, *read.texts]:
        assert not re.search(r"https?:|(^|[\s(\"'=])//", text), text[:80]
    assert [link["href"] for link in read.all("link")] == ["data:,"]


def test_images_have_texts_and_heads_of_tables_a_scope():
    read = Page(render(evidence(SLOW, PASS, *MEASURED, verdict="inconclusive")))
    assert read.all("img") and all(image["alt"] for image in read.all("img"))
    assert read.all("th") and all(head["scope"] in ("col", "row") for head in read.all("th"))
    assert len(read.all("caption")) == len(read.all("table"))
    assert read.all("html") == [{"lang": "en"}]
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_every_link_within_the_page_leads_somewhere():
    read = Page(render(evidence(FAIL, SLOW, *MEASURED, verdict="fail")))
    ids = {attrs.get("id") for _, attrs in read.tags}
    inner = [str(link["href"])[1:] for link in read.all("a") if str(link["href"]).startswith("#")]
    assert inner and set(inner) <= ids


def test_a_normal_run_takes_less_than_150_kb():
    gates = [
        Finding(f"latency/q{i}", f"p95 of q{i}", "pass", "gate", 1.5, "ms", 50.0, 1.0, 2.0, 300) for i in range(35)
    ]
    samples = [Measurement(f"q{i}", "ms", tuple(1 + (i * j % 97) / 9 for j in range(300))) for i in range(12)]
    assert len(render(evidence(*gates, *samples)).encode()) < 150_000


def write_folder(folder: Path, given: Evidence, *, verdict: bool = True) -> None:
    write_run(folder, given.run)
    for stage in given.stages:
        write_stage(folder, stage)
    if verdict:
        write_verdict(folder, given)


def test_a_run_folder_gets_its_page_and_links_to_the_files_it_has(tmp_path: Path):
    write_folder(tmp_path, evidence())
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "02_verify.html").write_text("")
    target = write_report(tmp_path)
    first = target.read_bytes()
    assert target == tmp_path / "index.html"
    links = [link["href"] for link in Page(first.decode()).all("a")]
    assert "notebooks/02_verify.html" in links and "results/02_verify.json" in links and "verdict.json" in links
    assert "notebooks/02_verify.ipynb" not in links
    assert write_report(tmp_path).read_bytes() == first
    assert not list(tmp_path.glob("*.partial"))


def test_a_folder_without_verdict_json_reads_as_interrupted(tmp_path: Path):
    write_folder(tmp_path, evidence(), verdict=False)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert first_line(page).startswith("No verdict")
    assert 'href="verdict.json"' not in page


def test_an_unknown_word_in_verdict_json_is_no_verdict(tmp_path: Path):
    write_folder(tmp_path, evidence())
    document = json.loads((tmp_path / "verdict.json").read_text())
    (tmp_path / "verdict.json").write_text(json.dumps(document | {"verdict": "splendid"}))
    assert first_line(write_report(tmp_path).read_text(encoding="utf-8")).startswith("No verdict")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="not a run folder"):
        write_report(tmp_path)
