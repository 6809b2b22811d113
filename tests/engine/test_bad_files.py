"""Files that are no sound database: each is told apart, nothing is changed, and sound ones are never accused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from ptp.engine import (
    attach_read_only,
    check_database,
    check_nothing_left,
    check_sound,
    connect_file,
    errors_named,
    is_wal,
    read_header,
)
from ptp.engine.headers import first_bytes, read_log
from ptp.errors import CannotFinish, Locked, PtpError, UsageError
from tests.bad_files import BAD, PAGE, Bad, beside, cut, damaged_roots, flip, hot_journal, inventory, locked, put

ROWS = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) "
    "INSERT INTO t SELECT hex(randomblob(60)) FROM n"
)


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in statements or ("CREATE TABLE t (a)", ROWS, "CREATE INDEX i ON t (a)"):
            db.execute(sql)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound database, x.db, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return make(Path("x.db"))


def refusal(path: Path) -> PtpError:
    with pytest.raises(PtpError) as caught:
        check_database(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert path.name in sentence
    return caught.value


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_each_bad_file_is_told_apart_and_left_as_it_is(here: Path, bad: Bad) -> None:
    bad.make(here)
    before = inventory(Path())

    error = refusal(here)

    assert bad.words in str(error)
    assert error.exit_code == 2
    assert inventory(Path()) == before


def test_the_file_of_another_process_is_told_as_locked_and_left_as_it_is(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptp.engine.files.BUSY_TIMEOUT_MS", 10)
    with locked(here):
        error = refusal(here)
    assert isinstance(error, Locked)
    assert error.exit_code == 4
    assert str(error).startswith("x.db is locked by another process.")


def test_a_log_may_hold_pages_that_the_file_has_not_got_yet(here: Path) -> None:
    with closing(sqlite3.connect(here, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("VACUUM")  # all pages of the database are in the log now
        db.execute("UPDATE t SET a = a || 'x'")
        for suffix in ("", "-wal"):
            shutil.copy(beside(here, suffix), beside(Path("y.db"), suffix))
    cut(Path("y.db"), to=PAGE + 7)

    check_database(Path("y.db"))

    with connect_file(Path("y.db"), read_only=True) as db:
        assert db.execute("SELECT count(*) FROM t WHERE a LIKE '%x'").fetchone() == (400,)


def test_a_page_count_that_no_writer_kept_accuses_nobody(here: Path) -> None:
    put(here, 28, (9_999).to_bytes(4, "big"))
    assert "9999 pages" in str(refusal(here))
    put(here, 92, bytes(4))

    check_database(here)


def test_pages_behind_the_last_one_accuse_nobody(here: Path) -> None:
    """Room that was taken in advance."""
    with here.open("ab") as file:
        file.write(bytes(PAGE + 5))

    check_database(here)


@pytest.mark.parametrize("size", [512, 1024, 32_768, 65_536])
def test_sound_files_of_any_page_size_are_accepted(tmp_path: Path, size: int) -> None:
    path = make(tmp_path / "x.db", f"PRAGMA page_size = {size}", "CREATE TABLE t (a)", ROWS)
    check_database(path)
    assert read_header(path).page_size == size
    assert read_header(path).pages * size == path.stat().st_size


def test_the_header_says_what_sqlite_says(here: Path) -> None:
    with closing(sqlite3.connect(here)) as db:
        pages, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    header = read_header(here)
    assert (header.pages, header.page_size, header.encoding, header.is_wal) == (pages, size, 1, False)
    with pytest.raises(ValueError, match="100 bytes"):
        cut(here, to=99)
        read_header(here)


def test_a_log_in_use_is_its_own_through_checkpoints_and_new_turns(here: Path) -> None:
    with closing(sqlite3.connect(here, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        for number in range(6):
            db.execute(f"CREATE TABLE more_{number} (a)")
            check_database(here)
            if number % 2:
                db.execute("PRAGMA wal_checkpoint(RESTART)")
                check_database(here)
        log = read_log(here)
        assert log is not None
        assert log.page_size == PAGE
        assert log.change_counter is not None
        assert log.change_counter >= read_header(here).change_counter


def test_a_log_that_sqlite_takes_no_notice_of_is_no_reason_to_refuse(here: Path) -> None:
    for content in (b"", b"x" * 20, b"y" * 5_000):
        beside(here, "-wal").write_bytes(content)
        check_database(here)
        assert beside(here, "-wal").read_bytes() == content


def test_a_journal_that_is_not_hot_is_no_reason_to_refuse(here: Path) -> None:
    with closing(sqlite3.connect(here, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = PERSIST")
        db.execute("DELETE FROM t WHERE rowid = 1")
    assert beside(here, "-journal").stat().st_size
    check_database(here)


def test_a_database_that_somebody_writes_to_is_read(here: Path) -> None:
    with closing(sqlite3.connect(here, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM t")
        check_database(here)
        db.execute("ROLLBACK")


def test_a_companion_stands_beside_the_file_and_not_beside_a_link_to_it(here: Path) -> None:
    hot_journal(here)
    Path("links").mkdir()
    link = Path("links/y.db")
    link.symlink_to("../x.db")
    assert "links/y.db has a hot rollback journal, x.db-journal" in str(refusal(link))


# --- what is found when pages are read ---


def test_damage_is_told_of_the_file_that_has_it_and_with_its_place(here: Path) -> None:
    make(Path("sound.db"))
    damaged_roots(here)
    with (
        pytest.raises(CannotFinish, match=r"^x.db is damaged: .*[Pp]age 2"),
        errors_named(Path("sound.db")),
        connect_file(Path("sound.db"), read_only=True),
        connect_file(here, read_only=True) as db,
        connect_file(Path("sound.db"), read_only=True),
    ):
        db.execute("SELECT max(a) FROM t NOT INDEXED").fetchall()


def test_damage_in_an_attached_file_is_told_of_that_file(here: Path) -> None:
    make(Path("sound.db"))
    damaged_roots(here)
    with (
        pytest.raises(CannotFinish, match=r"^x.db is damaged: "),
        errors_named(Path("sound.db")),
        attach_read_only(sound=Path("sound.db"), bad=here) as db,
    ):
        db.execute("SELECT max(a) FROM bad.t NOT INDEXED").fetchall()


def test_damage_that_was_named_after_another_file_is_named_right(here: Path) -> None:
    damaged_roots(here)
    with (
        pytest.raises(CannotFinish, match=r"^x.db is damaged: "),
        connect_file(here, read_only=True) as db,
        errors_named(Path("copy.db")),
    ):
        db.execute("SELECT max(a) FROM t NOT INDEXED").fetchall()


def test_pages_and_indexes_are_sound_or_not(here: Path) -> None:
    check_sound(here)
    (place,) = [here.read_bytes().index(t.encode()) for (t,) in rows_of(here, "SELECT a FROM t WHERE rowid = 7")]
    flip(here, place, bit=0)

    check_database(here)
    with pytest.raises(UsageError, match=r"^x.db is damaged: row \d+ missing from index i\. Restore a backup"):
        check_sound(here)


def rows_of(path: Path, sql: str) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_values_that_break_a_rule_are_dirt_and_no_damage(here: Path) -> None:
    with closing(sqlite3.connect(here, isolation_level=None)) as db:
        db.execute("CREATE TABLE n (a, b CHECK (b > 0))")
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("INSERT INTO n VALUES (NULL, -1), (NULL, -2)")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, '(a,', '(a NOT NULL,') WHERE name = 'n'")
    assert rows_of(here, "PRAGMA integrity_check") != [("ok",)]
    check_sound(here)


def test_a_text_that_is_not_utf_8_is_told_without_the_text(here: Path) -> None:
    with (
        pytest.raises(CannotFinish, match=r"^x.db holds a text that is not UTF-8, in a column name\.") as caught,
        errors_named(here),
        connect_file(here, read_only=True) as db,
    ):
        db.execute("SELECT CAST(x'736563726574ff' AS TEXT) AS name").fetchall()
    assert "secret" not in str(caught.value)


# --- locks and traces ---

TRY_TO_WRITE = (
    "import sqlite3, sys\n"
    "db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)\n"
    "try: db.execute('BEGIN IMMEDIATE')\n"
    "except sqlite3.OperationalError as problem: print(problem)\n"
    "else: print('had it')\n"
)


def another_writes(path: Path) -> str:
    ran = subprocess.run([sys.executable, "-c", TRY_TO_WRITE, str(path)], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.mark.parametrize(
    "look",
    [check_database, is_wal, read_header, lambda path: first_bytes(path, 7)],
    ids=["check", "wal", "header", "7"],
)
def test_to_look_at_a_file_does_not_drop_the_locks_that_this_process_holds(
    here: Path, look: Callable[[Path], object]
) -> None:
    with closing(sqlite3.connect(here, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM t")
        look(here)
        assert another_writes(here) == "database is locked"
    assert another_writes(here) == "had it"


def test_a_read_only_connection_leaves_no_log_behind(here: Path) -> None:
    make(here, "PRAGMA journal_mode = WAL")
    before = inventory(Path())
    check_database(here)
    with connect_file(here, read_only=True) as db, attach_read_only(source=here) as other:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (400,)
        assert other.execute("SELECT count(*) FROM source.t").fetchone() == (400,)
        assert beside(here, "-shm").exists()
    assert inventory(Path()) == before


def test_a_log_that_others_use_or_left_there_is_left_to_them(here: Path) -> None:
    make(here, "PRAGMA journal_mode = WAL")
    with connect_file(here, read_only=True):
        other = sqlite3.connect(here, isolation_level=None)
        other.execute("SELECT count(*) FROM t").fetchone()
    assert beside(here, "-wal").exists()
    other.execute("DELETE FROM t")
    assert beside(here, "-wal").stat().st_size
    with connect_file(here, read_only=True) as db:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert beside(here, "-wal").stat().st_size
    other.close()
    assert not beside(here, "-wal").exists()


def test_a_log_in_which_others_wrote_meanwhile_is_not_touched(here: Path) -> None:
    make(here, "PRAGMA journal_mode = WAL")
    with connect_file(here, read_only=True) as db:
        db.execute("SELECT count(*) FROM t").fetchone()
        subprocess.run(
            [
                sys.executable,
                "-c",
                "import os, sqlite3, sys\n"
                "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
                "db.execute('DELETE FROM t')\n"
                "os._exit(0)\n",
                str(here),
            ],
            check=True,
        )
    assert beside(here, "-wal").stat().st_size
    with connect_file(here, read_only=True) as db:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_what_a_lost_database_left_is_not_given_to_a_new_one(here: Path, suffix: str) -> None:
    check_nothing_left(Path("new.db"))
    beside(here, suffix).touch()
    check_nothing_left(here)
    here.unlink()
    with pytest.raises(UsageError, match=f"^x.db{suffix} is a .* of a database x.db that is gone"):
        check_nothing_left(here)


def test_a_link_to_nothing_is_not_replaced_by_a_new_database(here: Path) -> None:
    link = Path("new.db")
    link.symlink_to("gone.db")
    with pytest.raises(UsageError, match=r"^new\.db is a symbolic link to gone\.db, which is not there"):
        check_nothing_left(link)
    link.unlink()
    link.symlink_to(here)
    check_nothing_left(link)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can be taken on by root alone")
def test_a_folder_that_may_not_be_entered_is_told(here: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.move(here, closed / "x.db")
    os.seteuid(65_534)
    try:
        with pytest.raises(UsageError) as caught, suppress(FileNotFoundError):
            check_database(Path("closed/x.db"))
    finally:
        os.seteuid(0)
    assert "closed/x.db cannot be reached: permission denied on its folder." in str(caught.value)


def test_nothing_is_said_of_a_log_that_another_begins_anew_meanwhile(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(here, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE more (a)")

        def overtaken(*_: object, **__: object) -> int:
            db.execute("PRAGMA wal_checkpoint(RESTART)")
            db.execute("CREATE TABLE yet_more (a)")
            return 0

        monkeypatch.setattr("ptp.engine.headers._highest_counter", overtaken)
        assert read_log(here) is None
