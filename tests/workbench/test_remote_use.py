"""`ptp bench` and `ptp health` of a database on a server: answers, requests and billed rows, and what is found there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptp.engine import open_engine
from ptp.errors import UsageError
from ptp.evidence import Stage
from ptp.workbench import remote_bench
from ptp.workbench.measuring import Asked
from ptp.workbench.migrating import migrate
from ptp.workbench.remote_health import examine_remote
from ptp.workload import cases
from ptp.workload.demo import write_demo
from tests.remote.standin import StandIn


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    folder = tmp_path_factory.mktemp("remote")
    source = write_demo(shape="raw", size="tiny", seed=1, out=folder / "old.db").path
    migrate(source, folder / "new.db", folder, run="test")
    with StandIn(folder / "new.db") as found:
        yield found


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few samples, and no self-check: what is tried here is not the harness."""
    for name, count in {"SAMPLES": 4, "MOST": 4, "WARM_UP": 1, "COLD": 1}.items():
        monkeypatch.setitem(getattr(cases, name), "quick", count)
    monkeypatch.setitem(remote_bench._CALLS, "quick", 3)
    monkeypatch.setattr(remote_bench, "self_check", lambda *_, **__: ())


@pytest.fixture
def stage(server: StandIn, few: None, tmp_path: Path) -> Stage:
    found = remote_bench.bench_remote(server.http, tmp_path)
    assert list(tmp_path.iterdir()) == []
    return found


def test_every_reading_query_is_called_with_the_answers_that_are_due(stage: Stage) -> None:
    timed = {f.id: f for f in stage.findings if f.unit == "ms" and f.id != "bench.network"}
    called = [f for f in timed.values() if f.verdict != "not applicable"]
    assert len(called) >= 10 and not any("record" in name or "update" in name for name in timed)
    assert all(f.limit == 200 and not f.where for f in called), [f.where for f in called]


def test_an_answer_that_is_not_due_is_an_error(
    server: StandIn, few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pull_and_change(calls: object, into: Path, **more: object) -> object:
        found = pulled(calls, into, **more)  # type: ignore[arg-type]
        with closing(sqlite3.connect(into)) as db, db:
            db.execute("UPDATE user_progress SET longest_streak = longest_streak + 1")
        return found

    pulled = remote_bench.pull
    monkeypatch.setattr(remote_bench, "pull", pull_and_change)
    found = {f.id: f for f in remote_bench.bench_remote(server.http, tmp_path).findings}
    assert found["bench.user_progress"].verdict == "fail"


def test_requests_are_those_that_the_server_gets(server: StandIn, tmp_path: Path) -> None:
    engine = open_engine(server.http, read_only=True)
    case = SimpleNamespace(name="two statements", call=lambda: _two(engine))
    before = server.counts()["requests"]
    found = remote_bench._split(engine, case, calls=2)  # type: ignore[arg-type]
    sent = server.counts()["requests"] - before
    engine.dispose()
    trips = 2 * 5  # each begins, asks three times, and ends
    assert sent == sum(found.requests) + trips
    assert found.requests == (4, 4)
    assert found.row["billed_read"] == 1 and found.row["billed"] == "as the server returned it"
    for whole, *parts in zip(found.whole, found.client, found.network, found.server, strict=True):
        assert all(p >= 0 for p in parts) and whole > 0


def _two(engine: object) -> None:
    with engine.connect() as db, db.begin():  # type: ignore[attr-defined]
        db.exec_driver_sql("SELECT id FROM users WHERE id = 1").fetchall()
        db.exec_driver_sql("SELECT 1").fetchall()


@pytest.mark.parametrize(
    ("more", "word"),
    [({"floors": True}, "--floors"), ({"engines": ("apsw",)}, "--engine"), ({"source": "a.db"}, "--source")],
)
def test_what_needs_a_file_is_refused_for_a_server(more: dict[str, object], word: str) -> None:
    asked = Asked("libsql://db.example.com", None, "quick", 1)
    with pytest.raises(UsageError, match=word):
        Asked(**{**{n: getattr(asked, n) for n in asked.__slots__}, **more}).check()  # type: ignore[arg-type]


def test_health_looks_at_the_content_on_the_server_and_at_no_file(server: StandIn) -> None:
    well = {f.id: f for f in examine_remote(server.http).findings}
    assert {f.verdict for f in well.values()} == {"pass", "not applicable"}
    assert well["health.mirrored"].n and well["health.pages"].verdict == "not applicable"
    with closing(sqlite3.connect(server.path)) as db, db:
        db.execute("DELETE FROM question_pool WHERE rowid = (SELECT min(rowid) FROM question_pool)")

    ill = {f.id: f for f in examine_remote(server.http).findings}

    assert [name for name, f in ill.items() if f.verdict == "fail"] == ["verify.derived.question-pool"]
