"""The old application's way and ptp's have the same outcomes: each is the witness of the other; and the claims as data."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ptp.benchmark.pairs import TimedPairs
from ptp.engine import connect_file, open_engine
from ptp.queries import NewAnswer, StudyQueries
from ptp.workbench.claims import build_head
from ptp.workload.claims import (
    BY_QUERY,
    CLAIMS,
    Budget,
    Operation,
    Sides,
    outreach_operations,
    study_operations,
    write_outreach_source,
    write_study_source,
)
from ptp.workload.claims import study as old_study
from ptp.workload.claims.likeness import differing, differing_draws
from ptp.workload.claims.plain import Noting, as_seconds, as_text
from ptp.workload.claims.timing import LEAST_PAIRS, pairs_that_fit
from ptp.workload.demo import DEMO_NOW
from ptp.workload.draws import newest
from ptp.workload.floors import plain_connection
from ptp.workload.limits import LIMITS_MS

FACTS = Path(__file__).parents[1] / "facts" / "claims.md"
Made = Callable[[str, str], Any]


def cells() -> list[list[str]]:
    lines = [line for line in FACTS.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_claims_are_those_of_the_facts_cell_for_cell() -> None:
    told = [[c.operation, c.limit, c.before, c.after, c.gain, c.plain, c.optimised] for c in CLAIMS]
    assert told == cells()


def test_a_claim_is_measured_by_a_query_with_its_limit_or_says_what_measures_it() -> None:
    for claim in CLAIMS:
        assert bool(claim.query) != bool(claim.measured_by)
    assert {name: claim.limit_ms for name, claim in BY_QUERY.items()} == {name: LIMITS_MS[name] for name in BY_QUERY}


def test_numbers_are_taken_from_the_cells_in_ms_and_times() -> None:
    by_name = {claim.operation: claim for claim in CLAIMS}
    study, users = by_name["study questions"], by_name["concurrent users"]
    assert (study.limit_ms, study.before_ms, study.after_ms, study.gain_times) == (50.0, 180.0, 25.0, 7.2)
    assert (users.limit_ms, users.before_ms, users.after_ms, users.gain_times) == (None, None, None, 5.0)
    assert by_name["error rate under load"].limit_ms is by_name["database cost"].gain_times is None
    assert study.seen_when_run == "The claimant's own code, when run, plain: 5.9 ms; optimised: 23.3 ms (4x slower)."


@contextmanager
def opened(old: Path, head: Path) -> Iterator[Sides]:
    engine = open_engine(head)
    with plain_connection(engine, old) as plain, plain_connection(engine, head) as witness:
        yield Sides(engine, witness, plain)
    engine.dispose()


@pytest.fixture(scope="module")
def originals(made: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """A demo of the raw shape and an invented source of the growth system, each with the head built from it."""
    folder = tmp_path_factory.mktemp("claims")
    outreach = folder / "outreach.db"
    write_outreach_source(outreach, seed=3, progress=lambda share, text: None)
    sources = {"study": made("raw", "tiny").path, "outreach": outreach}
    for name, source in sources.items():
        build_head(source, folder / f"{name}-head.db")
    return {name: (source, folder / f"{name}-head.db") for name, source in sources.items()}


@pytest.fixture
def study(originals: dict[str, tuple[Path, Path]], tmp_path: Path) -> Iterator[Sides]:
    """Copies that a test may change."""
    copies = [tmp_path / path.name for path in originals["study"]]
    for path, copy in zip(originals["study"], copies, strict=True):
        copy.write_bytes(path.read_bytes())
    with opened(*copies) as sides:
        yield sides


@pytest.fixture
def outreach(originals: dict[str, tuple[Path, Path]]) -> Iterator[Sides]:
    """As it was: what a test changes, it takes back."""
    with opened(*originals["outreach"]) as sides:
        yield sides


def outcomes(operation: Operation, db: sqlite3.Connection, n: int) -> list[str]:
    """How the outcomes of n pairs differ."""
    pairs = operation.pairs(db, first=0, n=n)
    return [unlike for pair in pairs if (unlike := pair.unlike(pair.call(), pair.floor()))]


def operation_of(sides: Sides, name: str, count: int = 60) -> Operation:
    made = (*study_operations(sides, count=count, seed=5), *outreach_operations(sides, now=DEMO_NOW))
    return next(one for one in made if one.name == name)


STUDY = ("study_questions", "leaderboard", "user_progress", "question_analytics", "session_progress", "record_answer")
OUTREACH = ("pending_opportunities", "growth_analytics", "ai_cost_summary")


def test_every_claim_of_a_query_has_its_operation(study: Sides) -> None:
    made = (*outreach_operations(study, now=DEMO_NOW), *study_operations(study, count=5, seed=1))
    assert sorted(one.name for one in made) == sorted(BY_QUERY) == sorted((*STUDY, *OUTREACH))
    writes = [one.writes for one in made]
    assert writes == sorted(writes)  # those that read come first
    assert {one.name for one in made if one.writes} == {"session_progress", "record_answer"}


@pytest.mark.parametrize("name", STUDY)
def test_both_ways_have_the_same_outcomes_on_a_demo(study: Sides, name: str) -> None:
    assert outcomes(operation_of(study, name), study.old, 60) == []


@pytest.mark.parametrize("name", OUTREACH)
def test_both_ways_have_the_same_outcomes_where_no_raw_table_is(outreach: Sides, name: str) -> None:
    operation = operation_of(outreach, name)
    assert operation.absent is None
    assert outcomes(operation, outreach.old, 2) == []


FAULTS = {
    "study_questions": "UPDATE questions SET review_status = 'pending' WHERE id % 2",
    "leaderboard": "UPDATE users SET name = name || '!'",
    "user_progress": "UPDATE user_answers SET is_correct = 1 - is_correct",
    "question_analytics": "UPDATE questions SET correct_attempts = total_attempts",
    "session_progress": "UPDATE user_answers SET time_spent_seconds = time_spent_seconds + 1",
    "record_answer": "UPDATE questions SET total_attempts = total_attempts + 1",
    "pending_opportunities": "UPDATE tweets SET text = text || '!'",
    "growth_analytics": "UPDATE growth_metrics SET impressions = impressions + 1",
    "ai_cost_summary": "UPDATE ai_generation_log SET cost_cents = cost_cents + 1 WHERE id > 49990",
}


@pytest.mark.parametrize("broken", ["old", "head"])
@pytest.mark.parametrize("name", STUDY)
def test_a_fault_in_either_database_is_seen_by_the_other(study: Sides, name: str, broken: str) -> None:
    getattr(study, broken).execute(FAULTS[name])
    found = outcomes(operation_of(study, name), study.old, 20)
    assert len(found) >= 10  # not every user has a streak, nor every draw a question that was changed


@pytest.mark.parametrize("broken", ["old", "head"])
@pytest.mark.parametrize("name", OUTREACH)
def test_a_fault_in_the_growth_system_is_seen_too(
    originals: dict[str, tuple[Path, Path]], tmp_path: Path, name: str, broken: str
) -> None:
    place = {"old": 0, "head": 1}[broken]
    copy = tmp_path / "broken.db"
    copy.write_bytes(originals["outreach"][place].read_bytes())
    with connect_file(copy) as db:
        db.execute(FAULTS[name])
    files = list(originals["outreach"])
    files[place] = copy
    with opened(*files) as sides:
        assert len(outcomes(operation_of(sides, name), sides.old, 1)) == 1


def test_both_draws_leave_out_what_was_answered_lately_and_nothing_else(study: Sides) -> None:
    now = newest(study.engine)
    user, question, exam = study.old.execute(
        "SELECT user_id, question_id, exam_id FROM user_answers JOIN questions ON questions.id = question_id "
        "WHERE answered_at = (SELECT max(answered_at) FROM user_answers)"
    ).fetchone()
    plain = old_study.study_questions(study.old, exam_id=exam, user_id=user, since=now - 86_400, limit=500)
    called = StudyQueries(study.engine).study_questions(exam_id=exam, user_id=user, limit=500, now=now)
    may_be_drawn = "SELECT id FROM questions WHERE is_active = 1 AND review_status = 'approved'"
    eligible = {key for (key,) in study.old.execute(may_be_drawn)}
    assert {row[0] for row in plain} == {row.id for row in called} < eligible
    assert question in eligible - {row[0] for row in plain}


def test_what_is_wrong_with_a_draw_is_told(study: Sides) -> None:
    asked = {"exam_id": 1, "user_id": 1, "since": 0}
    first, *rest = old_study.study_questions(study.old, **asked)
    drawn = [first, *rest]

    def wrong(called: list[Any], plain: list[Any]) -> str | None:
        return differing_draws(study.head, study.old, called, plain, **asked)

    (rejected,) = study.head.execute("SELECT id FROM questions WHERE review_status = 'rejected' LIMIT 1").fetchone()
    other = (rejected, *first[1:])
    assert wrong(drawn, drawn[::-1]) is None
    assert wrong([first, first, *rest[1:]], drawn) == "ptp drew a question twice"
    assert wrong(drawn, [first, first, *rest[1:]]) == "plain SQL drew a question twice"
    assert wrong(rest, drawn) == "ptp drew 19 questions, plain SQL 20"
    assert f"ptp drew question {rejected}, which the other database would not draw" in str(wrong([other, *rest], drawn))
    assert f"plain SQL drew question {rejected}, which" in str(wrong(drawn, [other, *rest]))


def test_the_plain_draw_is_not_the_same_each_time(study: Sides) -> None:
    asked = {"exam_id": 1, "user_id": 1, "since": 0}
    first, second = (old_study.study_questions(study.old, **asked) for _ in range(2))
    assert len(first) == len(second) == 20
    assert first != second


def test_a_recording_that_fails_leaves_nothing(study: Sides) -> None:
    wrong = NewAnswer(user_id=1, question_id=10**6, selected_answer="a", is_correct=True, time_spent_seconds=5)
    before = study.old.execute("SELECT count(*) FROM user_answers").fetchone()
    with pytest.raises(sqlite3.IntegrityError):
        old_study.record_answer(study.old, wrong, now=DEMO_NOW)
    assert not study.old.in_transaction
    assert study.old.execute("SELECT count(*) FROM user_answers").fetchone() == before


def test_statements_are_noted_without_what_begins_and_ends_transactions(study: Sides) -> None:
    noting = Noting(study.old)
    answer = NewAnswer(user_id=1, question_id=3, selected_answer="a", is_correct=True, time_spent_seconds=5)
    old_study.record_answer(noting, answer, now=DEMO_NOW)
    assert [s.sql.split()[0] for s in noting.statements] == ["SELECT", "INSERT", "SELECT", "UPDATE"]
    assert noting.statements[0].parameters == (1, 3)


def test_a_session_is_counted_answer_by_answer(study: Sides) -> None:
    noting = Noting(study.old)
    (session, answers) = study.old.execute(
        "SELECT study_session_id, count(*) FROM user_answers WHERE study_session_id IS NOT NULL GROUP BY 1 LIMIT 1"
    ).fetchone()
    old_study.session_progress(noting, session_id=session)
    assert len(noting.statements) == answers + 3


def test_a_database_without_answers_has_no_operation_to_call(originals: Any, tmp_path: Path) -> None:
    copies = [tmp_path / path.name for path in originals["outreach"]]
    for path, copy in zip(originals["outreach"], copies, strict=True):
        copy.write_bytes(path.read_bytes())
    with opened(*copies) as sides:
        assert {one.absent for one in study_operations(sides, count=3, seed=1)} == {
            "The database holds no answers to draw arguments from."
        }


def test_likeness_is_exact_but_for_the_rounding_of_sums() -> None:
    assert differing("x", [(1, 0.1 + 0.2, None)], [(1, 0.3, None)]) is None
    assert differing("x", (1, {2: 0.5}), [1, {2: 0.5}]) is None
    for wrong in ([(1, 0.3001)], [(2, 0.3)], [(1, None)], [(1, 0.3), (1, 0.3)], []):
        assert "x: ptp gave" in str(differing("x", [(1, 0.3)], wrong))


def test_times_go_there_and_back() -> None:
    assert as_text(DEMO_NOW) == "2026-06-30 12:00:00"
    assert as_seconds(as_text(DEMO_NOW)) == DEMO_NOW


@pytest.mark.parametrize(("pair_s", "n"), [(10.0, LEAST_PAIRS), (0.01, 25), (0.0001, 60)])
def test_a_pilot_decides_how_many_pairs_there_are(pair_s: float, n: int) -> None:
    half = int(pair_s * 1e9 / 2)
    assert pairs_that_fit(TimedPairs((half, half * 9, half), (half, half, half)), Budget(0.25, 60)) == n


def written(out: Path, seed: int) -> list[Any]:
    told: list[float] = []
    write_study_source(out, questions=700, answers=4_000, seed=seed, progress=lambda share, text: told.append(share))
    assert told == sorted(told) and told[0] >= 0 and told[-1] < 1
    with closing(sqlite3.connect(out)) as db:
        tables = ("users", "questions", "study_sessions", "user_answers", "user_progress")
        return [db.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def test_an_invented_source_is_whole_and_follows_its_seed(tmp_path: Path) -> None:
    found = written(tmp_path / "a.db", 1)
    assert [len(rows) for rows in found[:4]] == [20, 700, 200, 4_000]
    assert found == written(tmp_path / "b.db", 1)
    assert found[3] != written(tmp_path / "c.db", 2)[3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "b.db", "c.db"]
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        wrong = db.execute(
            "SELECT count(*) FROM questions AS q WHERE (total_attempts, correct_attempts) IS NOT "
            "(SELECT count(*), coalesce(sum(is_correct), 0) FROM user_answers WHERE question_id = q.id)"
        ).fetchone()
        assert wrong == (0,)
        times = [row[0] for row in db.execute("SELECT answered_at FROM user_answers ORDER BY id")]
        assert times == sorted(times) and times[-1] <= as_text(DEMO_NOW)
        most, least = db.execute(
            "SELECT max(n), min(n) FROM (SELECT count(*) AS n FROM user_answers GROUP BY user_id)"
        ).fetchone()
        assert most > 3 * least  # keen users have more
