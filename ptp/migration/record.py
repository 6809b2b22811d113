"""The record beside a backup, NAME.db.json: what it is a backup of, and what proves it without its source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import ptp
from ptp.errors import UsageError
from ptp.results import write_json

VERSION = 1
_CHUNK = 1 << 20
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Record:
    """A backup as it was when it was proven; times in ISO 8601 UTC, `proven` empty where its rows could not be read.

    `source` is the path as it was given, `rows` are by table, `blake2b` is of all bytes of the file.
    """

    source: str
    taken: str
    bytes: int
    blake2b: str
    rows: Mapping[str, int]
    journal_mode: str
    page_size: int
    encoding: str
    application_id: int
    user_version: int
    sqlite: str
    seconds: Mapping[str, float]
    proven: str
    ptp: str = ptp.__version__


def record_of(backup: Path) -> Path:
    """Where the record of a backup stands."""
    return backup.with_name(backup.name + ".json")


def write_record(backup: Path, record: Record) -> None:
    """Write the record of a backup, atomically."""
    write_json(record_of(backup), {"version": VERSION, **asdict(record)})


def read_record(backup: Path) -> Record:
    """The record of a backup; raises UsageError where there is none, or none that this ptp can read."""
    path = record_of(backup)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("version", None) != VERSION:
            raise UsageError(f"{path} is of another version: this ptp reads version {VERSION}.")
        record = Record(**document)
        datetime.strptime(record.taken, _TIME)
        sum(record.rows.values())
        return record
    except FileNotFoundError:
        if not backup.exists():
            raise UsageError(f"There is no backup {backup}: ptp backup list names those that there are.") from None
        raise UsageError(f"{backup} has no record {path.name} beside it, so it is no backup that ptp proved.") from None
    except (ValueError, TypeError, AttributeError):
        raise UsageError(f"{path} is not the record of a backup as ptp writes it.") from None


def stamp() -> str:
    """The time as records hold it."""
    return datetime.now(UTC).strftime(_TIME)


def digest_of(path: Path) -> str:
    """blake2b over all bytes of a file."""
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
