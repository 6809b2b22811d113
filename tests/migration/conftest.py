"""Sources to migrate: tiny demo databases, made once a session, copied for every test and soiled as it asks."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ptp.evidence import Stage
from ptp.workbench.migrating import migrate
from ptp.workbench.verifying import verify
from ptp.workload.demo import write_demo


def run_sql(path: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    """Statements on a file as somebody else's tool would run them: no foreign keys, no CHECK rules."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("PRAGMA synchronous = OFF")
        for sql in statements:
            db.execute(sql, values)


def query(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, texts that are not UTF-8 as bytes behind a mark."""

    def decode(raw: bytes) -> str | tuple[str, bytes]:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return ("not UTF-8", raw)

    with closing(sqlite3.connect(path)) as db:
        db.text_factory = decode
        return db.execute(sql, values).fetchall()


def change_text(path: Path, old: str, new: str, *, table: str = "") -> None:
    """Replace words in the DDL of a file (or of one table in it) by rewriting its schema text."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        where = f" AND name = '{table}'" if table else ""
        db.execute(f"UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE type = 'table'{where}", (old, new))
        db.execute("PRAGMA writable_schema = RESET")


@dataclass
class Case:
    """One source and all that belongs to its migration."""

    source: Path
    target: Path
    out: Path
    shape: str
    extra: dict[str, Any] = field(default_factory=dict)

    def edit(self, *statements: str, values: tuple[Any, ...] = ()) -> None:
        run_sql(self.source, *statements, values=values)

    def rewrite(self, old: str, new: str = "", table: str = "") -> None:
        """Replace words in the source's DDL, as if somebody else had written it."""
        change_text(self.source, old, new, table=table)

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return query(self.target, sql, *values)

    def ask_source(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return query(self.source, sql, *values)

    def migrate(self, **options: Any) -> Stage:
        return migrate(self.source, self.target, self.out, **{"run": "test", **options})

    def verify(self) -> Stage:
        return verify(self.source, self.target)

    def failing(self) -> dict[str, tuple[str, ...]]:
        """The findings of the verification that do not pass, with their places."""
        return {f.id: f.where for f in self.verify().findings if f.verdict not in ("pass", "not applicable")}

    def files(self) -> set[str]:
        return {p.name for p in self.source.parent.iterdir()} - {"out"}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder, made = tmp_path_factory.mktemp("sources"), dict[str, Path]()

    def make(shape: str) -> Path:
        if shape not in made:
            made[shape] = write_demo(shape=shape, size="tiny", seed=11, out=folder / f"{shape}.db").path  # type: ignore[arg-type]
        return made[shape]

    return make


@pytest.fixture
def case_of(demo: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Case]:
    def make(shape: str) -> Case:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        source = tmp_path / "source.db"
        shutil.copy(demo(shape), source)
        return Case(source, tmp_path / "target.db", out, shape)

    return make


@pytest.fixture
def raw(case_of: Callable[[str], Case]) -> Case:
    return case_of("raw")


@pytest.fixture
def drizzle(case_of: Callable[[str], Case]) -> Case:
    return case_of("drizzle")


@pytest.fixture(params=["raw", "drizzle"])
def case(request: pytest.FixtureRequest, case_of: Callable[[str], Case]) -> Case:
    return case_of(request.param)


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Case]:
    """A source with the DDL of a shape and only the rows given, by table."""
    from ptp.resources import folder

    def make(shape: str, rows: Mapping[str, list[dict[str, Any]]], *, setup: tuple[str, ...] = ()) -> Case:
        case = Case(tmp_path / "source.db", tmp_path / "target.db", tmp_path / "out", shape)
        case.out.mkdir(exist_ok=True)
        with closing(sqlite3.connect(case.source)) as db:
            for sql in setup:
                db.execute(sql)
            db.executescript((folder("sql") / "shapes" / f"{shape}.sql").read_text(encoding="utf-8"))
            db.execute("PRAGMA ignore_check_constraints = ON")
            for table, entries in rows.items():
                for row in entries:
                    marks = ", ".join("?" for _ in row)
                    db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
            db.commit()
        return case

    return make
