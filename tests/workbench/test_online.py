"""Online migration: the source is written to throughout, and the target comes out as an offline run would make it.

The witnesses: an offline migration of the source as it was left, and plain SQL on a copy of the source that never moved.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from ptp.engine import moves, open_engine, read_inventory
from ptp.engine.connect import atomic
from ptp.engine.following import Follower
from ptp.errors import CannotFinish, DirtySource, GateFailed, Moved, SourceChanged, UsageError
from ptp.migration import live as live_module
from ptp.migration.live import Pace
from ptp.migration.watching import end_capture
from ptp.workbench.migrating import migrate, plan_of
from ptp.workbench.online import migrate_online
from ptp.workbench.undoing import look_back, resume, roll_back, settle
from ptp.workload.demo import write_demo

SHAPES = ("raw", "drizzle")
change_move = moves.change_move


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("demos")
    for shape in SHAPES:
        write_demo(shape=shape, size="tiny", seed=3, out=folder / f"{shape}.db")  # type: ignore[arg-type]
        with closing(sqlite3.connect(folder / f"{shape}.db")) as db:
            db.execute("PRAGMA journal_mode = WAL")
    return {shape: folder / f"{shape}.db" for shape in SHAPES}


@dataclass
class Place:
    """A source in WAL mode that is about to move, and where to."""

    source: Path
    shape: str
    target: Path
    out: Path
    notes: list[str] = field(default_factory=list)

    def move(self, **options: Any) -> dict[str, Any]:
        self.out.mkdir(exist_ok=True)
        stage = migrate_online(self.source, self.target, self.out, run="test", **options)
        return {f.id: f for f in stage.findings}

    def edit(self, *statements: str) -> None:
        for sql in statements:
            with closing(sqlite3.connect(self.source, isolation_level=None)) as db:
                db.execute(sql)

    def rows(self, path: Path) -> dict[str, list[tuple[Any, ...]]]:
        """All that a database holds besides what ptp keeps for itself, with every value's storage class."""
        return contents(path)


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    with closing(sqlite3.connect(path)) as db:
        for name, table in read_inventory(db).tables.items():
            if name.startswith("ptp_") or table.is_virtual:
                continue
            columns = ", ".join(f'"{c}", typeof("{c}")' for c in table.stored_columns)
            found[name] = sorted(db.execute(f'SELECT {columns} FROM "{name}"').fetchall(), key=repr)
        found["sqlite_sequence"] = sorted(db.execute("SELECT * FROM sqlite_sequence WHERE name NOT LIKE 'ptp_%'"))
    return found


@pytest.fixture(params=SHAPES)
def place(request: pytest.FixtureRequest, demos: dict[str, Path], tmp_path: Path) -> Place:
    source = Path(shutil.copy(demos[request.param], tmp_path / "old.db"))
    return Place(source, request.param, tmp_path / "new.db", tmp_path / "out")


@pytest.fixture
def raw(demos: dict[str, Path], tmp_path: Path) -> Place:
    return Place(Path(shutil.copy(demos["raw"], tmp_path / "old.db")), "raw", tmp_path / "new.db", tmp_path / "out")


def write_old(db: Connection, rng: random.Random, shape: str, number: int) -> None:
    """One transaction as the old application writes: inserts, updates, deletes, REPLACE, swapped keys and values."""
    now = "'2026-01-01 10:00:00'" if shape == "raw" else "1767261600"
    user, other = rng.sample(range(1, 20), 2)
    progress = "(SELECT min(id) FROM user_progress WHERE id > abs(random()) % 20)"
    emails = [db.exec_driver_sql("SELECT email FROM users WHERE id = ?", (u,)).scalar() for u in (user, other)]
    choices: list[list[tuple[str, tuple[Any, ...]]]] = [
        [("UPDATE users SET bio = ?, login_count = login_count + 1 WHERE id = ?", (f"bio {number}", user))],
        [
            (
                "INSERT INTO user_answers (user_id, question_id, selected_answer, is_correct, answered_at) "
                f"SELECT user_id, question_id, selected_answer, is_correct, {now} FROM user_answers WHERE id = ?",
                (rng.randint(1, 500),),
            )
        ],
        [("DELETE FROM user_answers WHERE id = ?", (rng.randint(1, 2_000),))],
        [("UPDATE user_answers SET id = ? WHERE id = ?", (100_000 + number, rng.randint(1, 2_000)))],
        [("INSERT OR REPLACE INTO user_progress (user_id, exam_id, total_questions_seen) VALUES (?, 1, 99)", (user,))],
        [(f"UPDATE OR REPLACE user_progress SET user_id = ? WHERE id = {progress}", (user,))],
        [(f"DELETE FROM user_progress WHERE id = {progress}", ())],
        [
            ("UPDATE users SET email = 'between' WHERE id = ?", (user,)),
            ("UPDATE users SET email = ? WHERE id = ?", (emails[0], other)),
            ("UPDATE users SET email = ? WHERE id = ?", (emails[1], user)),
        ],
        [
            (
                "UPDATE questions SET text = ?, is_active = 1 - is_active WHERE id = ?",
                (f"q {number}", rng.randint(1, 90)),
            )
        ],
    ]
    for sql, values in rng.choice(choices):
        db.exec_driver_sql(sql, values)


class Application(threading.Thread):
    """An application that writes all the time, and follows its database."""

    def __init__(self, place: Place, seed: int = 1) -> None:
        super().__init__(daemon=True)
        self.place, self.rng, self.stop = place, random.Random(seed), threading.Event()
        self.problems: list[BaseException] = []
        self.old = self.new = 0

    def run(self) -> None:
        follower = Follower(self.place.source, shape=self.place.shape)
        try:
            while not self.stop.is_set():
                follower.transact({self.place.shape: self._old, "head": self._head})
                time.sleep(0.002)
        except BaseException as problem:
            self.problems.append(problem)
        finally:
            follower.close()

    def _old(self, db: Connection) -> None:
        write_old(db, self.rng, self.place.shape, self.old)
        self.old += 1

    def _head(self, db: Connection) -> None:
        self.new += 1

    def __enter__(self) -> Application:
        self.start()
        while not self.old and not self.problems:
            time.sleep(0.001)
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + 5
        while not self.new and not self.problems and time.monotonic() < deadline:
            time.sleep(0.001)
        self.stop.set()
        self.join()


def offline_twin(place: Place, tmp_path: Path) -> Path:
    """What an offline migration makes of the source as it was left."""
    source, target = tmp_path / "twin-source.db", tmp_path / "twin.db"
    with closing(sqlite3.connect(place.source)) as db, closing(sqlite3.connect(source)) as copy:
        db.backup(copy)
    end_capture(source)
    out = tmp_path / "twin-out"
    out.mkdir()
    migrate(source, target, out, run="twin", on_dirty="quarantine")
    return target


def test_the_target_is_what_an_offline_run_makes_of_the_source_with_all_its_writes(
    place: Place, tmp_path: Path
) -> None:
    with Application(place) as application:
        found = place.move(pace=Pace(rows=200))
    assert application.problems == []
    assert application.old > 20
    assert application.new > 0
    assert found["migrate.live-content"].verdict == "pass"
    mine, theirs = contents(place.target), contents(offline_twin(place, tmp_path))
    for derived in ("question_cells", "question_pool"):  # their slots depend on the order of the writes
        mine.pop(derived), theirs.pop(derived)
    assert mine == theirs


def test_what_is_known_beforehand_speaks_of_others_not_of_the_migration_itself(raw: Place) -> None:
    notes = {i: f for i, f in raw.move().items() if i.startswith("preflight.") and i != "preflight.engine"}
    assert {i: f.where for i, f in notes.items() if f.verdict != "pass"} == {}
    assert "preflight.migrators" in notes
    assert (raw.out / "backup" / "source.db.json").is_file()


def test_after_the_move_every_way_in_leads_to_the_new_one(raw: Place) -> None:
    raw.move()
    with pytest.raises(sqlite3.IntegrityError, match=f"has moved to {raw.target}: open that one"):
        raw.edit("UPDATE users SET name = 'x' WHERE id = 1")
    engine = open_engine(raw.source)
    with pytest.raises(Moved, match=f"{raw.source} has moved to {raw.target}"), engine.begin() as db:
        db.exec_driver_sql("SELECT 1")
    engine.dispose()
    follower = Follower(raw.source, shape="raw")
    assert follower.transact({"head": lambda db: db.exec_driver_sql("SELECT count(*) FROM users").scalar()})
    assert follower.path == raw.target
    with pytest.raises(UsageError, match="no function for the shape head"):
        follower.transact({"raw": lambda db: None})
    follower.close()


def test_a_function_that_met_the_freeze_is_run_again_whole_on_the_target(raw: Place) -> None:
    calls: list[str] = []

    def head(db: Connection) -> None:
        calls.append("head")
        db.exec_driver_sql("UPDATE users SET name = 'followed' WHERE id = 1")

    follower = Follower(raw.source, shape="raw")
    follower.transact({"raw": lambda db: calls.append("raw")})
    raw.move()
    follower.transact({"raw": lambda db: calls.append("raw"), "head": head})
    follower.close()
    assert calls == ["raw", "head"]
    with closing(sqlite3.connect(raw.target)) as db:
        assert db.execute("SELECT name FROM users WHERE id = 1").fetchone() == ("followed",)


def test_a_source_in_rollback_journal_mode_is_refused_with_the_way_to_switch(raw: Place) -> None:
    raw.edit("PRAGMA journal_mode = DELETE")
    before = raw.source.read_bytes()
    with pytest.raises(UsageError, match=r"not in WAL mode.*locks everyone out.*journal_mode = WAL"):
        raw.move()
    assert raw.source.read_bytes() == before


@pytest.mark.parametrize(
    ("sql", "error", "words"),
    [
        ("UPDATE users SET created_at = 'yesterday' WHERE id = 2", DirtySource, "users, key 2, created_at: rejected"),
        ("ALTER TABLE users ADD COLUMN later TEXT", SourceChanged, "schema was changed"),
        ("VACUUM", SourceChanged, "vacuumed"),
    ],
)
def test_what_changes_the_ground_meanwhile_stops_it_before_the_freeze(
    raw: Place, monkeypatch: pytest.MonkeyPatch, sql: str, error: type[Exception], words: str
) -> None:
    meanwhile(raw, monkeypatch, sql)
    with pytest.raises(error, match=words):
        raw.move()
    assert_untouched(raw)


def meanwhile(place: Place, monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    """Run a statement of somebody else's once the indexes are built."""
    finish = live_module.NextDatabase.finish

    def finished(self: live_module.NextDatabase, progress: Callable[[float, str], None]) -> None:
        finish(self, progress)
        place.edit(sql)

    monkeypatch.setattr(live_module.NextDatabase, "finish", finished)


def assert_untouched(place: Place) -> None:
    """The source takes writes and holds nothing of a migration; there is no target."""
    with closing(sqlite3.connect(place.source)) as db:
        assert db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'ptp%'").fetchall() == []
        db.execute("UPDATE users SET name = 'writable' WHERE id = 1")
    left = {p.name for p in place.source.parent.iterdir()} - {"old.db", "old.db-wal", "old.db-shm", "out"}
    assert left == set()


def test_a_value_that_turns_dirty_meanwhile_goes_into_quarantine_where_that_is_the_policy(
    raw: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    raw.edit("UPDATE users SET last_login = 'never' WHERE id IN (3, 4, 5)")
    meanwhile(
        raw,
        monkeypatch,
        "UPDATE users SET last_login = CASE id WHEN 4 THEN '2025-03-01 10:00:00' ELSE '2025-03-01T10:00:00.5Z' END "
        "WHERE id IN (4, 5, 6)",
    )
    raw.move(on_dirty="quarantine")
    with closing(sqlite3.connect(raw.target)) as db, closing(sqlite3.connect(offline_twin(raw, tmp_path))) as twin:
        sql = "SELECT kind, row_key, column_name, original, placeholder, reason FROM ptp_quarantine ORDER BY row_key"
        found = db.execute(sql).fetchall()
        assert found == twin.execute(sql).fetchall()
        assert [(row[1], row[3], row[4]) for row in found] == [
            ("3", "never", None),
            ("5", "2025-03-01T10:00:00.5Z", 1740823200),
            ("6", "2025-03-01T10:00:00.5Z", 1740823200),
        ]


def test_a_difference_stops_it_before_the_freeze(raw: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = live_module.NextDatabase.finish

    def spoiled(self: live_module.NextDatabase, progress: Callable[[float, str], None]) -> None:
        finish(self, progress)
        self.db.execute("UPDATE main.users SET name = name || ' ' WHERE id = 7")

    monkeypatch.setattr(live_module.NextDatabase, "finish", spoiled)
    with pytest.raises(GateFailed, match="users, key 7, column name"):
        raw.move()
    assert_untouched(raw)


def test_a_row_that_is_damaged_after_it_was_compared_is_seen_if_it_was_logged(
    raw: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is logged after its part was compared is looked at again: a replay that went wrong does not go through."""
    arm = live_module.NextDatabase.arm

    def spoiled(self: live_module.NextDatabase, move: moves.Move, target: Path) -> None:
        raw.edit("UPDATE users SET name = 'changed' WHERE id = 7")
        with self.snapshot():
            self.replay()
        self.db.execute("UPDATE main.users SET name = 'lost' WHERE id = 7")
        arm(self, move, target)

    monkeypatch.setattr(live_module.NextDatabase, "arm", spoiled)
    with pytest.raises(GateFailed, match="users, key 7, column name"):
        raw.move()
    assert_untouched(raw)


class TestFreeze:
    """The state row: what it lets through, for how long, and who may lift it."""

    @pytest.fixture
    def frozen(self, raw: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
        """A source that a dead migrator left in its freeze, half a second before the deadline."""
        monkeypatch.setattr("ptp.workbench.online.tidy", lambda source, target: None)
        monkeypatch.setattr("ptp.migration.cutover.moves.change_move", self._no_thaw)
        monkeypatch.setattr(live_module.NextDatabase, "complete", self._die)
        with pytest.raises(KeyboardInterrupt):
            raw.move(pace=Pace(deadline=0.5))
        monkeypatch.undo()
        yield raw

    @staticmethod
    def _no_thaw(db: sqlite3.Connection, **changes: Any) -> bool:
        if changes.get("state") == "open" and changes.get("expected") == "freezing":
            return False
        return change_move(db, **changes)

    @staticmethod
    def _die(self: object, *, seconds: float) -> None:
        raise KeyboardInterrupt

    def test_readers_go_on_and_a_writer_waits_until_the_deadline_and_then_writes(self, frozen: Place) -> None:
        engine = open_engine(frozen.source)
        with engine.begin() as db:
            assert db.exec_driver_sql("SELECT state FROM ptp_move").scalar() == "freezing"
        with atomic(engine) as db:
            assert db.exec_driver_sql("SELECT state FROM ptp_move").scalar() == "open"
            db.exec_driver_sql("UPDATE users SET name = 'in time' WHERE id = 1")
        engine.dispose()

    def test_a_plain_client_is_told_to_try_again(self, frozen: Place) -> None:
        with pytest.raises(sqlite3.IntegrityError, match=f"is moving to {frozen.target}: try again in a moment"):
            frozen.edit("DELETE FROM users")

    def test_the_target_that_was_not_reached_cannot_be_written_to(self, frozen: Place) -> None:
        with closing(sqlite3.connect(frozen.target)) as db:
            with pytest.raises(sqlite3.IntegrityError, match=f"not open yet: use {frozen.source} until it is"):
                db.execute("UPDATE users SET name = 'x'")
        assert moves.open_next(frozen.target) is False

    def test_the_next_command_says_what_happened_and_both_ways_out_work(self, frozen: Place) -> None:
        with pytest.raises(UsageError, match=r"interrupted in its phase 'cut over'.*--resume.*ptp rollback"):
            frozen.move()
        roll_back(frozen.source)
        assert_untouched(frozen)

    def test_resumed_it_comes_to_its_end(self, frozen: Place, tmp_path: Path) -> None:
        out = tmp_path / "again"
        out.mkdir()
        resume(frozen.source, out, run="again")
        assert contents(frozen.target)["users"] == contents(offline_twin(frozen, tmp_path))["users"]

    def test_a_migrator_whose_freeze_ran_out_does_not_move(self, raw: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        complete = live_module.NextDatabase.complete

        def slow(self: live_module.NextDatabase, *, seconds: float) -> None:
            time.sleep(0.3)
            complete(self, seconds=seconds)

        monkeypatch.setattr(live_module.NextDatabase, "complete", slow)
        with pytest.raises(CannotFinish, match="freeze ran out"):
            raw.move(pace=Pace(deadline=0.1))
        assert_untouched(raw)


class TestRollback:
    """The way back after the cut over."""

    def test_the_old_content_and_the_writes_since_are_in_the_source(self, place: Place, tmp_path: Path) -> None:
        place.edit("UPDATE users SET last_login = 'never' WHERE id = 3")
        if place.shape == "raw":  # what a conversion cannot give back: an offset, a fraction of a second
            place.edit(
                "UPDATE users SET created_at = '2025-03-01T10:00:00+02:00' WHERE id IN (4, 5)",
                "UPDATE users SET updated_at = '2025-03-01T10:00:00.123Z' WHERE id IN (4, 5)",
            )
        twin = Path(shutil.copy(place.source, tmp_path / "never-moved.db"))
        with closing(sqlite3.connect(place.source)) as db, closing(sqlite3.connect(twin)) as copy:
            db.backup(copy)
        place.move(on_dirty="quarantine")
        moment = ("'2025-05-05 05:05:05'" if place.shape == "raw" else "1746421505", "1746421505")
        with closing(sqlite3.connect(twin)) as old, closing(sqlite3.connect(place.target)) as new:
            for db, now in ((old, moment[0]), (new, moment[1])):
                db.execute("PRAGMA foreign_keys = ON")
                for sql in (
                    f"UPDATE users SET bio = 'new', updated_at = {now} WHERE id = 4",
                    "UPDATE users SET name = 'only the name' WHERE id IN (3, 5)",
                    f"INSERT INTO users (id, email, name, created_at, updated_at) VALUES (9001, 'n', 'n', {now}, {now})",
                    "DELETE FROM user_answers WHERE id % 7 = 0",
                    "UPDATE user_answers SET id = id + 50000 WHERE id % 11 = 0",
                    "UPDATE user_answers SET flagged = 1 WHERE id % 5 = 0",
                    "UPDATE user_progress SET total_questions_seen = 77 WHERE id % 2 = 0",
                ):
                    db.execute(sql)
                db.commit()
        assert look_back(place.source).keys > 100
        roll_back(place.source)
        mine, theirs = contents(place.source), contents(twin)
        marks = zip(mine.pop("sqlite_sequence"), theirs.pop("sqlite_sequence"), strict=True)
        assert all(a[0] == b[0] and a[1] >= b[1] for a, b in marks)
        assert mine == theirs
        with closing(sqlite3.connect(place.source)) as db:
            assert db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'ptp%'").fetchall() == []
        with closing(sqlite3.connect(place.target)) as db:
            with pytest.raises(sqlite3.IntegrityError, match=f"has moved to {place.source}"):
                db.execute("UPDATE users SET name = 'x'")

    def test_what_the_old_shape_has_no_place_for_is_listed_and_refused_beforehand(self, raw: Place) -> None:
        raw.move()
        with closing(sqlite3.connect(raw.target)) as db:
            db.execute("INSERT INTO twitter_accounts (id, username) VALUES ('1', 'somebody')")
            db.commit()
        before = raw.source.read_bytes()
        assert look_back(raw.source).without_place == ("table twitter_accounts: 1 rows",)
        with pytest.raises(
            CannotFinish, match=r"no place for .*table twitter_accounts: 1 rows.*Nothing was rolled back"
        ):
            roll_back(raw.source)
        assert raw.source.read_bytes() == before
        with closing(sqlite3.connect(raw.target)) as db:
            db.execute("UPDATE users SET name = 'still in use' WHERE id = 1")

    def test_a_follower_comes_back_too(self, raw: Place) -> None:
        follower = Follower(raw.source, shape="raw")
        where = {"raw": lambda db: "raw", "head": lambda db: "head"}
        seen = [follower.transact(where)]
        raw.move()
        seen.append(follower.transact(where))
        roll_back(raw.source)
        seen.append(follower.transact(where))
        follower.close()
        assert seen == ["raw", "head", "raw"]

    def test_the_drill_start_roll_back_start_again_complete(self, raw: Place) -> None:
        before = contents(raw.source)
        raw.move()
        roll_back(raw.source)
        assert contents(raw.source) == before
        raw.target.unlink()
        shutil.rmtree(raw.out)
        raw.move()
        settle(raw.source)
        with closing(sqlite3.connect(raw.target)) as db:
            assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'ptp_capture%'").fetchone() == (0,)
            db.execute("UPDATE users SET name = 'settled' WHERE id = 1")
        with pytest.raises(UsageError, match="settled"):
            roll_back(raw.source)
        with pytest.raises(sqlite3.IntegrityError, match="has moved"):
            raw.edit("UPDATE users SET name = 'x'")

    def test_a_fence_lets_foreign_readers_fail_and_comes_down_with_the_rollback(self, place: Place) -> None:
        before = contents(place.source)
        place.move(fence_reads=True)
        with closing(sqlite3.connect(place.source)) as reader:
            with pytest.raises(sqlite3.OperationalError, match=f"has moved to {place.target}: open that one"):
                reader.execute("SELECT * FROM users")
        with pytest.raises(UsageError, match="the fence of --fence-reads closes it"):
            plan_of(place.source)
        follower = Follower(place.source, shape=place.shape)
        follower.transact({"head": lambda db: db.exec_driver_sql("UPDATE users SET name = 'x' WHERE id = 1")})
        follower.close()
        assert look_back(place.source).keys > 0
        roll_back(place.source)
        after = contents(place.source)
        assert [row for row in after.pop("users") if row[0] != 1] == [r for r in before.pop("users") if r[0] != 1]
        assert after == before

    def test_where_nothing_was_begun_there_is_nothing_to_undo(self, raw: Place) -> None:
        for command in (roll_back, settle, look_back):
            with pytest.raises(UsageError, match="begun"):
                command(raw.source)


def test_two_migrators_on_one_source_are_told_apart(raw: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    finish = live_module.NextDatabase.finish

    def second(self: live_module.NextDatabase, progress: Callable[[float, str], None]) -> None:
        finish(self, progress)
        try:
            roll_back(raw.source)
        except Exception as problem:
            heard.append(str(problem))

    monkeypatch.setattr(live_module.NextDatabase, "finish", second)
    raw.move()
    assert "in the hands of another ptp (an online migration, process" in heard[0]
