"""From a URL to a file, from a file to a connection, and the sentence for each way in which a file is no database."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ptp.engine import (
    attach_read_only,
    check_database,
    connect_file,
    database_path,
    errors_named,
    is_wal,
    settle_log,
)
from ptp.errors import CannotFinish, DiskFull, Locked, NotADatabase, PtpError, UsageError


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in statements or ("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"):
            db.execute(sql)
    return path


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system with the given options, where this user may."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        if os.geteuid() != 0 or not shutil.which("mount"):
            pytest.skip("only root can mount a file system")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False).returncode:
            pytest.skip("mounting is not allowed here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/exam.db", "data/exam.db"),
        ("sqlite:////srv/exam.db", "/srv/exam.db"),
        ("file:exam.db", "exam.db"),
        ("file:///srv/exam.db", "/srv/exam.db"),
        ("file:exam.db?mode=ro", "exam.db"),
        ("plain name.db", "plain name.db"),
        ("/srv/100%.db", "/srv/100%.db"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    assert database_path(url) == Path(path)


@pytest.mark.parametrize("url", ["libsql://exam.turso.io", "https://exam.turso.io", "postgres://host/db"])
def test_a_url_of_another_scheme_is_refused_by_its_name(url: str) -> None:
    with pytest.raises(UsageError, match=f"^{url.split(':')[0]}:// names no file"):
        database_path(url)


@pytest.mark.parametrize("url", ["sqlite:///", "file:", ""])
def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="names no file"):
        database_path(url)


def refusal(path: Path) -> PtpError:
    with pytest.raises(PtpError) as caught:
        check_database(path)
    assert caught.value.exit_code in (2, 4)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    assert str(refusal(path)) == f"There is no file {path}."
    assert not path.exists()


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert str(refusal(tmp_path)) == f"{tmp_path} is a folder; name the database file in it."


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    error = refusal(tmp_path / "empty.db")
    assert isinstance(error, NotADatabase)
    assert "empty.db is empty (0 bytes): it holds no database. " in str(error)


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("id,name\n1,a\n" * 100, encoding="utf-8")
    error = refusal(path)
    assert isinstance(error, NotADatabase)
    assert "is not a SQLite database" in str(error)


def test_a_database_without_a_table_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "bare.db", "CREATE TABLE t (a)", "DROP TABLE t")
    error = refusal(path)
    assert isinstance(error, NotADatabase)
    assert str(error) == f"{path} is a SQLite database without any table."


@pytest.mark.parametrize("left", [16, 50, 99, 100, 600])
def test_a_file_cut_inside_its_first_page_is_refused(tmp_path: Path, left: int) -> None:
    path = make(tmp_path / "cut.db")
    path.write_bytes(path.read_bytes()[:left])
    error = refusal(path)
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"{path} is truncated: ")


def test_a_file_cut_behind_its_schema_fails_with_one_sentence_when_it_is_read(tmp_path: Path) -> None:
    path = make(
        tmp_path / "cut.db",
        "CREATE TABLE t (a)",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
        "INSERT INTO t SELECT hex(randomblob(200)) FROM n",
    )
    path.write_bytes(path.read_bytes()[:20_000])
    with (
        pytest.raises(CannotFinish, match="is truncated"),
        errors_named(path),
        connect_file(path, read_only=True) as db,
    ):
        db.execute("SELECT max(a) FROM t").fetchall()


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "secret.db")
    path.chmod(0)
    code = (
        "import sys; from pathlib import Path; from ptp.engine import check_database; from ptp.errors import UsageError\n"
        "try: check_database(Path(sys.argv[1]))\n"
        "except UsageError as error: print(error)"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == path.owner() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    ran = subprocess.run(
        [*as_nobody, sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    if "Error" in ran.stderr and "ptp" not in ran.stdout:
        pytest.skip("another user cannot run this Python")
    assert ran.stdout.startswith(f"{path} cannot be read: permission denied. ")


def test_a_sound_database_is_accepted_and_stays_as_it_is(tmp_path: Path) -> None:
    path = make(tmp_path / "good.db")
    before = path.read_bytes()
    check_database(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["good.db"]


@pytest.mark.parametrize("name", ["a b.db", "what?.db", "50%.db", "x#y.db", "ünï.db", "%20.db"])
def test_names_with_the_signs_of_a_uri_are_opened_as_they_are(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name)
    check_database(path)
    with attach_read_only(source=path) as db:
        assert db.execute("SELECT a FROM source.t").fetchall() == [(1,)]
    assert os.listdir(tmp_path) == [name]


def test_a_read_only_connection_neither_creates_nor_writes(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError), connect_file(tmp_path / "none.db", read_only=True) as db:
        db.execute("SELECT 1 FROM sqlite_schema")
    assert not (tmp_path / "none.db").exists()
    path = make(tmp_path / "good.db")
    with connect_file(path, read_only=True) as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("INSERT INTO t VALUES (2)")


def test_the_mode_of_a_database_is_in_its_header(tmp_path: Path) -> None:
    assert not is_wal(make(tmp_path / "a.db"))
    assert is_wal(make(tmp_path / "b.db", "PRAGMA journal_mode = WAL", "CREATE TABLE t (a)"))


def test_settling_folds_a_log_that_was_left_behind(tmp_path: Path) -> None:
    writer = sqlite3.connect(make(tmp_path / "w.db"), isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO t VALUES (2)")
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"w.db{suffix}", tmp_path / f"left.db{suffix}")
    writer.close()
    settle_log(tmp_path / "left.db")
    assert sorted(p.name for p in tmp_path.glob("left*")) == ["left.db"]
    with closing(sqlite3.connect(tmp_path / "left.db")) as db:
        assert db.execute("SELECT a FROM t ORDER BY a").fetchall() == [(1,), (2,)]


def test_settling_what_does_not_exist_creates_nothing(tmp_path: Path) -> None:
    settle_log(tmp_path / "none.db")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_a_source_of_any_encoding_is_attached(tmp_path: Path, encoding: str) -> None:
    path = make(
        tmp_path / "s.db", f"PRAGMA encoding = '{encoding}'", "CREATE TABLE t (a)", "INSERT INTO t VALUES ('ünï🎓')"
    )
    with attach_read_only(source=path) as db:
        assert db.execute("SELECT a FROM source.t").fetchall() == [("ünï🎓",)]
        assert db.execute("PRAGMA encoding").fetchone() == (encoding,)


def test_what_is_attached_is_only_read(tmp_path: Path) -> None:
    path = make(tmp_path / "s.db")
    with attach_read_only(source=path) as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM source.t")


def test_an_attached_source_is_one_snapshot(tmp_path: Path) -> None:
    path = make(tmp_path / "s.db", "PRAGMA journal_mode = WAL", "CREATE TABLE t (a)")
    with attach_read_only(source=path) as db:
        assert db.execute("SELECT count(*) FROM source.t").fetchone() == (0,)
        make(path, "INSERT INTO t VALUES (1)")
        assert db.execute("SELECT count(*) FROM source.t").fetchone() == (0,)


def test_a_source_with_an_open_log_is_read_with_what_stands_only_in_the_log(tmp_path: Path) -> None:
    path = make(tmp_path / "s.db", "PRAGMA journal_mode = WAL", "CREATE TABLE t (a)")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("INSERT INTO t VALUES (7)")
        before = path.read_bytes(), (tmp_path / "s.db-wal").read_bytes()
        check_database(path)
        with attach_read_only(source=path) as db:
            assert db.execute("SELECT a FROM source.t").fetchall() == [(7,)]
        assert (path.read_bytes(), (tmp_path / "s.db-wal").read_bytes()) == before


def test_a_log_mode_source_on_a_medium_that_cannot_be_written_is_read(
    tmp_path: Path, tmpfs: Callable[[str], Path]
) -> None:
    disk = tmpfs("size=1m")
    make(disk / "s.db", "PRAGMA journal_mode = WAL", "CREATE TABLE t (a)", "INSERT INTO t VALUES (7)")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    check_database(disk / "s.db")
    with attach_read_only(source=disk / "s.db") as db:
        assert db.execute("SELECT a FROM source.t").fetchall() == [(7,)]
    with connect_file(disk / "s.db", read_only=True) as db:
        assert db.execute("SELECT a FROM t").fetchall() == [(7,)]


def test_a_full_disk_is_one_sentence(tmpfs: Callable[[str], Path]) -> None:
    path = make(tmpfs("size=128k") / "s.db")
    with pytest.raises(DiskFull, match="The disk is full"), errors_named(path), connect_file(path) as db:
        db.execute("INSERT INTO t VALUES (zeroblob(1000000))")


def test_a_locked_database_is_one_sentence(tmp_path: Path) -> None:
    path = make(tmp_path / "s.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(Locked, match="is locked by another process"),
            errors_named(path),
            connect_file(path, read_only=True, busy_timeout_ms=1) as db,
        ):
            db.execute("SELECT * FROM t").fetchall()


def test_a_folder_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "none" / "t.db"
    with pytest.raises(UsageError, match="cannot be opened"), errors_named(path), connect_file(path):
        pass


def test_errors_that_are_not_about_the_file_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), errors_named(tmp_path):
        with closing(sqlite3.connect(":memory:")) as db:
            db.execute("SELECT * FROM t")
