"""The report in a real browser: offline, silent, accessible in both themes, by keyboard alone, on a narrow screen."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ptp.evidence import Evidence, Run, Stage, write_run, write_stage, write_verdict
from ptp.report.page import PAGES, write_report
from ptp.results import Estimate, Finding, Measurement


def _load() -> ModuleType:
    """The module beside this one: tests are imported one by one, and are no package."""
    spec = importlib.util.spec_from_file_location("report_browser", Path(__file__).with_name("browser.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


browsing = _load()
pytestmark = pytest.mark.skipif(browsing.chromium() is None, reason="no Chromium is installed")

AXE = browsing.axe()
MANY = 3_000


def timed(name: str, place: int, *, verdict: Any = "pass") -> list[Any]:
    samples = tuple(1 + (place * j % 97) / 9 for j in range(60))
    p95 = sorted(samples)[56]
    judged = Finding(f"bench.{name}", f"p95 of {name} is under 50 ms", verdict, "gate", p95, "ms", 50.0, 5.0, 14.0, 60)
    return [judged, Measurement(name, "ms", samples), Measurement(f"{name}.cold", "ms", samples[:3])]


def stages() -> tuple[Stage, ...]:
    """A stage a topic, with every kind of thing that a page can hold."""
    moved = (
        Finding("migrate.backup", "A backup was taken and compared", "pass", "data", 9, "rows equal", n=9),
        Finding("migrate.source-unchanged", "The source was only read", "pass", "data", 0, "changes", 0),
        *(Measurement(f"build: {part}", "s", (seconds,)) for part, seconds in (("copy", 0.5), ("index", 0.2))),
    )
    places = tuple(f"table, {key}, column" for key in range(40))
    checked = Finding("verify.a", "Every row of a <b> is there \u202e", "fail", "data", 40, "rows", 0, where=places)
    rows = [{"table": f"t{i}", "rows in": i, "rows out": i, "rows quarantined": 0} for i in range(20)]
    note = Finding("previous.run", "Told", "pass", "note", "run-0", n=3, where=("pass",), evidence="It was before.")
    change = {"what": "verify.a", "before": "pass", "now": "fail", "change": "worse"}
    queries = [one for place in range(4) for one in timed(f"q{place}", place + 2)]
    latency = [
        {"name": f"q{i}", "p50_ms": 5.0, "p95_ms": 9.0, "p95_low_ms": 5.0, "p95_high_ms": 14.0, "limit_ms": 50.0}
        for i in range(4)
    ]
    plans = [{"query": "q1", "plan": "SCAN a\n  SEARCH b", "statement": "SELECT * FROM a WHERE x = ? " * 12}]
    bill = Estimate("bill of a month", "$ a month", 12.0, 10.0, 15.0, "rows x prices", {"users": 1000.0})
    second = {"measured": True, "rate": 100, "done": 99, "p50_ms": 2.0, "p95_ms": 9.0, "p99_ms": 10.0, "most_ms": 12.0}
    timeline = [{"second": n, **second, "errors": 0, "in_flight": 1} for n in range(10)]
    return (
        Stage("01_migrate", "Migration", 1.0, moved, {"Source": rows}),
        Stage("02_verify", "Verification", 1.0, (checked,), {"Tables": rows}),
        Stage("03_benchmark", "Benchmark", 1.0, (*queries, bill), {"Latency": latency, "Plans": plans}),
        Stage("04_load", "Load", 1.0, tuple(timed("op", 5, verdict="inconclusive")), {"Load timeline": timeline}),
        Stage("05_scale", "Scale and cost", 1.0, (bill,)),
        Stage("previous", "Since the last run", 0.0, (note,), {"Changes": [change]}),
    )


def written(folder: Path, given: Evidence) -> Path:
    write_run(folder, given.run)
    for stage in given.stages:
        write_stage(folder, stage)
    (folder / "plan.sql").write_text("INSERT INTO a SELECT * FROM b;\n" * 200, encoding="utf-8")
    write_verdict(folder, given)
    write_report(folder)
    return folder


RUN = Run("run-1", "old.db", "new.db", "quick", "dev", "2025-01-02T03:04:05+00:00", 83.4, {"python": "3.11"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("run"), Evidence(RUN, stages(), "fail"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing.opened() as found:
        yield found


def test_every_page_opens_from_a_file_asks_for_nothing_else_and_is_silent(folder: Path, browser: Any) -> None:
    assert {p.name for p in folder.glob("*.html")} == set(PAGES)
    for name in PAGES:
        browser.open(folder / name)
        assert browser.requests == [(folder / name).as_uri()], name
        assert browser.errors == [], name
        assert browser.ask("document.querySelectorAll('.theme').length") == 1  # the script of the page ran


def test_a_request_an_error_and_a_foreign_script_would_be_seen(tmp_path: Path, browser: Any) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<p>x</p><img src='no-such.png'><script>throw new Error('planted')</script>", encoding="utf-8")
    browser.open(page)
    assert len(browser.requests) == 2 and any("planted" in text for text in browser.errors)
    whole = (tmp_path / "x.html", written(tmp_path, Evidence(RUN, stages(), "fail")) / "index.html")
    whole[0].write_text(whole[1].read_text().replace("</main>", "<script>window.bad = 1</script></main>"))
    browser.open(whole[0])
    assert browser.ask("window.bad") is None and any("Content Security Policy" in text for text in browser.errors)


@pytest.mark.skipif(AXE is None, reason="no axe-core: name a folder that has it in PTP_NODE_MODULES")
def test_axe_finds_no_violation_on_any_page_in_either_theme(folder: Path, browser: Any) -> None:
    assert AXE is not None
    script = AXE.read_text(encoding="utf-8") + ";0"
    told = "axe.run(document%s).then(r => r.violations.map(v => v.id + ': ' + v.nodes[0].html))"
    browser.size(1280, 900)
    for name in PAGES:
        browser.theme("light")
        browser.open(folder / name)
        browser.ask("document.querySelectorAll('details').forEach(d => { d.open = true })")
        browser.ask(script)
        assert browser.ask(told % "") == [], name
        browser.theme("dark")  # in which nothing but colours is another
        assert browser.ask(told % ", {runOnly: ['color-contrast']}") == [], name
    browser.ask("document.querySelector('main').append(Object.assign(document.createElement('img'), {src: 'data:,'}))")
    browser.ask("document.querySelector('h1').style.color = '#444'")
    assert [text.split(":")[0] for text in browser.ask(told % "")] == ["color-contrast", "image-alt"]  # it does look


def test_the_tab_key_reaches_everything_in_order_and_the_first_stop_skips_to_the_content(
    folder: Path, browser: Any
) -> None:
    browser.size(1280, 900)
    for name in ("index.html", "findings.html", "queries.html", "migration.html"):
        browser.open(folder / name)
        count = browser.ask(
            "(() => { window.stops = [...document.querySelectorAll('a[href], button, input, summary, [tabindex=\"0\"]')]"
            ".filter(e => e.checkVisibility()); return stops.length })()"
        )
        reached = []
        for _ in range(count):
            browser.press("Tab")
            reached.append(browser.ask("stops.indexOf(document.activeElement)"))
        assert reached == list(range(count)), name
    browser.open(folder / "index.html")
    browser.press("Tab")
    assert (
        browser.ask("getComputedStyle(document.activeElement).clipPath") == "none"
    )  # it is seen when it has the focus
    browser.press("Enter")
    assert browser.ask("[location.hash, document.activeElement.id]") == ["#main", "main"]


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_itself_never_scrolls_sideways(folder: Path, browser: Any, width: int) -> None:
    browser.size(width, 844)
    for name in PAGES:
        browser.open(folder / name)
        assert browser.ask("document.documentElement.scrollWidth") <= width, name


def test_the_first_screen_of_a_phone_holds_the_verdict_and_all_four_answers(folder: Path, browser: Any) -> None:
    browser.size(390, 844)
    browser.open(folder / "index.html")
    ends = browser.ask("[...document.querySelectorAll('h1, .answers li')].map(e => e.getBoundingClientRect().bottom)")
    assert len(ends) == 5 and max(ends) <= 844


def test_a_column_is_sorted_by_its_numbers_and_says_so(folder: Path, browser: Any) -> None:
    browser.open(folder / "verification.html")
    head = "document.querySelectorAll('#stage-02_verify-table-0 thead th')[1]"
    cells = "[...document.querySelectorAll('#stage-02_verify-table-0 tbody tr')].map(r => r.cells[1].textContent)"
    browser.ask(f"{head}.querySelector('button').click()")
    assert browser.ask(f"{head}.ariaSort") == "ascending"
    assert browser.ask(cells) == [str(i) for i in range(20)]
    browser.ask(f"{head}.querySelector('button').click()")
    assert browser.ask(f"{head}.ariaSort") == "descending"
    assert browser.ask(cells) == [str(i) for i in reversed(range(20))]


def test_the_theme_switch_goes_over_what_the_system_prefers(folder: Path, browser: Any) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    browser.theme("light")
    browser.open(folder / "index.html")
    browser.ask("localStorage.clear()")
    browser.open(folder / "index.html")
    light = browser.ask(paper)
    browser.ask("document.querySelector('.theme').click()")
    assert browser.ask("document.querySelector('.theme').ariaPressed") == "true"
    dark = browser.ask(paper)
    browser.open(folder / "queries.html")
    assert browser.ask(paper) == dark != light
    assert browser.ask("getComputedStyle(document.querySelector('.chart text')).fill") != "rgb(26, 31, 37)"
    browser.ask("localStorage.clear()")
    browser.theme("dark")
    browser.open(folder / "index.html")
    assert browser.ask(paper) == dark


def test_without_javascript_everything_can_be_read_and_no_dead_control_is_there(folder: Path, browser: Any) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(folder / "findings.html")
        browser.send("Emulation.setScriptExecutionDisabled", value=False)  # of the next page only; to ask this one
        assert browser.ask("document.querySelectorAll('button, input').length") == 0
        assert browser.ask("document.querySelectorAll('table.all tbody tr').length") > 8
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ("pass", "fail", "inconclusive")
    found = tuple(
        Finding(f"gate.{i}", f"The value of {i} is under its limit", words[i % 3], "gate", 1.5, "ms", 2.0, 1.0, 2.5, i)  # type: ignore[arg-type]
        for i in range(MANY)
    )
    return written(tmp_path_factory.mktemp("many"), Evidence(RUN, (Stage("02_verify", "V", 1.0, found),), "fail"))


def test_thousands_of_findings_are_filtered_by_word_and_by_verdict(many: Path, browser: Any) -> None:
    browser.size(1280, 900)
    browser.open(many / "findings.html")
    shown = "document.querySelectorAll('table.all tbody tr:not([hidden])').length"
    assert browser.ask(shown) == MANY
    browser.ask("document.querySelector('.filter input').focus()")
    browser.send("Input.insertText", text="of 299 LIMIT")
    expected = sum("299" in str(i) for i in range(MANY))
    assert browser.ask("document.querySelector('[role=status]').textContent").startswith(f"{expected} of 3,000")
    assert browser.ask(shown) == expected
    browser.ask("[...document.querySelectorAll('.states button')].find(b => b.textContent.startsWith('Fail')).click()")
    assert browser.ask(shown) == sum("299" in str(i) and i % 3 == 1 for i in range(MANY))


def test_a_link_to_a_gate_that_the_index_leaves_out_leads_to_the_findings(tmp_path: Path, browser: Any) -> None:
    found = tuple(Finding(f"gate.{i}", f"The value of {i} is right", "pass") for i in range(150))
    written(tmp_path, Evidence(RUN, (Stage("02_verify", "V", 1.0, found),), "pass"))
    browser.open(tmp_path / "index.html", place="#gate-gate.99")
    assert browser.ask("document.querySelector('tr:target .id').textContent") == "gate.99"
    browser.open(tmp_path / "index.html", place="#gate-gate.149")
    browser.wait_for("document.querySelector('table.all tr:target .id')?.textContent === 'gate.149'")
