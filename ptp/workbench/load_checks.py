"""What a load must have left behind: every acknowledged answer, once, and nothing else but what follows from it.

The target is the witness: it was not written to, so that what the load added and changed in its copy is the difference
of two files, told in SQL that the queries under load do not share.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ptp.engine import Table, attach_read_only, connect_file, quoted, read_inventory
from ptp.migration import journal, quarantine
from ptp.queries import NewAnswer
from ptp.results import Finding
from ptp.schema.rules import DERIVED, DOMAIN, SEARCH_STEP, SEARCH_TABLE
from ptp.verification.integrity import check_pages
from ptp.verification.kept import Kept
from ptp.verification.rules import check_domain, check_full_text, check_rules
from ptp.workbench.verifying import SEARCH
from ptp.workload.answer_log import Acknowledged

KEPT, SENT, STATISTICS, UNWRITTEN = "load.answers.kept", "load.answers.sent", "load.statistics", "load.unwritten"

WRITTEN: Mapping[str, frozenset[str]] = {
    "questions": frozenset(("total_attempts", "correct_attempts", "avg_time_seconds", "total_time_seconds")),
    "study_sessions": frozenset(
        ("total_questions", "correct_answers", "accuracy", "time_spent_seconds", "avg_time_per_question")
    )
    | {"objective_scores", "last_activity"},
    "sqlite_sequence": frozenset(("seq",)),
}
"""The columns that the load may change, by table."""

GROWS = frozenset(("user_answers", "audit_log"))
"""The tables to which the load may add rows."""

_SHOWN = 20
_NEW = "id > (SELECT coalesce(max(id), 0) FROM before.user_answers)"


def check_written(
    target: Path, copy: Path, *, sent: Mapping[str, NewAnswer], told: Iterable[Acknowledged]
) -> Iterator[Finding]:
    """The findings on a `copy` of `target` after a load that sent the answers `sent`, by key; both are only read."""
    with connect_file(copy, read_only=True) as new, connect_file(target, read_only=True) as old:
        yield from check_answers(new, sent=sent, told=told, after=last_answer(old))
    with attach_read_only(after=copy, before=target) as db:
        yield _statistics(db)
        yield _unwritten(db, target)
    with connect_file(copy) as new, connect_file(target, read_only=True) as old:
        yield from _named(check_rules(new, DERIVED))
        left_out = journal.steps_left_out(new).get(SEARCH_STEP, "")
        yield from _named([check_full_text(new, SEARCH_TABLE, name=SEARCH, left_out=left_out)])
        kept = Kept(new, quarantine.TABLE, read_inventory(new).tables)
        yield from _named(check_domain(new, old, DOMAIN, kept=kept))
        yield from _named([check_pages(new)])


def last_answer(db: sqlite3.Connection) -> int:
    """The id of the newest answer, 0 where there is none; those of a load come after it."""
    found: int = db.execute("SELECT coalesce(max(id), 0) FROM user_answers").fetchone()[0]
    return found


def check_answers(
    db: sqlite3.Connection, *, sent: Mapping[str, NewAnswer], told: Iterable[Acknowledged], after: int, ours: str = ""
) -> tuple[Finding, Finding]:
    """Whether the acknowledged answers are there exactly once, and no answer is there that was not sent.

    Looked at are those with ids over `after`, and of them those whose key begins with `ours`, where others write too.
    """
    rows = db.execute(
        "SELECT request_key, user_id, question_id, is_correct FROM user_answers"
        " WHERE id > ? AND substr(coalesce(request_key, ''), 1, ?) = ?",
        (after, len(ours), ours),
    ).fetchall()
    found = Counter((key, user) for key, user, _, _ in rows)
    content = {(key, user): (question, bool(correct)) for key, user, question, correct in rows}
    acknowledged = {(a.key, a.user): a for a in told}
    wrong = [f"answer {key}, acknowledged: not there" for key, user in acknowledged if not found[key, user]]
    wrong += [f"answer {key}: there {times} times" for (key, _), times in found.items() if key and times > 1]
    wrong += [
        f"answer {a.key}: there with other content than was acknowledged"
        for place, a in acknowledged.items()
        if found[place] and content[place] != (a.question, a.correct)
    ]
    strange = [
        f"an answer of user {user} to question {question}, key {key}: it was never sent"
        for key, user, question, correct in rows
        if (one := sent.get(key or "")) is None
        or (one.user_id, one.question_id, one.is_correct) != (user, question, bool(correct))
    ]
    kept = _none(
        KEPT,
        "Every acknowledged answer is there exactly once, as it was sent",
        wrong,
        unit="answers",
        n=len(acknowledged),
        evidence=f"{len(acknowledged):,} acknowledged, as the clients noted them; {len(rows):,} in the database",
    )
    claim, evidence = "No answer is there that was never sent", "every new row against the schedule"
    return kept, _none(SENT, claim, strange, unit="answers", n=len(rows), evidence=evidence)


def _none(gate: str, claim: str, wrong: Sequence[str], *, unit: str, n: int, evidence: str) -> Finding:
    """The finding that nothing is wrong among `n`, or how much is, and where."""
    return Finding(
        id=gate,
        claim=claim,
        verdict="fail" if wrong else "pass",
        severity="data",
        value=len(wrong),
        unit=unit,
        limit=0,
        n=n,
        where=tuple(wrong[:_SHOWN]),
        evidence=evidence,
    )


def _statistics(db: sqlite3.Connection) -> Finding:
    """Each question's counts and time: what they were, plus what the new answers add."""
    wrong = [
        f"question {key}: {attempts} attempts, {right} right, {seconds} s, and {due} are due"
        for key, attempts, right, seconds, *due in db.execute(_STATISTICS)
    ]
    questions: int = db.execute("SELECT count(*) FROM after.questions").fetchone()[0]
    claim = "Each question's statistics are what they were, plus its new answers"
    evidence = "counted anew from the rows, against the target"
    return _none(STATISTICS, claim, wrong, unit="questions", n=questions, evidence=evidence)


_STATISTICS = f"""
    WITH added AS MATERIALIZED (
        SELECT question_id AS id, count(*) AS attempts, sum(is_correct) AS correct, sum(time_spent_seconds) AS seconds
        FROM after.user_answers WHERE {_NEW} GROUP BY question_id
    ), due AS (
        SELECT old.id,
               coalesce(old.total_attempts, 0) + coalesce(added.attempts, 0) AS attempts,
               coalesce(old.correct_attempts, 0) + coalesce(added.correct, 0) AS correct,
               iif(added.id IS NULL, old.total_time_seconds, added.seconds + coalesce(
                   old.total_time_seconds, coalesce(old.avg_time_seconds, 0) * coalesce(old.total_attempts, 0)
               )) AS seconds
        FROM before.questions AS old LEFT JOIN added ON added.id = old.id
    )
    SELECT due.id, now.total_attempts, now.correct_attempts, now.total_time_seconds,
           due.attempts, due.correct, due.seconds
    FROM due LEFT JOIN after.questions AS now ON now.id = due.id
    WHERE coalesce(now.total_attempts, 0) <> due.attempts OR coalesce(now.correct_attempts, 0) <> due.correct
        OR now.total_time_seconds IS NOT due.seconds OR now.id IS NULL"""


def _unwritten(db: sqlite3.Connection, target: Path) -> Finding:
    """Everything that a load has no business with: each row and column of every other table, before and after."""
    with connect_file(target, read_only=True) as old:
        tables = {name: table for name, table in read_inventory(old).tables.items() if not table.is_virtual}
    wrong = [place for table in tables.values() for place in _changes(db, table)]
    claim = "What the load had no business with is as it was, row by row"
    evidence = f"{len(tables)} tables, the copy after the load against the target"
    return _none(UNWRITTEN, claim, wrong, unit="tables", n=len(tables), evidence=evidence)


def _changes(db: sqlite3.Connection, table: Table) -> Iterator[str]:
    name = quoted(table.name)
    columns = [quoted(c) for c in table.stored_columns if c not in WRITTEN.get(table.name, ())]
    keys = [quoted(c) for c in table.key] if table.without_rowid or not table.rowid else [table.rowid]
    same = " AND ".join(f"now.{key} = was.{key}" for key in keys)
    now_row, was_row = (", ".join(f"{side}.{column}" for column in columns) for side in ("now", "was"))
    changed: int = db.execute(
        f"SELECT count(*) FROM before.{name} AS was LEFT JOIN after.{name} AS now ON {same}"
        f" WHERE now.{keys[0]} IS NULL OR ({now_row}) IS NOT ({was_row})"
    ).fetchone()[0]
    if changed:
        yield f"{table.name}: {changed:,} rows changed or gone"
    (was,), (now,) = (db.execute(f"SELECT count(*) FROM {side}.{name}").fetchone() for side in ("before", "after"))
    if now != was and table.name not in GROWS:
        yield f"{table.name}: {now:,} rows, where there were {was:,}"


def _named(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings of the verification under ids of the load's, so that a run may hold both."""
    return (replace(f, id=f.id.replace("verify.", "load.", 1)) for f in findings)
