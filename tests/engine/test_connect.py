"""Engines and transactions: foreign keys on, DDL that rolls back, writers from the start."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from ptp.engine import atomic, open_engine
from ptp.errors import DiskFull, Locked, UsageError
from ptp.settings import load_settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        db.execute("CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id REFERENCES parent (id) ON DELETE CASCADE)")
        db.execute("INSERT INTO parent VALUES (1)")
        db.execute("INSERT INTO child VALUES (1, 1)")
        db.commit()
    return file


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    made = open_engine(path, settings=load_settings().model_copy(update={"busy_timeout_ms": 1}))
    yield made
    made.dispose()


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_foreign_keys_are_on_in_every_connection(engine: Engine) -> None:
    with engine.connect() as one, engine.connect() as two:
        for db in (one, two):
            assert db.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), atomic(engine) as db:
        db.execute(text("INSERT INTO child VALUES (2, 99)"))


def test_the_tuning_of_the_settings_is_in_force(path: Path) -> None:
    settings = load_settings().model_copy(update={"cache_mb": 3, "mmap_mb": 2, "busy_timeout_ms": 1234})
    engine = open_engine(path, settings=settings)
    with engine.connect() as db:
        told = {n: db.execute(text(f"PRAGMA {n}")).scalar_one() for n in ("cache_size", "mmap_size", "busy_timeout")}
        assert told == {"cache_size": -3 * 1024, "mmap_size": 2 * 1024 * 1024, "busy_timeout": 1234}
        assert db.execute(text("PRAGMA synchronous")).scalar_one() == 1
    engine.dispose()


def test_ddl_rolls_back_with_its_transaction(engine: Engine, path: Path) -> None:
    before = ask(path, "SELECT * FROM sqlite_schema")
    with pytest.raises(ZeroDivisionError), atomic(engine) as db:
        db.execute(text("CREATE TABLE other (a)"))
        db.execute(text("INSERT INTO other VALUES (1)"))
        db.execute(text("ALTER TABLE parent ADD COLUMN more"))
        db.execute(text("DROP TABLE child"))
        raise ZeroDivisionError
    assert ask(path, "SELECT * FROM sqlite_schema") == before
    assert ask(path, "SELECT * FROM child") == [(1, 1)]


def test_a_transaction_is_committed_as_a_whole(engine: Engine, path: Path) -> None:
    with atomic(engine) as db:
        db.execute(text("CREATE TABLE other (a)"))
        db.execute(text("INSERT INTO other VALUES (1)"))
        assert ask(path, "SELECT name FROM sqlite_schema WHERE name = 'other'") == []
    assert ask(path, "SELECT * FROM other") == [(1,)]


def test_a_write_transaction_holds_the_lock_before_its_first_write(engine: Engine, path: Path) -> None:
    with atomic(engine), closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    with engine.connect() as db, closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
        db.execute(text("SELECT * FROM parent")).all()
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


def test_a_write_transaction_fails_at_its_start_where_another_holds_the_lock(engine: Engine, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = False
        with pytest.raises(Locked, match="locked"), atomic(engine):
            begun = True
        assert not begun


def test_a_read_only_engine_cannot_write(path: Path) -> None:
    engine = open_engine(path, read_only=True)
    with engine.connect() as db:
        assert db.execute(text("SELECT count(*) FROM child")).scalar_one() == 1
        assert db.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        with pytest.raises(UsageError, match="readonly"):
            db.execute(text("DELETE FROM child"))
    engine.dispose()
    assert ask(path, "SELECT * FROM child") == [(1, 1)]


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}", "file:{}"])
def test_an_engine_is_opened_by_any_form_of_url(path: Path, form: str) -> None:
    engine = open_engine(form.format(path))
    with engine.connect() as db:
        assert db.execute(text("SELECT count(*) FROM parent")).scalar_one() == 1
    engine.dispose()


def test_an_engine_never_creates_a_database(tmp_path: Path) -> None:
    for place in (tmp_path / "none.db", tmp_path):
        with pytest.raises(UsageError, match="There is no database file"):
            open_engine(place)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_and_a_lock_come_out_of_an_engine_as_ours(engine: Engine, path: Path) -> None:
    with engine.connect() as db:
        db.exec_driver_sql("PRAGMA max_page_count = 1")
        with pytest.raises(DiskFull, match="disk is full"):
            db.exec_driver_sql("CREATE TABLE big AS SELECT randomblob(1000000) AS b")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Locked, match="locked by another process"), atomic(engine):
            pass
