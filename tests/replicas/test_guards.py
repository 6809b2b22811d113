"""Replicas only read, and one process at a time has one: what is refused, and what is said."""

from __future__ import annotations

import gc
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from ptp.engine import open_engine
from ptp.engine.drivers import is_open_here
from ptp.engine.replicas import (
    Replica,
    Unreachable,
    check_no_replica,
    check_read_only,
    open_replica,
    rebuild_replica,
    remote_url,
)
from ptp.engine.replicas.files import beside
from ptp.errors import CannotFinish, UsageError
from tests.replicas.conftest import HASTY
from tests.replicas.primary import sql, writer
from tests.replicas.server import SyncServer, needs_server

READS = """
SELECT 1
/* c */ -- x\\n SELECT 1;
WITH a AS (SELECT 1) SELECT * FROM a
WITH RECURSIVE a(x) AS (VALUES (1)) SELECT replace(x, 1, 2) FROM a
VALUES (1)
EXPLAIN QUERY PLAN SELECT 1
BEGIN
BEGIN DEFERRED
COMMIT
END
ROLLBACK TO a
SAVEPOINT a
RELEASE a
PRAGMA table_info('t')
PRAGMA main.table_xinfo("a b")
PRAGMA foreign_keys = ON
pragma cache_size=-200
PRAGMA user_version
PRAGMA integrity_check
SELECT ';DELETE FROM t'
SELECT 'x' /* ; DELETE FROM t */
WITH a AS (SELECT 1 AS "delete") SELECT "delete" FROM a
"""
WRITES = """
INSERT INTO item (id) VALUES (100)
REPLACE INTO item (id) VALUES (1)
UPDATE item SET name = 'x'
DELETE FROM item
WITH x AS (SELECT 1) DELETE FROM item
WITH x AS (VALUES (100)) INSERT INTO item (id) SELECT * FROM x
CREATE TABLE t (a)
CREATE INDEX i ON item (score)
CREATE VIEW v AS SELECT 1
DROP TABLE item
ALTER TABLE item ADD COLUMN b
VACUUM
VACUUM INTO 'x'
ATTACH 'x' AS y
DETACH y
REINDEX
ANALYZE
BEGIN IMMEDIATE
BEGIN EXCLUSIVE
PRAGMA query_only = 0
PRAGMA query_only(0)
/**/PRAGMA/**/query_only/**/=/**/0
PRAGMA wal_checkpoint
PRAGMA wal_checkpoint(TRUNCATE)
PRAGMA user_version = 3
PRAGMA journal_mode = DELETE
PRAGMA optimize
PRAGMA writable_schema = 1
SELECT 1; DELETE FROM item
SELECT 1; PRAGMA query_only = 0
garbage
"""


def lines(text: str) -> list[str]:
    return [line.replace("\\n", "\n") for line in text.strip().splitlines()]


@pytest.mark.parametrize("statement", lines(READS))
def test_what_reads_is_let_through(statement: str) -> None:
    check_read_only(statement)


@pytest.mark.parametrize("statement", lines(WRITES))
def test_what_writes_is_refused_with_the_reason(statement: str) -> None:
    with pytest.raises(UsageError, match=": a replica is only read, as .*; write to the primary") as told:
        check_read_only(statement)
    assert str(told.value).count(". ") == 0, "one sentence"


@needs_server
def test_no_statement_that_writes_reaches_the_file(server: SyncServer, replica: Replica) -> None:
    db = replica.connect()
    before = db.execute("SELECT * FROM item").fetchall()
    for statement in lines(WRITES):
        for run in (db.execute, db.cursor().execute):
            with pytest.raises(UsageError):
                run(statement)
    for many in (db.executemany, db.cursor().executemany):
        with pytest.raises(UsageError):
            many("INSERT INTO item (id) VALUES (?)", [(100,)])
    for script in (db.executescript, db.cursor().executescript):
        with pytest.raises(UsageError):
            script("DELETE FROM item")
    assert db.execute("SELECT * FROM item").fetchall() == before
    assert replica.local_changes() == 0
    assert not replica.pull().changed
    db.close()


@needs_server
def test_an_engine_on_a_replica_reads_refuses_writes_and_shows_no_helper_tables(
    server: SyncServer, replica: Replica
) -> None:
    replica.close()
    engine = open_engine(f"turso-sync:{replica.path}?remote={server.url}")
    with engine.connect() as db:
        assert db.execute(text("SELECT id FROM item ORDER BY id")).all() == [(-3,), (1,), (2,)]
        assert inspect(db).get_table_names() == ["item"]
    for statement in ("INSERT INTO item (id) VALUES (120)", "CREATE TABLE t (a)"):
        with pytest.raises(UsageError, match="is a replica, which is only read: write to http"), engine.begin() as db:
            db.execute(text(statement))
    engine.dispose()
    assert sql(server, "SELECT count(*) FROM item")[0] == [(3,)]


@needs_server
def test_the_driver_refuses_too_what_would_get_past_the_guard(replica: Replica) -> None:
    raw = replica.connect()._inner
    for statement in ("DELETE FROM item", "WITH x AS (SELECT 1) DELETE FROM item", "CREATE TABLE t (a)"):
        with pytest.raises(Exception, match="query_only"):
            raw.execute(statement)
    assert raw.execute("SELECT count(*) FROM item").fetchone() == (3,)
    raw.close()


@needs_server
def test_a_second_process_is_told_so_in_one_sentence(server: SyncServer, replica: Replica) -> None:
    code = "import sys; from ptp.__main__ import main; main()"
    command = [sys.executable, "-c", code, "replica", "status", "--replica", str(replica.path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 4
    assert f"{replica.path} is open in another process" in done.stderr
    assert done.stderr.count("\n") == 1

    holder = "import sys, turso; db = turso.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    replica.close()
    other = subprocess.Popen(
        [sys.executable, "-c", holder, replica.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        for use in (open_replica, rebuild_replica):
            with pytest.raises(CannotFinish, match="is open in another process"):
                use(replica.path, server.url)
        assert other.stdin is not None
        other.stdin.close()
    open_replica(replica.path, server.url).close()


@needs_server
def test_sqlite3_and_a_replica_never_have_one_file_in_one_process(server: SyncServer, replica: Replica) -> None:
    engine = open_engine(replica.path, read_only=True)
    with pytest.raises(CannotFinish, match="is open in this process by pyturso"), engine.connect():
        pass
    engine.dispose()
    replica.close()

    plain = sqlite3.connect(f"file:{replica.path}?mode=ro", uri=True)
    plain.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    with pytest.raises(CannotFinish, match="is open in this process by another library"):
        open_replica(replica.path, server.url)
    plain.close()
    open_replica(replica.path, server.url).close()


def assert_fails(work: Callable[[], object], error: type[Exception]) -> None:
    """As pytest.raises, which keeps the error, and with it frames, for a while."""
    try:
        work()
    except error:
        return
    pytest.fail(f"no {error.__name__}")


@needs_server
def test_a_replica_that_is_closed_lets_go_of_its_file_at_once(server: SyncServer, replica: Replica) -> None:
    reader = replica.connect()
    rows = reader.execute("SELECT * FROM item")
    rows.fetchone()
    server.kill()
    gc.disable()  # what is only found by it holds the file until then
    try:
        assert_fails(replica.pull, Unreachable)
        assert_fails(replica.has_news, Unreachable)
        reader.close()
        replica.close()
        assert not is_open_here(replica.path)
        again = open_replica(replica.path, server.url, patience=HASTY)
        assert_fails(again.pull, Unreachable)
        assert_fails(lambda: again.connect().execute("DELETE FROM item"), UsageError)
        again.close()
        assert not is_open_here(replica.path)
    finally:
        gc.enable()
    del rows, reader


@needs_server
def test_a_replica_is_not_to_be_migrated_and_any_other_file_is(replica: Replica, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be migrated: it is a local replica of http.*do that to the primary"):
        check_no_replica(replica.path, doing="migrated")
    check_no_replica(tmp_path / "none.db", doing="migrated")
    check_no_replica(tmp_path / "primary.db", doing="migrated")


@needs_server
def test_a_file_that_another_program_writes_to_is_not_rebuilt_nor_taken_for_a_replica(
    server: SyncServer, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.db"
    with writer(path, server.url) as db:
        db.execute("INSERT INTO item (id) VALUES (110)")
    with pytest.raises(UsageError, match="is no replica that ptp made"):
        open_replica(path, server.url)
    with pytest.raises(UsageError, match="another program writes to and syncs: it is left as it is"):
        rebuild_replica(path, server.url)
    with writer(path, server.url) as db:
        assert len(db.execute("SELECT id FROM item WHERE id = 110").fetchall()) == 1
        db.push()
    assert sql(server, "SELECT count(*) FROM item WHERE id = 110")[0] == [(1,)]


def test_a_plain_database_is_not_rebuilt(tmp_path: Path) -> None:
    path = tmp_path / "plain.db"
    path.write_bytes(b"whatever")
    with pytest.raises(UsageError, match="is no replica: it is left as it is"):
        rebuild_replica(path, "http://127.0.0.1:9")
    assert path.read_bytes() == b"whatever"


def test_notes_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    path.touch()
    for content in ("", "[]", '{"version": 2}', '{"version": 1}', "{"):
        beside(path, "-ptp-replica").write_text(content)
        with pytest.raises(UsageError, match="cannot be read .*: make the replica anew with ptp replica rebuild"):
            open_replica(path, "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("libsql://app.turso.io", "https://app.turso.io"),
        ("turso://app.turso.io", "https://app.turso.io"),
        ("https://app.turso.io/", "https://app.turso.io"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://HOST/path/", "https://host/path"),
    ],
)
def test_an_address_is_one_to_pull_from(written: str, meant: str) -> None:
    assert remote_url(written) == meant


@pytest.mark.parametrize(
    "written",
    ["", "file.db", "ws://host", "sqlite:///f", "http://", "http://h:x", "https://h?authToken=s3cret", "https://s3cret@h",
     "https://me:s3cret@h", "https://h#s3cret", "ftp://me:s3cret@h"],
)  # fmt: skip
def test_any_other_address_is_refused_without_what_may_be_secret(written: str) -> None:
    with pytest.raises(UsageError) as told:
        remote_url(written)
    assert "s3cret" not in str(told.value)
