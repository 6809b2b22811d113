"""A backup is complete, proven by its content, and removed when it is not."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.errors import CannotFinish, DiskFull, SourceChanged
from ptp.migration import backup as backups
from ptp.migration.backup import Backup, check_space, fingerprint, prove_copy, take_backup
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


def test_a_copy_that_is_not_proven_is_removed(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil_then_prove(source: Path, copy: Path, **more: Any) -> Backup:
        run(copy, "UPDATE k SET v = 'W' WHERE y = 2")
        return prove_copy(source, copy, **more)

    monkeypatch.setattr(backups, "prove_copy", spoil_then_prove)
    before = source.read_bytes()
    with pytest.raises(CannotFinish, match="table k"):
        take_backup(source, tmp_path / "copy.db", progress=quiet)
    assert os.listdir(tmp_path) == ["source.db"]
    assert source.read_bytes() == before


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
    verdicts = {f.id: f.verdict for f in stage.findings}
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
