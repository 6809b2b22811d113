"""The DDL of the models, as readable text: what the first steps were written from, and what head is held to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from ptp.migration.steps import Step
from ptp.schema.columns import Base

_CREATED = re.compile(r"CREATE (?:VIRTUAL )?(?:TABLE|INDEX|TRIGGER) (\w+)")


def table_statements() -> Iterator[str]:
    """CREATE TABLE of every model, parents first."""
    for table in Base.metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=sqlite.dialect()))
        lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
        body = [f"  {line}" for line in lines[1:-1] if line != ")"]
        yield "\n".join([lines[0], *body, f") {lines[-1].lstrip(') ')}"])


def index_statements() -> Iterator[str]:
    """CREATE INDEX of every model, by table and name."""
    for table in Base.metadata.sorted_tables:
        for index in sorted(table.indexes, key=lambda i: str(i.name)):
            yield re.sub(r"\s+", " ", str(CreateIndex(index).compile(dialect=sqlite.dialect()))).strip()


def model_statements() -> list[str]:
    """The DDL of the 14 tables and their indexes."""
    return [*table_statements(), *index_statements()]


def derived_statements(steps: Iterable[Step]) -> list[str]:
    """The DDL of what the steps add to the models: the tables that triggers keep, and these triggers.

    It stands in SQL alone, as SQL is all that it is; of the models' tables and indexes there is none in it.
    """
    known = {*Base.metadata.tables, *(str(i.name) for t in Base.metadata.sorted_tables for i in t.indexes)}
    created = ((found[1], sql) for step in steps for sql in step.up if (found := _CREATED.match(sql)))
    return [sql for name, sql in created if name not in known]
