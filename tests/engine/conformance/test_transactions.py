"""Transactions of each route: whole or not at all, writers from the start, and never going on outside of one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from ptp.engine import atomic, fetch
from ptp.errors import CannotFinish, Locked, UsageError
from tests.engine.conformance.places import Place

COUNT = "SELECT count(*) FROM parent"


def test_a_transaction_is_kept_as_a_whole(transactional: Place) -> None:
    with atomic(transactional.engine()) as db:
        fetch(db, "INSERT INTO parent VALUES (3, 'three')", ())
        db.execute(text("CREATE TABLE other (a)"))
        db.execute(text("INSERT INTO other VALUES (1)"))
        assert fetch(db, COUNT, ()) == [(3,)]
    assert transactional.see("SELECT count(*), (SELECT a FROM other) FROM parent") == [(3, 1)]


def test_everything_is_taken_back_where_a_transaction_fails(transactional: Place) -> None:
    before = transactional.see("SELECT type, name, sql FROM sqlite_schema ORDER BY name")
    with pytest.raises(ZeroDivisionError), atomic(transactional.engine()) as db:
        fetch(db, "INSERT INTO parent VALUES (3, 'three')", ())
        for ddl in ("CREATE TABLE other (a)", "ALTER TABLE parent ADD COLUMN more", "DROP TABLE thing"):
            db.execute(text(ddl))
        raise ZeroDivisionError
    assert transactional.see("SELECT type, name, sql FROM sqlite_schema ORDER BY name") == before
    assert transactional.see(COUNT) == [(2,)]


def test_a_connection_that_is_closed_without_a_commit_keeps_nothing(transactional: Place) -> None:
    with transactional.engine().connect() as db:
        db.execute(text("INSERT INTO parent VALUES (3, 'three')"))
    assert transactional.see(COUNT) == [(2,)]


def test_a_transaction_that_read_first_may_write(transactional: Place) -> None:
    with transactional.engine().connect() as db:
        assert fetch(db, COUNT, ()) == [(2,)]
        fetch(db, "INSERT INTO parent VALUES (3, 'three')", ())
        db.commit()
        assert fetch(db, COUNT, ()) == [(3,)]
    assert transactional.see(COUNT) == [(3,)]


def test_savepoints(transactional: Place) -> None:
    with atomic(transactional.engine()) as db:
        fetch(db, "INSERT INTO parent VALUES (3, 'kept')", ())
        with pytest.raises(ZeroDivisionError), db.begin_nested():
            fetch(db, "INSERT INTO parent VALUES (4, 'taken back')", ())
            raise ZeroDivisionError
        with db.begin_nested():
            fetch(db, "INSERT INTO parent VALUES (5, 'kept')", ())
    assert transactional.see("SELECT id FROM parent ORDER BY id") == [(1,), (2,), (3,), (5,)]


def test_a_statement_that_fails_leaves_the_transaction_open(transactional: Place) -> None:
    with atomic(transactional.engine()) as db:
        fetch(db, "INSERT INTO parent VALUES (3, 'three')", ())
        with pytest.raises(IntegrityError):
            fetch(db, "INSERT INTO parent VALUES (1, 'again')", ())
        with pytest.raises(OperationalError):
            fetch(db, "SELECT * FROM nothing", ())
        fetch(db, "INSERT INTO parent VALUES (4, 'four')", ())
    assert transactional.see(COUNT) == [(4,)]


def test_nothing_goes_on_outside_a_transaction_that_a_statement_has_ended(transactional: Place) -> None:
    with pytest.raises((IntegrityError, CannotFinish)), atomic(transactional.engine()) as db:
        fetch(db, "INSERT INTO parent VALUES (3, 'three')", ())
        try:
            fetch(db, "INSERT OR ROLLBACK INTO parent VALUES (1, 'again')", ())
        except (IntegrityError, CannotFinish):
            if (
                transactional.route.name != "sqlite3"
            ):  # whose driver would go on; the first error is not to be passed over
                with pytest.raises(CannotFinish, match="transaction"):
                    fetch(db, "INSERT INTO parent VALUES (4, 'outside')", ())
            raise
    assert transactional.see(COUNT) == [(2,)]


def test_a_broken_reference_fails_at_the_commit_and_nothing_is_kept(transactional: Place) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), atomic(transactional.engine()) as db:
        fetch(db, "INSERT INTO child VALUES (7, 555, 'c', 1)", ())
        fetch(db, "INSERT INTO parent VALUES (3, 'three')", ())
    assert transactional.see(f"SELECT ({COUNT}), (SELECT count(*) FROM child WHERE id = 7)") == [(2, 0)]
    with atomic(transactional.engine()) as db:
        fetch(db, "INSERT INTO child VALUES (7, 555, 'c', 1)", ())
        fetch(db, "INSERT INTO parent VALUES (555, 'in time')", ())
    assert transactional.see("SELECT parent_id FROM child WHERE id = 7") == [(555,)]


def test_a_second_writer_waits_for_the_first(transactional: Place) -> None:
    if not transactional.can("several connections"):
        pytest.skip("this route has one connection; that it has no second is tested for itself")
    engine = transactional.engine(busy_timeout_ms=10_000)
    begun = threading.Event()

    def write() -> None:
        with atomic(engine) as two:
            begun.set()
            assert fetch(two, COUNT, ()) == [(3,)]
            fetch(two, "INSERT INTO parent VALUES (4, 'four')", ())

    with ThreadPoolExecutor(1) as threads:
        with atomic(engine) as one:
            fetch(one, "INSERT INTO parent VALUES (3, 'three')", ())
            second = threads.submit(write)
            assert not begun.wait(0.1)
            with engine.connect() as reader:
                assert fetch(reader, COUNT, ()) == [(2,)]
        second.result()
    assert transactional.see(COUNT) == [(4,)]


def test_a_second_writer_to_a_file_does_not_wait_longer_than_it_is_told(transactional: Place) -> None:
    if transactional.is_remote or not transactional.can("several connections"):
        pytest.skip("a server decides itself how long it waits")
    engine = transactional.engine(busy_timeout_ms=1)
    begun = False
    with atomic(engine):
        with pytest.raises(Locked, match="locked"), atomic(engine):
            begun = True
    assert not begun


def test_a_failing_row_of_many_takes_all_with_it(writable: Place) -> None:
    rows = [{"id": 1_000 + n, "name": "x"} for n in range(300)] + [{"id": 1, "name": "again"}]
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: parent\.id"):
        writable.write_many("INSERT INTO parent VALUES (:id, :name)", rows)
    assert writable.see(COUNT) == [(2,)]


def test_under_autocommit_each_statement_is_kept_and_afterwards_transactions_are_again(writable: Place) -> None:
    engine = writable.engine(pool_size=1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        fetch(db, "INSERT INTO parent VALUES (3, 'three')", ())
        db.execute(text("INSERT INTO parent VALUES (4, 'four')"))
        with pytest.raises(IntegrityError):
            db.execute(text("INSERT INTO bound VALUES (1, 555)"))
    if writable.can("transactions"):
        with engine.connect() as db:
            fetch(db, "INSERT INTO parent VALUES (5, 'not kept')", ())
    assert writable.see("SELECT id FROM parent ORDER BY id") == [(1,), (2,), (3,), (4,)]


def test_an_engine_that_only_reads_refuses_writes(writable: Place) -> None:
    engine = writable.engine(read_only=True)
    with engine.connect() as db:
        assert fetch(db, COUNT, ()) == [(2,)]
        for sql in (
            "INSERT INTO parent VALUES (3, 'three')",
            "WITH x AS (SELECT 3) INSERT INTO parent SELECT *, 'x' FROM x",
            "DROP TABLE child",
        ):
            with pytest.raises(UsageError):
                fetch(db, sql, ())
    with pytest.raises(UsageError), atomic(engine) as db:
        fetch(db, "INSERT INTO parent VALUES (3, 'three')", ())
    assert writable.see(f"SELECT ({COUNT}), count(*) FROM sqlite_schema WHERE name = 'child'") == [(2, 1)]


def test_a_route_without_transactions_refuses_them_and_says_what_has_them(place: Place) -> None:
    if place.can("transactions"):
        pytest.skip("this route has transactions")
    engine = place.engine()
    with pytest.raises(UsageError, match="no transactions: leave .protocol=1 out, or write ws://"), atomic(engine):
        pass
    with engine.connect() as db, pytest.raises(UsageError, match="no transactions"):
        fetch(db, "INSERT INTO parent VALUES (3, 'three')", ())
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        for sql in ("BEGIN", "SAVEPOINT s"):
            with pytest.raises(UsageError, match="no transactions"):
                fetch(db, sql, ())
    assert place.see(COUNT) == [(2,)]


def test_a_replica_refuses_writes_and_names_its_primary(place: Place) -> None:
    if place.can("writes"):
        pytest.skip("this route takes writes")
    engine = place.engine()
    with (
        pytest.raises(UsageError, match=r"is a replica, which is only read: write to http://127\.0\.0\.1"),
        atomic(engine),
    ):
        pass
    with engine.connect() as db:
        for sql in ("INSERT INTO parent VALUES (3, 'x')", "DROP TABLE thing", "PRAGMA user_version = 3", "VACUUM"):
            with pytest.raises(UsageError, match="replica"):
                fetch(db, sql, ())
        assert fetch(db, COUNT, ()) == [(2,)]
