"""The kinds of column at head; each declares its SQL type, its CHECK rule and its conversion in one place."""

from __future__ import annotations

from typing import Any

from sqlalchemy import REAL, CheckConstraint, Dialect, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column
from sqlalchemy.types import TypeDecorator

from ptp.conversions import LAST_SECOND, Choice, Conversion, Kind, Rule, Span

NOW = text("(unixepoch())")


class Flag(TypeDecorator[bool]):
    """A Python bool kept as INTEGER 0 or 1."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> int | None:
        """True as 1, False as 0."""
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> bool | None:
        """1 as True, 0 as False."""
        return None if value is None else bool(value)


class Base(DeclarativeBase):
    """The declarative base of the 14 tables; every table is STRICT, so the database itself holds the types."""

    metadata = MetaData()


def column(
    kind: Kind,
    *args: Any,
    name: str | None = None,
    required: bool = False,
    default: Any = None,
    rule: Rule | None = None,
    personal: bool = False,
    primary_key: bool = False,
    head_only: bool = False,
    derived: bool = False,
) -> MappedColumn[Any]:
    """A column of `kind`. `required` is NOT NULL; `default` is a constant, or NOW for the current Unix second.

    `name` is the column's name where it cannot be the attribute's. A column that is `head_only` has no source; where
    it is `derived`, what it says is in others too, or of no use to the source, and a way back may leave it out.
    """
    types: dict[Kind, Any] = {"integer": Integer, "time": Integer, "boolean": Flag, "real": REAL}
    return mapped_column(
        name,
        types.get(kind, Text),
        *args,
        primary_key=primary_key,
        nullable=not (required or primary_key),
        server_default=text(_literal(default)) if isinstance(default, int | float | str) else default,
        info={
            "conversion": Conversion(kind=kind, nullable=not (required or primary_key), rule=rule, personal=personal),
            "head_only": head_only,
            "derived": derived,
        },
    )


def key() -> MappedColumn[Any]:
    """The INTEGER PRIMARY KEY of a table."""
    return column("integer", primary_key=True)


def strict(*args: Any, autoincrement: bool = True) -> tuple[Any, ...]:
    """`__table_args__` of a STRICT table, with AUTOINCREMENT where the source has it."""
    return (*args, {"sqlite_strict": True, "sqlite_autoincrement": autoincrement})


def add_checks(table: Table) -> None:
    """Give `table` the CHECK rule of each column: its kind's, then its own."""
    for col in table.columns:
        conversion: Conversion = col.info["conversion"]
        for suffix, condition in _conditions(col.name, conversion):
            table.append_constraint(CheckConstraint(condition, name=f"ck_{table.name}_{col.name}{suffix}"))


def _conditions(name: str, conversion: Conversion) -> list[tuple[str, str]]:
    of_kind = {
        "time": f"{name} BETWEEN 0 AND {LAST_SECOND}",
        "boolean": f"{name} IN (0, 1)",
        "json": f"{name} IS NULL OR json_valid({name})",
        "date": f"{name} IS date({name}, '+0 days')",
    }
    found = []
    if conversion.kind in of_kind:
        found.append(("", of_kind[conversion.kind]))
    if isinstance(conversion.rule, Choice | Span):
        found.append(("", f"{name} {conversion.rule}"))
    return found


def _literal(value: float | str) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def index(name: str, *columns: str, serves: str, unique: bool = False, where: str | None = None) -> Index:
    """An index with its reason: `serves` names the query, foreign key or rule that it is there for.

    A column may be written `name DESC`, and be an expression.
    """
    parts: list[Any] = [c if c.isidentifier() else text(c) for c in columns]
    return Index(name, *parts, unique=unique, sqlite_where=text(where) if where else None, info={"serves": serves})
