"""The files for CI: what they call is parsed by the program, and their shell runs with a ptp that ends as it is told."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.parsing import Wrong, check_line
from tests.docs.reading import ROOT

CI = ROOT / "docs" / "ci"
GITHUB: dict[Any, Any] = yaml.safe_load((CI / "github-actions.yml").read_text(encoding="utf-8"))
GITLAB: dict[Any, Any] = yaml.safe_load((CI / "gitlab-ci.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = GITHUB["jobs"]["rehearse"]["steps"]
JOB: dict[str, Any] = GITLAB["migration"]
SHELL = {
    "github": [step["run"] for step in STEPS if "run" in step],
    "gitlab": [*JOB["script"], *JOB["after_script"]],
}
CODES = (0, 1, 2, 3, 4)

FAKE = """#!/bin/sh
echo "$@" >> calls
[ "$1" = report ] && echo "::error title=x::y"
[ "$1" = run ] || exit 0
[ {code} = 2 ] && exit 2
mkdir -p reports/ci && echo '## Verdict' > reports/ci/summary.md && touch reports/ci/run.json
exit {code}
"""
"""What `ptp` does in these tests: it notes its arguments, and a run leaves what one leaves, unless its input is wrong."""


def calls_of_ptp(text: str) -> list[str]:
    return re.findall(r"\.venv/bin/ptp [^;|\n]*", text)


def step(name: str) -> dict[str, Any]:
    (found,) = (s for s in STEPS if s.get("name") == name)
    return found


@pytest.fixture(params=CODES)
def code(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def place(tmp_path: Path, code: int) -> Path:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    ptp = tmp_path / ".venv" / "bin" / "ptp"
    ptp.write_text(FAKE.format(code=code), encoding="utf-8")
    ptp.chmod(0o755)
    return tmp_path


def run(script: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """As both services run a script: a shell that stops at the first error, also of a pipe."""
    command = ["bash", "-eo", "pipefail", "-c", script]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("service", SHELL)
def test_each_call_of_ptp_parses_and_each_target_of_make_is_one(service: str) -> None:
    calls = [call for text in SHELL[service] for call in calls_of_ptp(text)]
    assert any(" run " in call for call in calls)
    for call in calls:
        check_line(call)
    for target in re.findall(r"\bmake (\S+)", "\n".join(SHELL[service])):
        assert target == ".venv/ready" and "$(VENV)/ready" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_a_changed_word_is_seen() -> None:
    with pytest.raises(Wrong):
        check_line(calls_of_ptp(SHELL["github"][1].replace("--env", "--enw"))[0])


def test_nothing_names_a_host() -> None:
    for path in CI.iterdir():
        text = path.read_text(encoding="utf-8").replace("sqlite:///", "")
        assert "://" not in text, path.name


def test_databases_stay_where_they_are() -> None:
    """Of a real run's folder: whatever holds personal values is left out of what is published."""
    (published,) = (s["with"]["path"] for s in STEPS if s.get("name") == "Publish the report")
    left_out = {line.strip() for line in published.splitlines() if line.strip().startswith("!")}
    assert left_out == {"!reports/ci/target.db*", "!reports/ci/backup"}
    assert set(JOB["artifacts"]["exclude"]) == {"reports/ci/target.db*", "reports/ci/backup/**/*"}


def test_the_proof_is_kept_and_the_tests_are_published() -> None:
    (kept,) = (s["with"]["path"] for s in STEPS if str(s.get("uses")).startswith("actions/cache"))
    assert [kept] == JOB["cache"]["paths"] == ["reports/proof.json"]
    assert step("Publish the tests")["with"]["path"] == JOB["artifacts"]["reports"]["junit"] == "reports/ci/junit.xml"


def test_what_is_published_is_so_whatever_came_out_and_before_it_is_decided() -> None:
    names = [str(s.get("name")) for s in STEPS]
    after = names[names.index("Migrate, verify, benchmark") + 1 :]
    assert after == ["Say what did not pass", "Publish the report", "Publish the tests", "Decide"]
    assert all(step(name)["if"] == "${{ !cancelled() }}" for name in after[:3])
    assert JOB["artifacts"]["when"] == "always"


def test_github_publishes_first_and_ends_as_the_run_did(place: Path, code: int) -> None:
    output, summary = place / "output", place / "summary"
    ran = run(step("Migrate, verify, benchmark")["run"], place, GITHUB_OUTPUT=str(output))
    told = run(step("Say what did not pass")["run"], place, GITHUB_STEP_SUMMARY=str(summary))
    assert (ran.returncode, told.returncode) == (0, 0), ran.stderr + told.stderr
    assert output.read_text(encoding="utf-8") == f"code={code}\n"
    if code == 2:
        assert told.stdout == "" and not summary.exists(), "a run with wrong input leaves no folder"
    else:
        assert told.stdout.startswith("::error ")
        assert summary.read_text(encoding="utf-8") == "## Verdict\n"
    told_code = output.read_text(encoding="utf-8").strip().partition("=")[2]
    choice = str(GITHUB["jobs"]["rehearse"]["env"]["INCONCLUSIVE"])
    decide = step("Decide")["run"]
    assert choice == "3"
    assert run(decide, place, CODE=told_code, INCONCLUSIVE=choice).returncode == code
    assert run(decide, place, CODE=told_code, INCONCLUSIVE="0").returncode == (0 if code == 3 else code)


def test_a_run_that_died_before_it_told_its_code_is_no_pass(place: Path) -> None:
    assert run(step("Decide")["run"], place, CODE="", INCONCLUSIVE="3").returncode != 0


def test_gitlab_ends_as_the_run_did_and_only_inconclusive_is_allowed(place: Path, code: int) -> None:
    script = "\n".join(line for line in JOB["script"] if not line.startswith("make "))
    assert run(script, place).returncode == code
    assert JOB["allow_failure"] == {"exit_codes": 3}


def test_the_note_in_the_merge_request_is_sent_where_there_is_one(place: Path, code: int) -> None:
    curl = place / "bin" / "curl"
    curl.parent.mkdir()
    curl.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word" >> sent; done\n', encoding="utf-8")
    curl.chmod(0o755)
    run("\n".join(line for line in JOB["script"] if not line.startswith("make ")), place)
    (after,) = JOB["after_script"]
    known = {"PATH": f"{curl.parent}:{os.environ['PATH']}", "CI_PROJECT_ID": "7", "CI_API_V4_URL": "API"}

    assert run(after, place, **known).returncode == 0
    assert not (place / "sent").exists(), "no merge request, no token"
    ended = run(after, place, **known, CI_MERGE_REQUEST_IID="5", PTP_NOTES_TOKEN="t0ken")

    assert ended.returncode == 0, ended.stderr
    if code == 2:
        assert not (place / "sent").exists()
        return
    words = (place / "sent").read_text(encoding="utf-8").splitlines()
    assert "API/projects/7/merge_requests/5/notes" in words
    assert "PRIVATE-TOKEN: t0ken" in words and "body=<reports/ci/summary.md" in words
