"""`ptp` without a command: which database, what shape it is in, how the last run ended, and what to do next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import check_database, connect_file, database_path, errors_named, read_inventory
from ptp.errors import PtpError, UnknownShape
from ptp.migration import journal
from ptp.migration.capture import without_capture
from ptp.migration.detect import detect_shape
from ptp.migration.steps import load_steps
from ptp.resources import folder
from ptp.schema.shapes import known_shapes
from ptp.settings import Settings
from ptp.workbench.situation import look

_WORDS = {"pass": "passed", "fail": "failed", "inconclusive": "could not be decided", "invalid": "cannot be trusted"}


@dataclass(frozen=True, slots=True)
class Last:
    """The newest run: its folder, verdict, when it began in ISO 8601, source and target as the run names them."""

    folder: str
    verdict: str
    started: str
    source: str
    target: str

    @property
    def words(self) -> str:
        """How it ended, in one line."""
        when = self.started[:16].replace("T", " ")
        return f"{_WORDS.get(self.verdict, self.verdict)} ({self.verdict}), begun {when}: {self.folder}/index.html"


@dataclass(frozen=True, slots=True)
class State:
    """Which database, its shape, how far it is towards head, what is in the way, the last run, and what is next.

    In the way may be a migration that was begun, or what makes the database one that ptp cannot use.
    """

    database: str
    shape: str
    head: str
    obstacle: str
    last: Last | None
    following: str


def read_state(settings: Settings) -> State:
    """The state of the database that the settings name, else of the source of the last run; nothing is changed."""
    last = _last(settings.reports_dir)
    url = settings.source or settings.database_url("dev") or (last.source if last else "")
    if not url:
        return State("none: neither the settings nor a run names one", "", "", "", last, _first_step())
    if "://" in url.removeprefix("sqlite:///"):
        return State(url, "not asked: it is on a server", "", "", last, f"ptp health --target {url}")
    path = database_path(url)
    try:
        return _of_file(path, last)
    except PtpError as problem:
        following = "ptp doctor" if path.exists() else _first_step()
        return State(str(path), "", "", str(problem), last, following)


def _of_file(path: Path, last: Last | None) -> State:
    check_database(path)
    with errors_named(path), connect_file(path, read_only=True) as db:
        inventory = without_capture(read_inventory(db))
        if journal.has_journal(db):
            done, known = journal.steps_done(db), len(load_steps(folder("sql")))
            pending = f"ptp step --target {path}" if done < known else f"ptp health --target {path}"
            return State(str(path), "head", f"{done} of {known} steps", "", last, pending)
    found = look(path)
    if found.words:
        return State(str(path), "", "", found.words, last, f"ptp rollback --dry-run --source {path}")
    try:
        shape = detect_shape(inventory, known_shapes()).name
    except UnknownShape as problem:
        return State(
            str(path), "unknown", "", str(problem), last, "docs/guide.md says what a shape is and how to add one"
        )
    following = f"ptp run --source {path}" if last is None or last.source != str(path) else _after(last)
    return State(str(path), shape, "not migrated", "", last, following)


def _after(last: Last) -> str:
    """What to do after a run on this database."""
    if last.verdict == "pass":
        return f"ptp migrate --rehearse --source {last.source}"
    return f"look at {last.folder}/index.html"


def _first_step() -> str:
    return "ptp init for a database of yours, or ptp run for a demo"


def _last(reports: Path) -> Last | None:
    """The newest run folder with a verdict, by its name, which begins with its time."""
    runs = sorted((p.parent for p in reports.glob("*/verdict.json") if not p.parent.is_symlink()), reverse=True)
    for run in runs:
        try:
            document = json.loads((run / "verdict.json").read_text(encoding="utf-8"))
            told = document["run"]
            return Last(str(run), document["verdict"], told["started"], told["source"], told["target"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
