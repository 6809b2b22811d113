"""Which questions come next: drawn from the pool by slot, or merged from the index of the weakest.

The pool (sql/0003_question_pool.sql) keeps what may be drawn in cells, one for each objective and difficulty of an
exam, with ranks without a gap. So the work of a draw follows the number of cells and of the questions wanted, never
the size of the exam. Python chooses slots, SQLite leaves out what the user answered lately; where that takes too
many, a larger choice is made from the start, which keeps the draw uniform: the questions left take no part in the
decision, so all of them are alike in it.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, groupby
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection

from ptp.engine import fetch
from ptp.schema.content import SUCCESS_RATE

Mode: TypeAlias = Literal["practice", "review", "speed_drill", "weak_areas", "custom"]
Row: TypeAlias = tuple[Any, ...]
Cell: TypeAlias = tuple[int, int, int]
"""An id, a difficulty (0 for none) and a size."""

UNKNOWN_DIFFICULTY = 0
_MORE = 4
"""How many times as many slots are chosen when a choice did not yield enough."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a draw is asked for; `since` in Unix seconds, None where a filter is not set."""

    exam_id: int
    user_id: int
    limit: int
    since: int
    objectives: tuple[int, ...] | None = None
    min_difficulty: int | None = None
    max_difficulty: int | None = None

    @property
    def by_difficulty(self) -> bool:
        """Whether a range of difficulty is set; a question without one is in none."""
        return self.min_difficulty is not None or self.max_difficulty is not None

    @property
    def filters(self) -> list[Any]:
        """The values of the filters that are set, in the order of `_filters`."""
        values: list[Any] = [] if self.objectives is None else [json.dumps(self.objectives)]
        return values + ([self.min_difficulty or 1, self.max_difficulty or 5] if self.by_difficulty else [])


def draw(db: Connection, wanted: Wanted, *, mode: Mode, columns: str, chance: random.Random) -> list[Row] | None:
    """The rows drawn, in order, as `columns` of `question`; None where user, exam or filters know no question."""
    weakest = _weakest(db, wanted, columns) if mode == "weak_areas" else []
    missing = wanted.limit - len(weakest)
    if not missing:
        return weakest
    sql = _cells(wanted.objectives is not None, wanted.by_difficulty)
    cells: list[Cell] = sorted(fetch(db, sql, (wanted.user_id, wanted.exam_id, *wanted.filters)))
    if not cells:
        return None
    groups = _by_difficulty(cells) if mode == "speed_drill" else [cells]
    pick = _pick(columns, where=f"({SUCCESS_RATE}) IS NULL" if mode == "weak_areas" else "true")
    return weakest + _from_pool(db, wanted, groups=groups, sql=pick, limit=missing, chance=chance)


def _from_pool(
    db: Connection, wanted: Wanted, *, groups: Sequence[Sequence[Cell]], sql: str, limit: int, chance: random.Random
) -> list[Row]:
    """Up to `limit` rows of random slots, those of an earlier group first."""
    total = sum(size for group in groups for _, _, size in group)
    choice = limit + limit // 4 + 4  # a few to spare, as some may have been answered
    while True:
        slots = list(_choose(groups, choice, chance))
        rows = fetch(db, sql, (json.dumps(slots), wanted.user_id, wanted.since, limit))
        if len(rows) == limit or choice >= total:
            return rows
        choice *= _MORE


def _choose(groups: Sequence[Sequence[Cell]], choice: int, chance: random.Random) -> Iterator[int]:
    """Up to `choice` different slots in random order, group after group."""
    for cells in groups:
        ends = list(accumulate(size for _, _, size in cells))
        for position in chance.sample(range(ends[-1]), min(choice, ends[-1])):
            place = bisect_right(ends, position)
            cell, _, size = cells[place]
            yield (cell << 32) + position - ends[place] + size
        choice -= ends[-1]
        if choice <= 0:
            return


def _by_difficulty(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells of each difficulty, easiest first, those without one last."""

    def hardness(cell: Cell) -> tuple[bool, int]:
        return cell[1] == UNKNOWN_DIFFICULTY, cell[1]

    return [list(group) for _, group in groupby(sorted(cells, key=hardness), key=hardness)]


def _weakest(db: Connection, wanted: Wanted, columns: str) -> list[Row]:
    sql = _merge(columns, wanted.objectives is not None, wanted.by_difficulty)
    user, exam = wanted.user_id, wanted.exam_id
    return fetch(db, sql, (user, exam, *wanted.filters, exam, exam, user, wanted.since, wanted.limit))


def _filters(objectives: bool, difficulty: bool) -> str:
    chosen = " AND cell.objective_id IN (SELECT value FROM json_each(?))" if objectives else ""
    return chosen + (" AND cell.difficulty BETWEEN ? AND ?" if difficulty else "")


@cache
def _cells(objectives: bool, difficulty: bool) -> str:
    """The cells to draw from; none for an unknown user."""
    return (
        "SELECT cell.id, cell.difficulty, cell.size FROM users CROSS JOIN question_cells AS cell "
        f"WHERE users.id = ? AND cell.exam_id = ?{_filters(objectives, difficulty)}"
    )


# Of the id before the join with the questions: a condition on their side makes SQLite fill a Bloom filter with all of
# them before it looks up the first one.
_NOT_LATELY = """NOT EXISTS (
    SELECT 1 FROM user_answers
    WHERE user_answers.question_id = {id} AND user_answers.user_id = ? AND user_answers.answered_at > ?)"""


@cache
def _pick(columns: str, where: str = "true") -> str:
    """The questions at slots, in the slots' order, which CROSS JOIN makes SQLite keep."""
    return f"""
        SELECT {columns}
        FROM json_each(?) AS chosen
        CROSS JOIN question_pool ON question_pool.slot = chosen.value
        CROSS JOIN questions AS question ON question.id = question_pool.question_id
        WHERE {_NOT_LATELY.format(id="question_pool.question_id")} AND {where}
        LIMIT ?"""


@cache
def _merge(columns: str, objectives: bool, difficulty: bool) -> str:
    """The questions of all cells, worst success first, then by id, read one after the other from the index.

    Each cell is in order already. The queue of a recursive query with ORDER BY is a priority queue: it begins with
    the first of each cell, and whenever one is taken, the next of its cell comes in. LIMIT -1 changes nothing but
    that SQLite, which drops an ORDER BY that the outer query does not need, keeps this one.
    """
    in_index = f"is_active = 1 AND review_status = 'approved' AND {SUCCESS_RATE} IS NOT NULL"
    same_cell = f"exam_id = ? AND objective_id = merged.objective_id AND difficulty IS merged.difficulty AND {in_index}"
    rate = "taken.correct_attempts * 1.0 / taken.total_attempts"
    return f"""
        WITH RECURSIVE merged (objective_id, difficulty, rate, id) AS (
            SELECT taken.objective_id, taken.difficulty, {rate}, taken.id
            FROM users
            CROSS JOIN question_cells AS cell
            CROSS JOIN questions AS taken ON taken.id = (
                SELECT id FROM questions
                WHERE exam_id = cell.exam_id AND objective_id = cell.objective_id
                    AND difficulty IS nullif(cell.difficulty, 0) AND {in_index}
                ORDER BY {SUCCESS_RATE}, id LIMIT 1)
            WHERE users.id = ? AND cell.exam_id = ?{_filters(objectives, difficulty)}
            UNION ALL
            SELECT taken.objective_id, taken.difficulty, {rate}, taken.id
            FROM merged
            CROSS JOIN questions AS taken ON taken.id = coalesce(
                (SELECT id FROM questions
                 WHERE {same_cell} AND {SUCCESS_RATE} = merged.rate AND id > merged.id
                 ORDER BY id LIMIT 1),
                (SELECT id FROM questions
                 WHERE {same_cell} AND {SUCCESS_RATE} > merged.rate
                 ORDER BY {SUCCESS_RATE}, id LIMIT 1))
            ORDER BY 3, 4 LIMIT -1
        )
        SELECT {columns} FROM merged CROSS JOIN questions AS question ON question.id = merged.id
        WHERE {_NOT_LATELY.format(id="merged.id")}
        LIMIT ?"""
