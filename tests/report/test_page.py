import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ptp.errors import UsageError
from ptp.evidence import Evidence, Run, Stage, write_run, write_stage, write_verdict
from ptp.report.page import PAGES, pages_of, render, write_report
from ptp.report.topics import TOPICS, absent_of
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


def all_pages(given: Evidence) -> dict[str, str]:
    return {name: render(given, name) for name in pages_of(given)}


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
    assert '<section class="hero none"' in page


def test_a_recorded_pass_that_the_results_do_not_bear_out_is_shown_as_invalid():
    page = render(evidence(PASS, FAIL, verdict="pass"))
    assert first_line(page) == "Invalid"
    assert "the results beside it say fail" in page


def test_the_worst_gate_and_the_missing_ones_are_named_first():
    page = render(evidence(PASS, SLOW, FAIL, verdict="fail", reason="Rows of b differ.", missing=("load/peak",)))
    head = page[page.index('<section class="hero') : page.index("</section>")]
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
    given = evidence(Finding("b", "All rows", "fail", "data", where=places), verdict="fail")
    page = render(given, "findings.html")
    assert "Where: 500 places" in page
    assert "and 488 more" in page
    assert "b, 11, x" in page and "b, 12, x" not in page
    assert "and 497 more" in render(given) and "b, 3, x" not in render(given)


def test_tables_of_a_stage_have_numbers_at_the_right_and_thousands_separated():
    page = render(evidence(), "verification.html")
    assert '<th scope="col" class="num">rows</th>' in page
    assert '<td class="num">1,234,567</td>' in page
    assert '<td class="num">–</td>' in page


def test_estimates_are_told_apart_from_measurements():
    given = evidence(PASS, Estimate("cost", "USD", 12.0, 10.0, 15.0, "rows × price", {"rows": 5}))
    page = render(given, "verification.html")
    assert "Estimated, not measured" in page and "rows × price" in page


def test_a_measurement_finds_its_limit_by_the_finding_about_it():
    page = render(evidence(SLOW, *MEASURED, verdict="inconclusive"), "verification.html")
    chart = next(tag for tag in Page(page).all("svg") if tag["class"] == "chart")
    assert "q1: p50 34.9, p95 48.4, p99 49.6\N{NO-BREAK SPACE}ms, within the limit 50" in str(chart["aria-label"])
    assert "q2" in str(chart["aria-label"])


def test_the_same_evidence_gives_the_same_bytes():
    assert all_pages(evidence(FAIL, SLOW, *MEASURED)) == all_pages(evidence(FAIL, SLOW, *MEASURED))


def hostile(text: str) -> Evidence:
    finding = Finding(text, text, "fail", "data", text, text, text, where=(text,), evidence=text)
    kinds = [{"name": text, "p95_low_ms": 1.0, "p95_high_ms": 2.0, "verdict": text, text: text}, {"name": "a\nb"}]
    results = (finding, Measurement(text, text, (1.0, 2.0)), Measurement("once", text, (1.0,))) * 2
    stages = [Stage(name, text, 1.0, results, {text: kinds}) for name in ("01_migrate", "03_benchmark", "odd<stage")]
    change = {"what": text, "before": text, "now": text, "change": text}
    note = Finding("previous.run", text, "pass", "note", text, n=1, where=(text,), evidence=text)
    stages.append(Stage("previous", text, 0.0, (note,), {"Changes": [change]}))
    run = Run(text, text, text, text, text, text, 1.0, {text: text}, {text: text, "left_out": f"04_load: {text}"})
    return Evidence(run, tuple(stages), "fail", text, (text,))


CALM = hostile("calm")


@pytest.mark.parametrize("text", HOSTILE)
def test_text_in_data_cannot_break_a_page(text: str):
    given = hostile(text)
    assert len(pages_of(given)) == 6
    for name in pages_of(given):
        page = render(given, name, texts={"plan.sql": text})
        page.encode()
        calm, read = Page(render(CALM, name, texts={"plan.sql": "calm"})), Page(page)
        assert {tag for tag, _ in read.tags} <= {tag for tag, _ in calm.tags}
        assert len(read.all("script")) == 1
        assert not any(key.startswith("on") for _, attrs in read.tags for key in attrs)
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", page)
        assert len(page) < 500_000
        ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
        assert len(ids) == len(set(ids))


class Nesting(HTMLParser):
    """Whether every tag is closed by its own end, in order; void ones, and those of SVG that close themselves, aside."""

    VOID = frozenset(("meta", "link", "br", "img", "input", "hr"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open += [] if tag in self.VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Nothing is open after it."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()


@pytest.mark.parametrize("text", ["calm", *HOSTILE[:4]])
def test_every_tag_of_every_page_is_closed_in_its_place(text: str):
    for page in all_pages(hostile(text)).values():
        assert Nesting(page).open == []
    with pytest.raises(AssertionError):
        Nesting("<p><b></p></b>")


def test_nothing_on_a_page_names_another_place_and_only_our_own_script_may_run():
    for page in all_pages(evidence(SLOW, *MEASURED, verdict="inconclusive")).values():
        read = Page(page)
        script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
        assert script and len(read.all("script")) == 1 and read.all("script")[0] == {}
        digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
        policy = next(str(m["content"]) for m in read.all("meta") if m.get("http-equiv"))
        assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'")
        values = [v or "" for _, attrs in read.tags for name, v in attrs.items() if not name.startswith("xmlns")]
        for text in [*values, *(t for t in read.texts if t != script[1])]:
            assert not re.search(r"https?:|(^|[\s(\"'=])//", text), text[:80]
        assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(|eval\(|innerHTML", script[1])
        assert [link["href"] for link in read.all("link")] == ["data:,"]


def test_pictures_have_texts_and_heads_of_tables_a_scope():
    for page in all_pages(evidence(SLOW, PASS, *MEASURED, verdict="inconclusive")).values():
        read = Page(page)
        for picture in read.all("svg"):
            told = picture.get("role") == "img" and picture.get("aria-label")
            assert told or picture.get("aria-hidden") == "true"
        assert read.all("th") and all(head["scope"] in ("col", "row") for head in read.all("th"))
        assert len(read.all("caption")) == len(read.all("table"))
        assert read.all("html") == [{"lang": "en"}] and len(read.all("h1")) == 1
        ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
        assert len(ids) == len(set(ids))


def test_an_interval_is_a_picture_with_its_text():
    read = Page(render(evidence(SLOW, verdict="inconclusive")))
    assert "49.96, at least 45 and at most 55; limit 50" in [svg.get("aria-label") for svg in read.all("svg")]


def test_every_link_leads_somewhere_also_into_other_pages():
    pages = all_pages(evidence(FAIL, SLOW, *MEASURED, IDLE, verdict="fail"))
    read = {name: Page(page) for name, page in pages.items()}
    ids = {name: {attrs.get("id") for _, attrs in one.tags} for name, one in read.items()}
    inner = 0
    for name, one in read.items():
        for link in one.all("a"):
            file, _, place = str(link["href"]).partition("#")
            if file in PAGES or not file:
                assert (file or name) in pages, link
                assert not place or place in ids[file or name], link
                inner += bool(place)
    assert inner > 10


def test_a_gate_has_one_anchor_that_holds_on_the_index_on_its_page_and_among_the_findings():
    pages = all_pages(evidence(FAIL, SLOW, PASS, PASS, verdict="fail"))
    for name in ("gate-latency/q1", "gate-content/a", "gate-content/a-2"):
        for page in ("index.html", "verification.html", "findings.html"):
            assert f'id="{name}"' in pages[page], (page, name)


def gate(i: int) -> Finding:
    claim = f"p95 of a query with a rather long name, number {i}, is under 50 ms"
    return Finding(f"latency.a_query_with_a_name_{i}", claim, "pass", "gate", 1.5, "ms", 50.0, 1.0, 2.0, 300)


def test_the_index_takes_less_than_150_kb_however_many_gates_there_are():
    page = render(evidence(*map(gate, range(3_000))))
    assert len(page.encode()) < 150_000
    assert page.count('<tr id="gate-') == 100 and "2,900 more stand among" in page


def test_a_stage_stands_on_the_page_of_its_topic_and_a_page_without_one_is_not_there():
    names = ("01_migrate", "02_verify", "03_benchmark", "04_capacity", "05_scale")
    stages = tuple(Stage(name, f"Stage {name}", 1.0, (PASS,)) for name in names)
    assert pages_of(Evidence(RUN, stages, "pass")) == PAGES
    for name, topic in zip(names, TOPICS, strict=True):
        given = Evidence(RUN, (Stage(name, f"Stage {name}", 1.0, (PASS,)),), "pass")
        assert pages_of(given) == ("index.html", topic.file, "environment.html", "findings.html")
        assert f"Stage {name}</h2>" in render(given, topic.file)
        assert len(absent_of(given)) == len(TOPICS) - 1


def test_what_did_not_run_is_said_with_its_reason():
    run = replace(RUN, facts={"left_out": "04_load: it wants the machine; 05_scale: no prices are known"})
    page = render(Evidence(run, evidence().stages, "pass"))
    assert "Load: not in this run, it wants the machine." in page
    assert "Scale and cost: not in this run, no prices are known." in page
    assert "Queries: not in this run, this run did not measure it." in page
    ended = render(evidence(verdict=None))
    assert "Queries: not in this run, the run ended before it." in ended


def test_a_run_without_results_has_its_index_alone():
    given = Evidence(RUN, (), None)
    assert pages_of(given) == ("index.html",)
    hrefs = {str(link["href"]) for link in Page(render(given)).all("a")}
    assert hrefs <= {"#main", "index.html", "run.json"}


def test_the_plan_is_shown_where_it_is_and_cut_where_it_is_long():
    given = Evidence(RUN, (Stage("01_migrate", "Migration", 1.0, (PASS,)),), "pass")
    assert "plan.sql" not in render(given, "migration.html")
    page = render(given, "migration.html", texts={"plan.sql": "INSERT INTO a <b>\n" * 20_000})
    assert "INSERT INTO a &lt;b&gt;\nINSERT" in page and "…" in page and len(page) < 300_000


def write_folder(folder: Path, given: Evidence, *, verdict: bool = True) -> None:
    write_run(folder, given.run)
    for stage in given.stages:
        write_stage(folder, stage)
    if verdict:
        write_verdict(folder, given)


def test_a_run_folder_gets_its_pages_and_links_to_the_files_it_has(tmp_path: Path):
    write_folder(tmp_path, evidence())
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "02_verify.html").write_text("")
    (tmp_path / "load.html").write_text("of an earlier report")
    target = write_report(tmp_path)
    names = pages_of(evidence())
    first = {name: (tmp_path / name).read_bytes() for name in names}
    assert target == tmp_path / "index.html"
    links = {str(link["href"]).partition("#")[0] for page in first.values() for link in Page(page.decode()).all("a")}
    assert {"notebooks/02_verify.html", "results/02_verify.json", "verdict.json", "findings.html"} <= links
    assert [link for link in links if link and not (tmp_path / link).is_file()] == []
    write_report(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names} == first
    assert {p.name for p in tmp_path.glob("*.html")} == set(names)
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
