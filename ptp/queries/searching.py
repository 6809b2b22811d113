"""Search of questions: by the full-text index, or question by question where there is none."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import Connection, Engine

from ptp.engine import fetch, has_module
from ptp.errors import UsageError
from ptp.queries.arguments import require_known, whole

CONSIDERED = 500
"""Of how many matches, the newest, the best are chosen: ranking all of them would grow with the database."""

MOST_WORDS = 32
LONGEST_WORD = 1_000
"""In characters; LIKE refuses a pattern of more than 50,000 bytes."""

By: TypeAlias = Literal["fts5", "scan"]
_WORD = re.compile(r"\w+\*?")


class FoundQuestion(NamedTuple):
    """A question that was found; `explanation` and `reference` as stored."""

    id: int
    exam_id: int
    objective_id: int
    difficulty: int | None
    text: str
    explanation: str | None
    reference: str | None


class Search(NamedTuple):
    """What a search found, and how: by "fts5", or by a "scan" of all questions where there is no full-text index."""

    by: By
    questions: tuple[FoundQuestion, ...]


def search(engine: Engine, words: str, *, exam_id: int | None, limit: int) -> Search:
    """Search the questions that may be studied for all `words`; see StudyQueries.search_questions."""
    if exam_id is not None:
        whole("exam_id", exam_id, low=0, high=2**63 - 1)
    terms = _terms(words)
    with engine.connect() as db:
        by: By = "fts5" if _has_index(db) else "scan"
        find = _by_index if by == "fts5" else _by_scan
        rows = find(db, terms, exam_id, limit)
        if not rows:
            require_known(db, exam_id=exam_id)
    return Search(by, tuple(map(FoundQuestion._make, rows)))


def _terms(words: str) -> list[str]:
    if not isinstance(words, str) or not (found := _WORD.findall(words.replace("_", " "))):
        raise UsageError(f"The search {words!r} holds no word to look for: give letters or digits.")
    if len(found) > MOST_WORDS:
        raise UsageError(f"The search holds {len(found)} words: give at most {MOST_WORDS}.")
    if (length := max(map(len, found))) > LONGEST_WORD:
        raise UsageError(f"The search holds a word of {length} characters: give at most {LONGEST_WORD}.")
    return found


def _has_index(db: Connection) -> bool:
    # The driver's own connection: SQLAlchemy has no word for what SQLite was built with.
    raw: Any = db.connection.dbapi_connection
    known = raw.execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'question_search')").fetchone()[0]
    return bool(known) and has_module(raw, "fts5")


def _by_index(db: Connection, terms: list[str], exam_id: int | None, limit: int) -> list[Any]:
    # Each word is quoted, so that nothing of it is taken for the query language of FTS5.
    words = " ".join(f'"{t[:-1]}"*' if t.endswith("*") else f'"{t}"' for t in terms)
    match = "{text explanation reference} : (" + words + ")"
    if exam_id is not None:
        match += f' AND exam_id : "{exam_id}"'
    return fetch(db, _MATCHES, (match, CONSIDERED, limit))


def _by_scan(db: Connection, terms: list[str], exam_id: int | None, limit: int) -> list[Any]:
    likes = " AND ".join([_HOLDS] * len(terms))
    patterns = [f"%{t.removesuffix('*')}%" for t in terms]
    exam = () if exam_id is None else (exam_id,)
    return fetch(db, _SCAN.format(likes=likes, exam="" if exam_id is None else _IN_EXAM), (*patterns, *exam, limit))


_SHOWN = ", ".join(f"questions.{name}" for name in FoundQuestion._fields)
_IN_EXAM = " AND questions.exam_id = ?"
_MAY_BE_STUDIED = "questions.is_active = 1 AND questions.review_status = 'approved'"
_HOLDS = (
    "questions.text || ' ' || coalesce(questions.explanation, '') || ' ' || coalesce(questions.reference, '') LIKE ?"
)

# From the newest id down, which the index can go by; the page of considered ones is then sorted.
_MATCHES = f"""
    SELECT {_SHOWN}
    FROM (
        SELECT question_search.rowid AS id, bm25(question_search, 1.0, 1.0, 1.0, 0.0) AS score
        FROM question_search CROSS JOIN questions ON questions.id = question_search.rowid
        WHERE question_search MATCH ? AND {_MAY_BE_STUDIED}
        ORDER BY question_search.rowid DESC LIMIT ?
    ) AS considered
    CROSS JOIN questions ON questions.id = considered.id
    ORDER BY considered.score, considered.id DESC LIMIT ?"""

_SCAN = f"""
    SELECT {_SHOWN} FROM questions
    WHERE {{likes}} AND {_MAY_BE_STUDIED}{{exam}}
    ORDER BY questions.id DESC LIMIT ?"""
