"""Index economics: what is told of an index can be counted by hand, and advice follows from what was measured."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw.sqlite_extra
import pytest

from ptp.engine.billing import Billed
from ptp.engine.meters import Statement
from ptp.engine.prices import load_prices
from ptp.migration.build import build
from ptp.results import Estimate, Finding
from ptp.workbench import expert
from ptp.workbench.economics import BY_QUERY, SUGGESTIONS, TABLE, index_economics
from ptp.workbench.expert import Absent, Suggestion, ask_expert, find_expert
from ptp.workbench.migrating import plan_of
from ptp.workbench.parts import Part
from ptp.workbench.trying import Effect, Side
from ptp.workbench.worth import Worth, advice_of, advice_to_add, worth_of_created, worth_of_dropped
from ptp.workload.demo import write_demo

SCALER = load_prices().tariff("Scaler")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head with one index that nothing reads, and without one that a query needs."""
    place = tmp_path_factory.mktemp("economics")
    source, head = place / "source.db", place / "head.db"
    write_demo(shape="drizzle", size="tiny", seed=3, out=source)
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute(
            "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
            "INSERT INTO study_sessions (user_id, exam_id) SELECT 1 + i % 19, 1 FROM n"
        )
    build(plan_of(source), source=source, target=head, run="t", now=0, progress=lambda *_: None)
    with closing(sqlite3.connect(head, isolation_level=None)) as db:
        db.execute("CREATE INDEX by_hand ON user_answers (selected_answer)")
        db.execute("DROP INDEX idx_sessions_activity")
        db.execute("ANALYZE")
    return head


@pytest.fixture(scope="module")
def measured(target: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Part, list[float], Path]:
    told: list[float] = []
    out = tmp_path_factory.mktemp("out")
    before = hashlib.sha256(target.read_bytes()).hexdigest()
    part = index_economics(target, out, profile="quick", progress=lambda share, _: told.append(share))
    assert hashlib.sha256(target.read_bytes()).hexdigest() == before
    return part, told, out


@pytest.fixture(scope="module")
def part(measured: tuple[Part, list[float], Path]) -> Part:
    return measured[0]


@pytest.fixture
def db(target: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{target}?mode=ro", uri=True)) as opened:
        yield opened


def row(part: Part, index: str) -> dict[str, Any]:
    (found,) = [r for r in part.tables[TABLE] if r["index"] == index]
    return dict(found)


def finding(part: Part, name: str) -> Finding:
    (found,) = [f for f in part.findings if f.id == f"economics.{name}"]
    return found


def by_query(part: Part, index: str) -> dict[str, dict[str, Any]]:
    return {str(r["query"]): dict(r) for r in part.tables[BY_QUERY] if r["index"] == index}


def test_nothing_is_left_and_progress_goes_forward(measured: tuple[Part, list[float], Path]) -> None:
    _, told, out = measured
    assert list(out.iterdir()) == []
    assert told == sorted(told) and told[0] == 0 and 0.9 < told[-1] <= 1


def test_every_index_that_can_be_dropped_has_its_row_and_finding(part: Part, db: sqlite3.Connection) -> None:
    # What head does not know is carried over, and nothing of ours is asked of it.
    sql = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND name NOT LIKE 'ptp\\_%' ESCAPE '\\'"
    named = {n for (n,) in db.execute(sql)}
    assert {str(r["index"]) for r in part.tables[TABLE]} == {n for n in named if not n.startswith("idx_voice")}
    assert all(f.severity == "note" for f in part.findings)


def test_what_an_index_saves_is_the_scan_that_it_spares(part: Part, db: sqlite3.Connection) -> None:
    (answers,) = db.execute("SELECT count(*) FROM user_answers").fetchone()
    found = by_query(part, "idx_answers_session")["session_progress"]
    spared = found["billed_read_without"] - found["billed_read_with"]
    # Without it all answers are read, by way of their questions or at once; with it those of the session.
    assert answers * 0.9 < spared < answers * 2
    told = row(part, "idx_answers_session")
    assert told["reads_saved_a_month"] == pytest.approx(spared * 240_000, rel=1e-3)
    assert told["dollars_saved"] == pytest.approx(spared * 240_000 * 0.8e-9, abs=1e-3)
    assert told["advice"] == "keep" and "session_progress" in told["serves"]
    assert told["most_gained_by"] == "session_progress" and told["ms_without"] > told["ms_with"] > 0


def test_what_an_index_costs_is_a_write_for_each_answer(part: Part) -> None:
    # Of 20,000 users x 12 sessions x 20 questions, at $0.80 a million.
    for name in ("by_hand", "idx_answers_user_time"):
        told = row(part, name)
        assert told["writes_a_month"] == 4_800_000 and told["dollars_cost"] == pytest.approx(3.84)
    assert by_query(part, "by_hand")["record_answers_50"]["billed_written_with"] == pytest.approx(
        by_query(part, "by_hand")["record_answers_50"]["billed_written_without"] + 50
    )


def test_an_index_that_nothing_reads_is_advised_to_be_dropped(part: Part) -> None:
    told = row(part, "by_hand")
    assert (told["advice"], told["serves"], told["dollars_net"]) == ("drop", "", -3.84)
    assert finding(part, "by_hand").verdict == "fail" and "$3.84" in finding(part, "by_hand").where[0]
    (worth,) = [r for r in part.results if isinstance(r, Estimate) and r.what == "worth of by_hand"]
    assert worth.low <= worth.value <= worth.high and worth.value == pytest.approx(-3.84)


def test_an_index_with_a_duty_is_kept_whatever_it_costs(part: Part) -> None:
    for name in ("idx_questions_reviewer", "idx_users_stripe", "idx_ai_log_user"):
        assert row(part, name)["advice"] == "keep" and "duty" in row(part, name)["why"]


def test_what_an_index_takes_on_disk_is_what_its_absence_sets_free(part: Part, target: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(target.read_bytes())
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        (size,), (free,) = (db.execute(f"PRAGMA {p}").fetchone() for p in ("page_size", "freelist_count"))
        db.execute("DROP INDEX by_hand")
        assert row(part, "by_hand")["bytes"] == size * (db.execute("PRAGMA freelist_count").fetchone()[0] - free)


def test_the_expert_agrees_or_says_what_it_would_build(part: Part) -> None:
    assert row(part, "idx_answers_user_time")["sqlite3_expert"] == "agrees"
    assert row(part, "idx_answers_session")["sqlite3_expert"] == "not judged"  # UPDATE with RETURNING


def test_a_missing_index_is_suggested_tried_and_advised(part: Part) -> None:
    (found,) = [r for r in part.tables[SUGGESTIONS] if "study_sessions" in str(r["statement"])]
    assert found["suggested_for"] == "recent_activity" and found["advice"] == "add"
    # All sessions are read for a page of one user's.
    assert found["reads_saved_a_month"] > 5_000 * 240_000 * 0.9
    told = finding(part, "expert")
    assert told.verdict == "fail" and str(found["statement"]) in told.where[0]
    assert "each tried on a copy" in told.evidence


def test_a_suggestion_that_does_not_pay_is_not_repeated_as_advice(part: Part) -> None:
    left = [r for r in part.tables[SUGGESTIONS] if r["advice"] == "do not add"]
    assert left and all(float(str(r["dollars_net"])) < 0.1 for r in left)
    assert not [r for r in left if str(r["statement"]) in str(finding(part, "expert").where)]


# What sqlite3_expert is asked


def test_the_expert_is_given_values_but_nobody_else_is(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[list[str], str, int]] = []
    run = subprocess.run

    def spy(command: list[str], **more: Any) -> Any:
        if "-file" in command:
            file = Path(command[command.index("-file") + 1])
            seen.append((command, file.read_text(), stat.S_IMODE(file.parent.stat().st_mode)))
        return run(command, **more)

    monkeypatch.setattr(expert.subprocess, "run", spy)
    statement = Statement("SELECT id FROM users WHERE name = ?", (("O'Hara",),))
    found = ask_expert(db, {"q": [statement]}, indexes=True)
    assert found["q"].suggestions == (Suggestion("users", ("name",)),)
    ((command, text, mode),) = seen
    assert "name = 'O''Hara'" in text and "Hara" not in str(command) and mode == 0o700


def test_the_expert_is_asked_with_the_indexes_there_are_or_as_if_there_were_none(db: sqlite3.Connection) -> None:
    statement = Statement("SELECT id FROM user_answers WHERE study_session_id = ?", ((1,),))
    assert ask_expert(db, {"q": [statement]}, indexes=True)["q"].suggestions == ()
    assert ask_expert(db, {"q": [statement]}, indexes=False)["q"].suggestions == (
        Suggestion("user_answers", ("study_session_id",)),
    )


def test_what_the_expert_does_not_take_is_told(db: sqlite3.Connection) -> None:
    upsert = "INSERT INTO growth_metrics (date) VALUES (?) ON CONFLICT (date) DO UPDATE SET new_followers = 1"
    found = ask_expert(db, {"q": [Statement(upsert, (("2025-01-01",),))]}, indexes=False)["q"]
    assert not found.judged and "UPSERT not implemented" in found.not_judged[0]


def test_a_suggestion_has_a_name_that_tells_what_it_is_on() -> None:
    found = Suggestion("t", ("a", "b COLLATE NOCASE DESC"))
    assert found.sql == 'CREATE INDEX "suggested_t_a_b_nocase_desc" ON "t" (a, b COLLATE NOCASE DESC)'


def test_without_the_expert_it_is_not_applicable_with_the_reason(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(name: str) -> str:
        raise apsw.sqlite_extra.NotAvailable(f"{name} is not included")

    monkeypatch.setattr(apsw.sqlite_extra, "path", gone)
    with pytest.raises(Absent, match="sqlite3_expert is not included"):
        find_expert()
    monkeypatch.setattr(apsw.sqlite_extra, "path", lambda _: str(tmp_path / "sqlite3_expert"))
    (tmp_path / "sqlite3_expert").write_text("#!/bin/no-such-shell\n")
    with pytest.raises(Absent, match="does not run here"):
        find_expert()
    monkeypatch.setattr("ptp.workbench.economics._indexes", lambda _: [])
    part = index_economics(target, tmp_path, profile="quick")
    told = finding(part, "expert")
    assert told.verdict == "not applicable" and "does not run here" in told.evidence
    assert list(part.tables) == []


# Advice, by hand


def side(ms: float | None, read: int = 0, written: int = 0) -> Side:
    return Side(ms, Billed(read, written), 1)


def worth(*effects: Effect) -> Worth:
    return worth_of_dropped(effects, SCALER)


COSTS = Effect("record_answer", side(None, 0, 2), side(None, 0, 1))  # 3.84 million writes a month: $3.072
GAINS = Effect("leaderboard", side(1.0, 10), side(2.0, 10))
SAVES = Effect("leaderboard", side(1.0, 10), side(1.1, 100_010))  # 120,000 times 100,000 rows: $9.60


@pytest.mark.parametrize(
    ("effects", "serves", "duty", "advice", "why"),
    [
        ([COSTS], (), None, "drop", "no query of the workload reads it; it costs $3.07"),
        ([COSTS], (), "rule: sign-in", "keep", "rule: sign-in; it costs $3.07"),
        ([COSTS, GAINS], ("leaderboard",), None, "keep", "without it leaderboard takes 2 ms for 1 ms; it costs $3.07"),
        ([COSTS, SAVES], ("leaderboard",), None, "keep", "it saves $6.53"),
        (
            [COSTS, Effect("leaderboard", side(1.0), side(1.9))],
            ("leaderboard",),
            None,
            "drop",
            "no query takes 2 times as long without it; it costs $3.07",
        ),
        # Twice as long, but by less than a tenth of a ms.
        ([COSTS, Effect("leaderboard", side(0.05), side(0.149))], ("leaderboard",), None, "drop", "costs $3.07"),
        ([COSTS, Effect("rank", None, None, "no such index")], ("rank",), None, "keep", "rank does not run without it"),
        ([Effect("change", side(None, 0, 9), side(None, 0, 1))], ("change",), None, "keep", "next to nothing"),
        ([Effect("change", side(None, 0, 9), side(None, 0, 1))], (), None, "drop", "it costs $0.01 a month"),
        ([Effect("change", side(None, 0, 2), side(None, 0, 1))], ("change",), None, "keep", "less than a cent"),
    ],
)  # fmt: skip
def test_advice(effects: list[Effect], serves: tuple[str, ...], duty: str | None, advice: str, why: str) -> None:
    found = advice_of(worth(*effects), serves=serves, duty=duty)
    assert found[0] == advice and why in found[1]


def test_an_index_to_add_is_seen_from_the_other_side() -> None:
    created = Effect("leaderboard", side(5.0, 100_010), side(1.0, 10))
    cost = Effect("record_answer", side(None, 0, 1), side(None, 0, 2))
    found = worth_of_created((created, cost), SCALER)
    assert found.net == pytest.approx(9.60 - 3.072) and found.reads_saved == 12e9 and found.writes_added == 3.84e6
    assert advice_to_add(found)[0] == "add" and "leaderboard takes 1 ms for 5 ms" in advice_to_add(found)[1]
    assert advice_to_add(worth_of_created((cost,), SCALER)) == (
        "do not add",
        "no query gains 2 times by it; it costs $3.07 a month more than it saves",
    )


def test_an_estimate_that_is_not_exact_has_a_range_around_it() -> None:
    guess = Effect("leaderboard", Side(1.0, Billed(10, 0, exact=False), 1), Side(1.0, Billed(1_000, 0, exact=False), 1))
    low, high = worth(guess).net_range
    assert low < worth(guess).net < high
    # 120,000 calls, 0.4 to 2.6 times the rows: from 400 - 26 to 2600 - 4.
    assert (low, high) == pytest.approx((374 * 120_000 * 0.8e-9, 2_596 * 120_000 * 0.8e-9))
