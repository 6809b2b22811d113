"""JUnit XML: read back by the parsers of the standard library, and counted from the findings by hand."""

import re
import xml.etree.ElementTree as ET
from xml.dom import minidom

import pytest

from ptp.evidence import Evidence, Run, Stage
from ptp.report.junit import junit_text
from ptp.results import Finding, Measurement

RUN = Run("run-1", "old.db", "new.db", "quick", "dev", "2025-01-02T03:04:05+00:00", 83.4, {"python": "3.11"})
PASS = Finding("content/a", "Every row of a is there", "pass", "data", 0, "rows that differ", 0, n=1000)
LOST = Finding("content/b", "Every row of b is there", "fail", "data", 3, "rows that differ", 0, where=("b, 17, x",))
OVER = Finding("bench.q2", "p95 of q2 is under 2 ms", "fail", "gate", 3.2, "ms", 2.0, 3.0, 3.5, 300)
OPEN = Finding("bench.q1", "p95 of q1 is under 50 ms", "inconclusive", "gate", 49.96, "ms", 50.0, 45.0, None, 300)
BROKEN = Finding("self.clock", "The clock moves", "invalid")
IDLE = Finding("online", "The source kept serving", "not applicable", evidence="this run was offline")
NOTE = Finding("indexes.used", "Every index is read", "fail", "note")
Q1 = Measurement("q1", "ms", (1_000.0, 500.0, 250.0), {"cpu": "2 cores"})
ROWS = Measurement("content/a", "rows that differ", (0.0,), {"cpu": "4 cores"})
FIRST = Stage("02_verify", "Verify", 12.5, (PASS, LOST, BROKEN, ROWS))
SECOND = Stage("03_benchmark", "Benchmark", 30.0, (OPEN, OVER, IDLE, NOTE, Q1))
EVIDENCE = Evidence(RUN, (FIRST, SECOND), "fail")


def cases(text: str) -> dict[str, ET.Element]:
    return {str(case.get("name")): case for case in ET.fromstring(text).iter("testcase")}


def test_a_suite_stands_for_each_stage_and_a_case_for_each_gate() -> None:
    root = ET.fromstring(junit_text(EVIDENCE))
    assert [suite.get("name") for suite in root] == ["02_verify", "03_benchmark"]
    assert [(c.get("classname"), c.get("name")) for c in root.iter("testcase")] == [
        ("ptp.02_verify", "content/a"),
        ("ptp.02_verify", "content/b"),
        ("ptp.02_verify", "self.clock"),
        ("ptp.03_benchmark", "bench.q1"),
        ("ptp.03_benchmark", "bench.q2"),
        ("ptp.03_benchmark", "online"),
    ]


def test_the_counts_are_those_of_the_findings() -> None:
    root = ET.fromstring(junit_text(EVIDENCE))
    wanted = {"tests": "6", "failures": "3", "errors": "1", "skipped": "1", "time": "42.500"}
    assert {name: root.get(name) for name in wanted} == wanted
    suites = [[suite.get(name) for name in wanted] for suite in root]
    assert suites == [["3", "1", "1", "0", "12.500"], ["3", "2", "0", "1", "30.000"]]
    for suite in root:  # and those of the elements, which a reader counts by itself
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.get(name) == str(len(suite.findall(f"testcase/{tag}")))


def test_each_verdict_is_told_as_what_ci_makes_of_it() -> None:
    found = cases(junit_text(EVIDENCE))
    outcomes = {n: [(e.tag, e.get("type")) for e in c if e.tag != "system-out"] for n, c in found.items()}
    assert outcomes == {
        "content/a": [],
        "content/b": [("failure", "data")],
        "self.clock": [("error", "invalid")],
        "bench.q1": [("failure", "inconclusive")],
        "bench.q2": [("failure", "fail")],
        "online": [("skipped", None)],
    }
    assert found["online"][0].get("message") == "this run was offline"
    assert found["bench.q2"][0].get("message") == "p95 of q2 is under 2 ms: 3.20\N{NO-BREAK SPACE}ms, limit 2"
    assert str(found["content/b"][0].text).endswith("Where: b, 17, x")
    assert "95 % interval: 45 to unknown" in str(found["bench.q1"][0].text)


def test_a_case_takes_as_long_as_its_samples_and_others_no_time() -> None:
    times = {name: case.get("time") for name, case in cases(junit_text(EVIDENCE)).items()}
    assert times["bench.q1"] == "1.750"  # three samples of q1 in ms
    assert (times["bench.q2"], times["content/a"]) == ("0.000", "0.000")  # none, and one that is no time


def test_versions_and_environment_are_properties() -> None:
    root = ET.fromstring(junit_text(EVIDENCE))
    found = [{str(p.get("name")): p.get("value") for p in suite.iter("property")} for suite in root]
    assert found[0]["version.python"] == found[1]["version.python"] == "3.11"
    assert (found[0]["environment.cpu"], found[1]["environment.cpu"]) == ("4 cores", "2 cores")
    assert (found[0]["profile"], found[0]["env"], found[0]["run"]) == ("quick", "dev", "run-1")


def test_a_run_without_a_verdict_and_a_missing_gate_are_errors() -> None:
    passed = Stage("s", "S", 1.0, (PASS,))
    root = ET.fromstring(junit_text(Evidence(RUN, (passed,), None, "It was interrupted.", ("bench.q9",))))
    assert (root.get("tests"), root.get("errors")) == ("3", "2")
    assert [(c.get("name"), c[0].tag) for c in root[1].iter("testcase")] == [
        ("verdict", "error"),
        ("bench.q9", "error"),
    ]
    assert len(ET.fromstring(junit_text(Evidence(RUN, (passed,), "pass")))) == 1


def test_one_stage_alone_can_be_told() -> None:
    root = ET.fromstring(junit_text(SECOND))
    assert [suite.get("name") for suite in root] == ["03_benchmark"]
    assert root.get("tests") == "3"


def test_the_same_results_give_the_same_bytes() -> None:
    assert junit_text(EVIDENCE).encode() == junit_text(EVIDENCE).encode()


HOSTILE = (
    "<script>alert(1)</script>",
    '"/><testcase name="forged"/><x y="',
    "]]></failure><!--",
    "&amp; &#0; &bogus;",
    "NUL \x00 bell \x07 escape \x1b[31m del \x7f",
    "lone \ud800 surrogate \ufffe \uffff",
    "line\nfeed\ttab\rreturn",
    "x" * 1_000_000,
)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_in_data_cannot_break_the_document(text: str) -> None:
    made = [
        Finding(text, text, verdict, "gate", text, text, text, where=(text,) * 99, evidence=text)
        for verdict in ("pass", "fail", "inconclusive", "invalid", "not applicable")
    ]
    stage = Stage(text, text, 1.0, (*made, Measurement(text, text, (1.0,), {text: text})))
    run = Run(text, text, text, text, text, text, 1.0, {text: text})
    document = junit_text(Evidence(run, (stage,), None, text, (text,)))
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", document)
    read = minidom.parseString(document.encode())  # expat: another parser than the writer's none
    assert len(read.getElementsByTagName("testcase")) == 5 + 2
    assert {n.tagName for n in read.getElementsByTagName("*")} == {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "error", "skipped", "system-out",
    }  # fmt: skip
    assert len(document) < 150_000
