"""Billed rows by a model, where libSQL's own counters are not at hand: from SQLite's counters and the program.

SQLite counts the steps of a scan without bounds, each of which reads a row, and all instructions. Of the other
instructions inside of loops, those are billed that move a cursor: as many of those that ran as there are in the
program's loops. So the model is exact where all loops are scans, and errs where most rows leave a loop half-way.
A count of all rows reads pages instead. Rows written follow from rows changed: one for the table and one for each
index that the statement maintains, although one that is partial may have no entry for a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import apsw

from ptp.engine.meters import Counters, Statement, replayed

READ_ERROR = (0.4, 2.6)
"""What a figure for rows read is to be multiplied by for the least and the most that there can be.

Held against libSQL's counters, it erred by at most 25 % on the published figures, and on the calls of an application's
25 queries by 12 % in the median, 60 % too few and 134 % too many at the worst.
"""
WRITTEN_ERROR = (0.4, 1.1)
"""The same for rows written: too many where an index is partial, or where triggers write to fewer indexes."""

_FORWARD = frozenset({"Next", "Prev", "SorterNext", "VNext"})
_BILLED = _FORWARD | {"Rewind", "Sort", "SorterSort", "Last", "SeekRowid", "NotExists"}
_BILLED |= {"SeekGE", "SeekGT", "SeekLE", "SeekLT"}
_INSERTS = frozenset({"Insert", "IdxInsert"})
_SCAN_STEPS = 3  # of a step of a scan: it goes on, reads a value, compares it
_COUNTED_BY_SQLITE = (1, 3)  # in p5 of what goes forward: full-scan steps, steps that fill an automatic index
_MARKS = "sqlite_sequence"

_Program: TypeAlias = Sequence[Sequence[Any]]  # rows of EXPLAIN: address, code, p1, p2, p3, p4, p5, comment


@dataclass(frozen=True, slots=True)
class Estimated:
    """Rows that a statement reads and writes in all of its executions, estimated."""

    read: int
    written: int
    executions: int


def estimates(db: apsw.Connection, statements: Sequence[Statement]) -> Iterator[Estimated]:
    """The rows of each statement, replayed in one transaction that is rolled back; raises CannotFinish."""
    with closing(replayed(db, statements)) as replay:
        for statement in statements:
            executions = len(statement.executions)
            programs = _programs(db, statement)
            before = db.total_changes()
            done = next(replay)
            changed = db.total_changes() - before
            if programs:
                read = _read(db, programs, done, executions=executions)
                written = _written(db, programs, changed=changed, read=read, executions=executions)
                yield Estimated(read, written, executions)
            else:
                yield Estimated(0, 0, 0)


def _programs(db: apsw.Connection, statement: Statement) -> list[list[Any]]:
    """The program of the statement, then those of its triggers and reference actions; none where it never ran."""
    found: list[list[Any]] = []
    if statement.executions:
        with suppress(apsw.Error):  # what is wrong with it is told where it runs
            for row in db.execute(f"EXPLAIN {statement.sql}", statement.parameters, can_cache=False):
                if row[0] == 0:
                    found.append([])
                found[-1].append(row)
    return found


def _read(db: apsw.Connection, programs: Sequence[_Program], done: Counters, *, executions: int) -> int:
    own, *triggers = programs
    looped = _looped(own)
    once = [op for op in own if op[0] not in looped]
    # A trigger runs for each row: all of its program is inside of a loop.
    inside = [op for op in own if op[0] in looped] + [op for program in triggers for op in program]
    moves = [op for op in inside if op[1] in _BILLED]
    scanned = done.full_scan_steps + done.automatic_indexes
    begun = min(sum(op[1] in _BILLED for op in once) * executions, done.vm_steps)
    read = scanned + begun + _pages_counted(db, own) * executions
    if all(op[1] in _FORWARD and op[6] in _COUNTED_BY_SQLITE for op in moves):
        return read
    others = max(0, done.vm_steps - _SCAN_STEPS * scanned - len(once) * executions)
    return round(read + others * len(moves) / len(inside))


def _looped(program: _Program) -> set[int]:
    """The addresses between an instruction that goes forward and where it jumps back to."""
    return {at for op in program if op[1] in _FORWARD for at in range(op[3], op[0] + 1)}


def _pages_counted(db: apsw.Connection, program: _Program) -> int:
    """The pages of what is counted by one instruction."""
    counted = {op[2] for op in program if op[1] == "Count" and not op[4]}
    roots = [op[3] for op in program if op[1] == "OpenRead" and op[2] in counted and op[4] == 0]
    pages = "SELECT count(*) FROM dbstat WHERE name = (SELECT name FROM sqlite_schema WHERE rootpage = ?)"
    return sum(db.execute(pages, (root,)).get for root in roots)


def _written(db: apsw.Connection, programs: Sequence[_Program], *, changed: int, read: int, executions: int) -> int:
    if any(op[1] == "CreateBtree" for op in programs[0]):
        # An index reads each row twice, once in its order, and begins to do so twice: its rows, and one of the schema.
        return max(1, read // 2)
    direct = min(db.changes(), changed) if executions == 1 else changed
    own = _inserts(db, programs[0])
    others = max((_inserts(db, p) for p in programs[1:]), default=0)
    marks = executions if changed and any(_marks(db, p) for p in programs) else 0
    return direct * max(own, 1) + (changed - direct) * max(others, 1) + marks


def _inserts(db: apsw.Connection, program: _Program) -> int:
    """Into how many tables and indexes a program inserts: what it takes to change one row."""
    return len(_inserted(program).keys() - _marks(db, program))


def _marks(db: apsw.Connection, program: _Program) -> set[int]:
    """The cursors that write the marks of AUTOINCREMENT, once a statement."""
    roots = {root for (root,) in db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (_MARKS,))}
    return {cursor for cursor, root in _inserted(program).items() if root in roots}


def _inserted(program: _Program) -> dict[int, int]:
    """The root page of each cursor that a program inserts into."""
    opened = {op[2]: op[3] for op in program if op[1] == "OpenWrite"}
    return {op[2]: opened[op[2]] for op in program if op[1] in _INSERTS and op[2] in opened}
