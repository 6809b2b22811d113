"""Drift: where the schema of a live database is not the one that it should have, from its own text and pragmas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ptp.engine import Inventory
from ptp.engine.inventory import Table
from ptp.results import Finding

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|\w+|[^\s\w]""", re.DOTALL)


def check_schema(live: Inventory, expected: Inventory, *, own: tuple[str, ...]) -> Finding:
    """Compare a live database with what it should be; names that begin with one of `own` are ptp's and left out."""
    places = tuple(differences(live, expected, own=own))
    return Finding(
        id="verify.schema",
        claim="The target's schema is the one of the models, and what was carried over",
        verdict="fail" if places else "pass",
        severity="data",
        value=len(places),
        unit="differences",
        limit=0,
        n=len(expected.tables),
        where=places,
        evidence="sqlite_schema text and the xinfo pragmas, against the models",
    )


def differences(live: Inventory, expected: Inventory, *, own: tuple[str, ...]) -> Iterator[str]:
    """Each difference in words: missing, unexpected, or changed."""
    mine = {n: t for n, t in live.tables.items() if n in expected.tables or not n.startswith(own)}
    yield from _names("table", mine, expected.tables)
    for name in sorted(mine.keys() & expected.tables.keys()):
        yield from _table(mine[name], expected.tables[name])
    yield from _names("view or trigger", live.objects, expected.objects)
    for name in sorted(live.objects.keys() & expected.objects.keys()):
        if tokens(live.objects[name].sql) != tokens(expected.objects[name].sql):
            yield f"{live.objects[name].kind} {name}: its text differs"


def tokens(sql: str) -> tuple[str, ...]:
    """The words of SQL text: white space, comments, quotes around plain names and the case of keywords do not count."""
    found = (t for t in _TOKEN.findall(sql) if not t.startswith(("--", "/*")))
    return tuple(_bare(t) for t in found)


def _bare(token: str) -> str:
    inner = token[1:-1]
    if token[:1] in ('"', "`", "[") and re.fullmatch(r"[A-Za-z_]\w*", inner):
        return inner.lower()
    return token if token.startswith("'") else token.lower()


def _names(kind: str, live: Mapping[str, object], expected: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(expected.keys() - live.keys()):
        yield f"{kind} {name} is missing"
    for name in sorted(live.keys() - expected.keys()):
        yield f"{kind} {name} is not expected"


def _table(live: Table, expected: Table) -> Iterator[str]:
    if live.columns != expected.columns:
        names = [c.name for c in live.columns if c not in expected.columns]
        names += [c.name for c in expected.columns if c.name not in {d.name for d in live.columns}]
        yield f"table {live.name}: columns differ ({', '.join(dict.fromkeys(names)) or 'their order'})"
    if set(live.foreign_keys) != set(expected.foreign_keys):
        yield f"table {live.name}: foreign keys differ"
    if tokens(live.sql) != tokens(expected.sql):
        yield f"table {live.name}: its text differs (rules, collations, AUTOINCREMENT or STRICT)"
    mine, theirs = ({i.name: i for i in t.indexes} for t in (live, expected))
    yield from _names(f"index of {live.name}", mine, theirs)
    for name in sorted(mine.keys() & theirs.keys()):
        a, b = mine[name], theirs[name]
        same_text = tokens(a.sql or "") == tokens(b.sql or "")
        if (a.unique, a.partial, a.columns) != (b.unique, b.partial, b.columns) or not same_text:
            yield f"index {name}: differs (columns, order, collation, WHERE or UNIQUE)"


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
