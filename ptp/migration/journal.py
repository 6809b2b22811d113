"""The journal: the table in the target that says which steps and phases ran, with checksum and times."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ptp.engine import literal
from ptp.errors import StepRefused
from ptp.migration.steps import Link, Step, links

TABLE = "ptp_journal"

DDL = f"""CREATE TABLE {TABLE} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('step', 'phase')),
  name TEXT NOT NULL,
  checksum TEXT,
  chain TEXT,
  run TEXT NOT NULL,
  at INTEGER NOT NULL,
  seconds REAL,
  left_out TEXT
) STRICT"""


_STEP = "kind, name, checksum, chain, run, at, left_out"


def step_sql(link: Link, left_out: str | None = None) -> str:
    """The statement that enters a step, with the reason why it was left out where it was; :run and :now are bound."""
    return f"INSERT INTO main.{TABLE} ({_STEP}) VALUES ({_step(link)}, :run, :now, {_reason(left_out)})"


def done_sql(link: Link, left_out: str | None = None) -> str:
    """The same for a step in place, which has a time of its own: run, now and seconds are bound, in this order."""
    return f"INSERT INTO main.{TABLE} ({_STEP}, seconds) VALUES ({_step(link)}, ?, ?, {_reason(left_out)}, ?)"


def undone_sql(link: Link) -> tuple[str, str]:
    """The statements that take a step out, and enter the phase that says so; into the second the same are bound.

    The chain is over the steps that stand, so it holds before and after; the phase keeps the record.
    """
    phase = ", ".join(literal(v) for v in ("phase", f"down {link.name}", link.checksum))
    return (
        f"DELETE FROM main.{TABLE} WHERE kind = 'step' AND name = {literal(link.name)}",
        f"INSERT INTO main.{TABLE} (kind, name, checksum, run, at, seconds) VALUES ({phase}, ?, ?, ?)",
    )


def _step(link: Link) -> str:
    return ", ".join(literal(v) for v in ("step", link.name, link.checksum, link.chain))


def _reason(left_out: str | None) -> str:
    return "NULL" if left_out is None else literal(left_out)


PHASE_SQL = (
    f"INSERT INTO main.{TABLE} (kind, name, checksum, run, at, seconds) "
    "VALUES ('phase', :phase, :plan, :run, :now, :seconds)"
)
"""The statement that enters a phase with the hash of the plan that it ran."""


def has_journal(db: sqlite3.Connection) -> bool:
    """Whether the database was built by ptp."""
    return bool(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = ?", (TABLE,)).fetchone()[0])


def steps_left_out(db: sqlite3.Connection) -> dict[str, str]:
    """The steps that were left out when the database was built, each with the reason."""
    rows = db.execute(f"SELECT name, left_out FROM {TABLE} WHERE kind = 'step' AND left_out IS NOT NULL").fetchall()
    return dict(rows)


def steps_done(db: sqlite3.Connection) -> int:
    """How many steps the journal names; where it can be trusted, these are the first of the folder."""
    found: int = db.execute(f"SELECT count(*) FROM {TABLE} WHERE kind = 'step'").fetchone()[0]
    return found


def why_untrusted(db: sqlite3.Connection, steps: Sequence[Step]) -> str:
    """Why the steps on disk are not the ones that built this database; empty when they are.

    The journal may hold fewer steps than the folder (new ones are pending), never others.
    """
    rows = db.execute(f"SELECT name, checksum, chain FROM {TABLE} WHERE kind = 'step' ORDER BY id").fetchall()
    known = links(steps)
    if not rows:
        return "the journal names no step"
    for position, (name, checksum, chain) in enumerate(rows):
        if position >= len(known) or known[position].name != name:
            return f"step {name} was applied, but stands no longer in its place in the folder of steps"
        if known[position].checksum != checksum:
            return f"step {name} was edited after it was applied"
        if known[position].chain != chain:
            return f"the journal's chain is broken at step {name}"
    return ""


def why_incomplete(db: sqlite3.Connection, steps: Sequence[Step]) -> str:
    """What the journal of a database at head lacks, or has too much; empty when it is whole."""
    done = [name for (name,) in db.execute(f"SELECT name FROM {TABLE} WHERE kind = 'step' ORDER BY id")]
    if missing := [step.name for step in steps if step.name not in done]:
        return f"it does not name step {missing[0]}"
    needs = {step.name: step.requires for step in steps}
    if wrong := [name for name in steps_left_out(db) if not needs.get(name)]:
        return f"it says that step {wrong[0]} was left out, which needs nothing"
    built = db.execute(f"SELECT count(*) FROM {TABLE} WHERE kind = 'phase' AND name = 'build'").fetchone()[0]
    return "" if built else "it does not name the build"


def check_steps(db: sqlite3.Connection, steps: Sequence[Step]) -> None:
    """Raise StepRefused unless the steps on disk are those that built this database."""
    if reason := why_untrusted(db, steps):
        raise StepRefused(f"The steps cannot be trusted: {reason}. Restore the file, and put changes into a new step.")
