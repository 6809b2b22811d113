"""What each index is worth: the queries it serves, ms and billed rows with and without it, bytes, and $ a month.

Advice to drop or to add comes from measurements on copies alone. `sqlite3_expert` is asked for a second opinion, and
what it would add is tried before it is told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import Index, connect_file, errors_named, open_engine, quoted, read_inventory
from ptp.engine.meters import replica
from ptp.engine.plans import opened, reads
from ptp.engine.prices import load_prices
from ptp.results import Estimate, Finding
from ptp.verification.indexes import RULE
from ptp.workbench.expert import Absent, Opinion, Suggestion, ask_expert
from ptp.workbench.indexing import REASONS, Recorded, expected_head, read_workload, record_calls
from ptp.workbench.parts import Part
from ptp.workbench.progress import Progress, part, quiet
from ptp.workbench.trying import Budget, Side, Trial, trial
from ptp.workbench.worth import Worth, advice_of, advice_to_add, worth_of_created, worth_of_dropped
from ptp.workload.limits import Profile
from ptp.workload.traffic import TARIFF, TRAFFIC

TABLE = "Index economics"
BY_QUERY = "Index economics by query"
SUGGESTIONS = "Indexes suggested"
BUDGETS: Mapping[Profile, Budget] = {"quick": Budget(pairs=5, seconds=0.03), "full": Budget(pairs=25, seconds=0.8)}
REFERENCE = "foreign key"
"""How the reason begins of an index by which rows of a parent are found."""
CALLS: Mapping[Profile, int] = {"quick": 2, "full": 5}
"""How many different calls of each query changes are tried with."""


@dataclass(frozen=True, slots=True)
class Uses:
    """By query, the tables and indexes that its statements open, and those of them in which they look for rows.

    `uncalled` are those in which queries look that have nothing here to be called with.
    """

    opened: Mapping[str, frozenset[str]]
    read: Mapping[str, frozenset[str]]
    uncalled: Mapping[str, frozenset[str]]

    def readers(self, name: str) -> tuple[str, ...]:
        """The queries that look in it."""
        return tuple(query for query, names in self.read.items() if name in names)

    def waiting(self, name: str) -> tuple[str, ...]:
        """The queries that would look in it, if they could be called here."""
        return tuple(query for query, names in self.uncalled.items() if name in names)

    def openers(self, name: str) -> tuple[str, ...]:
        """The queries that look in it or write to it."""
        return tuple(query for query, names in self.opened.items() if name in names)


@dataclass(frozen=True, slots=True)
class Opinions:
    """What sqlite3_expert says by query, with the indexes there are and as if there were none; or why it cannot."""

    present: Mapping[str, Opinion]
    bare: Mapping[str, Opinion]
    absent: str | None = None

    @property
    def suggested(self) -> Mapping[Suggestion, tuple[str, ...]]:
        """What it would add, with the queries that it would add it for."""
        found: dict[Suggestion, tuple[str, ...]] = {}
        for query, opinion in self.present.items():
            for one in opinion.suggestions:
                found[one] = (*found.get(one, ()), query)
        return found

    def of(self, index: Index, serves: Sequence[str]) -> str:
        """Whether it would build an index that begins as this one, for a query that this one serves."""
        if self.absent:
            return "not asked"
        if not any(self.bare[query].judged for query in serves):
            return "not judged" if serves else ""
        suggested = [s for q in serves for s in self.bare[q].suggestions if s.table == index.table]
        if any(index.columns[0] == s.columns[0].split()[0] for s in suggested):
            return "agrees"
        return f"would build ({', '.join(suggested[0].columns)})" if suggested else "would build none"


def index_economics(
    path: Path, out: Path, *, profile: Profile = "quick", seed: int = 1, progress: Progress = quiet
) -> Part:
    """Measure what each index of a target is worth, on copies in `out` which are removed; `path` is only read.

    Raises DiskFull, Locked, and CannotFinish for a statement that fails as it is replayed.
    """
    progress(0.0, "recording the queries")
    recorded = _record(path, calls=CALLS[profile], seed=seed)
    with errors_named(path), connect_file(path, read_only=True) as db:
        indexes, uses = _indexes(db), _uses(db, recorded)
        sizes = dict(db.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE").fetchall())
        progress(0.1, "asking sqlite3_expert")
        opinions = _opinions(db, recorded)
    progress(0.2, "copying the target")
    with trial(path, out, recorded=recorded, budget=BUDGETS[profile], seed=seed) as tried:
        worths = _worths(tried, indexes, uses, part(progress, 0.3, 0.6))
        added = _added(tried, tuple(opinions.suggested), uses, part(progress, 0.6, 1.0))
        model = tried.model
    rows = [_row(i, w, uses, expert=opinions.of(i, uses.readers(i.name)), size=sizes.get(i.name, 0)) for i, w in worths]
    tables = {
        TABLE: rows,
        BY_QUERY: [row for i, w in worths for row in _query_rows(i.name, w)],
        SUGGESTIONS: [_suggestion_row(s, opinions.suggested[s], w) for s, w in added],
    }
    findings = [_finding(row) for row in rows]
    estimates = [_estimate(i.name, w, model) for i, w in worths]
    told = _expert_finding(opinions, added)
    return Part((*findings, told, *estimates), {name: table for name, table in tables.items() if table})


def _record(path: Path, *, calls: int, seed: int) -> dict[str, Recorded]:
    """The calls of each query that applies, recorded on a copy: some write."""
    with replica(path) as copy:
        engine = open_engine(copy)
        try:
            found = record_calls(engine, calls=calls, seed=seed)
        finally:
            engine.dispose()
    return {name: of_query for name, of_query in found.items() if not of_query.absent}


def _indexes(db: sqlite3.Connection) -> list[Index]:
    """The indexes of head's tables that a statement has made: others cannot be dropped."""
    known = expected_head().tables
    return [i for name, t in read_inventory(db).tables.items() if name in known for i in t.indexes if i.sql]


def _uses(db: sqlite3.Connection, recorded: Mapping[str, Recorded]) -> Uses:
    db.execute("PRAGMA foreign_keys = ON")
    different = {name: {s.sql: s for s in r.statements}.values() for name, r in recorded.items()}
    opened_by, read_by = (
        {
            name: frozenset[str]().union(*(look(db, s.sql, s.parameters) for s in statements))
            for name, statements in different.items()
        }
        for look in (opened, reads)
    )
    uncalled: dict[str, frozenset[str]] = {}
    for reading in read_workload(db):
        if reading.case not in recorded:
            uncalled[reading.case] = uncalled.get(reading.case, frozenset()) | reading.reads
    return Uses(opened_by, read_by, uncalled)


def _opinions(db: sqlite3.Connection, recorded: Mapping[str, Recorded]) -> Opinions:
    statements = {name: r.statements for name, r in recorded.items()}
    try:
        return Opinions(ask_expert(db, statements, indexes=True), ask_expert(db, statements, indexes=False))
    except Absent as problem:
        return Opinions({}, {}, str(problem))


def _worths(tried: Trial, indexes: Sequence[Index], uses: Uses, progress: Progress) -> list[tuple[Index, Worth]]:
    tariff = load_prices().tariff(TARIFF)
    found = []
    for place, index in enumerate(indexes):
        progress(place / len(indexes), f"measuring without {index.name}")
        effects = tried.effects(f"DROP INDEX {quoted(index.name)}", uses.openers(index.name))
        found.append((index, worth_of_dropped(effects, tariff)))
    return found


def _added(
    tried: Trial, suggestions: Sequence[Suggestion], uses: Uses, progress: Progress
) -> list[tuple[Suggestion, Worth]]:
    tariff = load_prices().tariff(TARIFF)
    found = []
    for place, one in enumerate(suggestions):
        progress(place / len(suggestions), f"trying {one.name}")
        found.append((one, worth_of_created(tried.effects(one.sql, uses.openers(one.table)), tariff)))
    return found


def _row(index: Index, worth: Worth, uses: Uses, *, expert: str, size: int) -> dict[str, object]:
    serves = uses.readers(index.name)
    advice, why = advice_of(worth, serves=serves, waiting=uses.waiting(index.name), duty=_duty(index))
    gains = worth.most_gained
    return {
        "index": index.name,
        "on": f"{index.table} ({', '.join(c or 'expression' for c in index.columns)})",
        "serves": ", ".join(serves),
        "most_gained_by": gains.query if gains else None,
        "ms_with": _rounded(gains.with_it) if gains else None,
        "ms_without": _rounded(gains.without) if gains else None,
        "bytes": size,
        "reads_saved_a_month": round(worth.reads_saved),
        "writes_a_month": round(worth.writes_added),
        "dollars_saved": round(worth.saved, 4),
        "dollars_cost": round(worth.cost, 4),
        "dollars_net": round(worth.net, 4),
        "sqlite3_expert": expert,
        "advice": advice,
        "why": why,
    }


def _duty(index: Index) -> str | None:
    """What an index is there for besides queries: a rule, or a reference that is followed from the parent's side."""
    reason = REASONS.get(index.name, "")
    if index.unique:
        return f"{RULE} it is UNIQUE"
    return reason.split("; ")[0] if reason.startswith((RULE, REFERENCE)) else None


def _query_rows(name: str, worth: Worth) -> list[dict[str, object]]:
    return [
        {
            "index": name,
            "query": d.query,
            "ms_with": _rounded(d.with_it),
            "ms_without": _rounded(d.without),
            "billed_read_with": round(d.with_it.read, 2),
            "billed_read_without": round(d.without.read, 2),
            "billed_written_with": round(d.with_it.written, 2),
            "billed_written_without": round(d.without.written, 2),
            "calls_a_month": round(d.calls),
        }
        for d in worth.differences
    ]


def _rounded(side: Side) -> float | None:
    return None if side.ms is None else round(side.ms, 4)


def _suggestion_row(one: Suggestion, queries: Sequence[str], worth: Worth) -> dict[str, object]:
    advice, why = advice_to_add(worth)
    gains = worth.most_gained
    return {
        "statement": one.sql,
        "suggested_for": ", ".join(queries),
        "most_gained_by": gains.query if gains else None,
        "ms_now": _rounded(gains.without) if gains else None,
        "ms_with_it": _rounded(gains.with_it) if gains else None,
        "reads_saved_a_month": round(worth.reads_saved),
        "writes_a_month": round(worth.writes_added),
        "dollars_net": round(worth.net, 4),
        "advice": advice,
        "why": why,
    }


def _finding(row: Mapping[str, object]) -> Finding:
    return Finding(
        id=f"economics.{row['index']}",
        claim=f"The index {row['index']} is worth what it costs",
        verdict="pass" if row["advice"] == "keep" else "fail",
        severity="note",
        value=float(str(row["dollars_net"])),
        unit="$ a month",
        where=(f"{row['advice']}: {row['why']}",),
        evidence=f"the table {TABLE}: measured with and without it on copies, at the declared traffic",
    )


def _expert_finding(opinions: Opinions, added: Sequence[tuple[Suggestion, Worth]]) -> Finding:
    claim = "sqlite3_expert suggests no index that is worth adding"
    if opinions.absent:
        return Finding("economics.expert", claim, "not applicable", severity="note", evidence=opinions.absent)
    worth_it = [(s, advice_to_add(w)[1]) for s, w in added if advice_to_add(w)[0] == "add"]
    left = sum(len(o.not_judged) for o in opinions.present.values())
    judged = sum(o.judged for o in opinions.present.values())
    return Finding(
        id="economics.expert",
        claim=claim,
        verdict="fail" if worth_it else "pass",
        severity="note",
        value=len(worth_it),
        unit="indexes",
        limit=0,
        n=judged,
        where=tuple(f"{s.sql}: {why}" for s, why in worth_it),
        evidence=f"{judged} statements judged, {left} not taken by it; {len(added)} suggestions, each tried on a copy",
    )


def _estimate(name: str, worth: Worth, model: str) -> Estimate:
    low, high = worth.net_range
    inputs: dict[str, float | str] = {
        "rows read saved a month": worth.reads_saved,
        "rows written more a month": worth.writes_added,
        "tariff": worth.tariff.name,
        "prices of": load_prices().date,
        "users": float(TRAFFIC.users),
        "billed rows": model,
    }
    what = "billed rows with and without it x prices for rows x declared traffic"
    return Estimate(f"worth of {name}", "$ a month", worth.net, low, high, what, inputs)
