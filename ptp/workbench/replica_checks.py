"""What is asked of a replica: how fresh it is, whether it equals its primary, whether its file is sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ptp.engine.replicas import Entry, Reader, Replica, Unreachable, digest, read_schema
from ptp.errors import CannotFinish, PtpError
from ptp.results import Finding, Verdict
from ptp.workbench.progress import Progress

TRIES = 3
"""Comparisons, where the primary is written to meanwhile."""


def reader(replica: Replica) -> Reader:
    """Reads a replica; raises CannotFinish for what pyturso cannot do, and UsageError for what is refused."""
    db = replica.connect()

    def read(sql: str, values: Any = ()) -> Any:
        try:
            return db.execute(sql, values).fetchall()
        except PtpError:
            raise
        except Exception as problem:  # pyturso's own
            raise CannotFinish(f"{replica.path} cannot be read: {problem}.") from problem

    return read


def fresh(replica: Replica, limit_s: float) -> Finding:
    """How far behind it is at most; inconclusive where the primary cannot be asked."""
    problem, news = "", True
    try:
        news = replica.has_news()
    except Unreachable as gone:
        problem = str(gone)
    age = replica.freshness().age_s
    behind = age if news else 0.0
    verdict: Verdict = "inconclusive"
    if behind is None:
        where = "the clock was set back since the last pull: ptp replica pull, and ask again"
    elif problem:
        where = f"{problem} Reads go on, and show what was there {behind:,.1f} s ago"
    else:
        verdict = "pass" if behind <= limit_s else "fail"
        where = f"the primary has news that are not here, and the last pull began {behind:,.1f} s ago: ptp replica pull"
    return Finding(
        id="replica.fresh",
        claim="The replica lacks at most what was written in the last seconds",
        verdict=verdict,
        value=behind,
        unit="s",
        limit=limit_s,
        where=() if verdict == "pass" else (where,),
        evidence="age of the last pull that had everything, by this machine's clock; the primary was asked for news",
    )


def compared(replica: Replica, progress: Progress) -> tuple[list[Finding], list[dict[str, object]]]:
    """The schema and every table of a replica against its primary; and what each table holds."""
    here, there = reader(replica), replica.read_primary
    mine, wanted = read_schema(here), read_schema(there)
    schema = Finding(
        id="replica.schema",
        claim="Every table, index, view and trigger of the primary is in the replica, and nothing else",
        verdict="pass" if mine == wanted else "fail",
        value=len(set(mine) ^ set(wanted)),
        unit="differences",
        limit=0,
        where=tuple(_differences(mine, wanted)),
        evidence="sqlite_schema of both, without the sync engine's own tables",
    )
    names = [e.name for e in wanted if e.kind == "table" and e in mine]
    rows: list[dict[str, object]] = []
    differing: list[str] = []
    for number, name in enumerate(names):
        progress(number / len(names), f"comparing {name}")
        ours, theirs = digest(here, name), digest(there, name)
        rows.append({"table": name, "rows": ours.rows, "primary rows": theirs.rows, "equal": ours == theirs})
        if ours != theirs:
            differing.append(f"{name}: {ours.rows:,} rows here, {theirs.rows:,} in the primary: ptp replica rebuild")
    content = Finding(
        id="replica.content",
        claim="Every row of the primary is in the replica, bit by bit, and no other",
        severity="data",
        verdict="fail" if differing else "pass",
        value=len(differing),
        unit="tables that differ",
        limit=0,
        n=len(names),
        where=tuple(differing),
        evidence="SHA-256 of every row with its rowid, read by SQL on both sides, summed by table",
    )
    return [schema, content], rows


def _differences(mine: list[Entry], wanted: list[Entry]) -> Iterator[str]:
    known = {(e.kind, e.name): e for e in mine}
    for entry in wanted:
        found = known.pop((entry.kind, entry.name), None)
        if found != entry:
            yield f"{entry.kind} {entry.name} {'is missing' if found is None else 'is another'}: ptp replica rebuild"
    yield from (f"{kind} {name} is not in the primary: ptp replica rebuild" for kind, name in known)


def undecided(finding: Finding) -> Finding:
    """The finding, where the primary was written to while it was made."""
    where = (f"the primary was written to during each of {TRIES} comparisons: compare when it is quieter",)
    return replace(finding, verdict="inconclusive", where=where)


def pages(replica: Replica) -> Finding:
    """Whether the file itself is sound."""
    told = [str(row[0]) for row in reader(replica)("PRAGMA integrity_check", ())]
    return Finding(
        id="replica.pages",
        claim="The pages and indexes of the replica are sound",
        verdict="pass" if told == ["ok"] else "fail",
        where=() if told == ["ok"] else tuple(f"{t}: ptp replica rebuild" for t in told[:20]),
        evidence="PRAGMA integrity_check of pyturso; it does not look at foreign keys",
    )


def helpers(replica: Replica) -> Finding:
    """The tables that the sync engine added."""
    names = tuple(e.name for e in read_schema(reader(replica), helpers=True))
    return Finding(
        id="replica.helpers",
        claim="Tables of the sync engine that stand in the replica, and are not the application's",
        verdict="pass",
        severity="note",
        value=len(names),
        unit="tables",
        where=names,
        evidence="sqlite_schema; ptp shows them in no inventory",
    )
