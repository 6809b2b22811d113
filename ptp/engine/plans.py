"""Plans: how the serving SQLite runs a statement, read from EXPLAIN QUERY PLAN and from the program itself.

The plan's text names a table by its alias. The program that EXPLAIN lists opens each table and index by the number
of its root page, which no alias, view or subquery hides; that is how names are resolved here.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ptp.engine.sql import quoted

Kind: TypeAlias = Literal["scan", "search", "sort", "other"]
"""What a step does: goes over all of something, looks up in it, sorts in a temporary b-tree, or anything else."""

_STEP = re.compile(
    r"(?P<kind>SCAN|SEARCH) (?P<name>.+?)(?P<virtual> VIRTUAL TABLE INDEX .*)?"
    r"(?: USING (?P<automatic>AUTOMATIC )?(?:PARTIAL )?(?P<covering>COVERING )?INDEX(?: (?P<index>[^(].*?))?"
    r"| USING (?:INTEGER )?PRIMARY KEY)?(?: \(.*\))?(?: LEFT-JOIN| EXISTS)*"
)
_IN = re.compile(r"USING (?:ROWID SEARCH ON TABLE (?P<table>.+)|INDEX (?P<index>.+)) FOR IN-OPERATOR")
_NO_TABLE = re.compile(r"SCAN (?:CONSTANT ROW|\d+ CONSTANT ROWS?|\d+-ROW VALUES CLAUSE)")
_BLOOM = re.compile(r"BLOOM FILTER ON (?P<name>.+?) \(.*\)")  # filled by going over all of it
_SORT = "USE TEMP B-TREE FOR "

_OPENS = frozenset({"OpenRead", "OpenWrite", "ReopenIdx"})
_SEEKS = frozenset(
    {"SeekGE", "SeekGT", "SeekLE", "SeekLT", "SeekRowid", "NotExists", "Found", "NotFound", "NoConflict"}
)
_MOVES = _SEEKS | {"Rewind", "Last", "Count", "VFilter", "Yield"}
_ROOT_IN_REGISTER = 0x10  # in p5 of an opening: p2 is not a page but where its number will be (DDL)
_NUMBERS = itertools.count()
_SCHEMA_TABLE = "sqlite_schema"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a plan; `table` is None where it works on no real table: a CTE, a subquery, a virtual table.

    `depth` is that of the line in the tree. An `automatic` index is made for this statement and then thrown away.
    """

    kind: Kind
    table: str | None
    index: str | None
    covering: bool
    automatic: bool
    text: str
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The lines of EXPLAIN QUERY PLAN in order; those of triggers are not among them."""

    steps: tuple[Step, ...]

    @property
    def hash(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the text, by which a changed plan is noticed."""
        text = "\n".join(" " * s.depth + s.text for s in self.steps)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Root:
    """What begins at a root page: a table, or an index of it."""

    name: str
    table: str


@dataclass(frozen=True, slots=True)
class _Op:
    address: int
    code: str
    p1: int
    p2: Any
    p3: int
    p5: int


def plan_of(db: sqlite3.Connection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Plan:
    """The plan of one statement on this connection; nothing is run. References show only with foreign keys on."""
    roots = _roots(db)
    lines = db.execute(_fresh("EXPLAIN QUERY PLAN", sql), parameters).fetchall()
    program = _programs(db, sql, parameters)[0]
    of_index = {r.name: r.table for r in roots.values()}
    by_address = _tables_by_address([(number, text) for number, _, _, text in lines], program, roots)
    tables = {r.table for r in _cursors(program, roots).values() if r}
    texts = (sql, *(text for (text,) in db.execute("SELECT sql FROM sqlite_schema WHERE type = 'view'")))
    depths: dict[int, int] = {}
    steps = []
    for number, parent, _, text in lines:
        depths[number] = depths.get(parent, -1) + 1
        table = by_address.get(number)
        # A cursor's number is used again: what it is opened on later may not be what the line speaks of.
        if table and text.startswith("SCAN ") and _table_by_text(text, texts, {table}) is None:
            table = None
        if table is None and text.startswith(("SEARCH ", "BLOOM ")):
            table = _table_by_text(text, texts, tables)
        steps.append(_step(text, table, of_index=of_index, depth=depths[number]))
    return Plan(tuple(steps))


def opened(db: sqlite3.Connection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> frozenset[str]:
    """The tables and indexes that a statement opens, with its triggers and references; nothing is run.

    A statement that writes to a table opens all of its indexes, to maintain them: see `reads`.
    """
    roots = _roots(db)
    found: set[str] = set()
    for program in _programs(db, sql, parameters):
        found |= {r.name for r in _cursors(program, roots).values() if r}
        # A DELETE of all rows clears by page, without a cursor.
        found |= {roots[op.p2, op.p1].name for op in program if op.code == "Clear" and (op.p2, op.p1) in roots}
    return frozenset(found)


def reads(db: sqlite3.Connection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> frozenset[str]:
    """Of what a statement opens, the tables and indexes in which it looks for rows: not those it only maintains."""
    roots = _roots(db)
    found: set[str] = set()
    for program in _programs(db, sql, parameters):
        cursors = _cursors(program, roots)
        moved = {op.p1 for op in program if op.code in _MOVES}
        moved |= {op.p3 for op in program if op.code == "DeferredSeek"}
        found |= {r.name for cursor, r in cursors.items() if r and cursor in moved}
    return frozenset(found)


def full_scans(plan: Plan) -> tuple[Step, ...]:
    """The steps that go over a whole table or a whole index, unless a LIMIT ends them before.

    A Bloom filter is one of them: all keys of a table are put into it before the first one is looked up.
    """
    return tuple(s for s in plan.steps if s.kind == "scan" and s.table)


def sorts(plan: Plan) -> tuple[Step, ...]:
    """The steps that sort or group in a temporary b-tree, for want of an index in that order."""
    return tuple(s for s in plan.steps if s.kind == "sort")


def _step(text: str, table: str | None, *, of_index: Mapping[str, str], depth: int) -> Step:
    if text.startswith(_SORT):
        return Step("sort", None, None, False, False, text, depth)
    if lookup := _IN.fullmatch(text):
        index = lookup["index"]
        return Step("search", lookup["table"] or of_index.get(index), index, bool(index), False, text, depth)
    if _BLOOM.fullmatch(text):
        return Step("scan", table, None, False, False, text, depth)
    match = _STEP.fullmatch(text)
    if match is None or _NO_TABLE.fullmatch(text):
        return Step("other", None, None, False, False, text, depth)
    index = match["index"]
    if match["virtual"]:
        table = None
    elif index:
        # The text does not quote it, and a name may hold spaces and parentheses.
        index = max((n for n in of_index if f" INDEX {n} " in f"{text} "), key=len, default=index)
        table = of_index.get(index, table)
    kind: Kind = "scan" if match["kind"] == "SCAN" else "search"
    return Step(kind, table, index, bool(match["covering"]), bool(match["automatic"]), text, depth)


def _roots(db: sqlite3.Connection) -> dict[tuple[int, int], _Root]:
    """What begins at which page, by the number of the database (0 is main) and the page."""
    found: dict[tuple[int, int], _Root] = {}
    for number, name, _ in db.execute("PRAGMA database_list").fetchall():
        found[number, 1] = _Root(_SCHEMA_TABLE, _SCHEMA_TABLE)
        rows = db.execute(f"SELECT rootpage, name, tbl_name FROM {quoted(name)}.sqlite_schema WHERE rootpage > 0")
        found |= {(number, page): _Root(own, table) for page, own, table in rows}
    return found


def _fresh(explain: str, sql: str) -> str:
    """Text that no connection has in its cache: SQLite does not prepare an EXPLAIN again when the schema changes."""
    return f"{explain} /* {next(_NUMBERS)} */ {sql}"


def _programs(
    db: sqlite3.Connection, sql: str, parameters: Sequence[Any] | Mapping[str, Any]
) -> tuple[tuple[_Op, ...], ...]:
    """The program of the statement, then those of its triggers and reference actions; each begins at address 0."""
    found: list[list[_Op]] = []
    for address, code, p1, p2, p3, _, p5, _ in db.execute(_fresh("EXPLAIN", sql), parameters):
        if address == 0:
            found.append([])
        found[-1].append(_Op(address, code, p1, p2, p3, p5))
    return tuple(map(tuple, found))


def _cursors(program: Sequence[_Op], roots: Mapping[tuple[int, int], _Root]) -> dict[int, _Root | None]:
    """What each cursor is on; an automatic index is on the table from which it is filled, or on None."""
    found: dict[int, _Root | None] = {
        op.p1: roots[op.p3, op.p2]
        for op in program
        if op.code in _OPENS and not op.p5 & _ROOT_IN_REGISTER and (op.p3, op.p2) in roots
    }
    for place, op in enumerate(program):
        if op.code == "OpenAutoindex":
            filling = next((o for o in program[place:] if o.code in ("Rewind", "Yield")), None)
            found[op.p1] = found.get(filling.p1) if filling and filling.code == "Rewind" else None
    return found


def _tables_by_address(
    lines: Sequence[tuple[int, str]], program: Sequence[_Op], roots: Mapping[tuple[int, int], _Root]
) -> dict[int, str]:
    """The table of each line, by its number, as the program shows it.

    A line's number is its address in a program that holds the plan's lines as well. EXPLAIN lists it without them, so
    that what follows the i-th line begins i places earlier. There begins the loop that the line describes: a scan at
    once, a search after its keys are made, for which cursors of other things may move.
    """
    cursors = _cursors(program, roots)
    listed = any(op.code == "Explain" for op in program)  # by a SQLite that is built to count the rows of each line
    starts = [number - (0 if listed else place) for place, (number, _) in enumerate(sorted(lines))]
    found: dict[int, str] = {}
    for (number, text), start in zip(sorted(lines), starts, strict=True):
        moves = [op for op in _loop(program, start, others=starts) if op.code in _MOVES]
        if text.startswith("SCAN "):
            # A plain count(*) is made by one instruction, and told of after it and the closing of its cursor.
            counted = program[max(start - 2, 0) : start]
            moves = [counted[0]] if [op.code for op in counted] == ["Count", "Close"] else moves[:1]
            # A recursive query goes over its own queue without a move: what seeks there is the next line's.
            moves = [op for op in moves if op.code not in _SEEKS]
        on_table = [cursors[op.p1] for op in moves if op.code != "Yield" and op.p1 in cursors]
        if on_table and (root := on_table[0]):
            found[number] = root.table
    return found


def _loop(program: Sequence[_Op], start: int, *, others: Collection[int]) -> Iterator[_Op]:
    """The instructions from `start` up to where another line's begin, without the subqueries that make its keys."""
    place = start
    while place < len(program) and (place == start or place not in others):
        op = program[place]
        place += 1
        if op.code == "BeginSubrtn":
            ends = (at for at in range(place, len(program)) if program[at].code == "Return" and program[at].p1 == op.p2)
            place = next(ends, place - 1) + 1
        else:
            yield op


def _table_by_text(line: str, texts: Sequence[str], tables: Collection[str]) -> str | None:
    """The opened table that bears the name in a line or, in the statement or a view, that alias; None if not just one.

    Only for what the program does not tell: inside an OR, a lookup comes before its line.
    """
    match = _STEP.fullmatch(line) or _BLOOM.fullmatch(line)
    name = match["name"] if match else ""
    alike = [t for t in tables if t.lower() == name.lower()]
    if not alike:
        as_name = rf"[\"`\]]?(?:\s+AS)?\s+[\"`\[]?{re.escape(name)}(?!\w)"
        alike = [t for t in tables if any(re.search(rf"(?<!\w){re.escape(t)}{as_name}", x, re.I) for x in texts)]
    return alike[0] if len(alike) == 1 else None
