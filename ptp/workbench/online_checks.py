"""Verification of a database that is built online, beside a source that is written to meanwhile.

A part is compared when both sides stand at the same place of the source's log: a reader takes a snapshot of the source,
the target follows, and if nothing was logged in between, the two are to be equal. What is logged after its part was
compared is looked at again, and at the freeze only what came last.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ptp.engine import connect_file, read_inventory
from ptp.engine.inventory import Table
from ptp.errors import CannotFinish, GateFailed
from ptp.migration import quarantine
from ptp.migration.capture import LOG
from ptp.migration.live import NextDatabase
from ptp.migration.online import OnlinePlan
from ptp.migration.references import refuse_broken, refuse_logged, refuse_new
from ptp.results import Finding
from ptp.verification.content import Pair, compare_span
from ptp.verification.kept import Kept
from ptp.verification.keyed import compare_keys
from ptp.verification.pairing import Pairing, carried_pairing, mapped_pairing
from ptp.verification.parallel import parts_of
from ptp.verification.rows import Span, fetch_exactly
from ptp.verification.tally import Tally
from ptp.workbench.progress import Progress

_TRIES = 1_000


@dataclass(slots=True)
class LiveCheck:
    """The comparison of a target with its living source; `checked` is the place in the log up to which it holds."""

    db: NextDatabase
    plan: OnlinePlan
    source: Path
    rows: int = 0
    keys: int = 0
    checked: int = 0
    tables: Mapping[str, Table] = field(default_factory=dict)
    pairings: Mapping[str, Pairing] = field(default_factory=dict)

    def whole(self, *, between: Callable[[], None], progress: Progress) -> None:
        """Compare every table, part by part; raises GateFailed, naming the first difference."""
        with self._readers() as (old, new):
            # Once: the tables stay as they are, and a look at the schema is what a pause has no time for.
            self.tables = read_inventory(new).tables
            self.pairings = self._pairings()
            with self._agreed(old, new) as place:
                self.checked = place
                parts = [
                    part
                    for name, pairing in self.pairings.items()
                    for part in parts_of(name, pairing, self.plan.base.rows[pairing.source], source=old, target=new)
                ]
            for number, part in enumerate(parts):
                progress(number / len(parts), f"comparing {part.name}")
                with self._agreed(old, new):
                    self._judge(self._compare(old, new, part.pairing, part.span))
                between()

    def references(self) -> None:
        """Look at every reference of the target, once; raises DirtySource at one that the source came to break.

        What is logged after this is looked at with the rows that are compared again.
        """
        if unsure := refuse_broken(self.db.db, self.plan.references):
            with self.db.snapshot():
                self.db.replay()
                refuse_new(self.db.db, unsure)

    def again(self, *, between: Callable[[], None], pause: float, until: float) -> None:
        """Look again at what was logged since, until a round is as short as the pause allows.

        Raises CannotFinish when `until`, by the monotonic clock, has passed.
        """
        with self._readers() as (old, new):
            while True:
                started = time.perf_counter()
                with self._agreed(old, new):
                    self.last(old, new)
                took = time.perf_counter() - started
                between()
                if took < pause / 4:
                    return
                if time.monotonic() > until:
                    raise CannotFinish(
                        f"The source is written to faster than what was written can be compared (the last round took "
                        f"{took:.3f} s). Nothing was moved. Try at a quieter time, or with a longer --pause."
                    )

    def last(self, old: sqlite3.Connection, new: sqlite3.Connection) -> None:
        """Compare the rows that were logged since, with their references, on connections that stand at one place."""
        changed = self.db.changed_since(self.checked)
        refuse_logged(self.db.db, self.plan.references, {r.target for r in changed})
        for replay in changed:
            keys = fetch_exactly(self.db.db, f"SELECT * FROM {replay.keys}")
            self.keys += len(keys)
            pairing = self.pairings[replay.target]
            self._judge(compare_keys(_pair(old, new), pairing, keys=keys, kept=self._kept(new)))
        self.checked = self.db.replayed

    @contextmanager
    def readers(self) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
        """Connections that read the source and the target, each in a snapshot of its own."""
        with self._readers() as (old, new):
            old.execute("BEGIN")
            new.execute("BEGIN")
            yield old, new

    @contextmanager
    def _readers(self) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
        with connect_file(self.source, read_only=True) as old, connect_file(self.db.path, read_only=True) as new:
            yield old, new

    @contextmanager
    def _agreed(self, old: sqlite3.Connection, new: sqlite3.Connection) -> Iterator[int]:
        """Snapshots of both that stand at the same place of the log, which is given."""
        for _ in range(_TRIES):
            old.execute("BEGIN")
            (place,) = old.execute(f"SELECT coalesce(max(id), 0) FROM {LOG}").fetchone()
            with self.db.snapshot():
                self.db.replay()
            if self.db.replayed == place:
                new.execute("BEGIN")
                try:
                    yield place
                finally:
                    old.execute("ROLLBACK")
                    new.execute("ROLLBACK")
                return
            old.execute("ROLLBACK")
        raise CannotFinish(
            "The source is written to without any pause, so no moment was found to compare it. Nothing was moved. "
            "Try at a quieter time."
        )

    def _pairings(self) -> Mapping[str, Pairing]:
        tables = self.tables
        pairs = self.plan.base.pairs.values()
        found = {p.mapped.target: mapped_pairing(p.mapped, p.source, tables[p.mapped.target]) for p in pairs}
        carried = [e.name for e in self.plan.base.extras if e.copy and e.carried]
        return found | {name: carried_pairing(tables[name]) for name in carried}

    def _compare(self, old: sqlite3.Connection, new: sqlite3.Connection, pairing: Pairing, span: Span) -> Tally:
        tally = compare_span(_pair(old, new), pairing, span=span, kept=self._kept(new), progress=lambda rows: None)
        self.rows += tally.rows_in
        return tally

    def _kept(self, new: sqlite3.Connection) -> Kept:
        return Kept(new, quarantine.TABLE, self.tables)

    def _judge(self, tally: Tally) -> None:
        if tally.differences:
            raise GateFailed(
                f"The new database is not what its source should have become ({tally.places[0]}). Nothing was moved, "
                "and the source is as it was."
            )

    def finding(self) -> Finding:
        """What was compared, as a finding: one that differed has stopped the migration."""
        return Finding(
            id="migrate.live-content",
            claim="Every row and value was compared with the living source before it was left",
            verdict="pass",
            severity="data",
            value=0,
            unit="differences",
            limit=0,
            n=self.rows,
            evidence=f"{self.rows} rows by parts, and {self.keys} of them again that were written to meanwhile",
        )


def _pair(old: sqlite3.Connection, new: sqlite3.Connection) -> Pair:
    return Pair(old, new, old, new)
