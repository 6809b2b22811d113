"""A mirror against the server's own file, which sqlite3 reads: equal in all, whoever writes or dies meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptp.engine.remote_calls import Calls
from ptp.errors import CannotFinish, UsageError
from ptp.migration.build import partial_of
from ptp.migration.remote import mirror
from ptp.migration.remote.mirror import check_equal, pull
from ptp.migration.remote.reading import PageSize
from tests.migration.remote.conftest import SWIFT, difference, filled, run_sql
from tests.remote.standin import Faults, StandIn


def quiet(share: float, text: str) -> None: ...


class Cut(Exception):
    """Somebody pulled the plug."""


@pytest.mark.parametrize("route", ["http3", "websocket", "http1"])
def test_all_of_a_database_comes_over(tmp_path: Path, source: Path, route: str) -> None:
    with StandIn(source) as server:
        url = {"http3": server.http, "websocket": server.ws, "http1": f"{server.http}?protocol=1"}[route]
        with Calls(url) as calls:
            found = pull(calls, tmp_path / "here.db", progress=quiet)
            assert check_equal(calls, found.path, progress=quiet)[0] == []
    assert difference(source, found.path) == ""
    assert found.rows["plain"] == 300
    assert found.seen.rows == sum(found.rows.values())
    assert not partial_of(found.path).exists()
    assert run_sql(found.path, "SELECT count(*) FROM words WHERE words MATCH 'name'") == [(300,)]


def test_what_the_protocol_cannot_say_comes_over_too(tmp_path: Path, source: Path) -> None:
    run_sql(source, "INSERT INTO keyless VALUES (CAST(x'ff61' AS TEXT), 9e999), (-9e999, x'ff')")
    run_sql(source, "UPDATE plain SET a = 9 WHERE id = 1")  # against its CHECK
    with StandIn(source) as server, Calls(server.http) as calls:
        found = pull(calls, tmp_path / "here.db", progress=quiet)
    assert difference(source, found.path) == ""


def test_a_pull_that_was_cut_off_goes_on_after_its_last_key(tmp_path: Path, source: Path) -> None:
    def cut(share: float, text: str) -> None:
        if text.startswith("copying named"):
            raise Cut

    with StandIn(source) as server, Calls(server.http) as calls:
        with pytest.raises(Cut):
            pull(calls, tmp_path / "here.db", progress=cut)
        assert not (tmp_path / "here.db").exists()
        found = pull(calls, tmp_path / "here.db", progress=quiet)
    assert found.resumed
    assert found.fetched == sum(found.rows.values()) - 1_200  # the log, and what the index of words keeps
    assert difference(source, found.path) == ""


def test_what_others_write_meanwhile_comes_over(tmp_path: Path, source: Path) -> None:
    writes = iter(
        (
            "INSERT INTO plain (a, c) VALUES (5, 'new')",
            "UPDATE keyless SET b = 'changed' WHERE rowid = 7",
            "DELETE FROM pair WHERE n = 11",
            "UPDATE plain SET c = 'text 4x' WHERE c = 'text 4'",
            "UPDATE plain SET c = 'text 4' WHERE c = 'text 200'",  # a unique value moves to another row
            "CREATE TRIGGER late AFTER DELETE ON pair BEGIN SELECT 1; END",
        )
    )

    def write(share: float, text: str) -> None:
        if text.startswith("copying named"):
            for sql in (next(writes) for _ in range(5)):
                run_sql(source, sql)

    with StandIn(source) as server, Calls(server.http) as calls:
        found = pull(calls, tmp_path / "here.db", progress=write)
        assert difference(source, found.path) == ""
        assert found.rounds == 3
        run_sql(source, "UPDATE pair SET v = 'late' WHERE n = 20")
        told, _ = check_equal(calls, found.path, progress=quiet)
        assert [t.split(",")[0] for t in told] == ["pair"]
        run_sql(source, next(writes))
        assert check_equal(calls, found.path, progress=quiet)[0] == ["trigger late"]


def test_an_earlier_mirror_fetches_only_what_differs(tmp_path: Path, source: Path) -> None:
    with StandIn(source) as server, Calls(server.http) as calls:
        pull(calls, tmp_path / "here.db", progress=quiet)
        run_sql(source, "UPDATE plain SET a = 'other' WHERE id = 1", "INSERT INTO log VALUES ('x')")
        found = pull(calls, tmp_path / "here.db", progress=quiet)
    assert difference(source, found.path) == ""
    assert found.resumed
    assert found.fetched < 600


def test_writes_without_an_end_are_told(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(share: float, text: str) -> None:
        if text.startswith("comparing plain"):
            run_sql(source, "UPDATE plain SET a = random()")

    monkeypatch.setattr(mirror, "ROUNDS", 2)
    with (
        StandIn(source) as server,
        Calls(server.http) as calls,
        pytest.raises(CannotFinish, match="Stop what writes to it"),
    ):
        pull(calls, tmp_path / "here.db", progress=write)


def test_pages_shrink_where_the_server_gives_less(tmp_path: Path) -> None:
    wide = tmp_path / "wide.db"
    run_sql(wide, "CREATE TABLE t (id INTEGER PRIMARY KEY, b)", "INSERT INTO t VALUES (1, zeroblob(9000))")
    run_sql(wide, "WITH RECURSIVE n(x) AS (SELECT 2 UNION ALL SELECT x + 1 FROM n WHERE x < 60) "
                  "INSERT INTO t SELECT x, randomblob(9000) FROM n")  # fmt: skip
    with StandIn(wide, response_bytes=100_000) as server, Calls(server.http) as calls:
        found = pull(calls, tmp_path / "here.db", progress=quiet)
    assert difference(wide, found.path) == ""
    size = PageSize()
    size.learn(asked=500, rows=500, size=1_200_000, seconds=0.1)
    assert size.rows == 250
    size.learn(asked=250, rows=250, size=100, seconds=0.1)
    assert size.rows == 500
    size.learn(asked=500, rows=3, size=100, seconds=0.1)
    assert size.rows == 500


@pytest.mark.parametrize("fault", ["unavailable", "half_reply"])
def test_a_bad_network_changes_nothing(tmp_path: Path, fault: str) -> None:
    small = filled(tmp_path / "there.db", rows=20)
    with StandIn(small, faults=Faults(**{fault: 0.3}, seed=3)) as server, Calls(server.http, patience=SWIFT) as calls:
        found = pull(calls, tmp_path / "here.db", progress=quiet)
        assert server.counts()["faults"][fault] == calls.spent.again > 0
    assert difference(small, found.path) == ""


def test_what_no_file_can_hold_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    run_sql(empty, "CREATE TABLE t (a)", "DROP TABLE t")
    with StandIn(empty) as server, Calls(server.http) as calls:
        with pytest.raises(UsageError, match="has no table"):
            pull(calls, tmp_path / "here.db", progress=quiet)
        run_sql(empty, "CREATE TABLE t (rowid, _rowid_, oid)")
        with pytest.raises(UsageError, match="cannot be told apart"):
            pull(calls, tmp_path / "here.db", progress=quiet)
    with pytest.raises(UsageError, match="is no server"):
        Calls(str(empty))


def test_a_round_is_needed_twice_for_one_moment(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change behind the comparison's back, in a table that it was through with, is found by the second round."""
    changed: list[int] = []

    def write(share: float, text: str) -> None:
        if text.startswith("comparing log") and not changed:
            changed.append(1)
            run_sql(source, "UPDATE plain SET a = 'behind' WHERE id = 4")

    monkeypatch.setattr(mirror, "ROUNDS", 4)
    with StandIn(source) as server, Calls(server.http) as calls:
        found = pull(calls, tmp_path / "here.db", progress=write)
    assert difference(source, found.path) == ""
