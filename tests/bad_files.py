"""Every kind of bad file that a user may name, made from a sound one, each with what its sentence must say."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096
_NOISE = random.Random(20)


@dataclass(frozen=True)
class Bad:
    """How a sound database at a path is made bad, and words that only this fault's sentence has."""

    make: Callable[[Path], object]
    words: str


def cut(path: Path, *, to: int) -> None:
    """Keep the first `to` bytes; a negative number counts from the end."""
    os.truncate(path, to if to >= 0 else path.stat().st_size + to)


def put(path: Path, at: int, data: bytes) -> None:
    """Overwrite some bytes."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def flip(path: Path, at: int, *, bit: int = 6) -> None:
    """Flip one bit."""
    put(path, at, bytes([path.read_bytes()[at] ^ 1 << bit]))


def instead(path: Path, make: Callable[[Path], object]) -> None:
    """Put something else into the file's place."""
    path.unlink()
    make(path)


def noise(path: Path, *, behind: int) -> None:
    """What an encryption leaves that keeps the first bytes readable."""
    path.write_bytes(path.read_bytes()[:behind] + _NOISE.randbytes(path.stat().st_size - behind))


def beside(path: Path, suffix: str) -> Path:
    """The log or the journal of a database."""
    return path.with_name(path.name + suffix)


def bind(path: Path) -> None:
    """A socket; by a short name, as the system takes no long one."""
    short = Path(f"/tmp/ptp-socket-{os.getpid()}")
    with closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(str(short))
    shutil.move(short, path)


def log_of_another(path: Path) -> None:
    """The log of a database that was moved away stands beside one that has none."""
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (a)")
        shutil.copy(beside(other, "-wal"), beside(path, "-wal"))
    other.unlink()


def stale_log(path: Path, *, page_size: int = 0) -> None:
    """A log that was kept, and put back after the database had gone on without it."""
    kept = path.with_name("kept")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        if page_size:
            db.execute(f"PRAGMA page_size = {page_size}")
            db.execute("VACUUM")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE kept_1 (a)")
        shutil.copy(beside(path, "-wal"), kept)
    for number in range(3):
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"CREATE TABLE went_on_{number} (a)")
    kept.rename(beside(path, "-wal"))


def log_of_larger_pages(path: Path) -> None:
    """The log of a database with another page size, beside one in write-ahead-log mode."""
    other = path.with_name("other.db")
    shutil.copy(path, other)
    stale_log(other, page_size=8192)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    beside(other, "-wal").rename(beside(path, "-wal"))
    other.unlink()


def hot_journal(path: Path) -> None:
    """Another process is killed while it writes, and has written pages already."""
    code = (
        "import os, signal, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA journal_mode = DELETE')\n"
        "db.execute('PRAGMA cache_size = 2')\n"
        "db.execute('BEGIN IMMEDIATE')\n"
        "db.execute('CREATE TABLE half (a)')\n"
        "db.execute('WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) '\n"
        "           'INSERT INTO half SELECT randomblob(200) FROM n')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert beside(path, "-journal").stat().st_size


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds the exclusive lock."""
    code = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA locking_mode = EXCLUSIVE')\n"
        "db.execute('BEGIN EXCLUSIVE')\n"
        "db.execute('SELECT count(*) FROM sqlite_schema').fetchone()\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.communicate()


def damaged_roots(path: Path) -> None:
    """One bit in the first byte of every table's own page: the schema is read, and no table is."""
    with closing(sqlite3.connect(path)) as db:
        roots = [r for (r,) in db.execute("SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND rootpage > 1")]
    for root in roots:
        flip(path, (root - 1) * PAGE)


def without_page_count(path: Path) -> None:
    """As a writer that does not know the field leaves it: then the page count in the header says nothing."""
    put(path, 92, bytes(4))


BAD = {
    "missing": Bad(lambda p: p.unlink(), "There is no file x.db."),
    "a log without its file": Bad(
        lambda p: (p.unlink(), beside(p, "-wal").write_bytes(b"x" * 100)),
        "There is no file x.db, only its write-ahead log x.db-wal",
    ),
    "a journal without its file": Bad(
        lambda p: (p.unlink(), beside(p, "-journal").write_bytes(b"x" * 100)),
        "There is no file x.db, only its rollback journal x.db-journal",
    ),
    "a link to nothing": Bad(
        lambda p: instead(p, lambda q: q.symlink_to("gone.db")),
        "x.db is a symbolic link to gone.db, which is not there",
    ),
    "a link to itself": Bad(
        lambda p: instead(p, lambda q: q.symlink_to(q.name)), "x.db is a symbolic link that leads back to itself"
    ),
    "a folder": Bad(lambda p: instead(p, Path.mkdir), "x.db is a folder; name the database file in it."),
    "a FIFO": Bad(lambda p: instead(p, os.mkfifo), "x.db is a FIFO, not a file"),
    "a socket": Bad(lambda p: instead(p, bind), "x.db is a socket, not a file"),
    "a device": Bad(lambda p: instead(p, lambda q: q.symlink_to("/dev/zero")), "x.db is a device, not a file"),
    "nothing in it": Bad(lambda p: cut(p, to=0), "x.db is empty (0 bytes): it holds no database. Restore a backup"),
    "nothing in it but a log": Bad(
        lambda p: (cut(p, to=0), beside(p, "-wal").write_bytes(b"x" * 100)),
        "Keep a copy of its write-ahead log x.db-wal",
    ),
    "text": Bad(
        lambda p: p.write_text("ünï,code\n" * 999, encoding="utf-8"), "not a SQLite database: it is a text file"
    ),
    "packed": Bad(lambda p: p.write_bytes(gzip.compress(p.read_bytes())), "it is packed with gzip. Unpack it"),
    "something else": Bad(lambda p: flip(p, 3), "is not a SQLite database: its first bytes are not those of one"),
    "encrypted": Bad(lambda p: noise(p, behind=0), "x.db is not a SQLite database: its bytes look random"),
    "encrypted behind 16 bytes": Bad(
        lambda p: noise(p, behind=16), "begins as a SQLite database does, and what follows"
    ),
    "encrypted behind 24 bytes": Bad(
        lambda p: noise(p, behind=24), "begins as a SQLite database does, and what follows"
    ),
    "encrypted behind its header": Bad(
        lambda p: noise(p, behind=100), "begins as a SQLite database does, and what follows"
    ),
    "cut in the magic": Bad(lambda p: cut(p, to=10), "x.db is truncated: it has 10 bytes"),
    "cut in the header": Bad(lambda p: cut(p, to=99), "x.db is truncated: it has 99 bytes"),
    "cut behind the header": Bad(lambda p: cut(p, to=100), "first page alone has 4096 bytes, and the file has 100."),
    "cut in page 1": Bad(lambda p: cut(p, to=PAGE - 1), "first page alone has 4096 bytes, and the file has 4095."),
    "cut behind page 1": Bad(lambda p: cut(p, to=PAGE), "pages of 4096 bytes, and the file has 1 page."),
    "cut between pages": Bad(lambda p: cut(p, to=3 * PAGE), "pages of 4096 bytes, and the file has 3 pages."),
    "cut before the last page": Bad(lambda p: cut(p, to=-PAGE), "x.db is truncated: its header says "),
    "cut in the last page": Bad(lambda p: cut(p, to=-1), "pages and 4095 bytes of the next."),
    "cut, its pages not counted": Bad(
        lambda p: (without_page_count(p), cut(p, to=-1)), "pages and 4095 bytes of the next, of 4096 bytes each."
    ),
    "a page size of 4097": Bad(lambda p: put(p, 16, b"\x10\x01"), "damaged header: it gives a page size of 4097 bytes"),
    "a page size of 256": Bad(lambda p: put(p, 16, b"\x01\x00"), "damaged header: it gives a page size of 256 bytes"),
    "a wrong page size": Bad(lambda p: put(p, 16, b"\x02\x00"), "x.db is damaged: "),
    "no usable page": Bad(lambda p: (put(p, 16, b"\x02\x00"), put(p, 20, b"\xff")), "leaves too few"),
    "a flip in the fractions": Bad(lambda p: flip(p, 21), "damaged header: its payload fractions are 0, 32, 32"),
    "a flip in the schema format": Bad(lambda p: flip(p, 44), "damaged header: it gives a schema format of "),
    "a flip in the encoding": Bad(lambda p: flip(p, 56), "damaged header: it gives a text encoding of "),
    "a flip in the schema's page": Bad(lambda p: flip(p, 100), "damaged header: behind it a page of the kind "),
    "a flip in the schema's cells": Bad(lambda p: put(p, 108, b"\xff" * 4), "x.db is damaged: "),
    "a newer format to read": Bad(lambda p: put(p, 19, b"\x03"), "x.db has a newer file format: its header asks for"),
    "a newer format to write": Bad(lambda p: put(p, 18, b"\x03"), "version 3 to write it"),
    "the log of another": Bad(log_of_another, "that is not its own: the file is not in write-ahead-log mode"),
    "a stale log": Bad(stale_log, "that is not its own: it is older, of change "),
    "the log of larger pages": Bad(
        log_of_larger_pages, "not its own: its pages have 8192 bytes, those of the file 4096"
    ),
    "a hot journal": Bad(hot_journal, "x.db has a hot rollback journal, x.db-journal"),
}


def inventory(folder: Path) -> dict[str, bytes]:
    """All that stands in a folder, with its bytes where it is a file; what is no file is not opened."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() and not p.is_symlink() else b"(no file)"
        for p in folder.rglob("*")
    }
