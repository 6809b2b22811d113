"""Gates that a run must have: each once, all tables, all queries."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from ptp.results import Finding, missing, worst
from ptp.workbench.gates import required_gates
from ptp.workload.limits import LIMITS_MS, Profile

FACTS = json.loads((Path(__file__).parents[1] / "facts" / "source-schemas.json").read_text(encoding="utf-8"))
TABLES = sorted(set(FACTS["drizzle"]) - {"voice_profiles"})
PROFILES: tuple[Profile, ...] = get_args(Profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_each_gate_is_required_once(profile: Profile) -> None:
    assert [gate for gate, n in Counter(required_gates(profile)).items() if n > 1] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_the_content_of_all_14_tables_is_required(profile: Profile) -> None:
    content = [g.removeprefix("verify.content.") for g in required_gates(profile) if g.startswith("verify.content.")]
    assert sorted(content) == sorted([*TABLES, "carried"])
    assert len(TABLES) == 14


@pytest.mark.parametrize("profile", PROFILES)
def test_every_query_that_has_a_limit_is_required(profile: Profile) -> None:
    bench = {g.removeprefix("bench.") for g in required_gates(profile) if g.startswith("bench.")}
    assert bench == set(LIMITS_MS)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "gate",
    [
        "migrate.conversions",
        "migrate.backup",
        "migrate.source-unchanged",
        "migrate.plan",
        "verify.rows",
        "verify.values",
        "verify.integrity",
        "verify.foreign-keys",
        "verify.schema",
        "verify.journal",
        "prove.kill-rate",
        "prove.false-alarms",
    ],
)
def test_what_the_design_promises_is_required(profile: Profile, gate: str) -> None:
    assert gate in required_gates(profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_gate_names_its_stage(profile: Profile) -> None:
    further = {"quick": set[str](), "full": {"load", "scale"}}[profile]
    stages = {"migrate", "verify", "prove", "bench", "self"} | further
    assert {gate.split(".")[0] for gate in required_gates(profile)} == stages


def test_the_load_of_a_full_run_is_required_and_a_quick_one_has_none() -> None:
    load = {gate for gate in required_gates("full") if gate.startswith("load.")}
    fixed = ["generator", "sums", "little", "all.errors", "answers.kept", "answers.sent", "statistics", "unwritten"]
    asked = "study_questions study_questions_filtered search_questions record_answer session_progress user_progress"
    asked += " leaderboard pending_opportunities growth_analytics ai_cost_summary"
    assert load == {f"load.{name}" for name in (*fixed, *(f"{name}.response" for name in asked.split()))}
    assert not [gate for gate in required_gates("quick") if gate.startswith("load.")]


@pytest.mark.parametrize("profile", PROFILES)
def test_any_one_gate_that_is_absent_makes_a_run_invalid(profile: Profile) -> None:
    required = required_gates(profile)
    every = [Finding(id=gate, claim="", verdict="pass") for gate in required]
    assert worst(every, required=required) == "pass"
    for absent, gate in enumerate(required):
        rest = every[:absent] + every[absent + 1 :]
        assert worst(rest, required=required) == "invalid"
        assert tuple(missing(rest, required=required)) == (gate,)
