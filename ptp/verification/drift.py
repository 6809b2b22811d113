"""Drift: where the schema of a live database is not the one that it should have, from its own text and pragmas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations, zip_longest

from ptp.engine import Inventory
from ptp.engine.inventory import Index, Object, Table
from ptp.results import Finding
from ptp.verification.clauses import Clause, ColumnText, index_text, table_text, words_of

_WIDEST = 80
_BEFORE, _AFTER = 3, 12
"""How many words around the first that differs are shown of a long text."""


def check_schema(live: Inventory, witnesses: Mapping[str, Inventory], *, own: tuple[str, ...]) -> Finding:
    """Compare a live database with what each witness says that it should be, and the witnesses with each other.

    `witnesses` are by name, as a reader knows them. Names that begin with one of `own` are ptp's and left out.
    """
    places = tuple(_between(live, witnesses, own=own))
    return Finding(
        id="verify.schema",
        claim=f"The target's schema is the one of {' and '.join(witnesses)}, and what was carried over",
        verdict="fail" if places else "pass",
        severity="data",
        value=len(places),
        unit="differences",
        limit=0,
        n=len(next(iter(witnesses.values())).tables),
        where=places,
        evidence="sqlite_schema text and the xinfo pragmas, each pair of them compared",
    )


def _between(live: Inventory, witnesses: Mapping[str, Inventory], *, own: tuple[str, ...]) -> Iterator[str]:
    """The differences of every pair; one that the target has from all witnesses is told once, without their names."""
    told = {name: tuple(differences(live, witness, own=own)) for name, witness in witnesses.items()}
    for text in dict.fromkeys(text for texts in told.values() for text in texts):
        against = [name for name, texts in told.items() if text in texts]
        yield text if len(against) == len(told) else f"against {' and '.join(against)}: {text}"
    for (one, a), (other, b) in combinations(witnesses.items(), 2):
        yield from (f"{other} against {one}: {text}" for text in differences(b, a, own=()))


def differences(live: Inventory, expected: Inventory, *, own: tuple[str, ...]) -> Iterator[str]:
    """Each difference in words, with table and column, or index, trigger or view: missing, unexpected, or changed.

    Only of a table, column, index, view or trigger that is too many it is said that it `is not expected`.
    """
    mine = {n: t for n, t in live.tables.items() if n in expected.tables or not n.startswith(own)}
    yield from _names("table", mine, expected.tables)
    for name in sorted(mine.keys() & expected.tables.keys()):
        yield from _table(mine[name], expected.tables[name])
        yield from _indexes(mine[name], expected.tables[name])
    yield from _objects(live.objects, expected.objects)


@lru_cache(maxsize=2_048)
def tokens(sql: str) -> tuple[str, ...]:
    """The words of SQL text: white space, comments, quotes around plain names and the case of keywords do not count."""
    return tuple(word.plain for word in words_of(sql))


def _names(kind: str, live: Iterable[str], expected: Iterable[str]) -> Iterator[str]:
    mine, theirs = set(live), set(expected)
    yield from (f"{kind} {name} is missing" for name in sorted(theirs - mine))
    yield from (f"{kind} {name} is not expected" for name in sorted(mine - theirs))


def _objects(live: Mapping[str, Object], expected: Mapping[str, Object]) -> Iterator[str]:
    for kind in ("view", "trigger"):
        mine, theirs = ({n for n, o in side.items() if o.kind == kind} for side in (live, expected))
        yield from _names(kind, mine, theirs)
        for name in sorted(mine & theirs):
            yield from _texts(f"{kind} {name}", live[name].sql, expected[name].sql)


def _texts(what: str, seen: str, expected: str) -> Iterator[str]:
    """Whether two texts differ in more than their looks, and the words at the first place where they do."""
    if tokens(seen) != tokens(expected):
        first, second = _apart(seen, expected)
        yield f"{what}: its text differs: {first}, expected {second}"


def _apart(seen: str, expected: str) -> tuple[str, str]:
    """Both texts in one line each; of long ones, what stands around the first word that differs."""
    flat = [" ".join(text.split()) for text in (seen, expected)]
    if max(map(len, flat)) <= _WIDEST:
        return flat[0], flat[1]
    a, b = words_of(seen), words_of(expected)
    first = next(i for i, (x, y) in enumerate(zip_longest(tokens(seen), tokens(expected))) if x != y)
    found = []
    for text, words in ((seen, a), (expected, b)):
        part = words[max(0, first - _BEFORE) : first + _AFTER]
        shown = " ".join(text[part[0].start : part[-1].end].split()) if part else ""
        found.append(f"{'… ' if first > _BEFORE else ''}{shown}{' …' if first + _AFTER < len(words) else ''}")
    return found[0], found[1]


def _table(live: Table, expected: Table) -> Iterator[str]:
    if live.sql == expected.sql:
        return
    found = list(_by_parts(live, expected))
    yield from found or _texts(f"table {live.name}", live.sql, expected.sql)  # such as the order of the rules


def _by_parts(live: Table, expected: Table) -> Iterator[str]:
    mine, theirs = table_text(live.sql), table_text(expected.sql)
    if mine is None or theirs is None:
        return
    where = f"table {live.name}"
    names, wanted = ([c.name for c in t.columns] for t in (live, expected))
    yield from _names(f"{where}, column", names, wanted)
    if names != wanted and sorted(names) == sorted(wanted):
        yield f"{where}: the order of its columns is {', '.join(names)}, expected {', '.join(wanted)}"
    for name in sorted(set(names) & set(wanted), key=wanted.index):
        yield from _column(f"{where}, column {name}", mine.columns[name.lower()], theirs.columns[name.lower()])
    yield from _clauses(where, mine.rules, theirs.rules)
    yield from _clauses(where, mine.options, theirs.options)


def _column(where: str, live: ColumnText, expected: ColumnText) -> Iterator[str]:
    if live.type != expected.type:
        yield f"{where}: type {live.type or 'none'}, expected {expected.type or 'none'}"
    yield from _clauses(where, live.clauses, expected.clauses)


def _clauses(where: str, seen: Sequence[Clause], wanted: Sequence[Clause]) -> Iterator[str]:
    """Rules that one side has and the other has not; two of the same kind and name are told as one that changed."""
    had, due = {c.words for c in seen}, {c.words for c in wanted}
    more = [c for c in seen if c.words not in due]
    for clause in (c for c in wanted if c.words not in had):
        same = [c for c in more if (c.name, c.kind) == (clause.name, clause.kind)]
        if same:
            more.remove(same[0])
            first, second = _apart(same[0].text, clause.text)
            yield f"{where}: {first}, expected {second}"
        else:
            yield f"{where}: {clause.text} is missing"
    yield from (f"{where}: {clause.text}, expected none" for clause in more)


def _indexes(live: Table, expected: Table) -> Iterator[str]:
    mine, theirs = ({i.name: i for i in t.indexes} for t in (live, expected))
    yield from _names(f"index of {live.name}", mine, theirs)
    for name in sorted(mine.keys() & theirs.keys()):
        found = list(_index(mine[name], theirs[name]))
        yield from found or _texts(f"index {name}", mine[name].sql or "", theirs[name].sql or "")


def _index(live: Index, expected: Index) -> Iterator[str]:
    where = f"index {live.name}"
    if live.unique != expected.unique:
        seen, wanted = ("UNIQUE" if side.unique else "not UNIQUE" for side in (live, expected))
        yield f"{where}: {seen}, expected {wanted}"
    if live.sql and expected.sql:
        mine, theirs = index_text(live.sql), index_text(expected.sql)
        yield from _clauses(where, mine.where, theirs.where)
        keys, due = ([c.words for c in side.keys] for side in (mine, theirs))
        if keys != due:
            texts = [", ".join(c.text for c in side.keys) for side in (mine, theirs)]
            yield f"{where}: keys ({texts[0]}), expected ({texts[1]})"
            return
    if live.columns != expected.columns:
        yield f"{where}: columns {_listed(live.columns)}, expected {_listed(expected.columns)}"
    else:
        yield from _in_force(where, live, expected)


def _in_force(where: str, live: Index, expected: Index) -> Iterator[str]:
    """Order and collation of the keys, which the text of the index need not say: a column may bring its own."""
    sides = (zip(i.columns, i.descending, i.collations, strict=True) for i in (live, expected))
    for (name, down, collation), (_, due_down, due_collation) in zip(*sides, strict=True):
        key = f"{where}, column {name}" if name else f"{where}, an expression"
        if down != due_down:
            yield f"{key}: {'DESC' if down else 'ASC'}, expected {'DESC' if due_down else 'ASC'}"
        if collation != due_collation:
            yield f"{key}: collation {collation}, expected {due_collation}"


def _listed(columns: Iterable[str | None]) -> str:
    return f"({', '.join(name or 'an expression' for name in columns)})"


def check_marks(live: Inventory, source: Inventory) -> Finding:
    """AUTOINCREMENT marks: none may be lower than the source's, or ids of deleted rows would be used again."""
    places = tuple(
        f"{name}: {live.sequences.get(name, 0)}, in the source {mark}"
        for name, mark in sorted(source.sequences.items())
        if name in live.tables and live.tables[name].autoincrement and live.sequences.get(name, 0) < mark
    )
    return Finding(
        id="verify.marks",
        claim="Ids of deleted rows are never used again",
        verdict="fail" if places else "pass",
        severity="data",
        value=len(places),
        unit="marks lost",
        limit=0,
        n=len(source.sequences),
        where=places,
        evidence="sqlite_sequence on both sides",
    )
