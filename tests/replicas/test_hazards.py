"""What Turso Sync does wrongly, shown on the real server, each with why a replica of ptp does not meet it.

All of the first part is about pushes, which carry changes of rows. A pull brings pages, so what is done to the primary
by SQL arrives whole.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import turso
import turso.sync

from ptp.engine.replicas import Replica, create_replica, is_helper, open_replica, read_schema
from ptp.errors import UsageError
from ptp.workbench.progress import quiet
from ptp.workbench.replica_checks import compared, helpers, reader
from ptp.workbench.replicas import Place, check, rebuild
from tests.replicas.conftest import HASTY
from tests.replicas.primary import sql, writer
from tests.replicas.server import SyncServer, needs_server

pytestmark = needs_server


def read(replica: Replica, statement: str) -> list[Any]:
    return [tuple(row) for row in reader(replica)(statement, ())]


def ids_of_same(db: Any) -> list[int]:
    return [row[0] for row in db.execute("SELECT id FROM item WHERE name = 'same'").fetchall()]


def schema_of(server: SyncServer) -> set[str]:
    return {name for (name,) in sql(server, "SELECT name FROM sqlite_schema")[0]}


def test_a_table_rebuild_is_lost_by_a_push_and_arrives_by_a_pull(
    server: SyncServer, replica: Replica, tmp_path: Path
) -> None:
    rebuild = (
        "CREATE TABLE item_new (id INTEGER PRIMARY KEY, name TEXT, size INTEGER)",
        "INSERT INTO item_new SELECT id, name, 7 FROM item",
        "DROP TABLE item",
        "ALTER TABLE item_new RENAME TO item",
    )
    wanted = [(-3, None, 7), (1, "one", 7), (2, "zw\u00f6lf", 7)]

    sql(server, *rebuild)
    assert replica.pull().changed
    assert read(replica, "SELECT * FROM item ORDER BY id") == wanted

    with SyncServer(tmp_path / "other.db") as other, writer(tmp_path / "w.db", other.url) as db:
        db.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)")
        db.execute("INSERT INTO item VALUES (1, 'one')")
        db.push()
        for statement in rebuild:
            db.execute(statement)
        with pytest.raises(turso.DatabaseError):
            db.push()
        assert "item" not in schema_of(other) or "size" not in str(sql(other, "SELECT sql FROM sqlite_schema"))


def test_a_renamed_column_is_not_carried_by_a_push_and_arrives_by_a_pull(
    server: SyncServer, replica: Replica, tmp_path: Path
) -> None:
    sql(server, "ALTER TABLE item RENAME COLUMN name TO title")
    assert replica.pull().changed
    assert read(replica, "SELECT title FROM item WHERE id = 1") == [("one",)]

    with writer(tmp_path / "w.db", server.url) as db:
        db.execute("ALTER TABLE item RENAME COLUMN title TO label")
        db.push()
    assert [name for _, name, *_ in sql(server, "PRAGMA table_info(item)")[0]][1] == "title"


def test_views_and_triggers_are_not_carried_by_a_push_arrive_by_a_pull_and_are_named_where_they_lack(
    server: SyncServer, replica: Replica, tmp_path: Path
) -> None:
    with writer(tmp_path / "w.db", server.url) as db:
        db.execute("CREATE VIEW pushed AS SELECT id FROM item")
        db.execute("CREATE TRIGGER pushed_too AFTER INSERT ON item BEGIN DELETE FROM item WHERE id < -100; END")
        db.execute("INSERT INTO item (id) VALUES (60)")
        db.push()
    assert sql(server, "SELECT id FROM item WHERE id = 60")[0] == [(60,)]
    assert not {"pushed", "pushed_too"} & schema_of(server), "and no error said so"

    sql(
        server,
        "CREATE VIEW by_sql AS SELECT id FROM item",
        "CREATE INDEX item_score ON item (score)",
        "CREATE TRIGGER grow AFTER INSERT ON item BEGIN UPDATE item SET score = 9 WHERE id = new.id; END",
    )
    (schema, content), _ = compared(replica, quiet)
    assert schema.verdict == "fail"
    assert [w.split(":")[0] for w in schema.where] == [
        "index item_score is missing",
        "trigger grow is missing",
        "view by_sql is missing",
    ]
    assert content.verdict == "fail"
    assert "item: 3 rows here, 4 in the primary" in content.where[0]

    replica.pull()
    assert [f.verdict for f in compared(replica, quiet)[0]] == ["pass", "pass"]
    sql(server, "INSERT INTO item (id) VALUES (61)")
    replica.pull()
    assert read(replica, "SELECT score FROM item WHERE id = 61") == [(9.0,)], "it ran in the primary, and once"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE item SET score = 1 WHERE id = 1",
        "UPDATE item SET score = '0.1' WHERE id = 1",
        "UPDATE item SET picture = CAST(picture AS TEXT) WHERE id = -3",
        "UPDATE item SET id = 5 WHERE id = 2",
    ],
)
def test_a_difference_in_one_value_is_found(server: SyncServer, replica: Replica, change: str) -> None:
    assert compared(replica, quiet)[0][1].verdict == "pass"
    before = sql(server, "SELECT *, typeof(score), typeof(picture) FROM item ORDER BY id")
    sql(server, change)
    differs = sql(server, "SELECT *, typeof(score), typeof(picture) FROM item ORDER BY id") != before
    assert (compared(replica, quiet)[0][1].verdict == "fail") == differs


def test_a_clash_drops_the_row_of_a_file_that_writes_and_replicas_have_none_to_lose(
    server: SyncServer, replica_at: Callable[[str], Replica], tmp_path: Path
) -> None:
    with writer(tmp_path / "w.db", server.url) as db:
        db.execute("INSERT INTO item (id, name) VALUES (70, 'same')")
        sql(server, "INSERT INTO item (id, name) VALUES (71, 'same')")
        with pytest.raises(turso.DatabaseError, match="UNIQUE constraint failed"):
            db.push()
        assert ids_of_same(db) == [70]
        assert db.pull()
        assert ids_of_same(db) == [71], "its own row is gone, and this pull said nothing"

    one, two = replica_at("one.db"), replica_at("two.db")
    for each in (one, two):
        with pytest.raises(UsageError, match="a replica is only read"):
            each.connect().execute("INSERT INTO item (id, name) VALUES (72, 'another')")
        assert each.local_changes() == 0
        sql(server, "INSERT OR IGNORE INTO item (id, name) VALUES (73, 'another')")
        each.pull()
        assert read(each, "SELECT id FROM item WHERE name = 'another'") == [(73,)]


def test_a_file_that_was_written_to_is_no_replica_and_is_left_as_it_is(server: SyncServer, replica: Replica) -> None:
    replica.close()
    with writer(replica.path, server.url) as db:
        db.execute("INSERT INTO item (id) VALUES (80)")
    with pytest.raises(UsageError, match=r"holds \d+ changes that another program wrote to it and never pushed"):
        open_replica(replica.path, server.url)


def test_helper_tables_stand_in_the_file_and_in_no_inventory(server: SyncServer, replica: Replica) -> None:
    names = {name for (name,) in read(replica, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert {"turso_cdc", "item"} < names
    assert {e.name for e in read_schema(reader(replica)) if e.kind == "table"} == {"item"}
    assert {n for n in names if not is_helper(n)} == {"item"}
    assert set(helpers(replica).where) == {n for n in names - {"item"} if not n.startswith("sqlite_")}


def test_pyturso_itself_takes_a_foreign_remote_without_a_word_and_ptp_does_not(
    server: SyncServer, replica: Replica, tmp_path: Path
) -> None:
    replica.close()
    with SyncServer(tmp_path / "other.db") as other:
        fill_with_something_else(other)
        with pytest.raises(UsageError, match=f"is a replica of {server.url}, not of {other.url}"):
            open_replica(replica.path, other.url)
        with open_replica(replica.path, server.url) as still:
            assert read(still, "SELECT count(*) FROM item") == [(3,)]

        with writer(replica.path, other.url) as mixed:
            assert mixed.pull()
            found = {row[0] for row in mixed.execute("SELECT name FROM sqlite_schema").fetchall()}
            assert "something_else" not in found, "it says that it pulled, and has neither the one nor the other"
        with pytest.raises(UsageError, match="was last pulled from .* by another program: ptp replica rebuild"):
            open_replica(replica.path, server.url)


def fill_with_something_else(server: SyncServer) -> None:
    sql(server, "CREATE TABLE something_else (a)")
    for number in range(30):
        sql(server, f"INSERT INTO something_else VALUES ({number})")


def test_another_database_at_the_same_address_is_seen_by_the_comparison_and_a_rebuild_helps(
    server: SyncServer, replica: Replica
) -> None:
    server.stop()
    for part in ("", "-wal"):
        server.path.with_name(server.path.name + part).unlink()
    server.start()
    fill_with_something_else(server)
    replica.close()

    place = Place(replica.path, patience=HASTY)
    verdicts = {f.id: f.verdict for f in check(place).findings}
    assert verdicts["replica.schema"] == "fail"
    rebuild(place)
    assert {f.verdict for f in check(place).findings} == {"pass"}
    with open_replica(replica.path, server.url) as anew:
        assert read(anew, "SELECT count(*) FROM something_else") == [(30,)]


def test_a_server_serves_only_what_is_in_its_log(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "old.db") as db:
        db.execute("CREATE TABLE old (a)")
        db.execute("INSERT INTO old VALUES (1)")
    db.close()
    with SyncServer(tmp_path / "old.db") as server:
        with create_replica(tmp_path / "replica.db", server.url, patience=HASTY) as replica:
            assert read_schema(reader(replica)) == []


ENDS = """
import sys, turso.sync, json, urllib.request
db = turso.sync.connect(sys.argv[1], sys.argv[2], isolation_level=None)
def write(value):
    body = {"requests": [{"type": "execute", "stmt": {"sql": f"INSERT INTO item (id) VALUES ({value})"}}]}
    urllib.request.urlopen(urllib.request.Request(sys.argv[2] + "/v2/pipeline", data=json.dumps(body).encode()))
write(90); db.pull(); write(91); db.pull()
db.execute("PRAGMA wal_checkpoint").fetchall()
write(92); db.pull()
print("lives")
"""


def test_a_checkpoint_by_sql_ends_the_process_at_the_next_pull_and_is_refused(
    server: SyncServer, replica: Replica, tmp_path: Path
) -> None:
    child = subprocess.run(
        [sys.executable, "-c", ENDS, tmp_path / "bare.db", server.url],
        capture_output=True,
        text=True,
        env={"RUST_BACKTRACE": "0"},
    )
    assert child.returncode < 0, "killed by a signal"
    assert "lives" not in child.stdout
    with pytest.raises(UsageError, match="PRAGMA wal_checkpoint is not allowed here"):
        replica.connect().execute("PRAGMA wal_checkpoint")


def test_pyturso_obeys_what_it_refuses_after_a_semicolon(tmp_path: Path) -> None:
    db = turso.connect(str(tmp_path / "plain.db"), isolation_level=None)
    db.execute("PRAGMA query_only = 1")
    with pytest.raises(turso.ProgrammingError, match="one statement at a time"):
        db.execute("SELECT 1; PRAGMA query_only = 0")
    assert db.execute("PRAGMA query_only").fetchone() == (0,), "so that query_only alone is no guard"
    db.close()
