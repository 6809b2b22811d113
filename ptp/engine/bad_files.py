"""Files that are no sound database, told apart: which of them it is, where, and what to do, in one sentence each.

Nothing here opens a connection: what is told is told before SQLite looks at the file, which can delete or replay what
stands beside it, and waits without end for the other end of a FIFO.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ptp.engine.headers import (
    HEADER_BYTES,
    MAGIC,
    Header,
    companion,
    companion_bytes,
    first_bytes,
    parse_header,
    read_header,
    read_log,
)
from ptp.errors import NotADatabase, PtpError, UsageError

_SAMPLE = 4096
_KNOWN_VERSION = 2
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_RESTORE = "Restore a backup"
_RECOVER = f"{_RESTORE}, or save what is left with sqlite3's .recover."


def check_file(path: Path) -> None:
    """Make sure that `path` is a file which begins as a database does, and has a log of its own if it has one.

    It is not opened where it is no plain file. Raises UsageError, or NotADatabase for what is no database.
    """
    _check_place(path)
    try:
        head = first_bytes(path, _SAMPLE)
    except PermissionError:
        raise UsageError(
            f"{path} cannot be read: permission denied. Run ptp as a user who may read it, or change its permissions."
        ) from None
    if not head:
        raise NotADatabase(f"{path} is empty (0 bytes): it holds no database. {_beside_an_empty(path)}")
    if not head.startswith(MAGIC) and not MAGIC.startswith(head):
        raise NotADatabase(f"{path} is not a SQLite database: {_nature(head)}")
    if len(head) < HEADER_BYTES:
        raise UsageError(
            f"{path} is truncated: it has {len(head)} bytes, and the header of a database alone has {HEADER_BYTES}. "
            f"{_RESTORE}."
        )
    _check_header(path, head)
    _check_log(path, parse_header(head))


def check_nothing_left(path: Path) -> None:
    """Make sure that no log or journal stands where the database `path` is to be made: SQLite would apply it to that.

    Nor a link to nothing, which a new file would replace. Raises UsageError.
    """
    if path.is_symlink() and not path.exists():
        raise UsageError(
            f"{path} is a symbolic link to {path.readlink()}, which is not there: remove the link, or name another "
            "target with --target."
        )
    for suffix, words in (("-wal", "a write-ahead log"), ("-journal", "a rollback journal")):
        left = companion(path, suffix)
        if left.exists() and not path.exists():
            raise UsageError(
                f"{left} is {words} of a database {path.name} that is gone, and would be applied to a new one: move it "
                "away, or name another target with --target."
            )


def truncation(path: Path) -> str:
    """The sentence for a file that is shorter than its header says, or ends inside a page; empty for any other.

    With a log or a journal beside it, a file may be shorter for good reason: then nothing is said. To be asked where
    nobody can be writing: within a read transaction, or when SQLite has found damage.
    """
    try:
        size, header = path.stat().st_size, read_header(path)
    except (OSError, ValueError):
        return ""
    if companion_bytes(path, "-wal") or companion_bytes(path, "-journal") or not _is_page_size(header.page_size):
        return ""
    whole, rest = divmod(size, header.page_size)
    if header.pages * header.page_size <= size and (header.pages or not rest):  # what lies behind the pages is not read
        return ""
    says = f"its header says {_pages(header.pages)} of {header.page_size} bytes, and " if header.pages else ""
    partly = f"{_pages(whole)} and {rest} bytes of the next" if rest else _pages(whole)
    each = "" if header.pages else f", of {header.page_size} bytes each"
    return f"{path} is truncated: {says}the file has {partly}{each}. {_RECOVER}"


def damage(path: Path, text: str) -> str:
    """The sentence for a file in which SQLite has found damage, in the words of `text`."""
    return truncation(path) or f"{path} is damaged: {text}. {_RECOVER}"


def hot_journal(path: Path) -> str:
    """The sentence for a database whose last transaction was cut off and must be rolled back by who may write it."""
    journal = companion(path, "-journal")
    return (
        f"{path} has a hot rollback journal, {journal.name}: a program was ended while it wrote, and ptp only reads. "
        f"Keep a copy of both files, open {path.name} once with sqlite3, which rolls the rest back, and run the "
        "command again."
    )


def not_opened(path: Path, text: str) -> str:
    """The sentence for a file that SQLite could not open or write; `text` are its words, where no more is known."""
    log = companion(path, "-wal")
    if not path.is_file() or os.access(log.parent, os.W_OK):
        return f"{path} cannot be opened or written: {text}. Check the path and its permissions."
    if companion_bytes(path, "-wal"):
        return (
            f"{path} has a write-ahead log with changes, {log.name}, and stands where nothing can be written, so the "
            "log cannot be read: copy both into a folder that can be written, and name the copy."
        )
    return f"{path} cannot be written: it stands on a read-only medium or in a read-only folder. Name a copy of it."


def _check_place(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as problem:
        raise _not_reached(path, problem) from None
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a folder; name the database file in it.")
    if kind := _KINDS.get(stat.S_IFMT(mode)):
        raise UsageError(f"{path} is {kind}, not a file: name the database file itself.")


def _not_reached(path: Path, problem: OSError) -> PtpError:
    if problem.errno == errno.ELOOP:
        return UsageError(f"{path} is a symbolic link that leads back to itself: name the database file itself.")
    if problem.errno in (errno.EACCES, errno.EPERM):
        return UsageError(f"{path} cannot be reached: permission denied on its folder. Run ptp as a user who may.")
    if problem.errno not in (errno.ENOENT, errno.ENOTDIR):
        return UsageError(f"{path} cannot be opened: {problem.strerror}. Check the path.")
    if path.is_symlink():
        return UsageError(f"{path} is a symbolic link to {path.readlink()}, which is not there: mend the link.")
    for suffix, words in (("-wal", "write-ahead log"), ("-journal", "rollback journal")):
        if companion(path, suffix).is_file():
            return UsageError(
                f"There is no file {path}, only its {words} {path.name}{suffix}, which is no database without it: put "
                "the database back beside it, or name another file."
            )
    return UsageError(f"There is no file {path}.")


def _beside_an_empty(path: Path) -> str:
    for suffix, words in (("-wal", "write-ahead log"), ("-journal", "rollback journal")):
        if companion_bytes(path, suffix):
            return f"Keep a copy of its {words} {companion(path, suffix).name}, and restore a backup."
    return f"{_RESTORE}, or name another file."


def _nature(head: bytes) -> str:
    """What a file is that does not begin as a database does, and what to do."""
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            return f"it is packed with {name}. Unpack it first."
    if _is_text(head):
        return "it is a text file. Name the database itself; a dump becomes one with sqlite3 new.db < dump.sql."
    if _is_noise(head):
        return "its bytes look random, as those of an encrypted file do. Decrypt it first, or name another file."
    return "its first bytes are not those of one. Name the database itself, or restore a backup."


def _is_text(head: bytes) -> bool:
    """Whether the bytes are UTF-8, save for a character that is cut at their end, without control characters."""
    for cut in range(4):
        with suppress(UnicodeDecodeError):
            text = head[: len(head) - cut].decode("utf-8")
            return all(sign.isprintable() or sign.isspace() for sign in text)
    return False


def _is_noise(data: bytes) -> bool:
    """Whether the bytes cannot be compressed."""
    return len(data) >= 64 and len(zlib.compress(data, 9)) > len(data)


def _check_header(path: Path, head: bytes) -> None:
    header = parse_header(head)
    problems = list(_problems(header, head))
    # What encryption leaves readable differs: 16 bytes, the page size and versions too, or the whole header.
    if (len(problems) > 1 and any(header.expansion)) or (problems and _is_noise(head[HEADER_BYTES:])):
        raise NotADatabase(
            f"{path} begins as a SQLite database does, and what follows is noise: it is encrypted, or damaged. "
            f"Decrypt it first, or restore a backup."
        )
    if problems:
        raise UsageError(f"{path} has a damaged header: {problems[0]}. {_RECOVER}")
    for version, act in ((header.read_version, "read"), (header.write_version, "write")):
        if version > _KNOWN_VERSION:
            raise UsageError(
                f"{path} has a newer file format: its header asks for version {version} to {act} it, and this SQLite "
                f"knows up to {_KNOWN_VERSION}. Copy it into a new database with the program that wrote it; if none "
                "did, its header is damaged: restore a backup."
            )
    size = path.stat().st_size
    if size < header.page_size:
        raise UsageError(
            f"{path} is truncated: its first page alone has {header.page_size} bytes, and the file has {size}. "
            f"{_RESTORE}."
        )


def _problems(header: Header, head: bytes) -> Iterator[str]:
    """What no SQLite writes into a header; what SQLite does not mind is left out."""
    if not _is_page_size(header.page_size):
        yield f"it gives a page size of {header.page_size} bytes, and that is a power of two from 512 to 65536"
    elif header.page_size - header.reserved < 480:
        yield f"it keeps {header.reserved} bytes of a page of {header.page_size} unused, and leaves too few"
    if header.fractions != (64, 32, 32):
        yield f"its payload fractions are {', '.join(map(str, header.fractions))}, and those of every file 64, 32, 32"
    if header.schema_format > 4:
        yield f"it gives a schema format of {header.schema_format}, and that is from 1 to 4"
    if header.encoding > 3:
        yield f"it gives a text encoding of {header.encoding}, and that is from 1 to 3"
    if len(head) > HEADER_BYTES and head[HEADER_BYTES] not in (5, 13):
        yield f"behind it a page of the kind {head[HEADER_BYTES]} begins, and the schema's is of 5 or 13"


def _is_page_size(size: int) -> bool:
    return 512 <= size <= 65_536 and size & (size - 1) == 0


def _check_log(path: Path, header: Header) -> None:
    """Refuse a log that is not this file's own: SQLite would apply it all the same, and damage what it reads."""
    log = read_log(path)
    if log is None or read_header(path) != header:  # no log, or one that is written right now
        return
    if problem := _foreign(header, log.page_size, log.change_counter):
        name = companion(path, "-wal").name
        raise UsageError(
            f"{path} has a write-ahead log beside it, {name}, that is not its own: {problem}. Put the file and the log "
            f"back that belong together; if {path.name} is whole without it, move the log away."
        )


def _foreign(header: Header, page_size: int, counter: int | None) -> str:
    if not header.is_wal:
        return "the file is not in write-ahead-log mode"
    if page_size != header.page_size:
        return f"its pages have {page_size} bytes, those of the file {header.page_size}"
    if counter is not None and counter < header.change_counter:
        return f"it is older, of change {counter}, and the file of change {header.change_counter}"
    return ""


def _pages(count: int) -> str:
    return f"{count} page" if count == 1 else f"{count} pages"
