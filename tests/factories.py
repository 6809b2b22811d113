"""Random rows of the head models, made from what each column declares; the same seed makes the same rows.

rows = Rows(seed=1)
question = rows.new(Question, review_status="approved")  # with its exam and objective
rows.write(engine)
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from typing import Any, ClassVar, Generic, TypeGuard, TypeVar

from polyfactory.factories.base import BaseFactory
from polyfactory.field_meta import FieldMeta
from sqlalchemy import Column, Engine, UniqueConstraint, insert, inspect

from ptp.conversions import LAST_SECOND, Choice, Conversion, Kind, Span
from ptp.engine import atomic
from ptp.schema import Base

T = TypeVar("T")
M = TypeVar("M", bound=Base)

MODELS: tuple[type[Base], ...] = tuple(sorted((m.class_ for m in Base.registry.mappers), key=lambda m: m.__name__))
_BY_TABLE = {str(model.__tablename__): model for model in MODELS}
_WORDS = (
    "DNS",
    "routes",
    "naïve",
    "O'Brien",
    '"quoted"',
    "100%",
    "a_b",
    "日本語",
    "; DROP TABLE users; --",
    "VLAN\n10",
)


class HeadFactory(BaseFactory[T], Generic[T]):
    """Fills every column by its kind and rule; a foreign key is left to whoever knows the row that it names.

    Not polyfactory's own factory for SQLAlchemy: that one knows types, and no rules, and wants greenlet installed.
    """

    __is_base_factory__ = True
    __numbers__: ClassVar[Iterator[int]]

    @classmethod
    def is_supported_type(cls, value: Any) -> TypeGuard[type[T]]:
        return isinstance(value, type) and issubclass(value, Base)

    @classmethod
    def get_model_fields(cls) -> list[FieldMeta]:
        columns = inspect(cls.__model__).columns.items()  # type: ignore[union-attr]
        return [FieldMeta(name=name, annotation=object) for name, column in columns if not column.foreign_keys]

    @classmethod
    def get_field_value(cls, field_meta: FieldMeta, *_: Any, **__: Any) -> Any:
        found: Column[Any] = inspect(cls.__model__).columns[field_meta.name]  # type: ignore[union-attr]
        conversion: Conversion = found.info["conversion"]
        if found.primary_key or _is_unique(found):
            number = next(cls.__numbers__)
            return _NUMBERED[conversion.kind](number)
        if conversion.nullable and cls.__random__.random() < 0.25:
            return None
        if isinstance(conversion.rule, Choice):
            return cls.__random__.choice(conversion.rule.values)
        if isinstance(conversion.rule, Span):
            low, high = conversion.rule.low, conversion.rule.high
            is_whole = conversion.kind == "integer" or cls.__random__.random() < 0.2
            return cls.__random__.randint(low, high) if is_whole else cls.__random__.uniform(low, high)
        return _VALUES[conversion.kind](cls.__random__)


class Rows:
    """Makes rows of any model, each with the rows that it needs, and writes them; seeded."""

    def __init__(self, seed: int) -> None:
        self._made: list[Base] = []
        self.factories: dict[type[Base], Any] = {
            model: HeadFactory.create_factory(
                model, __random_seed__=seed * len(MODELS) + place, __numbers__=itertools.count(1)
            )
            for place, model in enumerate(MODELS)
        }

    def new(self, model: type[M], /, **values: Any) -> M:
        """A row of `model`; where a foreign key that must be set is not given, the row that it names is made too."""
        for name, found in inspect(model).columns.items():
            for key in found.foreign_keys:
                if not found.nullable and name not in values:
                    values[name] = self.new(_BY_TABLE[key.column.table.name]).id  # type: ignore[attr-defined]
        made: M = self.factories[model].build(**values)
        self._made.append(made)
        return made

    def write(self, engine: Engine) -> None:
        """Write what was made since the last time, in one transaction."""
        write(engine, self._made)
        self._made = []


def write(engine: Engine, rows: Iterable[Base]) -> None:
    """Insert rows as they are, parents before their children, in one transaction."""
    by_table: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_table.setdefault(str(row.__tablename__), []).append(values_of(row))
    with atomic(engine) as db:
        for table in Base.metadata.sorted_tables:
            if table.name in by_table:
                db.execute(insert(table), by_table[table.name])


def values_of(row: Base) -> dict[str, Any]:
    """A row's values by column name; a column that was not set is None."""
    return {column.name: getattr(row, name) for name, column in inspect(type(row)).columns.items()}


def _is_unique(column: Column[Any]) -> bool:
    constraints = (c for c in column.table.constraints if isinstance(c, UniqueConstraint))
    return any(column.name in constraint.columns for constraint in constraints)


def _json(chance: random.Random, depth: int = 2) -> Any:
    if depth and chance.random() < 0.6:
        inner = [_json(chance, depth - 1) for _ in range(chance.randint(0, 3))]
        return inner if chance.random() < 0.5 else {f"k{place}": value for place, value in enumerate(inner)}
    return chance.choice([None, True, 0, -1, 2.5, "", *_WORDS])


_VALUES: dict[Kind, Callable[[random.Random], Any]] = {
    "integer": lambda chance: chance.choice([0, 1, chance.randint(-9, 10_000)]),
    "time": lambda chance: chance.choice([0, LAST_SECOND, chance.randint(0, LAST_SECOND)]),
    "boolean": lambda chance: chance.random() < 0.5,
    "real": lambda chance: chance.choice([0.0, 1.0, chance.random(), chance.uniform(-1e6, 1e6)]),
    "text": lambda chance: " ".join(chance.choices(_WORDS, k=chance.randint(0, 6))),
    "json": lambda chance: json.dumps(_json(chance), ensure_ascii=chance.random() < 0.5),
    "date": lambda chance: (date(1970, 1, 1) + timedelta(days=chance.randint(0, 40_000))).isoformat(),
}

_NUMBERED: dict[Kind, Callable[[int], Any]] = {
    "integer": int,
    "text": "t{}".format,
    "date": lambda number: (date(2020, 1, 1) + timedelta(days=number)).isoformat(),
}
"""For keys and unique columns: different for every number."""
