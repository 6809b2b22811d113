"""A load against the server's own file, which sqlite3 reads: equal in all, once, whatever the network does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ptp.engine import atomic, open_engine
from ptp.engine.remote_calls import Calls
from ptp.errors import CannotFinish, Locked, Moved, UsageError
from ptp.migration.remote import loading
from ptp.migration.remote.loading import BESIDES, check_loadable, load, open_loaded
from ptp.migration.remote.mirror import check_equal
from tests.migration.moving import contents
from tests.migration.remote.conftest import SWIFT, filled, run_sql
from tests.remote.standin import Faults, StandIn


def quiet(share: float, text: str) -> None: ...


class Cut(Exception):
    """Somebody pulled the plug."""


def schema_of(path: Path) -> list[tuple[object, ...]]:
    sql = (
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'words\\_%' ESCAPE '\\' ORDER BY 1, 2"
    )
    return run_sql(path, sql)


def same(one: Path, other: Path) -> bool:
    marks = [run_sql(p, "SELECT name, seq FROM sqlite_sequence ORDER BY 1") for p in (one, other)]
    return marks[0] == marks[1] and schema_of(one) == schema_of(other) and contents(one) == contents(other)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "empty.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 1")  # a file with a header and nothing else
    return path


@pytest.mark.parametrize("route", ["http3", "websocket", "http1"])
def test_all_of_a_file_goes_over_and_opens_at_the_end(source: Path, there: Path, route: str) -> None:
    run_sql(source, "INSERT INTO keyless VALUES (CAST(x'ff61' AS TEXT), 9e999), (-9e999, x'ff')")
    with StandIn(there) as server:
        url = {"http3": server.http, "websocket": server.ws, "http1": f"{server.http}?protocol=1"}[route]
        with Calls(url) as calls:
            check_loadable(calls)
            found = load(calls, source, run="r1", other="old.db", progress=quiet)
            assert check_equal(calls, source, besides=BESIDES, progress=quiet)[0] == []
            with pytest.raises(UsageError, match=r"cut off, of run r1.*--resume"):
                check_loadable(calls)
            with pytest.raises(Moved, match=r"not open yet; in use is old\.db"), atomic(open_engine(server.http)):
                pass
            open_loaded(calls)
            open_loaded(calls)
            with open_engine(server.http).connect() as db:
                assert db.exec_driver_sql("SELECT count(*) FROM words WHERE words MATCH 'name'").scalar() == 300
            assert load(calls, source, run="r1", other="old.db", progress=quiet).was_whole
    assert same(source, there)
    assert found.rows >= 1_500
    assert found.not_kept == ("application_id is 0, not 77", "user_version is 1, not 0")


@pytest.mark.parametrize("at", ["loading named", "loading indexes"])
def test_a_load_that_was_cut_off_goes_on(source: Path, there: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    def cut(share: float, text: str) -> None:
        if text.startswith(at):
            raise Cut

    monkeypatch.setattr(loading, "LARGE", 200)  # indexes before the rows
    with StandIn(there) as server, Calls(server.http) as calls:
        with pytest.raises(Cut):
            load(calls, source, run="r1", other="", progress=cut)
        other = filled(source.with_name("other.db"), rows=3)
        with pytest.raises(UsageError, match="unfinished load of something else, of run r1"):
            load(calls, other, run="r2", other="", progress=quiet)
        found = load(calls, source, run="r1", other="", progress=quiet)
        open_loaded(calls)
    assert found.resumed
    assert found.rows < 1_800
    assert same(source, there)


@pytest.mark.parametrize("fault", ["lose_reply", "duplicate"])
def test_a_bad_network_doubles_nothing(tmp_path: Path, there: Path, fault: str) -> None:
    small = filled(tmp_path / "small.db", rows=20)
    with StandIn(there, faults=Faults(**{fault: 0.3}, seed=5)) as server, Calls(server.http, patience=SWIFT) as calls:
        load(calls, small, run="r1", other="", progress=quiet)
        open_loaded(calls)
        assert server.counts()["faults"][fault] > 2
    assert same(small, there)


def test_a_beginning_that_comes_late_changes_nothing(tmp_path: Path, there: Path) -> None:
    small = filled(tmp_path / "small.db", rows=3)
    with StandIn(there) as server, Calls(server.http) as calls:
        late = loading._begin(loading._Load(calls, "0", "r1"), "old.db")
        load(calls, small, run="r1", other="", progress=quiet)
        open_loaded(calls)
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            calls.write(late, is_done=lambda: False)
    assert same(small, there)


def test_what_takes_the_server_too_long_is_halved(tmp_path: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = tmp_path / "wide.db"
    run_sql(wide, "CREATE TABLE t (id INTEGER PRIMARY KEY, b)")
    run_sql(wide, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 400) "
                  "INSERT INTO t SELECT x, 'text' FROM n")  # fmt: skip
    real = Calls.write

    def slow(self: Calls, asked: list[object], **more: object) -> None:
        if sum(len(a[1]) for a in asked) > 300:  # type: ignore[index]  # of its values
            raise loading.TooMuch("Transaction timed out")
        real(self, asked, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Calls, "write", slow)
    with StandIn(there) as server, Calls(server.http) as calls:
        load(calls, wide, run="r1", other="", progress=quiet)
        open_loaded(calls)
    assert contents(wide) == contents(there)


def test_what_does_not_fit_is_refused_before_anything_is_done(tmp_path: Path, source: Path, there: Path) -> None:
    wide = tmp_path / "wide.db"
    run_sql(wide, "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (a)")
    run_sql(there, "CREATE TABLE somebodys (a)")
    with StandIn(there) as server, Calls(server.http) as calls:
        for refused in (lambda: check_loadable(calls), lambda: load(calls, source, run="r", other="", progress=quiet)):
            with pytest.raises(UsageError, match="not empty: it has table somebodys"):
                refused()
        with pytest.raises(UsageError, match="keeps texts in UTF-8"):
            load(calls, wide, run="r", other="", progress=quiet)
    assert run_sql(there, "SELECT name FROM sqlite_schema") == [("somebodys",)]


def test_two_loads_of_the_same_do_not_mix(tmp_path: Path, source: Path, there: Path) -> None:
    def meddle(share: float, text: str) -> None:
        if text.startswith("loading named"):
            load(other, source, run="r1", other="", progress=quiet)

    with StandIn(there) as server, Calls(server.http) as calls, Calls(server.http) as other:
        with pytest.raises(Locked, match="Another process is loading"):
            load(calls, source, run="r1", other="", progress=meddle)
        open_loaded(other)
    assert same(source, there)


def test_a_token_that_ends_stops_it_in_one_sentence(source: Path, there: Path) -> None:
    faults = Faults(script={4: "expired_token"})
    with StandIn(there, faults=faults) as server, Calls(server.http, patience=SWIFT) as calls:
        with pytest.raises(UsageError, match="refused the token"):
            load(calls, source, run="r1", other="", progress=quiet)
        found = load(calls, source, run="r1", other="", progress=quiet)
        assert found.resumed
        open_loaded(calls)
    assert same(source, there)


def test_who_cannot_be_reached_is_told_after_some_tries(there: Path) -> None:
    with StandIn(there) as server:
        url = server.http
    with Calls(url, patience=SWIFT) as calls, pytest.raises(CannotFinish, match=r"cannot be reached.*tried 12 times"):
        check_loadable(calls)
