"""The claim that head costs 40 % less than the raw shape: the same work billed both ways, on the same content.

The six operations of the claims that stand on the raw shape run in the old application's plain SQL there, and by ptp's
queries at head, with the same arguments; billed rows of either are counted as libSQL counts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ptp.engine import connect_file, errors_named, open_engine, read_inventory
from ptp.engine.billing import Billed, Biller, biller
from ptp.engine.meters import recorded
from ptp.engine.prices import Prices
from ptp.migration.backup import check_space, step
from ptp.migration.capture import without_capture
from ptp.migration.detect import detect_shape
from ptp.results import Finding
from ptp.scale.cost import Demand, contributions
from ptp.schema.shapes import known_shapes
from ptp.settings import load_settings
from ptp.workbench.claims import build_head
from ptp.workbench.progress import Progress, part, quiet
from ptp.workload.calls import WRITERS
from ptp.workload.claims import Operation, Sides, study_operations, write_study_source
from ptp.workload.claims.plain import Noting
from ptp.workload.floors import plain_connection
from ptp.workload.traffic import TARIFF, Traffic

TABLE = "Raw shape beside head"
CLAIMED = 40.0
"""% less, as it was claimed."""
QUESTIONS, ANSWERS = 10_000, 20_000
CALLS = 5
_ROOM = 120_000_000


@dataclass(frozen=True, slots=True)
class Beside:
    """One operation both ways: the billed rows of a call, as means."""

    query: str
    raw: tuple[Fraction, Fraction]
    head: tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Compared:
    """All operations both ways; `on` says on what, `model` what billed rows come from."""

    operations: tuple[Beside, ...]
    on: str
    model: str


def bill_both_ways(
    source: Path | None, target: Path, out: Path, *, seed: int = 1, progress: Progress = quiet
) -> Compared:
    """Bill the operations on copies of `source` and `target` where the source is raw, else on an invented pair."""
    with _pair(source, target, out, seed=seed, progress=part(progress, 0.0, 0.6)) as (old, head, on):
        progress(0.6, "billing the raw shape beside head")
        engine = open_engine(head, settings=load_settings())
        try:
            with (
                biller(old) as bill_old,
                biller(head) as bill_head,
                plain_connection(engine, old) as raw,
                plain_connection(engine, head) as built,
            ):
                sides = Sides(engine, built, raw)
                operations = study_operations(sides, count=CALLS, seed=seed)
                found = [_beside(one, sides, bill_old, bill_head) for one in operations if not one.absent]
                return Compared(tuple(found), on, bill_head.model)
        finally:
            engine.dispose()


@contextmanager
def _pair(
    source: Path | None, target: Path, out: Path, *, seed: int, progress: Progress
) -> Iterator[tuple[Path, Path, str]]:
    """An old database and a head that may be thrown away, and what they are."""
    own = source is not None and _is_raw(source)
    check_space(out, needed_bytes=2 * (source.stat().st_size + target.stat().st_size) if own and source else _ROOM)
    with TemporaryDirectory(prefix="trial-", dir=out) as folder:
        old, head = Path(folder, "old.db"), Path(folder, "head.db")
        if own and source:
            for original, copy in ((source, old), (target, head)):
                with errors_named(copy), connect_file(original, read_only=True) as db, connect_file(copy) as into:
                    step(db, into, original)
            yield old, head, "your source and target"
            return
        write_study_source(old, questions=QUESTIONS, answers=ANSWERS, seed=seed, progress=part(progress, 0.0, 0.5))
        build_head(old, head, progress=part(progress, 0.5, 1.0))
        yield old, head, f"an invented pair of {QUESTIONS:,} questions in one exam and {ANSWERS:,} answers"


def _is_raw(source: Path) -> bool:
    with errors_named(source), connect_file(source, read_only=True) as db:
        return detect_shape(without_capture(read_inventory(db)), known_shapes()).name == "raw"


def _beside(one: Operation, sides: Sides, bill_old: Biller, bill_head: Biller) -> Beside:
    raw, head = [], []
    for drawn in islice(cycle(one.draws), CALLS):
        with recorded(sides.engine) as statements:
            one.ptp(drawn)
        head.append(bill_head(statements))
        noting = Noting(sides.old)
        one.plain(noting, drawn)
        raw.append(bill_old(noting.statements))
    return Beside(one.name, _means(raw), _means(head))


def _means(billed: list[Billed]) -> tuple[Fraction, Fraction]:
    count = len(billed)
    return Fraction(sum(b.rows_read for b in billed), count), Fraction(sum(b.rows_written for b in billed), count)


@dataclass(frozen=True, slots=True)
class BothWays:
    """Dollars of a month both ways for the operations compared, each row at its price, and the % saved."""

    raw: float
    head: float
    rows: list[dict[str, Any]]

    @property
    def saved(self) -> float:
        """% less at head; under zero where head costs more."""
        return 100 * (1 - self.head / self.raw) if self.raw else 0.0


def verdict_of(compared: Compared, traffic: Traffic, prices: Prices) -> BothWays:
    """What either way costs in a month of this traffic."""
    tariff = prices.tariff(TARIFF)
    sides: dict[str, dict[str, float]] = {}
    for side in ("raw", "head"):
        demands = [
            Demand(one.query, round(traffic.rates[one.query].calls), read, written, one.query not in WRITERS)
            for one in compared.operations
            for read, written in [one.raw if side == "raw" else one.head]
        ]
        sides[side] = {c.name: float(c.dollars) for c in contributions(demands, tariff)}
    rows = [
        {
            "query": one.query,
            "calls_a_month": round(traffic.rates[one.query].calls),
            "raw_read": float(one.raw[0]),
            "head_read": float(one.head[0]),
            "raw_written": float(one.raw[1]),
            "head_written": float(one.head[1]),
            "raw_dollars": sides["raw"][one.query],
            "head_dollars": sides["head"][one.query],
        }
        for one in compared.operations
    ]
    return BothWays(sum(sides["raw"].values()), sum(sides["head"].values()), rows)


def claim_finding(compared: Compared, found: BothWays, users: int) -> Finding:
    """The seed's claim held to what was counted: a note, since it decides nothing."""
    more = f"{found.saved:.1f} % less" if found.saved >= 0 else f"{-found.saved:.1f} % more"
    return Finding(
        id="scale.cost.claim",
        claim="The database costs 40 % less at head than in the raw shape, for the same work",
        verdict="pass" if found.saved >= CLAIMED else "fail",
        severity="note",
        value=found.saved,
        unit="% less",
        limit=CLAIMED,
        n=len(compared.operations),
        where=tuple(
            f"{row['query']}: ${row['raw_dollars']:.4f} in the raw shape, ${row['head_dollars']:.4f} at head"
            for row in found.rows
        ),
        evidence=f"Counted on {compared.on}: {more}. {len(compared.operations)} operations of {users:,} users cost "
        f"${found.raw:.4f} a month in the raw shape and ${found.head:.4f} at head, each row at its price on {TARIFF}; "
        f"billed rows from {compared.model}.",
    )
