"""The ladder of invented sources on which claims are measured, and about what each part of the work takes.

The costs are seconds of a processor as they were measured; only their relation matters, for the time that is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ptp.migration.plan import Plan, Statement
from ptp.workbench.progress import Progress
from ptp.workload.claims import Budget
from ptp.workload.claims.sources import GENERATIONS, METRIC_DAYS, OPPORTUNITIES
from ptp.workload.claims.timing import COUNTED, LEAST_PAIRS, PILOT
from ptp.workload.limits import Profile

BUDGETS: Mapping[Profile, Budget] = {"quick": Budget(0.25, 60), "full": Budget(1.5, 400)}

_SCAN = 0.9e-6  # seconds that plain SQL takes for each question of an exam, where it goes over all of them
_COUNTING = 0.05  # of the steps of an operation, and of its pilot
_CHEAP_PAIR = 0.6e-3
_COPIED = 5e8  # bytes a second


@dataclass(frozen=True, slots=True)
class Rung:
    """An invented source: so many questions in one exam, and answers; or, with none, the growth system's tables."""

    questions: int
    answers: int

    @property
    def key(self) -> str:
        """As it stands in ids."""
        return f"q{self.questions}_a{self.answers}" if self.questions else "outreach"

    @property
    def name(self) -> str:
        """As it stands before the reader."""
        if self.questions:
            return f"{self.questions:,} questions, {self.answers:,} answers"
        return f"{OPPORTUNITIES:,} opportunities, {METRIC_DAYS:,} days, {GENERATIONS:,} AI calls"

    @property
    def bytes(self) -> int:
        """About what its two files take on the disk, with as much again for what sorts."""
        return 2 * _file_bytes(self.questions, self.answers)

    @property
    def writing(self) -> float:
        """About the seconds that it takes to write the source."""
        return 0.25 + 7e-6 * self.questions + _sorted(self.answers)

    @property
    def building(self) -> float:
        """About the seconds that it takes to build the head."""
        return 0.2 + 16e-6 * self.questions + _sorted(self.answers)

    def measuring(self, budget: Budget) -> tuple[float, ...]:
        """About the seconds of each part of measuring it, in their order."""
        if self.questions:
            return study_costs(self.questions, _file_bytes(self.questions, self.answers), budget)
        return (0.1, 0.2, budget.seconds + _COUNTING, 0.25)


OUTREACH = Rung(0, 0)
_QUICK = (OUTREACH, Rung(10_000, 100_000), Rung(100_000, 100_000))
_MORE = (Rung(1_000_000, 100_000), Rung(10_000, 1_000_000), Rung(10_000, 10_000_000))
LADDER: Mapping[Profile, tuple[Rung, ...]] = {"quick": _QUICK, "full": (*_QUICK, *_MORE)}


def study_costs(questions: int, both_files: int, budget: Budget) -> tuple[float, ...]:
    """About the seconds to copy both files of a pair, and for each of its operations in their order."""
    cheap = _COUNTING + min(budget.seconds, budget.most_pairs * _CHEAP_PAIR)
    calls = 2 * COUNTED + PILOT + LEAST_PAIRS
    scan = max(cheap, min(budget.seconds, budget.most_pairs * _SCAN * questions), calls * _SCAN * questions)
    return (0.05 + both_files / _COPIED, scan, cheap, cheap, scan, cheap, cheap)


def by_cost(progress: Progress, costs: Sequence[float]) -> Progress:
    """Progress of parts that are told one after the other, each as it begins: what is told is how far all are."""
    whole, begun = sum(costs) or 1.0, iter((0.0, *accumulate(costs)))
    return lambda _fraction, text: progress(min(next(begun, whole) / whole, 1.0), text)


def statement_costs(plan: Plan) -> list[float]:
    """About the seconds of each statement of a plan that builds the head of an invented source."""
    return [_statement_cost(one) for one in plan.statements]


def _statement_cost(statement: Statement) -> float:
    kind = "wide" if statement.kind == "copy" and "questions" in statement.over else statement.kind
    return statement.rows * _OF_A_ROW.get(kind, 0.0)


_OF_A_ROW = {"copy": 1.9e-6, "wide": 8.8e-6, "index": 0.45e-6, "derive": 1.9e-6}


def _sorted(rows: int) -> float:
    """About the seconds to write rows and to sort them into indexes."""
    return 0.6e-6 * rows * math.log10(rows) if rows else 0.0


def _file_bytes(questions: int, answers: int) -> int:
    """About the bytes of a source and its head together."""
    return 40_000_000 + 2_200 * questions + 260 * answers
