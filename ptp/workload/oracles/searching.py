"""Search: what is found holds the words, all that hold them are counted, and the best come first.

The texts of all questions are split into words here, in Python and in one pass, for the words that will be searched
for. So the witness of what a full-text index finds, and of its bm25, has read no such index.
"""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy
import numpy.typing

from ptp.workload.draws import Drawn
from ptp.workload.oracles.comparing import not_rows, unlike_row
from ptp.workload.oracles.witness import Check, Witness

LIMIT = 20
_CONSIDERED = 500
_K1, _B = 1.2, 0.75
_LEAST_IDF = 1e-6
_NAMES = ("id", "exam_id", "objective_id", "difficulty", "text", "explanation", "reference")
_MAY_BE_STUDIED = "is_active = 1 AND review_status = 'approved'"
_TEXTS = "coalesce(text, '') || ' ' || coalesce(explanation, '') || ' ' || coalesce(reference, '')"
_WORD = re.compile(r"[^\W_]+")
_ACCENT = re.compile("[\u0300-\u036f]")
_Numbers: TypeAlias = "numpy.typing.NDArray[numpy.int64]"


@dataclass(frozen=True, slots=True)
class _Postings:
    """The questions that hold a word, by ascending id: how often each does, and how many words it has."""

    keys: _Numbers
    times: _Numbers
    lengths: _Numbers


@dataclass(frozen=True, slots=True)
class _Texts:
    """All questions: how many there are, how many words they have on average, and who holds the words wanted."""

    count: int
    mean_length: float
    postings: Mapping[str, _Postings]


def searching(witness: Witness, *, searches: Collection[str]) -> Check:
    """The check of a search of an exam; `searches` are all that will be made, so that one pass serves them."""
    wanted = frozenset(word for words in searches for word in _words(words))

    def check(drawn: Drawn, found: Any) -> str | None:
        by = "fts5" if witness.kept("full text", lambda: _has_full_text(witness)) else "scan"
        if tuple(found._fields) != ("by", "questions") or found.by != by:
            return f"it was searched by {found.by!r} where {by!r} was due"
        if by == "fts5":
            texts = witness.kept("texts", lambda: _texts(witness, wanted))
            due, scores = _best(witness, texts, drawn)
        else:
            due, scores = _newest(witness, drawn), {}
        return not_rows(found.questions) or _unlike(witness, found.questions, due, scores)

    return witness.checking_equal("search", lambda d: (d.exam_id, d.words), check)


def _unlike(witness: Witness, found: Sequence[Any], due: list[int], scores: dict[int, float]) -> str | None:
    """What is not as due; two questions whose scores differ in the last bits only may stand for each other."""
    if len(found) != min(LIMIT, len(due)):
        return f"{len(found)} questions found where {min(LIMIT, len(due))} were due"
    for place, (question, key) in enumerate(zip(found, due, strict=False), start=1):
        as_good = question.id in scores and scores[question.id] != scores[key]
        if question.id != key and not (as_good and math.isclose(scores[question.id], scores[key], rel_tol=1e-9)):
            return f"row {place} is question {question.id} where {key} was due"
    keys = [question.id for question in found]
    if len(set(keys)) < len(keys):
        return f"{len(keys)} questions, of which only {len(set(keys))} differ"
    sql = f"SELECT {', '.join(_NAMES)} FROM questions WHERE id IN ({', '.join('?' * len(keys))})"
    stored = {row[0]: row for row in witness.rows(sql, keys)}
    wrong = (unlike_row(question, stored[question.id], _NAMES) for question in found)
    return next((one for one in wrong if one), None)


def _best(witness: Witness, texts: _Texts, drawn: Drawn) -> tuple[list[int], dict[int, float]]:
    """The newest 500 of the exam that hold all words, best first, with their scores; smaller ones are better."""
    postings = sorted((texts.postings[word] for word in _words(drawn.words)), key=lambda p: len(p.keys))
    considered = postings[0].keys
    of_exam = witness.kept(("studied", drawn.exam_id), lambda: _studied(witness, drawn.exam_id))
    for keys in (*(posting.keys for posting in postings[1:]), of_exam):
        considered = considered[_places(considered, keys)[1]]
    considered = considered[-_CONSIDERED:]
    scores: Any = numpy.zeros(len(considered))
    for posting in postings:
        places, _ = _places(considered, posting.keys)
        holding = len(posting.keys)
        idf = max(_LEAST_IDF, math.log((texts.count - holding + 0.5) / (holding + 0.5)))
        times, lengths = posting.times[places], posting.lengths[places]
        scores -= idf * times * (_K1 + 1) / (times + _K1 * (1 - _B + _B * lengths / texts.mean_length))
    scored = dict(zip(considered.tolist(), scores.tolist(), strict=True))
    return sorted(scored, key=lambda key: (scored[key], -key)), scored


def _places(wanted: _Numbers, among: _Numbers) -> tuple[_Numbers, Any]:
    """Where each number stands among others in ascending order, and whether it does."""
    if not len(among):
        return numpy.zeros(len(wanted), dtype=numpy.int64), numpy.zeros(len(wanted), dtype=bool)
    places = numpy.minimum(numpy.searchsorted(among, wanted), len(among) - 1)
    return places, among[places] == wanted


def _texts(witness: Witness, wanted: frozenset[str]) -> _Texts:
    count = total = 0
    found: dict[str, tuple[array[int], ...]] = {word: (array("q"), array("q"), array("q")) for word in wanted}
    for key, text in witness.stream(f"SELECT id, {_TEXTS} FROM questions ORDER BY id"):
        words = _words(text)
        length = len(words) + 1  # the id of the exam is a word too
        count, total = count + 1, total + length
        for word in wanted.intersection(words):
            keys, times, lengths = found[word]
            keys.append(key)
            times.append(words.count(word))
            lengths.append(length)
    postings = {word: _Postings(*map(_numbers, arrays)) for word, arrays in found.items()}
    return _Texts(count, total / count if count else 1.0, postings)


def _numbers(values: Sequence[int]) -> _Numbers:
    return numpy.array(values, dtype=numpy.int64)


def _studied(witness: Witness, exam_id: int) -> _Numbers:
    sql = f"SELECT id FROM questions WHERE exam_id = ? AND {_MAY_BE_STUDIED} ORDER BY id"
    return _numbers([key for (key,) in witness.rows(sql, (exam_id,))])


def _newest(witness: Witness, drawn: Drawn) -> list[int]:
    """The newest of the exam in whose texts the words stand, also inside of longer ones; the case of a to z is one."""
    words = _WORD.findall(drawn.words)
    holds = f" AND instr(lower({_TEXTS}), lower(?))" * len(words)
    sql = f"SELECT id FROM questions WHERE exam_id = ? AND {_MAY_BE_STUDIED}{holds} ORDER BY id DESC LIMIT {LIMIT}"
    return [key for (key,) in witness.rows(sql, (drawn.exam_id, *words))]


def _has_full_text(witness: Witness) -> bool:
    there = witness.rows("SELECT 1 FROM sqlite_schema WHERE name = 'question_search'")
    return bool(there and witness.rows("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'"))


def _words(text: str) -> list[str]:
    """The words of a text in order, without case and accents."""
    if not text.isascii():
        text = _ACCENT.sub("", unicodedata.normalize("NFD", text))
    return _WORD.findall(text.lower())
