"""Indexes: none missing, none twice, none that nobody uses, from the inventory alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ptp.engine.inventory import ForeignKey, Index, Inventory, Table
from ptp.results import Finding
from ptp.verification.drift import tokens

RULE = "rule:"
"""How the reason begins of an index that is there for a rule and not for a statement."""

_DIRECTIONS = ("asc", "desc")


@dataclass(frozen=True, slots=True)
class _Part:
    """One key column of an index: its name or expression in tokens, its collation and its direction."""

    what: tuple[str, ...]
    collation: str
    descending: bool


@dataclass(frozen=True, slots=True)
class _Definition:
    """What makes two indexes of a table the same, whatever their names."""

    parts: tuple[_Part, ...]
    where: tuple[str, ...]
    unique: bool


def check_redundant(inventory: Inventory, *, tables: Collection[str]) -> Finding:
    """No index repeats another, begins one, or begins with the rowid; `value` counts those that do.

    A partial index repeats only one with the same WHERE. A unique index is never accused for beginning another one,
    and no automatic one is, since it cannot be dropped. An index that begins another gives one thing more, the order
    of the rowid among equal keys: whether a statement lives on that is seen in its plan.
    """
    chosen = _chosen(inventory, tables)
    places = tuple(place for table in chosen for place in _redundant(table))
    return _finding("indexes.redundant", "No index repeats another", places, n=sum(len(t.indexes) for t in chosen))


def missing_indexes(inventory: Inventory, *, expected: Inventory, tables: Collection[str]) -> tuple[Index, ...]:
    """The expected indexes of which there is none alike, by definition and not by name."""
    live = {t.name: {_definition(i) for i in t.indexes} for t in _chosen(inventory, tables)}
    wanted = (i for t in _chosen(expected, tables) for i in t.indexes)
    return tuple(i for i in wanted if _definition(i) not in live.get(i.table, set()))


def check_missing(inventory: Inventory, *, expected: Inventory, tables: Collection[str]) -> Finding:
    """Every expected index is there, under whatever name, and every reference can be followed from the parent's side.

    A reference needs an index that begins with its columns; one with WHERE serves where it asks only that they are
    not NULL. `value` counts what is missing.
    """
    chosen, wanted = _chosen(inventory, tables), _chosen(expected, tables)
    places = [
        f"{index.table}: {_shown(index)} is missing; it is {index.name} of the expected schema"
        for index in missing_indexes(inventory, expected=expected, tables=tables)
    ]
    keys = [(t, key) for t in chosen for key in t.foreign_keys]
    places += [
        f"{table.name}: no index begins with ({', '.join(key.columns)}), "
        f"by which its rows are found when one of {key.table} is deleted or gets another key"
        for table, key in keys
        if not _serves_key(table, key) and not any(_serves(i, key) for i in table.indexes)
    ]
    count = sum(len(t.indexes) for t in wanted) + len(keys)
    return _finding("indexes.missing", "No index is missing", tuple(places), n=count)


def check_used(
    inventory: Inventory, *, used: Collection[str], reasons: Mapping[str, str], tables: Collection[str]
) -> Finding:
    """Every index serves a statement, a reference or a rule; `value` counts those that only cost.

    `used` names what the workload's statements read (`ptp.engine.plans.reads`), `reasons` gives indexes by name
    a reason; one that begins with RULE keeps an index that no statement reads.
    """
    chosen = _chosen(inventory, tables)
    places = tuple(
        f"{table.name}: no statement reads {index.name} {_shown(index)}, and no reference or rule needs it"
        for table in chosen
        for index in table.indexes
        if index.name not in used
        and not index.unique
        and not reasons.get(index.name, "").startswith(RULE)
        and not any(_serves(index, key) for key in table.foreign_keys)
    )
    return _finding("indexes.unused", "Every index is used", places, n=sum(len(t.indexes) for t in chosen))


def _finding(name: str, claim: str, places: tuple[str, ...], *, n: int) -> Finding:
    return Finding(
        id=name,
        claim=claim,
        verdict="fail" if places else "pass",
        value=len(places),
        unit="indexes",
        limit=0,
        n=n,
        where=places,
        evidence="sqlite_schema text and the xinfo pragmas",
    )


def _chosen(inventory: Inventory, tables: Collection[str]) -> list[Table]:
    return [table for name, table in inventory.tables.items() if name in tables]


def _redundant(table: Table) -> Iterator[str]:
    definitions = [(index, _definition(index)) for index in table.indexes]
    for place, (index, mine) in enumerate(definitions):
        if index.sql is None:
            continue
        shown = f"{table.name}: {index.name} {_shown(index)}"
        if _begins_with_rowid(table, index) and not (mine.unique and len(mine.parts) > 1):
            yield f"{shown} begins with the rowid, by which the table itself is kept"
            continue
        for other_place, (other, theirs) in enumerate(definitions):
            if other is index or mine.where != theirs.where:
                continue
            # Of twins one is enough: the unique one, else the one that cannot be dropped or was made first.
            is_first = (theirs.unique, other.sql is None, -other_place) < (mine.unique, index.sql is None, -place)
            if mine.parts == theirs.parts and not is_first:
                yield f"{shown} repeats {other.name}"
                break
            if _begins(mine, theirs) and not mine.unique:
                yield f"{shown} is the beginning of {other.name} {_shown(other)}"
                break


def _begins(one: _Definition, other: _Definition) -> bool:
    return len(one.parts) < len(other.parts) and other.parts[: len(one.parts)] == one.parts


def _begins_with_rowid(table: Table, index: Index) -> bool:
    """Whether the index adds nothing to the order of the table: with a WHERE it does, it holds fewer rows."""
    return not index.partial and index.columns[0] is not None and index.columns[0].lower() == _rowid_alias(table)


def _rowid_alias(table: Table) -> str | None:
    """The column that is the rowid, in lower case."""
    keys = [c for c in table.columns if c.key_position]
    is_alias = len(keys) == 1 and keys[0].declared_type.upper() == "INTEGER" and not table.without_rowid
    # `INTEGER PRIMARY KEY DESC` is an ordinary column with an index of its own.
    own = any(i.sql is None and i.unique and i.columns == (keys[0].name,) for i in table.indexes) if keys else False
    return keys[0].name.lower() if is_alias and not own else None


def _serves_key(table: Table, key: ForeignKey) -> bool:
    return len(key.columns) == 1 and key.columns[0].lower() == _rowid_alias(table)


def _serves(index: Index, key: ForeignKey) -> bool:
    """Whether the rows of a reference are found by the index: it begins with its columns, in whatever order."""
    wanted = {c.lower() for c in key.columns}
    first = index.columns[: len(key.columns)]
    if {c.lower() for c in first if c is not None} != wanted:
        return False
    where = " ".join(_split(index)[1])
    # A reference is looked up by its value, which is never NULL; SQLite knows that this implies such a WHERE.
    conditions = where.split(" and ") if where else []
    return all(c in {f"{name} is not null" for name in wanted} for c in conditions)


def _definition(index: Index) -> _Definition:
    texts, where = _split(index)
    parts = tuple(
        _Part(_without_order(texts[place]) if name is None else (name.lower(),), collation.upper(), descending)
        for place, (name, collation, descending) in enumerate(
            zip(index.columns, index.collations, index.descending, strict=True)
        )
    )
    return _Definition(parts, where, index.unique)


def _split(index: Index) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The tokens of each key column and those of the WHERE; nothing for an automatic index, which has no text."""
    words = tokens(index.sql or "")
    if not words:
        return [], ()
    # The name of an index or a table may be any text, but it is one token: the list begins at the first parenthesis.
    begin = words.index("(") + 1
    parts: list[tuple[str, ...]] = []
    depth, start = 1, begin
    for place in range(begin, len(words)):
        depth += {"(": 1, ")": -1}.get(words[place], 0)
        if depth == 0 or (depth == 1 and words[place] == ","):
            parts.append(words[start:place])
            start = place + 1
        if depth == 0:
            break
    return parts, words[start + 1 :]


def _without_order(part: tuple[str, ...]) -> tuple[str, ...]:
    """An expression without the direction and collation after it, which the pragma tells."""
    if part[-1:] and part[-1] in _DIRECTIONS:
        part = part[:-1]
    return part[:-2] if len(part) > 2 and part[-2] == "collate" else part


def _shown(index: Index) -> str:
    texts, where = _split(index)
    columns = (name if name is not None else " ".join(texts[place]) for place, name in enumerate(index.columns))
    directed = (
        c + (" DESC" if down and n else "") for c, down, n in zip(columns, index.descending, index.columns, strict=True)
    )
    return f"{'UNIQUE ' if index.unique else ''}({', '.join(directed)}){' WHERE ' + ' '.join(where) if where else ''}"
