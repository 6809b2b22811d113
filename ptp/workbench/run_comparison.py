"""Two runs side by side: what changed in verdict, gates, rows and counters, and in times where that can be said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ptp.benchmark.history import MACHINE, differences
from ptp.errors import UsageError
from ptp.evidence import Evidence, read_evidence
from ptp.workbench.histories import counters_of, data_of, machine_of

Row: TypeAlias = dict[str, Any]

_ALIKE = "within both intervals"
_BOUNDS = ("p95_ms", "p95_low_ms", "p95_high_ms")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from one run to another: rows of a table each, empty where nothing did.

    `no_times` and `no_counters` say why these were not compared; empty where they were.
    """

    before: Evidence
    after: Evidence
    gates: Sequence[Row]
    rows: Sequence[Row]
    counters: Sequence[Row]
    times: Sequence[Row]
    no_counters: str
    no_times: str

    @property
    def changes(self) -> int:
        """How many gates, tables and counters are not as they were, and times whose intervals lie apart."""
        apart = sum(1 for row in self.times if row["change"] != _ALIKE)
        return len(self.gates) + len(self.rows) + len(self.counters) + apart


def compare_runs(before: Path, after: Path) -> Comparison:
    """Compare two run folders; raises UsageError where one is none.

    Counters and rows of queries are compared on the same data alone, times on the same machine besides: otherwise the
    comparison says what differs, and holds none.
    """
    old, new = read_evidence(before), read_evidence(after)
    data = _apart(old, new, what="data")
    machine = _apart(old, new, what="machine")
    return Comparison(
        before=old,
        after=new,
        gates=list(_gates(old, new)),
        rows=list(_rows(old, new)),
        counters=[] if data else list(_counters(old, new)),
        times=[] if data or machine else list(_times(old, new)),
        no_counters=data,
        no_times="; ".join(why for why in (machine, data) if why),
    )


def document(found: Comparison) -> Row:
    """The comparison as JSON."""
    sides = {
        name: {"run": one.run.id, "started": one.run.started, "verdict": one.verdict}
        for name, one in (("before", found.before), ("after", found.after))
    }
    tables = {"gates": found.gates, "rows": found.rows, "counters": found.counters, "times": found.times}
    return {"version": 1, **sides, **tables, "not_compared": {"counters": found.no_counters, "times": found.no_times}}


def _apart(old: Evidence, new: Evidence, *, what: str) -> str:
    """What differs of the machines or of the data; empty where they are alike."""
    told = []
    for one in (old, new):
        try:
            told.append(machine_of(one.stages) if what == "machine" else data_of(one.run, one.stages))
        except UsageError as problem:
            return f"{one.run.id}: {str(problem).rstrip('.')}"
    names = MACHINE if what == "machine" else ()
    return "; ".join(f"{what}: {difference}" for difference in differences(*told, names=names))


def _gates(old: Evidence, new: Evidence) -> Iterator[Row]:
    """The gates whose verdict changed, and those that one side alone has."""
    was, now = _verdicts(old), _verdicts(new)
    for name in dict.fromkeys((*was, *now)):
        if was.get(name) != now.get(name):
            yield {"gate": name, "before": was.get(name, "not there"), "after": now.get(name, "not there")}


def _verdicts(one: Evidence) -> dict[str, str]:
    return {f.id: f.verdict for stage in one.stages for f in stage.findings if f.severity != "note"}


def _rows(old: Evidence, new: Evidence) -> Iterator[Row]:
    """The tables whose number of rows changed."""
    was, now = ({r["table"]: r["rows"] for r in _table(one, "Source") if "rows" in r} for one in (old, new))
    for name in dict.fromkeys((*was, *now)):
        if was.get(name) != now.get(name):
            yield {"table": name, "before": was.get(name), "after": now.get(name)}


def _counters(old: Evidence, new: Evidence) -> Iterator[Row]:
    was, now = counters_of(old.stages), counters_of(new.stages)
    for query in (name for name in was if name in now):
        for counter in (name for name in was[query] if name in now[query]):
            before, after = was[query][counter], now[query][counter]
            if before != after:
                yield {"query": query, "counter": counter, "before": before, "after": after}


def _times(old: Evidence, new: Evidence) -> Iterator[Row]:
    """The p95 of each query in ms with both intervals; longer or shorter only where these lie apart."""
    was, now = ({str(r["name"]): r for r in _table(one, "Latency")} for one in (old, new))
    for name in (name for name in was if name in now):
        told = [row[key] for row in (was[name], now[name]) for key in _BOUNDS if row.get(key) is not None]
        if len(told) < 2 * len(_BOUNDS):
            continue
        before, before_low, before_high, after, low, high = told
        change = "longer" if low > before_high else "shorter" if high < before_low else _ALIKE
        bounds = {"before_low": before_low, "before_high": before_high, "after_low": low, "after_high": high}
        yield {"query": name, "before": before, "after": after, **bounds, "change": change}


def _table(one: Evidence, name: str) -> Iterator[Mapping[str, Any]]:
    return (row for stage in one.stages for row in stage.tables.get(name, ()))
