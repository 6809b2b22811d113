"""Migrated databases to tamper with: built once a session in both shapes, copied for every test."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ptp.results import Finding
from ptp.workbench.migrating import migrate
from ptp.workbench.verifying import verify
from ptp.workload.demo import write_demo

#: Values that the tests below change; set in the source before it is migrated.
PREPARED = (
    "UPDATE questions SET total_attempts = 5, discrimination_index = 7.0, text = 'Was heißt é?', explanation = 'E', "
    "tags = '[1]', reviewed_by = NULL, is_beta = 0, created_at = {time} WHERE id = 3",
    "UPDATE users SET email = 'private@person', bio = 'secret life' WHERE id = 3",
    # dirt: two values that are rounded or rejected, and two rows that go whole
    "UPDATE users SET last_login = 'now', login_count = 1.5 WHERE id = 4",
    "UPDATE users SET last_login = '2025-03-01T10:00:00.5' WHERE id = 5",
    "INSERT INTO objectives (id, exam_id, code, name) VALUES (9001, 77, 'lost', 'lost'), (9002, 78, 'lost', 'lost')",
)


@dataclass
class Pair:
    """A source and the target that was built from it."""

    source: Path
    target: Path
    shape: str

    def edit(self, *statements: str) -> None:
        """Statements on the target that no rule holds back."""
        with closing(sqlite3.connect(self.target, isolation_level=None)) as db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            for sql in statements:
                db.execute(sql)

    def force(self, table: str, column: str, *statements: str) -> None:
        """Statements on the target with the types of a STRICT table out of force for one column, and its triggers."""
        with closing(sqlite3.connect(self.target, isolation_level=None)) as db:
            triggers = db.execute(
                f"SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = '{table}'"
            )
            dropped = dict(triggers.fetchall())
            for name in dropped:
                db.execute(f"DROP TRIGGER {name}")
            where = f"WHERE type = 'table' AND name = '{table}'"
            ((strict,),) = db.execute(f"SELECT sql FROM sqlite_schema {where}").fetchall()
            loose = strict.replace(") STRICT", ")").replace("NOT NULL", "")
            for declared in ("INTEGER", "REAL", "TEXT"):
                loose = loose.replace(f"\n  {column} {declared}", f"\n  {column} BLOB")
            for sql, during in ((loose, statements), (strict, ())):
                db.execute("PRAGMA writable_schema = ON")
                db.execute(f"UPDATE sqlite_schema SET sql = ? {where}", (sql,))
                db.execute("PRAGMA writable_schema = RESET")
                db.execute("PRAGMA ignore_check_constraints = ON")
                for statement in during:
                    db.execute(statement)
            for sql in dropped.values():
                db.execute(sql)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.target)) as db:
            return db.execute(sql).fetchall()

    def findings(self) -> dict[str, Finding]:
        return {f.id: f for f in verify(self.source, self.target).findings}

    def failing(self) -> dict[str, tuple[str, ...]]:
        return {i: f.where for i, f in self.findings().items() if f.verdict not in ("pass", "not applicable")}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    folder, made = tmp_path_factory.mktemp("pairs"), dict[str, Pair]()

    def make(shape: str) -> Pair:
        if shape not in made:
            source = folder / f"{shape}.db"
            write_demo(shape=shape, size="tiny", seed=5, out=source)  # type: ignore[arg-type]
            with closing(sqlite3.connect(source, isolation_level=None)) as db:
                for sql in PREPARED:
                    db.execute(sql.format(time="'2025-03-01 10:00:00'" if shape == "raw" else "1740823200"))
            out = folder / shape
            out.mkdir()
            migrate(source, folder / f"{shape}-target.db", out, run="t", on_dirty="quarantine")
            made[shape] = Pair(source, folder / f"{shape}-target.db", shape)
        return made[shape]

    return make


@pytest.fixture(params=["raw", "drizzle"])
def pair(request: pytest.FixtureRequest, built: Callable[[str], Pair], tmp_path: Path) -> Pair:
    made = built(request.param)
    shutil.copy(made.target, tmp_path / "target.db")
    return Pair(made.source, tmp_path / "target.db", made.shape)


@pytest.fixture
def raw(built: Callable[[str], Pair], tmp_path: Path) -> Pair:
    made = built("raw")
    shutil.copy(made.target, tmp_path / "target.db")
    return Pair(made.source, tmp_path / "target.db", "raw")


@pytest.fixture
def drizzle(built: Callable[[str], Pair], tmp_path: Path) -> Pair:
    made = built("drizzle")
    shutil.copy(made.target, tmp_path / "target.db")
    return Pair(made.source, tmp_path / "target.db", "drizzle")
