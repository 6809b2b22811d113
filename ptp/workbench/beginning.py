"""`ptp init`: the files that tell ptp of a database: `.env` for addresses and secrets, `ptp.toml` for the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from ptp.engine import database_path
from ptp.errors import PtpError, UsageError
from ptp.migration.detect import detect_shape
from ptp.schema.shapes import known_shapes
from ptp.settings import PROJECT_FILE

ENV_FILE = ".env"
_IGNORE = ".gitignore"


@dataclass(frozen=True, slots=True)
class Answers:
    """What was asked: a file to migrate, or the address of a server with its token, and where things are kept."""

    source: str
    token: SecretStr | None
    reports: str
    backups: str

    @property
    def is_remote(self) -> bool:
        """Whether the database is on a server."""
        return "://" in self.source and not self.source.startswith("sqlite:///")


def check_free(place: Path) -> None:
    """Raise UsageError where either file is there already: what somebody wrote is never replaced."""
    there = [name for name in (ENV_FILE, PROJECT_FILE) if (place / name).exists()]
    if there:
        raise UsageError(
            f"{place / there[0]} is there already: edit it, or move it away and run ptp init again. "
            "To see what ptp makes of it: ptp."
        )


def what_it_is(source: str) -> tuple[str, bool]:
    """What stands at an address, in words, and whether nothing is known that would keep ptp from migrating it."""
    if "://" in source and not source.startswith("sqlite:///"):
        return "a database on a server", True
    from ptp.engine import check_database, connect_file, errors_named, read_inventory

    path = database_path(source)
    try:
        check_database(path)
        with errors_named(path), connect_file(path, read_only=True) as db:
            return f"shape {detect_shape(read_inventory(db), known_shapes()).name}", True
    except PtpError as problem:
        return str(problem), False


def write_files(place: Path, answers: Answers) -> tuple[Path, ...]:
    """Write both files, `.env` for its owner alone, and keep it out of git; returns what was written."""
    check_free(place)
    written = [place / ENV_FILE, place / PROJECT_FILE]
    try:
        _write(place / ENV_FILE, _environment(answers), mode=0o600)
        _write(place / PROJECT_FILE, _project(answers), mode=0o666)
        if (place / ".git").exists() and _ignore(place / _IGNORE):
            written.append(place / _IGNORE)
    except OSError as problem:
        why = str(problem.strerror).lower()
        raise UsageError(f"{place} cannot be written: {why}. Run ptp init in a folder of your own.") from None
    return tuple(written)


def _environment(answers: Answers) -> str:
    token = answers.token.get_secret_value() if answers.token else ""
    values = {"TURSO_DATABASE_URL": answers.source, "TURSO_AUTH_TOKEN": token} if answers.is_remote else {}
    lines = ["# Addresses and secrets of this folder: for you alone, never committed. All that can stand here:", _ALL]
    lines += [f"{name}={value}" for name, value in values.items() if value]
    return "\n".join(lines) + "\n"


_ALL = "# TURSO_DATABASE_URL, TURSO_AUTH_TOKEN and the like, each explained in ptp's .env.example"


def _project(answers: Answers) -> str:
    values: Mapping[str, str] = {
        "source": "" if answers.is_remote else answers.source,
        "reports_dir": answers.reports,
        "backups_dir": answers.backups,
    }
    lines = ["# ptp's settings that everybody on this project shares; addresses of servers and secrets stand in .env."]
    lines += [f"{name} = {_toml(value)}" for name, value in values.items() if value]
    return "\n".join(lines) + "\n"


def _toml(text: str) -> str:
    """A text as TOML writes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def _write(path: Path, text: str, *, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)


def _ignore(path: Path) -> bool:
    """Add `.env` to what git ignores, unless it is there; whether that was needed."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if ENV_FILE in text.split():
        return False
    path.write_text(f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{ENV_FILE}\n", encoding="utf-8")
    return True
