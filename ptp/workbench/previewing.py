"""The dry run: what a migration would run, touch, take, cost, lock and need, and what lint says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ptp.engine import is_wal
from ptp.engine.prices import load_prices
from ptp.errors import UsageError
from ptp.migration.conditions import Room, rooms, short_of_room
from ptp.migration.forecast import Billed, Forecast
from ptp.migration.lint import Risk, lint
from ptp.migration.live import Pace
from ptp.migration.online import OnlinePlan
from ptp.migration.plan import OnDirty, Plan
from ptp.migration.steps import load_steps
from ptp.migration.watching import check_wal
from ptp.resources import folder
from ptp.results import VERSION
from ptp.schema import Base
from ptp.workbench.forecasting import BACKUP, Outlook, look_ahead, online_seconds
from ptp.workbench.migrating import BACKUP as BACKUP_PLACE
from ptp.workbench.migrating import check_target, plan_of
from ptp.workbench.online import plan_online
from ptp.workbench.situation import look

_LONGEST = 76
_CAPTURE_S = 0.01  # a transaction of a few dozen CREATE statements, synced once


@dataclass(frozen=True, slots=True)
class Line:
    """One statement of a plan: its kind or phase, what it is in short, and what it will take."""

    part: str
    sql: str
    rows: int
    seconds: float | None
    read: int
    written: int

    @property
    def short(self) -> str:
        """The statement in one line: what it does to which table."""
        return in_short(self.sql)


@dataclass(frozen=True, slots=True)
class Held:
    """What is locked, who waits for it, and how long, in words."""

    what: str
    waits: str
    long: str


@dataclass(frozen=True, slots=True)
class Preview:
    """All that a dry run tells; `seconds` are of the whole run, `refused` is why it would not begin as things stand."""

    source: Path
    target: Path
    shape: str
    hash: str
    online: bool
    rows: int
    lines: tuple[Line, ...]
    seconds: float
    basis: str
    locks: tuple[Held, ...]
    room: tuple[Room, ...]
    risks: tuple[Risk, ...]
    refused: tuple[str, ...]

    @property
    def read(self) -> int:
        """Rows read, as they would be billed."""
        return sum(line.read for line in self.lines)

    @property
    def written(self) -> int:
        """Rows written, as they would be billed."""
        return sum(line.written for line in self.lines)


def preview(source: Path, target: Path, out: Path, *, online: bool, on_dirty: OnDirty, pace: Pace) -> Preview:
    """Look at all that a migration of `source` would do; raises what planning it does."""
    plan = plan_of(source, on_dirty=on_dirty)
    live = plan_online(source, target, on_dirty=on_dirty) if online else None
    outlook = look_ahead(plan, source)
    lines = tuple(_online_lines(live, outlook) if live else map(_line, outlook.statements))
    parts = online_seconds(outlook) if online else {}
    whole = sum(outlook.besides.values()) + sum(s or 0.0 for s in parts.values()) if online else outlook.seconds
    room = rooms(source, target=target, backup=(out / BACKUP_PLACE).parent)
    return Preview(
        source=source,
        target=target,
        shape=plan.shape,
        hash=live.hash if live else plan.hash,
        online=online,
        rows=outlook.rows,
        lines=lines,
        seconds=whole,
        basis=outlook.rates.basis,
        locks=tuple(_online_locks(pace) if online else _offline_locks(source, outlook)),
        room=room,
        risks=lint(plan, load_steps(folder("sql")), without_place=without_place(plan)),
        refused=(*_refusals(source, target, out, online=online), *short_of_room(room)),
    )


def _refusals(source: Path, target: Path, out: Path, *, online: bool) -> Iterator[str]:
    """Why a run would be refused as things stand, in the sentences in which it would be."""
    checks: list[Callable[[], object]] = [partial(check_target, target, out=out), look(source).refuse_if_begun]
    if online:
        checks.append(partial(check_wal, source))
    for check in checks:
        try:
            check()
        except UsageError as problem:
            yield str(problem)


def without_place(plan: Plan) -> list[str]:
    """Tables and columns that head alone has, and that are no more than derived: a rollback has no place for them."""
    mapped = {p.mapped.target for p in plan.pairs.values()}
    tables = [f"table {t.name}" for t in Base.metadata.sorted_tables if t.name not in mapped]
    columns = [
        f"column {t.name}.{c.name}"
        for t in Base.metadata.sorted_tables
        for c in t.columns
        if t.name in mapped and c.info["head_only"] and not c.info["derived"]
    ]
    return [*tables, *columns]


def _line(found: Forecast) -> Line:
    s = found.statement
    return Line(s.kind, s.sql, s.rows, found.seconds, found.billed.read, found.billed.written)


def _online_lines(live: OnlinePlan, outlook: Outlook) -> Iterator[Line]:
    """The statements of an online plan in order; what the offline plan has too is forecast by that."""
    known = {f.statement.sql: f for f in outlook.statements}
    copies = {f.statement.over[0]: f for f in outlook.statements if f.statement.kind == "copy"}
    chunks = {}
    for chunk in live.chunks:
        copy = copies[chunk.name]
        chunks[chunk.sql] = copy
        chunks[chunk.bound] = Forecast(copy.statement, None, Billed(chunk.rows, 0))
        chunks |= {keep: Forecast(copy.statement, None, Billed(chunk.rows, 0)) for keep in chunk.keeps}
    for phase, sql in live.statements():
        found = chunks.get(sql) or known.get(sql)
        if found is None or phase.startswith(("catch up", "capture")):
            # What follows the writers is as much as they write.
            yield Line(phase, sql, 0, None, 0, 0)
        else:
            billed = found.billed
            yield Line(phase, sql, found.statement.rows, found.seconds, billed.read, billed.written)


def _offline_locks(source: Path, outlook: Outlook) -> Iterator[Held]:
    backup = f"about {outlook.besides[BACKUP]:.2g} s"
    if is_wal(source):
        yield Held("source", "nobody: it is only read", f"its log cannot be reset during the backup, {backup}")
    else:
        yield Held("source", "writers, while it is copied for the backup", f"less than the backup takes, {backup}")
    yield Held("target", "nobody: it gets its name when it is whole", "-")


def _online_locks(pace: Pace) -> Iterator[Held]:
    yield Held(
        "source, capture", "writers, for one transaction of triggers and tables", f"about {_CAPTURE_S * 1e3:g} ms"
    )
    yield Held("source, build", "nobody: its log cannot be reset during a chunk, the backup and its proof", "-")
    yield Held(
        "source, freeze at the cut over",
        "writers",
        f"at most {pace.pause * 1e3:g} ms as wanted; after {pace.deadline:g} s anyone lifts it",
    )
    yield Held("target", "nobody: it is opened at the cut over", "-")


def in_short(sql: str) -> str:
    """A statement in one line: its head, and for a copy where the rows come from."""
    line = " ".join(sql.split())
    if captured := re.match(r'(CREATE TRIGGER) "ptp_capture_.*? (ON "(?:[^"]|"")+")', line):
        line = f"{captured[1]} ... {captured[2]}"
    elif inserted := re.match(r"INSERT INTO \S+", line):
        rows = re.search(r'(?:FROM|JOIN) source\."(?:[^"]|"")+"', line) or re.search(r"FROM [^\s(,]+", line)
        line = f"{inserted[0]} ... {rows[0]}" if rows else line
    elif created := re.match(r"(CREATE (?:VIRTUAL |TEMP )?(?:TABLE|TRIGGER) .*?)(?: \(|$)", line):
        line = created[1]
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def bill(found: Preview) -> list[dict[str, object]]:
    """What the rows would cost by tariff, once the included ones are used up, and their share of the included ones."""
    return [
        {
            "tariff": t.name,
            "$": None if (cost := t.dollars(found.read, found.written)) is None else round(cost, 4),
            "read, % of included": round(100 * found.read / t.read_included, 4),
            "written, % of included": round(100 * found.written / t.written_included, 4),
        }
        for t in load_prices().tariffs
    ]


def price_words() -> str:
    """Which prices these are."""
    return load_prices().words(datetime.now(UTC).date())


def document(found: Preview) -> Mapping[str, object]:
    """The dry run as a JSON object."""
    name = "phase" if found.online else "kind"
    lines = [
        {
            name: line.part,
            "sql": line.sql,
            "rows": line.rows,
            "seconds": line.seconds,
            "rows_read": line.read,
            "rows_written": line.written,
        }
        for line in found.lines
    ]
    return {
        "version": VERSION,
        "hash": found.hash,
        "shape": found.shape,
        "online": found.online,
        "statements": lines,
        "estimated": {
            "seconds": found.seconds,
            "basis": found.basis,
            "rows_read": found.read,
            "rows_written": found.written,
            "dollars": bill(found),
            "prices": price_words(),
        },
        "locks": [asdict(lock) for lock in found.locks],
        "disk": [{**asdict(room), "folder": str(room.folder)} for room in found.room],
        "risks": [asdict(risk) for risk in found.risks],
        "refused": list(found.refused),
    }


def script(found: Preview) -> str:
    """The plan as a script to read, each statement under a line that says what it will take."""
    text = f"-- plan {found.hash}, shape {found.shape}\n"
    for number, line in enumerate(found.lines, start=1):
        took = "" if line.seconds is None else f", about {line.seconds:.2g} s"
        rows = (
            f", {line.rows:,} rows{took}, billed {line.read:,} read and {line.written:,} written" if line.rows else ""
        )
        text += f"-- {number} {line.part}{rows}\n{line.sql};\n"
    return text
