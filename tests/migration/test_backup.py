"""A backup is complete, proven by its content, and removed when it is not."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ptp.errors import CannotFinish, DiskFull, Locked, SourceChanged
from ptp.migration import backup as backups
from ptp.migration.backup import Backup, check_space, fingerprint, prove_copy, take_backup
from ptp.migration.record import read_record
from ptp.migration.same import same_bytes
from ptp.workbench import migrating


def quiet(share: float, text: str) -> None: ...


DDL = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT COLLATE NOCASE)",
    "CREATE TABLE k (x TEXT, y INT, v, PRIMARY KEY (x, y)) WITHOUT ROWID",
    "CREATE TABLE bare (a)",
    "CREATE TABLE made (a, b AS (a || '!') STORED)",
    "INSERT INTO t VALUES (1, 'one', 'x'), (2, 2, 'y'), (3, NULL, NULL), (4, X'00FF', ''), (5, 'a' || char(0) || 'b', 'z')",
    "INSERT INTO k VALUES ('a', 1, 'v'), ('a', 2, 'w')",
    "INSERT INTO bare VALUES (1), (1), (NULL)",
    "INSERT INTO made VALUES ('m')",
)


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    run(tmp_path / "source.db", *DDL)
    return tmp_path / "source.db"


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def test_a_backup_is_the_source(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    found = take_backup(source, copy, progress=quiet)
    assert found == Backup(copy, copy.stat().st_size, 11, 4)
    assert dump(copy) == dump(source)


def test_a_backup_holds_what_stands_only_in_the_log(source: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(source, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("BEGIN")
        writer.executemany("INSERT INTO bare VALUES (?)", [(n,) for n in range(1000)])
        writer.execute("COMMIT")
        with closing(sqlite3.connect(f"file:{source}?immutable=1", uri=True)) as without_log:
            assert without_log.execute("SELECT count(*) FROM bare").fetchone() == (3,)
        take_backup(source, tmp_path / "copy.db", progress=quiet)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as db:
        assert db.execute("SELECT count(*) FROM bare").fetchone() == (1003,)
    assert not (tmp_path / "copy.db-wal").exists()


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_a_backup_of_another_encoding_is_proven(tmp_path: Path, encoding: str) -> None:
    run(tmp_path / "s.db", f"PRAGMA encoding = '{encoding}'", *DDL)
    take_backup(tmp_path / "s.db", tmp_path / "copy.db", progress=quiet)
    assert dump(tmp_path / "copy.db") == dump(tmp_path / "s.db")


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("UPDATE t SET a = 'onf' WHERE id = 1", "t"),
        ("UPDATE t SET a = 2.0 WHERE id = 2", "t"),
        ("UPDATE t SET a = '2' WHERE id = 2", "t"),
        ("UPDATE t SET a = X'6F6E65' WHERE id = 1", "t"),
        ("UPDATE t SET a = 0 WHERE id = 3", "t"),
        ("UPDATE t SET a = X'00FE' WHERE id = 4", "t"),
        ("UPDATE t SET a = 'a' || char(0) || 'c' WHERE id = 5", "t"),
        ("UPDATE t SET a = 'a' WHERE id = 5", "t"),
        ("UPDATE t SET b = 'X' WHERE id = 1", "t"),
        ("UPDATE t SET id = 9 WHERE id = 1", "t"),
        ("DELETE FROM t WHERE id = 3", "t"),
        ("INSERT INTO t VALUES (6, 1, 1)", "t"),
        ("UPDATE k SET v = 'W' WHERE y = 2", "k"),
        ("UPDATE k SET y = 3 WHERE y = 2", "k"),
        ("DELETE FROM k WHERE y = 2", "k"),
        ("DELETE FROM bare WHERE rowid = 2", "bare"),
        ("UPDATE bare SET rowid = 9 WHERE rowid = 1", "bare"),
        ("UPDATE made SET a = 'n'", "made"),
    ],
)
def test_a_copy_that_differs_in_one_place_is_not_proven(source: Path, tmp_path: Path, change: str, table: str) -> None:
    copy = tmp_path / "copy.db"
    take_backup(source, copy, progress=quiet)
    run(copy, change)
    with pytest.raises(CannotFinish, match=f"is not the source: table {table} has"):
        prove_copy(source, copy, progress=quiet)


def test_a_copy_that_lacks_a_table_is_not_proven(source: Path, tmp_path: Path) -> None:
    take_backup(source, tmp_path / "copy.db", progress=quiet)
    run(tmp_path / "copy.db", "DROP TABLE bare")
    with pytest.raises(CannotFinish, match="it has no table bare"):
        prove_copy(source, tmp_path / "copy.db", progress=quiet)


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("spoilt", ["copy.db.partial", "copy.db.scratch.partial"])
def test_a_copy_that_is_not_proven_is_removed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str, mode: str
) -> None:
    run(source, f"PRAGMA journal_mode = {mode}")
    original = backups.copy_into

    def spoil(db: sqlite3.Connection, path: Path) -> None:
        original(db, path)
        if path.name == spoilt:
            run(path, "UPDATE k SET v = 'W' WHERE y = 2")

    monkeypatch.setattr(backups, "copy_into", spoil)
    before = source.read_bytes()
    seen_by_bytes = mode == "delete" and "scratch" not in spoilt
    with pytest.raises(CannotFinish, match="its bytes differ" if seen_by_bytes else "table k has 2 rows") as caught:
        take_backup(source, tmp_path / "copy.db", progress=quiet, record=True)
    assert "is not the source" in str(caught.value)
    assert os.listdir(tmp_path) == ["source.db"]
    assert source.read_bytes() == before


WRITER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
print("ready", flush=True)
number, start = 0, time.perf_counter()
try:
    while True:
        time.sleep(max(0.0, start + number / 200 - time.perf_counter()))
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO one VALUES (?)", (number,))
        db.execute("UPDATE t SET b = b || 'x' WHERE id = 1")
        db.execute("INSERT INTO other VALUES (?)", (number,))
        db.execute("COMMIT")
        number += 1
except KeyboardInterrupt:
    print(number, flush=True)
"""


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes 200 transactions a second, two rows each; it ends with their number or an error."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_backup_under_writes_is_one_moment_and_the_writer_never_fails(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    run(source, "CREATE TABLE one (n)", "CREATE TABLE other (n)", f"PRAGMA journal_mode = {mode}")
    run(source, "CREATE TABLE bulk AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 60000) "
                "SELECT n, hex(randomblob(40)) AS h FROM c")  # fmt: skip
    steps: list[int] = []
    original = backups.step
    monkeypatch.setattr(
        backups, "step", lambda *a: (steps.append(ask(source, "SELECT count(*) FROM one")), original(*a))
    )

    with writing(source) as process:
        waited = 0
        while (before := ask(source, "SELECT count(*) FROM one")) < 5 and waited < 2_000:
            time.sleep(0.005)
            waited += 1
        found = take_backup(source, tmp_path / "copy.db", progress=quiet, record=True)
        after = ask(source, "SELECT count(*) FROM one")
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=60)

    copy = tmp_path / "copy.db"
    assert errors == ""
    assert int(said) >= after > before >= 5
    assert len(steps) == 2, "one step from the source, one into the scratch file"
    ones, others = ask(copy, "SELECT count(*) FROM one"), ask(copy, "SELECT count(*) FROM other")
    assert before <= ones == others <= after
    assert ask(copy, "SELECT length(b) FROM t WHERE id = 1") == ones + 1, "each write adds a letter"
    assert found.rows == sum(
        ask(copy, f"SELECT count(*) FROM {t}") for t in ("t", "k", "bare", "made", "one", "other", "bulk")
    )
    assert ask(copy, "PRAGMA journal_mode") == "delete"


def ask(path: Path, sql: str) -> Any:
    with closing(sqlite3.connect(path, timeout=20)) as db:
        return db.execute(sql).fetchone()[0]


@pytest.mark.parametrize("lock", ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"])
def test_a_backup_of_a_locked_source_ends_after_the_busy_timeout(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    monkeypatch.setenv("PTP_BUSY_TIMEOUT_MS", "60")
    with closing(sqlite3.connect(source, isolation_level=None)) as other:
        other.execute(lock)
        if lock == "BEGIN IMMEDIATE":  # a writer that has not yet committed holds no reader back
            assert take_backup(source, tmp_path / "copy.db", progress=quiet).rows == 11
            return
        with pytest.raises(Locked, match=r"source\.db is locked by another process"):
            take_backup(source, tmp_path / "copy.db", progress=quiet)
    assert os.listdir(tmp_path) == ["source.db"]


def test_a_step_into_a_locked_file_ends_after_the_busy_timeout(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTP_BUSY_TIMEOUT_MS", "60")
    run(tmp_path / "into.db", "CREATE TABLE u (a)")
    with (
        closing(sqlite3.connect(tmp_path / "into.db", isolation_level=None)) as other,
        closing(sqlite3.connect(source)) as db,
        closing(sqlite3.connect(tmp_path / "into.db", timeout=0)) as into,
    ):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Locked, match=r"into\.db is locked by another process"):
            backups.step(db, into, tmp_path / "into.db")


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
def test_a_backup_keeps_what_the_header_says_and_its_record_tells_it(tmp_path: Path, encoding: str, mode: str) -> None:
    source, copy = tmp_path / "s.db", tmp_path / "copy.db"
    settings = (f"PRAGMA encoding = '{encoding}'", "PRAGMA page_size = 1024", "PRAGMA auto_vacuum = 2")
    run(
        source,
        *settings,
        "PRAGMA application_id = 77",
        "PRAGMA user_version = 9",
        *DDL,
        f"PRAGMA journal_mode = {mode}",
    )
    run(source, "CREATE VIRTUAL TABLE words USING fts5(w)", "INSERT INTO words VALUES ('a needle'), ('straw')")
    run(source, "CREATE TABLE m (id INTEGER PRIMARY KEY AUTOINCREMENT)", "INSERT INTO m VALUES (50)", "DELETE FROM m")

    take_backup(source, copy, progress=quiet, record=True)

    asked = ("encoding", "page_size", "auto_vacuum", "application_id", "user_version")
    assert [ask(copy, f"PRAGMA {name}") for name in asked] == [encoding, 1024, 2, 77, 9]
    assert ask(copy, "SELECT rowid FROM words WHERE words MATCH 'needle'") == 1
    assert ask(copy, "SELECT seq FROM sqlite_sequence") == 50
    assert dump(copy) == dump(source)
    record = read_record(copy)
    assert (record.page_size, record.encoding, record.application_id, record.user_version) == (1024, encoding, 77, 9)
    assert (record.journal_mode, record.source, record.bytes) == (mode, str(source), copy.stat().st_size)
    assert record.blake2b == hashlib.blake2b(copy.read_bytes(), digest_size=32).hexdigest()
    assert {t: n for t, n in record.rows.items() if "words" not in t} == {"t": 5, "k": 2, "bare": 3, "made": 1, "m": 0}
    assert record.rows["words_content"] == 2
    assert record.proven


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("UPDATE sqlite_sequence SET seq = 1", "table sqlite_sequence"),
        ("UPDATE words SET w = 'other' WHERE rowid = 2", "table words_"),
        ("CREATE INDEX more ON t (a)", "index more is not the same"),
        ("DROP TRIGGER tr", "trigger tr is not the same"),
        ("PRAGMA user_version = 3", "its user_version is 3, not 0"),
        ("PRAGMA application_id = 3", "its application_id is 3, not 0"),
    ],
)
def test_a_copy_that_differs_beside_its_tables_is_not_proven(
    source: Path, tmp_path: Path, change: str, difference: str
) -> None:
    run(source, "CREATE TRIGGER tr AFTER INSERT ON k BEGIN SELECT 1; END")
    run(source, "CREATE VIRTUAL TABLE words USING fts5(w)", "INSERT INTO words VALUES ('a needle'), ('straw')")
    run(source, "CREATE TABLE m (id INTEGER PRIMARY KEY AUTOINCREMENT)", "INSERT INTO m VALUES (50)")
    take_backup(source, tmp_path / "copy.db", progress=quiet)
    run(tmp_path / "copy.db", change)
    with pytest.raises(CannotFinish, match=f"is not the source: {difference}"):
        prove_copy(source, tmp_path / "copy.db", progress=quiet)


def test_bytes_are_compared_to_the_last_page(source: Path, tmp_path: Path) -> None:
    take_backup(source, tmp_path / "copy.db", progress=quiet)
    copy = tmp_path / "copy.db"
    for place in (16, 60, 101, 5_000, copy.stat().st_size - 1):
        found = bytearray(copy.read_bytes())
        found[place] ^= 1
        (tmp_path / "spoilt.db").write_bytes(found)
        with source.open("rb") as raw:
            assert same_bytes(raw, copy) == ""
            assert "differ" in same_bytes(raw, tmp_path / "spoilt.db"), place


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_backup_has_no_name(source: Path, tmp_path: Path, sent: int) -> None:
    program = (
        "import os, sys; from pathlib import Path; from ptp.migration import backup\n"
        "def told(share, text):\n"
        "    if 'proving' in text: os.kill(os.getpid(), int(sys.argv[3]))\n"
        "backup.take_backup(Path(sys.argv[1]), Path(sys.argv[2]), progress=told, record=True)"
    )
    copy = tmp_path / "copy.db"
    ended = subprocess.run(
        [sys.executable, "-c", program, source, copy, str(int(sent))], capture_output=True, check=False, timeout=60
    )
    assert ended.returncode == -sent
    left = set(os.listdir(tmp_path)) - {"source.db"}
    assert left == ({"copy.db.partial", "copy.db.scratch.partial"} if sent == signal.SIGKILL else set())
    take_backup(source, copy, progress=quiet, record=True)
    assert set(os.listdir(tmp_path)) == {"source.db", "copy.db", "copy.db.json"}


def test_a_backup_that_is_interrupted_is_removed(source: Path, tmp_path: Path) -> None:
    def interrupt(share: float, text: str) -> None:
        if "proving" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_backup(source, tmp_path / "copy.db", progress=interrupt)
    assert os.listdir(tmp_path) == ["source.db"]


def test_the_fingerprint_sees_a_write_to_the_file_and_to_its_log(source: Path) -> None:
    seen = [fingerprint(source), fingerprint(source)]
    run(source, "INSERT INTO bare VALUES (4)")
    seen.append(fingerprint(source))
    with closing(sqlite3.connect(source, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        seen.append(fingerprint(source))
        writer.execute("INSERT INTO bare VALUES (5)")
        seen.append(fingerprint(source))
    assert seen[0] == seen[1]
    assert len(set(seen[1:])) == 4


def test_room_is_checked_against_the_disk(tmp_path: Path) -> None:
    check_space(tmp_path, needed_bytes=1)
    with pytest.raises(DiskFull, match="has .* MB free, and this needs about 1,000,000,000 MB"):
        check_space(tmp_path, needed_bytes=10**15)


def test_the_migration_leaves_a_proven_backup_and_an_untouched_source(case: Any) -> None:
    before = case.source.read_bytes()
    stage = case.migrate()
    verdicts = {f.id: f.verdict for f in stage.findings if f.severity != "note"}
    assert verdicts == dict.fromkeys(
        ("migrate.conversions", "migrate.backup", "migrate.source-unchanged", "migrate.plan"), "pass"
    )
    assert case.source.read_bytes() == before
    assert dump(case.out / "backup" / "source.db") == dump(case.source)
    (backed_up,) = (f for f in stage.findings if f.id == "migrate.backup")
    tables = [
        t for (t,) in case.ask_source("SELECT name FROM sqlite_schema WHERE type = 'table'") if "sqlite_" not in t
    ]
    assert backed_up.value == sum(case.ask_source(f"SELECT count(*) FROM {t}")[0][0] for t in tables)


def test_the_migration_of_a_source_in_log_mode_holds_what_stands_only_in_the_log(raw: Any) -> None:
    with closing(sqlite3.connect(raw.source, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("INSERT INTO users (email, name) VALUES ('only@log', 'n')")
        raw.migrate()
        assert raw.ask("SELECT name FROM users WHERE email = 'only@log'") == [("n",)]
        assert raw.failing() == {}


def test_a_source_that_is_written_to_meanwhile_is_refused(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original = backups.take_backup

    def write_then_back_up(source: Path, copy: Path, **more: Any) -> Backup:
        raw.edit("UPDATE users SET name = 'changed' WHERE id = 1")
        return original(source, copy, **more)

    monkeypatch.setattr(migrating, "take_backup", write_then_back_up)
    with pytest.raises(SourceChanged, match="was written to while it was migrated") as caught:
        raw.migrate()
    assert caught.value.exit_code == 4
    monkeypatch.undo()
    assert not raw.target.exists(), "a second run must not find the target of one that did not finish"


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_damaged_source_is_named_and_has_no_backup(source: Path, tmp_path: Path, mode: str) -> None:
    run(source, f"PRAGMA journal_mode = {mode}")
    found = bytearray(source.read_bytes())
    found[4096:8192] = b"\xff" * 4096
    source.write_bytes(found)
    with pytest.raises(CannotFinish, match=r"source\.db is damaged"):
        take_backup(source, tmp_path / "copy.db", progress=quiet, record=True)
    assert [n for n in os.listdir(tmp_path) if n.startswith("copy")] == []
