"""The short way for plain requests: it says what the framework's own way says, and never reads where it must not wait."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine, event

from ptp.service.caching import POLICIES, NotKept, open_cache
from ptp.service.direct import Direct
from ptp.service.routes import ROUTERS
from ptp.service.threads import Threads
from ptp.settings import Settings
from tests.service.api_heads import HEADERS, TestClient, an_answer, client_of, copy_of, rows


@pytest.fixture(scope="module")
def head(api_head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(api_head, tmp_path_factory.mktemp("direct"))


@pytest.fixture(scope="module")
def client(head: Path) -> Iterator[TestClient]:
    with client_of(head) as made:
        made.headers.update(HEADERS)
        yield made


@pytest.fixture
def careful(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ask the framework alone."""

    def ask(*given: Any, **more: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(Direct, "_found", lambda *_: None)
            return client.request(*given, **more)

    yield ask


def told(found: Any) -> tuple[Any, ...]:
    """What a client sees, but for what differs from one request to the next."""
    body = found.json() if found.content else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    names = ("content-type", "allow", "www-authenticate", "retry-after", "connection")
    return found.status_code, body, {name: found.headers.get(name) for name in names}


JSON = {"content-type": "application/json"}
ALIKE: dict[str, tuple[str, str, dict[str, str], bytes | None]] = {
    "a page": ("GET", "/api/leaderboard/1?limit=5", {}, None),
    "given twice": ("GET", "/api/leaderboard/1?limit=5&limit=3", {}, None),
    "blanks in a number": ("GET", "/api/leaderboard/1?limit=%205", {}, None),
    "an empty argument": ("GET", "/api/leaderboard/1?limit=", {}, None),
    "an argument that nobody knows": ("GET", "/api/leaderboard/1?nothing=1", {}, None),
    "too large": ("GET", "/api/leaderboard/1?limit=501", {}, None),
    "no number": ("GET", "/api/progress/one", {}, None),
    "a path with a quoted slash": ("GET", "/api/progress/1%2F2", {}, None),
    "a slash at the end": ("GET", "/api/leaderboard/1/", {}, None),
    "another method": ("POST", "/api/leaderboard/1", {}, None),
    "the head alone": ("HEAD", "/api/leaderboard/1", {}, None),
    "nobody": ("GET", "/api/leaderboard/1", {"X-User-Id": "nobody"}, None),
    "nobody, and too large": ("GET", "/api/leaderboard/1?limit=501", {"X-User-Id": "nobody"}, None),
    "no administrator": ("GET", "/api/growth", {"X-Roles": ""}, None),
    "no administrator, and too long": ("GET", "/api/growth?days=-1", {"X-Roles": ""}, None),
    "a list": ("GET", "/api/study/questions?exam_id=1&limit=1&objectives=999999&objectives=999998", {}, None),
    "an unknown exam": ("GET", "/api/leaderboard/987654", {}, None),
    "words": ("GET", "/api/search?words=%C3%A9t%C3%A9+%E2%82%AC", {}, None),
    "bytes that are no text": ("GET", "/api/search?words=%ff", {}, None),
    "no body": ("POST", "/api/study/answers", JSON, None),
    "no JSON": ("POST", "/api/study/answers", JSON, b"{"),
    "JSON in another form": ("POST", "/api/study/answers", JSON, '{"answers":[]}'.encode("utf-16")),
    "too deep": ("POST", "/api/study/answers", JSON, b"[" * 100_000),
    "another kind of body": ("POST", "/api/study/answers", {"content-type": "text/plain"}, b'{"answers": []}'),
    "no kind of body": ("POST", "/api/study/answers", {"content-type": ""}, b'{"answers": []}'),
    "another JSON": ("POST", "/api/study/answers", {"content-type": "application/x+json"}, b'{"answers": []}'),
    "a list for an object": ("POST", "/api/study/answers", JSON, b"[]"),
    "too large a body": ("POST", "/api/study/answers", JSON, b" " * 600_000),
    "an unknown question": ("POST", "/api/study/answers", JSON, json.dumps({"answers": [an_answer(987654)]}).encode()),
    "a header too long": ("POST", "/api/study/answers", {**JSON, "Idempotency-Key": "k" * 999},
                          json.dumps({"answers": [an_answer()]}).encode()),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIKE)
def test_both_ways_say_the_same(case: str, client: TestClient, careful: Any) -> None:
    method, path, headers, body = ALIKE[case]
    given = {"headers": headers, "content": body, "follow_redirects": False}
    assert told(client.request(method, path, **given)) == told(careful(method, path, **given))


def test_an_answer_in_chunks_is_recorded_once(client: TestClient, head: Path) -> None:
    whole = json.dumps({"answers": [an_answer(key="in chunks")]}).encode()
    sent = client.post("/api/study/answers", headers=JSON, content=iter([whole[:7], b"", whole[7:]]))
    assert sent.status_code == 200
    bad = client.post("/api/study/answers", headers=JSON, content=iter([whole[:7], whole[7:-1]]))
    assert bad.status_code == 422
    assert rows(head, "SELECT count(*) FROM user_answers WHERE request_key = 'in chunks'") == [(1,)]


def test_all_routes_that_take_a_query_go_the_short_way() -> None:
    made = Direct(lambda *_: None, routers=ROUTERS)  # type: ignore[arg-type,return-value]
    short = {straight.route.path: straight.kept for straight in made._fixed.values()}
    short |= {straight.route.path: straight.kept for _, _, straight in made._moving}
    every = {r.path for router in ROUTERS for r in router.routes if isinstance(r, APIRoute)}
    long = {p for p in every if "health" in p or p in ("/metrics", "/api/admin/database/performance", "/docs")}
    assert short.keys() == every - long
    assert {path for path, kept in short.items() if not kept} == {"/api/study/questions", "/api/study/answers"}


KEPT = {
    "leaderboard": "/api/leaderboard/1",
    "user_progress": "/api/progress/{exam}",
    "search_questions": "/api/search?words=the",
    "pending_opportunities": "/api/opportunities",
    "growth_analytics": "/api/growth",
    "ai_cost_summary": "/api/ai/costs",
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_is_answered_by_the_loop_and_what_is_not_is_read_by_a_thread(
    name: str, head: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers, run, threads = list[str](), Threads.run, list[Any]()
    monkeypatch.setattr(Threads, "run", lambda self, call: threads.append(call) or run(self, call))

    def read(*_: Any) -> None:
        readers.append(threading.current_thread().name)

    ((user, exam),) = rows(head, "SELECT user_id, exam_id FROM user_progress LIMIT 1")
    path, headers = KEPT[name].format(exam=exam), {"X-User-Id": str(user)}
    with closing(sqlite3.connect(head)) as past, past:  # another program's commit outdates all
        past.execute("UPDATE exams SET name = name || '.'")
    counts = client.app.state.watching.cache.counters  # type: ignore[attr-defined]
    event.listen(Engine, "before_cursor_execute", read)
    try:
        first = client.get(path, headers=headers)
        asked, used, before = len(readers), len(threads), counts()[name]
        second = client.get(path, headers=headers)
    finally:
        event.remove(Engine, "before_cursor_execute", read)
    assert first.status_code == second.status_code == 200 and first.content == second.content
    assert (used, len(threads)) == (1, 1)
    assert len(readers) == asked and all(reader.startswith("ptp-query-") for reader in readers)
    after = counts()[name]
    assert after["hits"] == before["hits"] + 1
    assert {what: n for what, n in after.items() if what != "hits"} == {w: n for w, n in before.items() if w != "hits"}
    assert name in POLICIES


def test_where_only_what_is_kept_is_wanted_nothing_is_read(head: Path) -> None:
    from ptp.engine import open_engine

    engine = open_engine(head)
    cache = open_cache(engine, Settings())
    board = cache.queries.progress.leaderboard
    with pytest.raises(NotKept), cache.only_kept():
        board(exam_id=1)
    assert cache.counters() == {}  # the reader that comes after counts it
    found = board(exam_id=1)
    with cache.only_kept():
        assert board(exam_id=1) is found
        with pytest.raises(NotKept):
            board(exam_id=1, limit=3)
    cache.queries.progress.update_progress(user_id=1, exam_id=1, questions_seen=30, correct=9)
    with pytest.raises(NotKept), cache.only_kept():
        board(exam_id=1)  # outdated
    assert board(exam_id=1) is not found
    assert cache.counters()["leaderboard"] == {
        "hits": 1, "misses": 2, "bypasses": 0, "invalidations": 1, "expired": 0, "errors": 0,
    }  # fmt: skip
    cache.close()
    engine.dispose()


# --- threads


def test_threads_run_as_many_as_there_are_and_keep_the_order_of_the_rest() -> None:
    mark: ContextVar[int] = ContextVar("mark", default=0)
    begun: list[int] = []
    gate = threading.Event()

    def work(number: int) -> tuple[int, int]:
        begun.append(number)
        gate.wait(10)
        return number, mark.get()

    async def run() -> list[Any]:
        threads, waiting = Threads(2), []
        for number in range(5):
            mark.set(number)
            waiting.append(threads.run(lambda n=number: work(n)))  # type: ignore[misc]
        waiting[4].cancel()
        while len(begun) < 2:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        assert sorted(begun) == [0, 1]
        gate.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)
        assert await threads.run(lambda: threading.current_thread().name) in ("ptp-query-1", "ptp-query-2")
        threads.close()
        return found

    before = set(threading.enumerate())
    found = asyncio.run(run())
    assert found[:4] == [(number, number) for number in range(4)]
    assert isinstance(found[4], asyncio.CancelledError)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()  # closed, so that they end
