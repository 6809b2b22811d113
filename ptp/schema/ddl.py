"""The DDL of the models, as readable text: what the first steps were written from, and what head is held to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from ptp.schema.columns import Base


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
    """All DDL of head."""
    return [*table_statements(), *index_statements()]
