"""Replicas of the real sync server: made, pulled, behind, cut off, killed and made anew."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ptp.engine.replicas import (
    Replica,
    Unreachable,
    create_replica,
    open_replica,
    read_notes,
    rebuild_replica,
    remove_replica,
)
from ptp.errors import CannotFinish, UsageError
from tests.replicas.conftest import HASTY
from tests.replicas.primary import sql
from tests.replicas.server import SyncServer, needs_server

pytestmark = needs_server
ALL = "SELECT * FROM item ORDER BY id"

PULLS = """
import sys
from pathlib import Path
from ptp.engine.replicas import open_replica
with open_replica(Path(sys.argv[1]), sys.argv[2]) as replica:
    print("open", flush=True)
    while True:
        replica.pull()
"""


def rows(replica: Replica, statement: str = ALL) -> list[Any]:
    db = replica.connect()
    try:
        return [tuple(row) for row in db.execute(statement).fetchall()]
    finally:
        db.close()


def test_a_new_replica_has_all_that_the_primary_has(server: SyncServer, replica: Replica) -> None:
    wanted = [(-3, None, -2.5e300, b""), (1, "one", 0.1, b"\x00\xff"), (2, "zw\u00f6lf", None, None)]
    assert rows(replica) == sql(server, ALL)[0] == wanted
    assert list(replica.path.parent.glob("*.making*")) == []


def test_a_pull_brings_what_was_written_and_a_second_one_nothing(server: SyncServer, replica: Replica) -> None:
    sql(server, "UPDATE item SET name = 'uno' WHERE id = 1", "DELETE FROM item WHERE id = 2")
    assert (1, "one", 0.1, b"\x00\xff") in rows(replica), "nothing comes by itself"

    assert replica.pull().changed
    assert rows(replica) == sql(server, ALL)[0] == [(-3, None, -2.5e300, b""), (1, "uno", 0.1, b"\x00\xff")]
    again = replica.pull()
    assert not again.changed
    assert rows(replica) == sql(server, ALL)[0]


def test_several_replicas_each_pull_at_their_own_time(server: SyncServer, replica_at: Callable[[str], Replica]) -> None:
    first, second, third = (replica_at(f"{n}.db") for n in range(3))
    sql(server, "INSERT INTO item (id) VALUES (10)")
    first.pull()
    sql(server, "INSERT INTO item (id) VALUES (11)")
    second.pull()

    count = "SELECT count(*) FROM item WHERE id >= 10"
    assert [rows(r, count) for r in (first, second, third)] == [[(1,)], [(2,)], [(0,)]]
    for each in (first, second, third):
        each.pull()
        assert rows(each) == sql(server, ALL)[0]


def test_a_transaction_sees_what_it_saw_whatever_is_pulled_meanwhile(server: SyncServer, replica: Replica) -> None:
    reader = replica.connect()
    reader.execute("BEGIN")
    before = reader.execute(ALL).fetchall()
    sql(server, "DELETE FROM item")
    assert replica.pull().changed
    assert reader.execute(ALL).fetchall() == before
    reader.rollback()
    assert reader.execute(ALL).fetchall() == []
    reader.close()


def test_readers_do_not_fail_while_pulls_are_put_in_place(server: SyncServer, replica: Replica) -> None:
    stop, seen, failed = threading.Event(), set(), []

    def read() -> None:
        db = replica.connect()
        try:
            while not stop.is_set():
                seen.add(db.execute("SELECT count(*), max(score) FROM item").fetchone())
        except Exception as problem:
            failed.append(problem)
        finally:
            db.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for each in readers:
        each.start()
    try:
        for number in range(8):
            sql(server, f"UPDATE item SET score = {number} + 0.5")
            assert replica.pull().changed
    finally:
        stop.set()
        for each in readers:
            each.join()
    assert failed == []
    assert len(seen) > 1


def test_news_are_seen_without_being_applied(server: SyncServer, replica: Replica) -> None:
    assert not replica.has_news()
    sql(server, "DELETE FROM item")
    assert replica.has_news()
    assert replica.has_news()
    assert len(rows(replica)) == 3
    assert replica.pull().changed
    assert not replica.has_news()


def test_what_was_written_before_the_time_that_is_told_is_there(server: SyncServer, replica: Replica) -> None:
    sql(server, "INSERT INTO item (id) VALUES (20)")
    written = time.time()
    assert replica.freshness().current_at < written, "it is not there, so this must not be claimed"
    replica.pull()
    fresh = replica.freshness()
    assert written < fresh.current_at < time.time()
    assert fresh.age_s is not None
    assert fresh.age_s < 60
    notes = read_notes(replica.path)
    assert notes is not None
    assert notes.current_at == fresh.current_at, "and it is still known when the file is opened again"


def test_a_question_that_finds_nothing_new_makes_the_replica_younger(server: SyncServer, replica: Replica) -> None:
    asked = time.time()
    assert not replica.has_news()
    assert replica.freshness().current_at >= asked
    sql(server, "DELETE FROM item")
    old = replica.freshness().current_at
    assert replica.has_news()
    assert replica.freshness().current_at == old


def test_after_the_clock_was_set_back_the_age_is_unknown(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    monkeypatch.setattr("ptp.engine.replicas.replica.time.time", lambda: real() - 3600)
    assert replica.freshness().age_s is None


def test_reads_go_on_while_the_server_is_killed_and_pulls_when_it_is_back(server: SyncServer, replica: Replica) -> None:
    before = rows(replica)
    server.kill()
    with pytest.raises(Unreachable, match="cannot be reached .*: try again later"):
        replica.pull()
    assert rows(replica) == before
    age = replica.freshness().age_s
    assert age is not None
    assert age > 0

    server.start()
    sql(server, "INSERT INTO item (id) VALUES (30)")
    assert replica.pull().changed
    assert rows(replica) == sql(server, ALL)[0]


def test_a_replica_opens_while_the_server_is_away(server: SyncServer, replica: Replica) -> None:
    replica.close()
    server.kill()
    with open_replica(replica.path, server.url, patience=HASTY) as offline:
        assert len(rows(offline)) == 3


def test_a_server_that_stands_still_is_not_waited_for_without_end(server: SyncServer, replica: Replica) -> None:
    server.pause()
    try:
        with pytest.raises(Unreachable, match="no answer in time"):
            replica.pull()
    finally:
        server.resume()
    sql(server, "DELETE FROM item")
    assert replica.pull().changed
    assert rows(replica) == []


def test_where_the_remote_is_away_nothing_is_left_of_a_new_replica(server: SyncServer, tmp_path: Path) -> None:
    server.stop()
    with pytest.raises(Unreachable):
        create_replica(tmp_path / "new.db", server.url, patience=HASTY)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("new")] == []
    server.start()
    create_replica(tmp_path / "new.db", server.url, patience=HASTY).close()


def test_a_replica_that_is_killed_while_it_pulls_is_whole(server: SyncServer, replica: Replica) -> None:
    replica.close()
    for number in (0, 2):
        child = subprocess.Popen([sys.executable, "-c", PULLS, replica.path, server.url], stdout=subprocess.PIPE)
        assert child.stdout is not None
        with child, child.stdout as told:
            assert told.readline() == b"open\n"
            for n in range(3):
                sql(
                    server,
                    f"INSERT INTO item (name, picture) SELECT '{number}-{n}-' || value, randomblob(2000) "
                    "FROM generate_series(1, 300)",
                )
            time.sleep(0.007 * number)
            child.send_signal(signal.SIGKILL)
    with open_replica(replica.path, server.url, patience=HASTY) as again:
        assert (rows(again, "SELECT count(*) FROM item")[0][0] - 3) % 300 == 0, (
            "a transaction of the primary is there whole or not at all"
        )
        while again.pull().changed:
            pass
        assert rows(again, "PRAGMA integrity_check") == [("ok",)]
        assert rows(again) == sql(server, ALL)[0]
        assert len(rows(again)) == 3 + 2 * 3 * 300


def test_the_log_is_written_back_and_a_reader_does_not_stand_in_the_way(
    server: SyncServer, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptp.engine.replicas.replica.CHECKPOINT_BYTES", 1)
    log = replica.path.with_name(replica.path.name + "-wal")
    reader = replica.connect()
    reader.execute("BEGIN")
    reader.execute(ALL).fetchall()
    sql(server, "INSERT INTO item (id) VALUES (40)")
    assert replica.pull().changed
    assert log.stat().st_size > 0, "the reader is in its transaction"
    reader.rollback()
    reader.close()
    sql(server, "INSERT INTO item (id) VALUES (41)")
    replica.pull()
    assert log.stat().st_size == 0
    for number in range(42, 46):
        sql(server, f"INSERT INTO item (id) VALUES ({number})")
        replica.pull()
        assert rows(replica) == sql(server, ALL)[0]


@pytest.mark.parametrize("lost", ["", "-info", "-wal", "-ptp-replica"])
def test_a_replica_that_lost_a_file_is_told_so_and_made_anew(server: SyncServer, replica: Replica, lost: str) -> None:
    sql(server, "INSERT INTO item (id) VALUES (50)")
    replica.pull()
    replica.close()
    replica.path.with_name(replica.path.name + lost).unlink()
    with pytest.raises(UsageError, match="ptp replica rebuild"):
        open_replica(replica.path, server.url)
    with rebuild_replica(replica.path, server.url, patience=HASTY) as anew:
        assert rows(anew) == sql(server, ALL)[0]


def test_damage_is_no_reason_not_to_rebuild_and_an_outage_keeps_what_was(server: SyncServer, replica: Replica) -> None:
    replica.close()
    server.kill()
    kept = replica.path.read_bytes()
    with pytest.raises(Unreachable):
        rebuild_replica(replica.path, server.url, patience=HASTY)
    assert replica.path.read_bytes() == kept
    with open_replica(replica.path, server.url, patience=HASTY) as offline:
        assert len(rows(offline)) == 3

    server.start()
    for part in ("", "-info", "-ptp-replica"):
        replica.path.with_name(replica.path.name + part).write_bytes(b"no such thing" * 400)
    with rebuild_replica(replica.path, server.url, patience=HASTY) as anew:
        assert rows(anew) == sql(server, ALL)[0]


def test_a_rebuild_that_was_cut_off_is_known_and_can_be_done_again(server: SyncServer, replica: Replica) -> None:
    replica.close()
    shutil.copy(replica.path, replica.path.with_name(replica.path.name + ".making"))
    replica.path.with_name(replica.path.name + "-ptp-replica").unlink()  # the first to go, and the last to come
    replica.path.unlink()
    with pytest.raises(UsageError, match="ptp replica rebuild"):
        open_replica(replica.path, server.url)
    with rebuild_replica(replica.path, server.url, patience=HASTY) as anew:
        assert rows(anew) == sql(server, ALL)[0]
    assert list(replica.path.parent.glob("*.making*")) == []


def test_a_replica_that_is_removed_leaves_nothing_and_can_be_made_again(server: SyncServer, replica: Replica) -> None:
    sql(server, "DELETE FROM item WHERE id = 1")
    replica.pull()
    with pytest.raises(CannotFinish, match="is open in this process: close it there first"):
        remove_replica(replica.path)
    replica.close()
    remove_replica(replica.path)
    assert list(replica.path.parent.glob("replica.db*")) == []
    with create_replica(replica.path, server.url, patience=HASTY) as anew:
        assert rows(anew) == sql(server, ALL)[0]
