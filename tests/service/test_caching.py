"""The cache in one process: it says what the queries say, shares nothing between users, and stays within its bounds."""

from __future__ import annotations

import inspect
import random
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

import ptp.service
from ptp.engine import open_engine
from ptp.engine.prices import Tariff, load_prices
from ptp.errors import UsageError
from ptp.migration.steps import load_steps
from ptp.queries import Actor, AnalyticsQueries, DailyMetrics, NewAnswer, NewGeneration, StudyQueries
from ptp.resources import folder
from ptp.service.caching import NOT_KEPT, POLICIES, Cache, Call, cached, open_cache, over, savings
from ptp.service.caching.classes import CachedAnalytics, CachedProgress, CachedStudy, CachedTwitter
from ptp.service.caching.codec import decode, encode
from ptp.service.caching.keeping import Keeper
from ptp.service.caching.ledger import Ledger, Stamp
from ptp.service.caching.position import Position
from ptp.service.caching.shared import Breaker
from ptp.service.caching.store import Kept, Memory, key_of
from ptp.service.queries import Queries, plain
from ptp.settings import Settings

NOW = 1_750_000_000
USERS, EXAMS, SESSIONS = 5, 2, 4


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cached") / "head.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")
        for step in load_steps(folder("sql")):
            for sql in step.up:
                db.execute(sql)
        db.execute("PRAGMA user_version = 1")
        for n in range(1, EXAMS + 1):
            db.execute("INSERT INTO exams (vendor_id, code, name) VALUES ('v', ?, 'Exam')", (f"E{n}",))
            db.execute("INSERT INTO objectives (exam_id, code, name) VALUES (?, '1', 'one')", (n,))
            for q in range(8):
                db.execute(
                    "INSERT INTO questions (exam_id, objective_id, text, answers, review_status, total_attempts,"
                    " correct_attempts) VALUES (?, ?, ?, '[]', 'approved', 20, 10)",
                    (n, n, f"Question {q} of DNS?"),
                )
        for n in range(1, USERS + 1):
            db.execute("INSERT INTO users (email, name) VALUES (?, ?)", (f"u{n}@example.com", f"User {n}"))
            db.execute(
                "INSERT INTO user_progress (user_id, exam_id, total_questions_seen, readiness_score) VALUES (?, 1, 60, ?)",
                (n, n / 10),
            )
        for n in range(SESSIONS):
            db.execute("INSERT INTO study_sessions (user_id, exam_id) VALUES (?, 1)", (n % USERS + 1,))
    return path


@pytest.fixture
def database(empty: Path, tmp_path: Path) -> Path:
    path = tmp_path / "head.db"
    path.write_bytes(empty.read_bytes())
    return path


@pytest.fixture
def engine(database: Path) -> Iterator[Engine]:
    made = open_engine(database)
    yield made
    made.dispose()


@pytest.fixture
def cache(engine: Engine) -> Iterator[Cache]:
    made = over(engine, Keeper(engine))
    yield made
    made.close()


def answer(user: int = 1, question: int = 1, session: int | None = None, *, correct: bool = True) -> NewAnswer:
    return NewAnswer(
        user_id=user,
        question_id=question,
        selected_answer="a",
        is_correct=correct,
        time_spent_seconds=5,
        study_session_id=session,
    )


def counted(cache: Cache, query: str, what: str = "hits") -> int:
    return cache.counters().get(query, {}).get(what, 0)


# --- what is said, and what is kept


READS: dict[str, Callable[[Queries, random.Random], Any]] = {
    "search_questions": lambda q, c: q.study.search_questions("dns", exam_id=c.choice([None, 1, 2])),
    "session_progress": lambda q, c: q.study.session_progress(session_id=c.randint(1, SESSIONS)),
    "user_progress": lambda q, c: q.progress.user_progress(user_id=_user(c), exam_id=_exam(c), now=NOW),
    "weekly_activity": lambda q, c: q.progress.weekly_activity(user_id=_user(c), exam_id=_exam(c), now=NOW),
    "current_streak": lambda q, c: q.progress.current_streak(user_id=_user(c), exam_id=_exam(c)),
    "recent_activity": lambda q, c: q.progress.recent_activity(user_id=_user(c)),
    "rank": lambda q, c: q.progress.rank(user_id=_user(c), exam_id=_exam(c)),
    "leaderboard": lambda q, c: q.progress.leaderboard(exam_id=_exam(c), limit=c.choice([2, 20]), now=NOW),
    "pending_opportunities": lambda q, c: q.twitter.pending_opportunities(),
    "growth_analytics": lambda q, c: q.twitter.growth_analytics(now=NOW),
    "net_followers": lambda q, c: q.twitter.net_followers(now=NOW),
    "ai_cost_summary": lambda q, c: q.analytics.ai_cost_summary(now=NOW),
    "question_analytics": lambda q, c: q.analytics.question_analytics(exam_id=_exam(c)),
}


def _user(chance: random.Random) -> int:
    return chance.randint(1, USERS)


def _exam(chance: random.Random) -> int:
    return chance.randint(1, EXAMS)


def _write(queries: Queries, past: sqlite3.Connection, chance: random.Random) -> None:
    """One write through the queries, or of another program past them."""
    user = _user(chance)
    kind = chance.randrange(8)
    if kind == 0:
        queries.study.record_answer(answer(user, chance.randint(1, 16), correct=chance.random() < 0.7), now=NOW)
    elif kind == 1:
        session = chance.randint(1, SESSIONS)
        queries.study.record_answers([answer((session - 1) % USERS + 1, 1, session), answer(user, 9)], now=NOW)
    elif kind == 2:
        queries.progress.update_progress(user_id=user, exam_id=_exam(chance), questions_seen=30, correct=9, now=NOW)
    elif kind == 3:
        queries.twitter.record_daily_metrics(
            DailyMetrics(date="2025-06-15", new_followers=chance.randint(0, 99)), now=NOW
        )
    elif kind == 4:
        queries.analytics.log_generation(NewGeneration(purpose="p", model="m", cost_cents=2.0, success=True), now=NOW)
    elif kind == 5:
        values = {"text": f"Question {chance.random()} of DNS?"}
        queries.analytics.change(
            entity="question", action="update", entity_id=chance.randint(1, 16), values=values, actor=Actor(), now=NOW
        )
    elif kind == 6:
        past.execute("UPDATE user_progress SET readiness_score = ? WHERE user_id = ?", (chance.random(), user))
    else:
        past.execute("INSERT INTO study_sessions (user_id, exam_id, last_activity) VALUES (?, 2, ?)", (user, NOW))


@pytest.mark.parametrize("seed", range(3))
def test_after_any_write_the_cache_says_what_the_queries_say(
    database: Path, engine: Engine, cache: Cache, seed: int
) -> None:
    chance = random.Random(seed)
    witness = plain(engine)
    with closing(sqlite3.connect(database, isolation_level=None)) as past:
        for _ in range(60):
            for name, read in READS.items():
                if name == "session_progress":
                    continue  # it writes, so that the witness's own call would outdate everything
                state = chance.getstate()
                found = read(cache.queries, chance)
                chance.setstate(state)
                assert found == read(witness, chance), name
            _write(cache.queries, past, chance)
    for name in READS.keys() - {"session_progress"}:
        assert counted(cache, name) > 0, f"{name} was never kept, so nothing was tried"


def test_a_session_counts_every_answer_at_once(cache: Cache) -> None:
    study = cache.queries.study
    for number in range(1, 6):
        study.record_answer(answer(1, number, 1), now=NOW)
        for _ in range(3):
            assert study.session_progress(session_id=1, user_id=1).total_questions == number
    assert counted(cache, "session_progress") == 10


def test_a_session_that_is_asked_again_is_not_written_again_and_stands_as_it_was_told(
    cache: Cache, database: Path
) -> None:
    """Unless another program has changed what stands in it: then it is counted and written anew."""

    def stands() -> Any:
        return past.execute("SELECT total_questions, correct_answers FROM study_sessions WHERE id = 1").fetchone()

    study, commits = cache.queries.study, cache.keeper.ledger.position
    study.record_answers([answer(1, 1, 1), answer(1, 2, 1, correct=False)], now=NOW)
    told = study.session_progress(session_id=1, user_id=1)
    with closing(sqlite3.connect(database, isolation_level=None)) as past:
        before = commits.read()
        assert study.session_progress(session_id=1, user_id=1) == told
        assert commits.read() == before and counted(cache, "session_progress") == 1
        assert stands() == (told.total_questions, told.correct_answers) == (2, 1)
        past.execute("UPDATE study_sessions SET correct_answers = 99 WHERE id = 1")
        before = commits.read()
        assert study.session_progress(session_id=1, user_id=1) == told
        assert commits.read() == (before or 0) + 1 and stands() == (2, 1)
        study.record_answer(answer(1, 3, 1), now=NOW)
        assert study.session_progress(session_id=1, user_id=1).total_questions == 3 == stands()[0]


def test_nothing_in_the_service_writes_but_through_the_queries() -> None:
    """A write of its own would outdate all that is kept, unless it stands in a block of the keeper."""
    for file in sorted(Path(ptp.service.__file__).parent.rglob("*.py")):
        code = file.read_text(encoding="utf-8")
        writes = re.findall(r"\batomic\(|\b(?:INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b", code)
        assert not writes or ".writing" in code, f"{file.name} writes: {writes}"


def test_every_query_is_kept_left_or_says_what_it_changes() -> None:
    for kind in (CachedStudy, CachedProgress, CachedTwitter, CachedAnalytics):
        for name, _ in inspect.getmembers(kind.__mro__[1], inspect.isfunction):
            if not name.startswith("_") and name not in NOT_KEPT:
                wanted = "self._keeper.ask(" if name in POLICIES else "self._keeper.writing"
                assert name in vars(kind) and wanted in inspect.getsource(vars(kind)[name]), f"{kind.__name__}.{name}"


def test_what_a_session_wrote_shows_in_the_recent_activity(cache: Cache) -> None:
    progress = cache.queries.progress
    assert progress.recent_activity(user_id=1)[0].total_questions != 1
    cache.queries.study.record_answer(answer(1, 1, 1), now=NOW)
    cache.queries.study.session_progress(session_id=1)
    assert progress.recent_activity(user_id=1)[0].total_questions == 1


def test_every_query_is_kept_or_has_a_reason_not_to_be() -> None:
    assert set(READS) == set(POLICIES)
    assert "study_questions" in NOT_KEPT
    assert not POLICIES.keys() & NOT_KEPT.keys()
    assert all(p.own_writes_s == p.same_worker_s == p.other_workers_s == p.unlogged_s == 0 for p in POLICIES.values())
    assert {POLICIES[n].ttl_s for n in ("search_questions", "session_progress")} == {300}
    assert POLICIES["user_progress"].ttl_s == 900


def test_a_draw_is_drawn_anew_each_time(cache: Cache) -> None:
    draws = {tuple(q.id for q in cache.queries.study.study_questions(exam_id=1, user_id=1, limit=8)) for _ in range(12)}
    assert len(draws) > 1
    assert cache.counters() == {}


def test_an_error_is_raised_and_not_kept(cache: Cache) -> None:
    for _ in range(2):
        with pytest.raises(UsageError, match="no exam with id 99"):
            cache.queries.progress.leaderboard(exam_id=99)
    assert counted(cache, "leaderboard") == 0


def test_a_bad_argument_never_finds_what_a_good_one_left(cache: Cache) -> None:
    cache.queries.progress.leaderboard(exam_id=1, limit=1, now=NOW)
    for limit in (1.0, True):
        with pytest.raises(UsageError):
            cache.queries.progress.leaderboard(exam_id=1, limit=limit, now=NOW)  # type: ignore[arg-type]


def test_no_user_is_given_what_is_anothers(cache: Cache) -> None:
    def read() -> list[Any]:
        found: list[Any] = []
        for user in range(1, USERS + 1):
            found.append(cache.queries.progress.user_progress(user_id=user, exam_id=1, now=NOW))
            found.append(cache.queries.progress.weekly_activity(user_id=user, exam_id=1, now=NOW))
        return found

    for user in range(1, USERS + 1):
        for _ in range(user):
            cache.queries.study.record_answer(answer(user), now=NOW)
    first = read()
    assert read() == first
    assert counted(cache, "user_progress") == USERS
    assert [p.user_id for p in first[::2]] == list(range(1, USERS + 1))
    assert first[1::2] == list(range(1, USERS + 1))


def test_a_session_of_another_user_is_refused_after_its_own_read_it(cache: Cache) -> None:
    cache.queries.study.session_progress(session_id=1, user_id=1)
    with pytest.raises(UsageError, match="no study session"):
        cache.queries.study.session_progress(session_id=1, user_id=2)


def test_a_caller_cannot_change_what_is_kept(cache: Cache) -> None:
    cache.queries.study.record_answer(answer(1, 1, 1), now=NOW)
    cache.queries.study.session_progress(session_id=1).objective_scores.clear()  # type: ignore[attr-defined]
    assert cache.queries.study.session_progress(session_id=1).objective_scores == {1: 1.0}


def test_a_write_of_one_user_leaves_what_others_keep(cache: Cache) -> None:
    for user in (1, 2):
        cache.queries.progress.weekly_activity(user_id=user, exam_id=1, now=NOW)
    cache.queries.study.record_answer(answer(1), now=NOW)
    assert cache.queries.progress.weekly_activity(user_id=2, exam_id=1, now=NOW) == 0
    assert counted(cache, "weekly_activity") == 1
    assert cache.queries.progress.weekly_activity(user_id=1, exam_id=1, now=NOW) == 1
    assert counted(cache, "weekly_activity", "invalidations") == 1


def test_an_answer_of_who_is_not_on_the_page_leaves_the_leaderboard(cache: Cache) -> None:
    def board() -> list[tuple[int, int]]:
        return [(s.user_id, s.weekly_activity) for s in cache.queries.progress.leaderboard(exam_id=1, limit=2, now=NOW)]

    assert board() == [(5, 0), (4, 0)]
    cache.queries.study.record_answer(answer(1), now=NOW)
    assert board() == [(5, 0), (4, 0)]
    assert counted(cache, "leaderboard") == 1
    cache.queries.study.record_answer(answer(4), now=NOW)
    assert board() == [(5, 0), (4, 1)]


def test_a_refused_write_outdates_nothing(cache: Cache) -> None:
    cache.queries.progress.weekly_activity(user_id=1, exam_id=1, now=NOW)
    with pytest.raises(UsageError):
        cache.queries.study.record_answer(answer(1, 999), now=NOW)
    cache.queries.progress.weekly_activity(user_id=1, exam_id=1, now=NOW)
    assert counted(cache, "weekly_activity") == 1


def test_a_write_past_the_cache_on_the_same_engine_outdates_everything(cache: Cache, engine: Engine) -> None:
    assert cache.queries.progress.weekly_activity(user_id=1, exam_id=1, now=NOW) == 0
    plain(engine).study.record_answer(answer(1), now=NOW)
    assert cache.queries.progress.weekly_activity(user_id=1, exam_id=1, now=NOW) == 1


def test_a_write_said_to_change_nothing_kept_outdates_nothing(cache: Cache, engine: Engine) -> None:
    cache.queries.progress.weekly_activity(user_id=1, exam_id=1, now=NOW)
    with cache.keeper.writing():
        plain(engine).twitter.record_daily_metrics(DailyMetrics(date="2025-06-15"), now=NOW)
    cache.queries.progress.weekly_activity(user_id=1, exam_id=1, now=NOW)
    assert counted(cache, "weekly_activity") == 1


# --- time, threads, bounds


def test_a_value_lives_as_long_as_its_policy_says(engine: Engine) -> None:
    at = [1_000.0]
    keeper = Keeper(engine, clock=lambda: at[0])
    cache = over(engine, keeper)
    for name, policy in POLICIES.items():
        chance = random.Random(1)
        state = chance.getstate()

        def ask(name: str = name, chance: random.Random = chance, state: Any = state) -> None:
            chance.setstate(state)
            READS[name](cache.queries, chance)

        ask()
        at[0] += policy.ttl_s - 0.5
        ask()
        assert counted(cache, name) == 1, name
        at[0] += 0.5
        ask()
        assert (counted(cache, name), counted(cache, name, "expired")) == (1, 1), name
        at[0] -= 10  # a clock that is put back makes nothing younger than new
        ask()
        assert counted(cache, name) == 1, name
    cache.close()


def test_of_fifty_threads_that_miss_one_reads(engine: Engine, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def slow(self: StudyQueries, words: str, **rest: Any) -> str:
        calls.append(1)
        time.sleep(0.2)
        return words

    monkeypatch.setattr(StudyQueries, "search_questions", slow)
    together = threading.Barrier(50)
    found: list[Any] = []

    def ask() -> None:
        together.wait()
        found.append(cache.queries.study.search_questions("dns"))

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["dns"] * 50
    assert len(calls) == 1
    assert cache.counters()["search_questions"]["hits"] == 49


def test_what_was_begun_before_a_write_is_not_given_after_it(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is slow between its reading and its keeping must not leave an old value behind."""
    find = AnalyticsQueries.ai_cost_summary
    read, go_on = threading.Event(), threading.Event()

    def slow(self: AnalyticsQueries, **rest: Any) -> Any:
        found = find(self, **rest)
        read.set()
        assert go_on.wait(10)
        return found

    monkeypatch.setattr(AnalyticsQueries, "ai_cost_summary", slow)
    reader = threading.Thread(target=lambda: cache.queries.analytics.ai_cost_summary(now=NOW))
    reader.start()
    assert read.wait(10)
    cache.queries.analytics.log_generation(NewGeneration(purpose="p", model="m", success=True), now=NOW)
    go_on.set()
    reader.join()
    assert len(cache.queries.analytics.ai_cost_summary(now=NOW)) == 1


def test_memory_is_bounded_in_bytes_and_drops_what_was_used_least() -> None:
    memory = Memory(limit=20_000)
    kept = Kept(Stamp("own 0", 1), (), 0.0, "x" * 1_000)
    for number in range(500):
        memory.set(f"key {number}", kept)
        memory.get("key 0")
        assert memory.used <= 20_000
    assert memory.get("key 0") is not None
    assert memory.get("key 1") is None
    assert len(memory) < 20
    memory.set("too large", replace_value(kept, "x" * 5_000))
    assert memory.get("too large") is None


def replace_value(kept: Kept, value: Any) -> Kept:
    return kept._replace(value=value)


def test_the_ledger_forgets_no_change(engine: Engine) -> None:
    """It remembers few parts; of the others it must take the worst."""
    position = Position(engine)
    ledger = Ledger(engine, position, remembered=3)
    view = ledger.view()
    assert view is not None
    stamp = view.stamp
    for user in range(1, USERS + 1):
        with ledger.writing((("answers of", user),)):
            plain(engine).study.record_answer(answer(user), now=NOW)
    now = ledger.view()
    assert now is not None
    assert [now.fresh(stamp, ((("answers of", user)),)) for user in range(1, USERS + 1)] == [False] * USERS
    assert now.fresh(now.stamp, (("answers of", 1),))
    ledger.close()
    position.close()


def test_each_commit_moves_the_position_by_one_and_nothing_else_does(database: Path, engine: Engine) -> None:
    position = Position(engine)
    assert position.counts
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        for _ in range(3):
            before = position.read()
            assert before is not None
            other.execute("UPDATE users SET name = name || 'x'")
            assert position.read() == before + 1
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE users SET name = 'y'")
        assert position.read() == before + 1
        other.execute("ROLLBACK")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert position.read() == before + 1
    position.close()
    assert position.read() is None


def test_without_wal_it_goes_by_the_data_version(database: Path) -> None:
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    engine = open_engine(database)
    cache = over(engine, Keeper(engine, redis_url="redis://127.0.0.1:1/0"))
    progress = cache.queries.progress
    for number in range(3):
        for _ in range(2):
            assert progress.weekly_activity(user_id=1, exam_id=1, now=NOW) == 2 * number
        cache.queries.study.record_answer(answer(1), now=NOW)
        with closing(sqlite3.connect(database)) as past, past:
            past.execute(
                "INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct, answered_at,"
                " time_spent_seconds) VALUES (1, 1, 'a', 1, ?, 1)",
                (NOW,),
            )
    assert counted(cache, "weekly_activity") == 3
    cache.close()
    engine.dispose()


def test_a_closed_cache_lets_go_and_keeps_nothing(engine: Engine, cache: Cache) -> None:
    other = over(engine, Keeper(engine))
    other.close()
    assert other.queries.progress.weekly_activity(user_id=1, exam_id=1, now=NOW) == 0
    assert counted(other, "weekly_activity", "bypasses") == 1


def test_it_is_opened_by_the_settings(engine: Engine) -> None:
    made = open_cache(engine, Settings())
    made.queries.twitter.pending_opportunities()
    assert made.hit_rate() == 0.0
    made.close()
    with pytest.raises(UsageError, match="REDIS_URL is no address"):
        cached(engine, Settings(redis_url="nonsense:secret"))
    assert "pass-word" not in repr(Settings(redis_url="redis://:pass-word@host"))


def test_redis_that_is_not_there_costs_no_error(engine: Engine) -> None:
    breaker = Breaker(retry_s=1_000)
    cache = over(engine, Keeper(engine, redis_url="redis://127.0.0.1:1/0", breaker=breaker))
    for number in range(3):
        assert cache.queries.progress.weekly_activity(user_id=1, exam_id=1, now=NOW) == number
        cache.queries.study.record_answer(answer(1), now=NOW)
    assert breaker.failures == 1
    cache.close()


def test_the_breaker_tries_again_after_its_time() -> None:
    at = [0.0]
    breaker = Breaker(retry_s=5, clock=lambda: at[0])
    breaker.failed()
    at[0] = 4.9
    assert not breaker.allows()
    at[0] = 5.0
    assert breaker.allows()
    breaker.worked()
    assert breaker.allows()


# --- keys, bytes, and money


def test_a_long_key_is_short_and_still_its_own() -> None:
    one, other = key_of("search_questions", ("x" * 9_999,)), key_of("search_questions", ("x" * 9_998 + "y",))
    assert one != other
    assert len(one) < 100


def test_values_come_back_from_bytes_as_they_were(cache: Cache, engine: Engine) -> None:
    cache.queries.study.record_answer(answer(1, 1, 1), now=NOW)
    for name, read in READS.items():
        value = read(plain(engine), random.Random(1))
        again = decode(encode(value))
        assert again == value, name
        assert type(again) is type(value), name
    assert decode(encode((float("inf"), 1e300, -0.0, True, None, "日本", {1: 0.1}))) == (
        float("inf"), 1e300, -0.0, True, None, "日本", {1: 0.1},
    )  # fmt: skip
    with pytest.raises(ValueError, match="not a kept value"):
        decode(b'["NoSuchRow",1]')


def test_what_was_saved_is_hits_times_what_a_call_costs() -> None:
    tariff = Tariff("t", 0.0, 0, 0, read_per_billion=1.0, written_per_million=1.0)
    counters = {"leaderboard": {"hits": 1_000, "misses": 5}, "unmeasured": {"hits": 9, "misses": 9}}
    (found,) = savings(counters, {"leaderboard": Call(0.5, 2_000.0, 3.0)}, hit_ms=0.1, tariff=tariff)
    assert (found.query, found.hits, found.rows_read, found.rows_written) == ("leaderboard", 1_000, 2e6, 3_000)
    assert found.ms == pytest.approx(400)
    assert found.dollars == pytest.approx(2e6 / 1e9 + 3_000 / 1e6)
    free = replace(tariff, read_per_billion=None)
    assert savings(counters, {"leaderboard": Call(1, 1)}, hit_ms=0, tariff=free)[0].dollars is None
    assert load_prices().tariffs
