"""What users do: weighted scenarios, each a few queries one after the other, and who the users are.

Operations bear the names of the queries, so that the limits of `ptp.workload.limits` hold for them. 15 % of the
requests write: answers, and the totals of a session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from ptp.benchmark.load import Planned, Scenario, shares
from ptp.errors import UsageError
from ptp.queries import NewAnswer
from ptp.workload.draws import Drawn, draw, new_answer, newest

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("study", 30, ("study_questions", "study_questions_filtered", "search_questions")),
    Scenario("answer", 15, ("study_questions", "record_answer", "record_answer", "session_progress")),
    Scenario("progress", 45, ("user_progress",)),
    Scenario("leaderboard", 45, ("leaderboard",)),
    Scenario("analytics", 20, ("pending_opportunities", "growth_analytics", "ai_cost_summary")),
)

WRITES = frozenset(("record_answer", "session_progress"))
ANSWER = "record_answer"

_CANDIDATES = 8  # answers drawn for each user wanted, so that most are users of their own
_LEAST_DRAWN = 500
_PRIME = 7_919  # so that neighbours in a schedule answer other questions


@dataclass(frozen=True, slots=True)
class Cast:
    """Who the actors are: each a user in an exam; `asked` are questions by exam, of which they answer.

    `key` begins the key of each answer, and the present is `now`.
    """

    people: tuple[Drawn, ...]
    asked: Mapping[int, tuple[int, ...]]
    key: str
    now: int

    def person(self, request: Planned) -> Drawn:
        """Who makes a request, with the question that it is about."""
        who = self.people[request.actor % len(self.people)]
        asked = self.asked[who.exam_id]
        return replace(who, question_id=asked[request.number * _PRIME % len(asked)], number=request.number)

    def key_of(self, number: int) -> str:
        """The key of the answer that is the request of this number."""
        return f"{self.key}-{number}"

    def answer(self, request: Planned) -> NewAnswer:
        """The answer that a request records."""
        return replace(new_answer(self.person(request)), key=self.key_of(request.number))

    def scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios, without the steps for which the database holds nothing."""
        if all(who.session_id is not None for who in self.people):
            return SCENARIOS
        return tuple(replace(s, steps=tuple(n for n in s.steps if n != "session_progress")) for s in SCENARIOS)


def cast_of(engine: Engine, *, users: int, seed: int, key: str) -> Cast:
    """So many users as they are active, each of them once as far as there are so many; the same seed gives the same.

    Raises UsageError where the database holds no answers to draw from.
    """
    drawn = draw(engine, count=max(users * _CANDIDATES, _LEAST_DRAWN), seed=seed)
    if not drawn:
        raise UsageError("The database holds no answers to draw users from: load one that is in use, or a demo.")
    words = next((d.words for d in drawn if d.words), "question")
    fit = [d for d in drawn if d.session_id is not None] or list(drawn)
    first = list({d.user_id: d for d in fit}.values())
    people = [*first, *(d for d in fit if d not in first)][:users] if len(first) < users else first[:users]
    asked: dict[int, list[int]] = {}
    for one in drawn:
        asked.setdefault(one.exam_id, []).append(one.question_id)
    return Cast(
        people=tuple(replace(d, words=d.words or words) for d in people),
        asked={exam: tuple(dict.fromkeys(found)) for exam, found in asked.items()},
        key=key,
        now=newest(engine),
    )


def write_share(scenarios: Sequence[Scenario] = SCENARIOS) -> float:
    """The share of the requests that write."""
    return sum(share for name, share in shares(scenarios).items() if name in WRITES)
