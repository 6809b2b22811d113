"""Sources that move while others write: what is shared by the tests of traps and of rules.

What others do at some moment is done by their own connection, from within the run's report of progress: there no
snapshot is held, and the words of the progress name the moment ("copying users", "comparing users").
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptp.engine import read_inventory
from ptp.evidence import Stage
from ptp.migration.live import Pace
from ptp.workbench.migrating import migrate
from ptp.workbench.online import migrate_online
from ptp.workbench.undoing import roll_back
from ptp.workbench.verifying import verify
from ptp.workload.demo import write_demo

Deed = Callable[[], object] | Sequence[str]
Deeds = Mapping[str, Deed]
COPIED = "copying user_progress"
"""The last of the tables of a shape to be copied: all of them stand in the target, and nothing was replayed yet."""
COMPARING = "comparing users"
"""The target has its indexes and triggers, and followed once; the freeze is still to come."""


def quiet(share: float, text: str) -> None: ...


def run_sql(path: Path, *statements: str) -> None:
    """Statements of somebody else, each in its own transaction; foreign keys as SQLite has them by default."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)


def ask(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, a text that is not UTF-8 as its bytes."""
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = _text
        return db.execute(sql, values).fetchall()


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def values_of(path: Path, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """All rows of a table by their bytes: each value's storage class, and its exact text or bytes."""
    names = columns or tuple(r[1] for r in ask(path, "SELECT * FROM pragma_table_xinfo(?) WHERE hidden = 0", table))
    each = ", ".join(
        f"typeof({q}), CASE typeof({q}) WHEN 'real' THEN format('%!.17g', {q}) WHEN 'integer' THEN {q} ELSE hex({q}) END"
        for q in (_quoted(n) for n in names)
    )
    return sorted(ask(path, f"SELECT {each} FROM {_quoted(table)}"), key=repr)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that a database holds, besides what ptp keeps for itself."""
    with closing(sqlite3.connect(path)) as db:
        tables = read_inventory(db).tables
    return {n: values_of(path, n) for n, t in tables.items() if not n.startswith("ptp_") and not t.is_virtual}


@dataclass
class Place:
    """A source in WAL mode, and where it moves to."""

    source: Path
    target: Path
    out: Path

    def edit(self, *statements: str) -> None:
        run_sql(self.source, *statements)

    def edit_target(self, *statements: str) -> None:
        run_sql(self.target, *statements)

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return ask(self.target, sql, *values)

    def ask_source(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return ask(self.source, sql, *values)

    def offline(self, **options: Any) -> Stage:
        self.out.mkdir(exist_ok=True)
        return migrate(self.source, self.target, self.out, **{"run": "test", **options})

    def online(self, at: Deeds | None = None, **options: Any) -> Stage:
        """Move while others do what `at` says, each once, when the progress names its moment."""
        self.out.mkdir(exist_ok=True)
        moments = Moments(self.source, at or {})
        found = migrate_online(
            self.source,
            self.target,
            self.out,
            **{"run": "test", "progress": moments, "pace": Pace(rows=100), **options},
        )
        assert not moments.left, f"these moments never came: {list(moments.left)}"
        return found

    def back(self) -> Stage:
        return roll_back(self.source)

    def failing(self) -> dict[str, tuple[str, ...]]:
        """The findings of the verification that do not pass, with their places."""
        found = verify(self.source, self.target).findings
        return {f.id: f.where for f in found if f.verdict not in ("pass", "not applicable")}

    def files(self) -> set[str]:
        """What stands beside the source, besides its own log."""
        own = {self.source.name + suffix for suffix in ("", "-wal", "-shm")}
        return {p.name for p in self.source.parent.iterdir() if p.is_file()} - own


class Moments:
    """Progress that hands over to others when it names their moment."""

    def __init__(self, source: Path, deeds: Deeds) -> None:
        self.source, self.left, self.seen = source, dict(deeds), list[str]()

    def __call__(self, share: float, text: str) -> None:
        self.seen.append(text)
        if deed := self.left.pop(text, None):
            if callable(deed):
                deed()
            else:
                run_sql(self.source, *deed)


def make_place(folder: Path, shape: str = "raw", *setup: str) -> Place:
    """A tiny demo source, edited."""
    source = folder / "old.db"
    write_demo(shape=shape, size="tiny", seed=7, out=source)  # type: ignore[arg-type]
    run_sql(source, "PRAGMA journal_mode = WAL", *setup)
    return Place(source, folder / "new.db", folder / "out")


def make_bare(folder: Path, *setup: str) -> Place:
    """A source of which only a few users are left, so that chunks of a row or two cost nothing."""
    tables = ("user_answers", "user_progress", "test_attempts", "study_sessions", "questions", "objectives", "exams")
    return make_place(folder, "raw", *(f"DELETE FROM {t}" for t in tables), "DELETE FROM users WHERE id > 6", *setup)


def copy_of(place: Place, folder: Path) -> Place:
    """The same source elsewhere, before anything was done to it; nobody may have it open."""
    source = Path(shutil.copy(place.source, folder / "old.db"))
    return Place(source, folder / "new.db", folder / "out")


def killed(work: Callable[[Callable[[], None]], object]) -> bool:
    """Run `work` in a process of its own; it is handed what kills that with SIGKILL. Whether it was killed."""
    child = os.fork()
    if not child:
        try:
            work(lambda: os.kill(os.getpid(), signal.SIGKILL))
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
