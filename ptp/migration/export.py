"""Export: everything in quarantine as files that lose nothing, and the proof of it by reading them back.

A folder holds `manifest.json` and one file of JSON lines for each table. Each line is one entry: `id`, `run`, `kind`
(value or row), `table`, `column`, `reason`, and as stored values `key`, `original` and `placeholder`:

    {"class": "null"}
    {"class": "integer", "value": "9223372036854775807"}    decimal, as text: many readers round large numbers
    {"class": "real", "value": "0x1.8000000000000p+1"}      hexadecimal, to the bit; inf, -inf, -0x0.0p+0
    {"class": "text", "value": "müll"}                      where this is the text to the byte
    {"class": "text", "base64": "/w=="}                     its bytes: not valid in the encoding, or with a NUL
    {"class": "blob", "base64": "AA=="}

The bytes of texts are those of the database, whose `encoding` the manifest names, beside the number of entries and the
SHA-256 of each file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias
from urllib.parse import quote

from ptp.errors import UsageError
from ptp.migration.quarantine import TABLE
from ptp.results import write_json

FORMAT = "ptp-quarantine"
VERSION = 1
MANIFEST = "manifest.json"

Stored: TypeAlias = tuple[str, int | float | bytes | None]
"""A storage class and a value of it; a text by its bytes."""

_CODECS = {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}
_NAMES = ("run", "kind", "table_name", "column_name", "reason")
_VALUES = ("row_key", "original", "placeholder")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the quarantine, as the table holds it."""

    id: int
    run: str
    kind: str
    table: str
    column: str
    reason: str
    key: Stored
    original: Stored
    placeholder: Stored


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file of an export: the entries of a table, and the SHA-256 of its bytes."""

    table: str
    file: str
    entries: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export holds; `only` is the one table that was asked for, or empty for all."""

    encoding: str
    only: str
    files: tuple[ExportedFile, ...]

    @property
    def entries(self) -> int:
        """All entries."""
        return sum(f.entries for f in self.files)


class _Writer:
    """One file that is being written, with what the manifest will say of it."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        """A new file for the entries of one table; its values are not masked, so only the owner may read it."""
        self.path = path
        self.entries = 0
        self.digest = hashlib.sha256()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: IO[bytes] = stack.enter_context(os.fdopen(descriptor, "wb"))

    def write(self, line: bytes) -> None:
        """Add one entry."""
        self._file.write(line)
        self.digest.update(line)
        self.entries += 1


def export(db: sqlite3.Connection, folder: Path, *, table: str = "") -> Manifest:
    """Write the quarantine (of one source table if given) to an empty folder; the manifest is written last.

    Raises UsageError for a folder that is not empty. Whatever stops it leaves the folder empty.
    """
    if any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: name a new folder with --out.")
    encoding = str(db.execute("PRAGMA encoding").fetchone()[0])
    writers: dict[str, _Writer] = {}
    try:
        with ExitStack() as stack:
            for entry in read_entries(db, table=table):
                if entry.table not in writers:
                    path = folder / (quote(entry.table, safe="") + ".jsonl")
                    writers[entry.table] = _Writer(path, stack)
                writers[entry.table].write(_line(entry, _CODECS[encoding]))
        files = (ExportedFile(n, w.path.name, w.entries, w.digest.hexdigest()) for n, w in sorted(writers.items()))
        manifest = Manifest(encoding, table, tuple(files))
        document = {"format": FORMAT, "version": VERSION, "entries": manifest.entries, **asdict(manifest)}
        write_json(folder / MANIFEST, document)
    except BaseException:
        for path in (*(w.path for w in writers.values()), folder / MANIFEST):
            path.unlink(missing_ok=True)
        raise
    return manifest


def read_entries(db: sqlite3.Connection, *, table: str = "") -> Iterator[Entry]:
    """The entries of the quarantine in order, one at a time."""
    names = ", ".join(f"CAST({name} AS BLOB)" for name in _NAMES)
    where = "WHERE table_name = :table" if table else ""
    codec = _CODECS[str(db.execute("PRAGMA encoding").fetchone()[0])]
    # By id over the whole table: the index over table and key would give another order, and cost a sort.
    for row in db.execute(
        f"SELECT id, {names}, {_stored_sql()} FROM {TABLE} NOT INDEXED {where} ORDER BY id", {"table": table}
    ):
        run, kind, name, column, reason = (_word(part, codec) for part in row[1:6])
        key, original, placeholder = ((row[n], row[n + 1]) for n in (6, 8, 10))
        yield Entry(row[0], run, kind, name, column, reason, key, original, placeholder)


def _stored_sql() -> str:
    """SQL for class and value of what must be kept to the byte."""
    return ", ".join(
        f"typeof({name}), CASE WHEN typeof({name}) IN ('text', 'blob') THEN CAST({name} AS BLOB) ELSE {name} END"
        for name in _VALUES
    )


def _word(raw: bytes, codec: str) -> str:
    """A text that ptp itself wrote."""
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        raise UsageError(
            f"{TABLE} holds a name or a reason that is no text: it was written by another program."
        ) from None


def _line(entry: Entry, codec: str) -> bytes:
    document = {
        "id": entry.id,
        "run": entry.run,
        "kind": entry.kind,
        "table": entry.table,
        "key": encode(entry.key, codec),
        "column": entry.column,
        "original": encode(entry.original, codec),
        "placeholder": encode(entry.placeholder, codec),
        "reason": entry.reason,
    }
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def encode(stored: Stored, codec: str) -> dict[str, str]:
    """A stored value as JSON that loses nothing."""
    name, value = stored
    if isinstance(value, bytes):
        text = _text(value, codec) if name == "text" else None
        if text is not None:
            return {"class": name, "value": text}
        return {"class": name, "base64": base64.b64encode(value).decode("ascii")}
    if value is None:
        return {"class": name}
    return {"class": name, "value": value.hex() if isinstance(value, float) else str(value)}


def _text(raw: bytes, codec: str) -> str | None:
    """The text that these bytes are, or None where another reader could make something else of it."""
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        return None
    return text if "\0" not in text and text.encode(codec) == raw else None


def decode(document: dict[str, str], codec: str) -> Stored:
    """What `encode` was given; raises KeyError or ValueError for what it did not write."""
    name = document["class"]
    if "base64" in document:
        return name, base64.b64decode(document["base64"], validate=True)
    readers: dict[str, Any] = {"integer": int, "real": float.fromhex, "text": lambda text: text.encode(codec)}
    return (name, None) if name == "null" else (name, readers[name](document["value"]))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export; raises UsageError where there is none, or one that this ptp cannot read."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder} is no finished export: it has no {MANIFEST}.") from None
    except (ValueError, OSError) as problem:
        raise UsageError(f"{path} cannot be read: {problem}.") from None
    try:
        if (document["format"], document["version"]) != (FORMAT, VERSION) or document["encoding"] not in _CODECS:
            raise UsageError(f"{path} is not of the format {FORMAT}, version {VERSION}.")
        files = tuple(ExportedFile(**f) for f in document["files"])
        return Manifest(document["encoding"], document["only"], files)
    except (KeyError, TypeError):
        raise UsageError(f"{path} is not of the format {FORMAT}, version {VERSION}.") from None


def read_export(folder: Path, exported: ExportedFile, *, encoding: str) -> Iterator[Entry]:
    """The entries of one file of an export, one at a time.

    Raises ValueError, in words, for a line that is no entry, and at the end for bytes that are not those written.
    """
    codec, digest = _CODECS[encoding], hashlib.sha256()
    with (folder / exported.file).open("rb") as file:
        for number, line in enumerate(file, start=1):
            digest.update(line)
            try:
                d = json.loads(line)
                key, original, placeholder = (decode(d[n], codec) for n in ("key", "original", "placeholder"))
                run, kind, table, column, reason = (str(d[n]) for n in ("run", "kind", "table", "column", "reason"))
                entry = Entry(int(d["id"]), run, kind, table, column, reason, key, original, placeholder)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise ValueError(f"{exported.file}, line {number}: it is no entry") from None
            yield entry
    if digest.hexdigest() != exported.sha256:
        raise ValueError(f"{exported.file}: its SHA-256 is not that of the manifest")


def differences(db: sqlite3.Connection, folder: Path) -> Iterator[str]:
    """Where an export is not what stands in quarantine, entry by entry and to the byte; nothing when it is."""
    manifest = read_manifest(folder)
    encoding = str(db.execute("PRAGMA encoding").fetchone()[0])
    if manifest.encoding != encoding:
        yield f"{MANIFEST}: texts are in {manifest.encoding}, and in {encoding} in the database"
        return
    for exported in manifest.files:
        yield from _differences(db, folder, exported, encoding)
    where = "WHERE table_name = :only" if manifest.only else ""
    (due,) = db.execute(f"SELECT count(*) FROM {TABLE} {where}", {"only": manifest.only}).fetchone()
    if due != manifest.entries:
        yield f"{MANIFEST}: {manifest.entries} entries, and {due} in the database"


def _differences(db: sqlite3.Connection, folder: Path, exported: ExportedFile, encoding: str) -> Iterator[str]:
    count, last = 0, 0
    try:
        for entry in read_export(folder, exported, encoding=encoding):
            place = f"{exported.file}, entry {entry.id}"
            if entry.id <= last:
                yield f"{place}: it stands there twice, or out of order"
            elif why := _why_not(db, entry):
                yield f"{place}: {why}"
            if entry.table != exported.table:
                yield f"{place}: it is of the table {entry.table}"
            count, last = count + 1, entry.id
    except (ValueError, OSError) as problem:
        yield str(problem)
        return
    if count != exported.entries:
        yield f"{exported.file}: {count} entries, and {exported.entries} by the manifest"


def _why_not(db: sqlite3.Connection, entry: Entry) -> str:
    """Compare in the database, which is given the bytes that the export holds."""
    words = (entry.run, entry.kind, entry.table, entry.column, entry.reason)
    tests, values = [f"{name} = ?" for name in _NAMES], list[Any](words)
    for name, stored in zip(_VALUES, (entry.key, entry.original, entry.placeholder), strict=True):
        held = f"CAST({name} AS BLOB)" if stored[0] in ("text", "blob") else name
        tests += [f"typeof({name}) = ?", f"{held} IS ?"]
        values += stored
    real = "CASE WHEN typeof(original) = 'real' THEN original END"
    sql = f"SELECT {', '.join(tests)}, {real} FROM {TABLE} WHERE id = ?"
    row = db.execute(sql, (*values, entry.id)).fetchone()
    if row is None:
        return "no such entry in the database"
    # SQL knows no difference between 0.0 and -0.0.
    value = entry.original[1]
    sign = not isinstance(value, float) or (isinstance(row[-1], float) and value.hex() == row[-1].hex())
    names = (*_NAMES, *(n for name in _VALUES for n in (f"class of {name}", name)))
    wrong = [n for n, right in zip((*names, "original"), (*row[:-1], sign), strict=True) if not right]
    return f"the database holds another {wrong[0]}" if wrong else ""
