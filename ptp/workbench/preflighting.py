"""What is known before a migration begins, as notes beside its gates: room, others at work, leftovers, old damage.

A note decides nothing: what must stop a run is refused where it is done.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from ptp.engine import connect_file, errors_named, is_wal, moves, read_inventory
from ptp.migration import conditions
from ptp.migration.capture import without_capture
from ptp.migration.conditions import Breach
from ptp.results import Finding
from ptp.verification.clauses import table_text
from ptp.workbench.situation import look

KNOWN = "Broken before"
_SHOWN = 20


def notes(source: Path, target: Path, *, backup: Path, online: bool = False) -> list[Finding]:
    """Findings over the conditions under which `source` is migrated; `backup` is the file of its backup."""
    found = [
        _room(source, target, backup),
        _others(source, online=online),
        _migrators(source),
        _leftovers(target, backup),
        _engine(),
    ]
    return [*found, _write_ahead(source)] if online else found


def baseline(source: Path) -> tuple[Finding, list[dict[str, object]]]:
    """What the source breaks of its own rules before anything is done, as a note and as rows: only new ones count."""
    with errors_named(source):
        found = conditions.breaches(source, checks_of(source))
    rows: list[dict[str, object]] = [{"table": b.table, "rule": b.rule, "rows": b.rows} for b in found]
    note = Finding(
        id="preflight.baseline",
        claim="Rules that the source broke before anything was done are known, and only new breaches count",
        verdict="pass",
        severity="note",
        value=sum(b.rows or 0 for b in found),
        unit="rows",
        where=tuple(_in_words(b) for b in found[:_SHOWN]),
        known=bool(found),
        evidence="PRAGMA foreign_key_check of the source, and every CHECK of its own text",
    )
    return note, rows


def _in_words(breach: Breach) -> str:
    number = "it cannot be evaluated" if breach.rows is None else f"{breach.rows:,} rows"
    return f"{breach.table}: {breach.rule}: {number}"


def checks_of(source: Path) -> Mapping[str, Sequence[str]]:
    """The conditions of the CHECK rules of a database by table, as its text has them."""
    with errors_named(source), connect_file(source, read_only=True) as db:
        tables = without_capture(read_inventory(db)).tables
    found: dict[str, list[str]] = {}
    for table in tables.values():
        text = table_text(table.sql)
        rules = [*text.rules, *(c for column in text.columns.values() for c in column.clauses)] if text else []
        conditions_of = [
            re.sub(r"^.*?\bCHECK\s*(?=\()", "", c.text, flags=re.IGNORECASE) for c in rules if c.kind == "CHECK"
        ]
        if conditions_of:
            found[table.name] = conditions_of
    return found


def _room(source: Path, target: Path, backup: Path) -> Finding:
    found = conditions.rooms(source, target=target, backup=backup.parent)
    short = conditions.short_of_room(found)
    told = (f"{r.purpose}: {r.needed / 1e6:,.1f} MB in {r.folder}, {r.free / 1e6:,.0f} MB free" for r in found)
    return Finding(
        id="preflight.space",
        claim="There is room for the backup, the target and sorting",
        verdict="inconclusive" if short else "pass",
        severity="note",
        value=round(sum(r.needed for r in found) / 1e6, 1),
        unit="MB",
        where=short,
        evidence="; ".join(told) + "; what is needed is estimated from the size of the source",
    )


def _others(source: Path, *, online: bool) -> Finding:
    open_in, locking = conditions.other_processes(source), conditions.locking_processes(source)
    locked = f", of which {', '.join(map(str, locking))} hold a lock" if locking else ""
    listed = f"open in process {', '.join(map(str, open_in))}{locked}" if open_in else ""
    return Finding(
        id="preflight.connections",
        claim="Others may have the source open, as they go on writing" if online else "Nobody else has the source open",
        verdict="pass" if online or not open_in else "inconclusive",
        severity="note",
        value=len(open_in),
        unit="processes",
        where=(listed,) if listed else (),
        evidence=listed or "open files and locks as this system tells them, of processes of one's own",
    )


def _migrators(source: Path) -> Finding:
    with errors_named(source), connect_file(source, read_only=True) as db:
        is_moving = moves.read_move(db) is not None
    words = look(source).words if is_moving else ""
    at_work = "Another ptp has it in hand." if conditions.is_migrated_by_another(source) else ""
    told = " ".join(filter(None, (words, at_work)))
    return Finding(
        id="preflight.migrators",
        claim="No other migration of the source is under way",
        verdict="inconclusive" if told else "pass",
        severity="note",
        where=(told,) if told else (),
        evidence="its state row, and the lock beside it",
    )


def _leftovers(target: Path, backup: Path) -> Finding:
    found = conditions.leftovers(target, backup)
    return Finding(
        id="preflight.leftovers",
        claim="What an earlier run left half-built is removed before this one builds",
        verdict="pass",
        severity="note",
        value=len(found),
        unit="files",
        where=tuple(map(str, found)),
        evidence="files named .partial beside the target and the backup",
    )


def _engine() -> Finding:
    flaws = conditions.flaws_of()
    told = tuple(f"{flaw.name}: mended in {_versions(flaw)}" for flaw in flaws)
    return Finding(
        id="preflight.engine",
        claim="This SQLite has no flaw that is known to corrupt",
        verdict="inconclusive" if flaws else "pass",
        severity="note",
        value=sqlite3.sqlite_version,
        where=told,
        evidence="SQLite's release notes; the flaw wants several writers in WAL mode at one moment, and is rare",
    )


def _versions(flaw: conditions.Flaw) -> str:
    return ", ".join(".".join(map(str, version)) for version in reversed(flaw.fixed))


def _write_ahead(source: Path) -> Finding:
    return Finding(
        id="preflight.wal",
        claim="The source is in WAL mode, in which readers and writers do not wait for each other",
        verdict="pass" if is_wal(source) else "inconclusive",
        severity="note",
        evidence="its header",
    )
