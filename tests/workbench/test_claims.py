"""The claims held to measurement: on a small ladder and a demo, and the tables on values made by hand."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ptp.engine.meters import Counters
from ptp.errors import DiskFull, UsageError
from ptp.evidence import Stage, read_stage, write_stage
from ptp.results import Finding
from ptp.workbench import claim_rungs, claims
from ptp.workbench.claim_rungs import BUDGETS, LADDER, OUTREACH, Rung, by_cost, statement_costs
from ptp.workbench.claim_tables import Held, claim_rows, findings, measurements, scaling_rows
from ptp.workbench.claims import build_head, measure_claims, plan_without_options, remove_scratch, told, write_rung
from ptp.workbench.parts import Part
from ptp.workload.claims import BY_QUERY, CLAIMS, Both, Budget
from ptp.workload.demo import write_demo

COLUMNS = {
    "operation", "rung", "questions", "answers", "limit_ms", "claimed_before_ms", "claimed_after_ms", "claimed_gain",
    "plain_p50_ms", "ptp_p50_ms", "gain", "gain_low", "gain_high", "n", "plain_vm_steps", "ptp_vm_steps", "note",
    "plain_statements", "ptp_statements",
}  # fmt: skip
SMALL = (Rung(500, 2_000), Rung(5_000, 2_000))
STUDY = ("study_questions", "leaderboard", "user_progress", "question_analytics", "session_progress", "record_answer")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A demo source of the raw shape, and the head built from it."""
    folder = tmp_path_factory.mktemp("claims")
    source = write_demo(shape="raw", size="tiny", seed=5, out=folder / "old.db").path
    build_head(source, folder / "new.db")
    return source, folder / "new.db"


def run(source: Path | None, target: Path, out: Path, *, rungs: Sequence[Rung] = (), **more: Any) -> Part:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "LADDER", {"quick": rungs})
        patch.setattr(claims, "BUDGETS", {"quick": Budget(0.01, 12)})
        return measure_claims(source, target, out, seed=3, **more)


@pytest.fixture(scope="module")
def measured(pair: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Part, list[float]]:
    shares: list[float] = []
    out = tmp_path_factory.mktemp("out")
    before = digests(pair)
    part = run(*pair, out, rungs=SMALL, progress=lambda share, text: shares.append(share))
    assert digests(pair) == before
    assert list(out.iterdir()) == []
    assert sorted(path.name for path in pair[0].parent.iterdir()) == ["new.db", "old.db"]
    return part, shares


def digests(files: Sequence[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def finding(part: Part, name: str) -> Finding:
    return next(one for one in part.findings if one.id == name)


def test_source_and_target_stay_as_they_were_and_progress_goes_from_nothing_to_all(
    measured: tuple[Part, list[float]],
) -> None:
    _, shares = measured
    assert shares == sorted(shares)
    assert shares[0] < 0.01 and shares[-1] == 1.0
    assert max(later - earlier for earlier, later in pairwise(shares)) < 0.3


def test_there_is_a_row_for_each_claim_and_each_pair_of_databases(measured: tuple[Part, list[float]]) -> None:
    rows = measured[0].tables["Claims"]
    assert all(set(row) == COLUMNS for row in rows)
    assert list(dict.fromkeys(row["operation"] for row in rows)) == [claim.operation for claim in CLAIMS]
    for name in STUDY:
        mine = [row for row in rows if row["operation"] == BY_QUERY[name].operation]
        assert [(row["questions"], row["answers"]) for row in mine] == [(300, 2_000), (500, 2_000), (5_000, 2_000)]
        for row in mine:
            assert row["n"] in (11, 12)
            assert row["gain_low"] <= row["gain"] <= (row["gain_high"] or row["gain"])  # none where calls depend
            assert row["plain_vm_steps"] > 20 < row["ptp_vm_steps"]
            assert row["ptp_statements"] <= row["plain_statements"] or name == "study_questions"


def test_what_cannot_be_measured_here_says_what_measures_it(measured: tuple[Part, list[float]]) -> None:
    rows = {row["operation"]: row for row in measured[0].tables["Claims"] if row["rung"] == "not measured here"}
    notes = {claim.operation: claim.measured_by for claim in CLAIMS if claim.measured_by}
    assert len(notes) == 5
    for operation, measured_by in notes.items():
        assert measured_by in rows[operation]["note"]
        assert rows[operation]["gain"] is rows[operation]["n"] is None
    assert "limit < 1 %, before 8 %, after < 1 %" in rows["error rate under load"]["note"]


def test_raw_samples_of_both_ways_stand_behind_every_row(measured: tuple[Part, list[float]]) -> None:
    part = measured[0]
    samples = {one.what: one.samples for one in part.results if hasattr(one, "samples")}
    for row in part.tables["Claims"]:
        if row["n"]:
            name = next(claim.query for claim in CLAIMS if claim.operation == row["operation"])
            key = "" if row["rung"].startswith("your") else f".q{row['questions']}_a{row['answers']}"
            plain, ptp = (samples[f"claims.{name}{key}.{side}"] for side in ("plain", "ptp"))
            assert len(plain) == len(ptp) == row["n"]
            assert sorted(plain)[(row["n"] - 1) // 2] == row["plain_p50_ms"]


def test_only_the_outcomes_are_a_gate(measured: tuple[Part, list[float]]) -> None:
    part = measured[0]
    assert [one.id for one in part.findings if one.severity != "note"] == ["claims.alike"]
    alike = finding(part, "claims.alike")
    assert (alike.verdict, alike.value) == ("pass", 0)
    assert alike.n == sum(row["n"] or 0 for row in part.tables["Claims"])
    ids = [one.id for one in part.findings]
    assert len(set(ids)) == len(ids)
    assert {"claims.study_questions", "claims.study_questions.q5000_a2000"} <= set(ids)
    assert "claims.user_progress" not in ids  # nothing was claimed of it


def test_a_query_without_an_index_grows_with_the_exam_and_the_draw_does_not(
    measured: tuple[Part, list[float]],
) -> None:
    """Rule 13: 1x and 10x data; VM steps are exact."""
    rows = [r for r in measured[0].tables["Scaling"] if r["operation"] == "study questions" and r["unit"] == "VM steps"]
    by_side = {row["side"]: row for row in rows if row["over"] == "questions"}
    assert by_side["plain"]["sizes"] == "500, 5,000"
    assert 0.9 < by_side["plain"]["low"] <= by_side["plain"]["exponent"] <= by_side["plain"]["high"] < 1.1
    assert -0.1 < by_side["ptp"]["low"] <= by_side["ptp"]["exponent"] <= by_side["ptp"]["high"] < 0.1


def test_growth_with_the_answers_wants_another_size(measured: tuple[Part, list[float]]) -> None:
    rows = [row for row in measured[0].tables["Scaling"] if row["over"] == "answers"]
    assert [row["operation"] for row in rows] == [BY_QUERY[name].operation for name in STUDY]
    assert {(row["sizes"], row["exponent"]) for row in rows} == {("one size only: profile full has more", None)}


def test_the_part_goes_to_disk_and_back(measured: tuple[Part, list[float]], tmp_path: Path) -> None:
    part = measured[0]
    stage = Stage("03_claims", "Claims", 1.0, part.results, part.tables)
    write_stage(tmp_path, stage)
    again = read_stage(tmp_path / "results" / "03_claims.json")
    assert again.results == stage.results
    assert json.loads(json.dumps(again.tables)) == json.loads(json.dumps(dict(stage.tables)))


def own(source: Path | None, target: Path, out: Path) -> tuple[Part, Finding | None]:
    part = run(source, target, out)
    return part, next((one for one in part.findings if one.id == "claims.own"), None)


def changed(pair: tuple[Path, Path], folder: Path, *, old: str = "", new: str = "") -> tuple[Path, Path]:
    copies = folder / "old.db", folder / "new.db"
    for path, copy, sql in zip(pair, copies, (old, new), strict=True):
        shutil.copyfile(path, copy)
        with closing(sqlite3.connect(copy, isolation_level=None)) as db:
            db.executescript(sql)
    return copies


def test_without_a_source_its_pair_is_left_out_with_the_reason(pair: tuple[Path, Path], tmp_path: Path) -> None:
    part, left_out = own(None, pair[1], tmp_path)
    assert left_out and (left_out.verdict, left_out.severity) == ("not applicable", "note")
    assert left_out.evidence == "No source was named."
    assert {row["rung"] for row in part.tables["Claims"]} == {"not measured here"}


def test_a_source_of_the_drizzle_shape_is_told_as_such(pair: tuple[Path, Path], tmp_path: Path) -> None:
    drizzle = write_demo(shape="drizzle", size="tiny", seed=5, out=tmp_path / "drizzle.db").path
    _, left_out = own(drizzle, pair[1], tmp_path)
    assert left_out and "has the shape drizzle" in left_out.evidence


def test_a_target_that_has_gone_on_is_not_compared_with_its_source(pair: tuple[Path, Path], tmp_path: Path) -> None:
    gone_on = changed(pair, tmp_path, new="DELETE FROM user_answers WHERE id = (SELECT max(id) FROM user_answers)")
    part, left_out = own(*gone_on, tmp_path)
    assert left_out and "user_answers has 2,000 rows in the source and 1,999 in the target" in left_out.evidence
    assert finding(part, "claims.alike").verdict == "not applicable"


def test_unlike_outcomes_fail_the_gate_and_name_the_operation(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = changed(pair, tmp_path, old="UPDATE users SET name = name || '!'")
    part = run(*other, tmp_path)
    alike = finding(part, "claims.alike")
    assert (alike.verdict, alike.severity, alike.value, alike.where) == ("fail", "gate", 1, ("claims.leaderboard",))
    assert "ptp gave" in alike.evidence
    row = next(r for r in part.tables["Claims"] if r["operation"] == "leaderboard" and r["rung"].startswith("your"))
    assert row["gain"] is None and "ptp gave" in row["note"]


def test_where_values_stand_in_quarantine_outcomes_are_not_compared(pair: tuple[Path, Path], tmp_path: Path) -> None:
    quarantined = """
        INSERT INTO ptp_quarantine (run, kind, table_name, row_key, column_name, reason)
        VALUES ('r', 'value', 'users', '1', 'name', 'a reason')"""
    other = changed(pair, tmp_path, old="UPDATE users SET name = name || '!'", new=quarantined)
    part = run(*other, tmp_path)
    assert finding(part, "claims.alike").verdict == "pass"
    notes = [row["note"] for row in part.tables["Claims"] if row["rung"].startswith("your")]
    assert len(notes) == 6 and all("Outcomes were not compared: 1 values stand in quarantine." in one for one in notes)


def test_a_disk_without_the_room_is_told_before_anything_is_written(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = max(rung.bytes for rung in LADDER["full"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(DiskFull, match="this needs about"):
        measure_claims(*pair, tmp_path, profile="full")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_told_before_anything_is_written(pair: tuple[Path, Path], tmp_path: Path) -> None:
    for source, target in ((pair[0], tmp_path / "none.db"), (tmp_path / "none.db", pair[1])):
        with pytest.raises(UsageError, match=r"none\.db"):
            run(source, target, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "claims-scratch").mkdir()
    (tmp_path / "claims-scratch" / "head.db.partial").write_bytes(b"half")
    remove_scratch(tmp_path)
    remove_scratch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_no_scratch(pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise DiskFull("The disk is full.")

    monkeypatch.setattr(claims, "measure_pair", fails)
    with pytest.raises(DiskFull):
        run(None, pair[1], tmp_path, rungs=(Rung(300, 400),))
    assert list(tmp_path.iterdir()) == []


def both(name: str = "study_questions", plain: float = 72.0, ptp: float = 10.0, n: int = 20, **more: Any) -> Both:
    jitter = [1 + place % 5 / 1000 for place in range(n)]
    return Both(
        name,
        tuple(plain * j for j in jitter),
        (ptp,) * n,
        (Counters(23, 23, 1000),) * 2,
        (Counters(1, 1, 10),) * 2,
        **more,
    )


def held(*found: Both, questions: int = 10_000, answers: int = 100_000) -> Held:
    return Held(f"q{questions}_a{answers}", "a rung", questions, answers, found)


@pytest.mark.parametrize(
    ("plain", "verdict"), [(72.1, "pass"), (71.0, "fail"), (71.9, "inconclusive"), (720.0, "pass")]
)
def test_a_gain_is_held_to_its_claim_by_its_interval(plain: float, verdict: str) -> None:
    """7.2 times was claimed; the ratios lie within 0.4 %."""
    alike, gained = findings([held(both(plain=plain))])
    assert (gained.id, gained.verdict, gained.severity) == ("claims.study_questions.q10000_a100000", verdict, "note")
    assert (gained.limit, gained.unit, gained.n) == (7.2, "times", 20)
    assert gained.low is not None and gained.high is not None
    assert plain / 10 - 1e-9 <= gained.low <= gained.high <= plain / 10 * 1.004 + 1e-9
    assert alike.verdict == "pass"
    assert "with 23 and 1 statements a call" in gained.evidence


def test_too_few_pairs_give_no_bound_and_no_verdict() -> None:
    _, gained = findings([held(both(plain=720.0, n=3))])
    assert (gained.verdict, gained.low, gained.high) == ("inconclusive", 0.0, None)  # a ratio is over 0
    (row,) = [row for row in claim_rows([held(both(n=3))]) if row["rung"] == "a rung"]
    assert (row["gain_low"], row["gain_high"]) == (0.0, None)


def test_an_error_is_told_with_what_was_timed_before_it() -> None:
    alike, *_ = findings([held(both(error="wrong outcome"), both("leaderboard"))])
    assert (alike.verdict, alike.value, alike.where) == ("fail", 1, ("claims.study_questions.q10000_a100000",))
    assert findings([held(Both("leaderboard", absent="The table is empty."))])[0].verdict == "not applicable"


def test_exponents_are_those_of_the_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    ladder = [held(both(plain=1.0 * size / 1000), questions=size) for size in (1_000, 10_000, 100_000)]
    ladder += [held(both(plain=(size / 1000) ** 0.5), questions=1_000, answers=size) for size in (10**6, 10**7)]
    rows = {(r["over"], r["side"], r["unit"]): r for r in scaling_rows(ladder)}
    assert rows["questions", "plain", "ms"]["exponent"] == pytest.approx(1.0, abs=0.01)
    assert rows["questions", "ptp", "ms"]["exponent"] == pytest.approx(0.0, abs=0.01)
    assert rows["questions", "plain", "VM steps"]["exponent"] == pytest.approx(0.0, abs=0.01)
    assert rows["answers", "plain", "ms"]["sizes"] == "100,000, 1,000,000, 10,000,000"
    # the user's own pair is of other data, and so no size of the ladder
    assert scaling_rows([*ladder, replace(ladder[0], key="", questions=5)]) == scaling_rows(ladder)
    assert [one.what for one in measurements(ladder[:1], {})] == [
        "claims.study_questions.q1000_a100000.plain",
        "claims.study_questions.q1000_a100000.ptp",
    ]
    assert told([]).tables["Scaling"] == []


def test_the_ladder_is_that_of_the_plan() -> None:
    assert LADDER["quick"] == (OUTREACH, Rung(10_000, 100_000), Rung(100_000, 100_000))
    assert LADDER["full"][3:] == (Rung(1_000_000, 100_000), Rung(10_000, 1_000_000), Rung(10_000, 10_000_000))
    assert LADDER["full"][:3] == LADDER["quick"]
    assert OUTREACH.name == "20,000 opportunities, 1,000 days, 50,000 AI calls"


def test_parts_are_told_by_what_they_cost() -> None:
    shares: list[float] = []
    telling = by_cost(lambda share, text: shares.append(share), [1.0, 3.0, 4.0])
    for text in ("a", "b", "c", "end", "and again"):
        telling(0.77, text)
    assert shares == [0.0, 0.125, 0.5, 1.0, 1.0]


def test_the_costs_of_a_plan_are_of_its_rows_and_larger_rungs_cost_more(tmp_path: Path) -> None:
    write_rung(Rung(300, 400), tmp_path / "small.db", seed=1)
    costs = statement_costs(plan_without_options(tmp_path / "small.db"))
    assert min(costs) == 0 < sum(costs) < 0.1
    for profile, budget in BUDGETS.items():
        whole = [r.writing + r.building + sum(r.measuring(budget)) for r in LADDER[profile]]
        assert whole == sorted(whole) or profile == "full"
        assert all(len(rung.measuring(budget)) in (4, 7) for rung in LADDER[profile])
    assert claim_rungs.study_costs(10**6, 0, BUDGETS["quick"]) > claim_rungs.study_costs(10**4, 0, BUDGETS["quick"])
