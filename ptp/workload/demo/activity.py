"""Who studied what, when, and with what result: the sittings of a demo source and their answers.

A sitting is a study session or a test attempt: one user, one exam, a run of answers. Sessions come first in
every array of sittings, then attempts; both are in order of their start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptp.workload.demo.arrays import Flags, Groups, Ints, apportion, stream, weighted
from ptp.workload.demo.content import CHOICES, Content
from ptp.workload.demo.people import People
from ptp.workload.demo.sizes import DAY, DEMO_NOW, Size

SESSION_STATUSES = ("completed", "abandoned", "paused", "active")
ATTEMPT_STATUSES = ("completed", "abandoned", "in_progress", "invalidated")
MODES = ("practice", "review", "speed_drill", "weak_areas", "custom")
_MODE_WEIGHTS = (0.55, 0.18, 0.1, 0.1, 0.07)
_LONGEST_ANSWER = 300
_LONGEST_SESSION = 45
_GAP = 15

#: The longest that a sitting may last; none starts later than this before the present.
LONGEST = max(_LONGEST_SESSION * (_LONGEST_ANSWER + _GAP), 130 * 60)


@dataclass(frozen=True, kw_only=True)
class Sittings:
    """Sessions, then attempts. `size` answers were given of the `asked` questions, which follow from `first`
    and `stride` in a ring of the exam's first `pool` questions: so no question comes twice in one sitting."""

    sessions: int
    user: Ints
    exam: Ints
    started: Ints
    mode: Ints
    status: Ints
    size: Ints
    asked: Ints
    first: Ints
    stride: Ints
    pool: Ints

    def question(self, sitting: Ints, place: Ints, *, per_exam: int) -> Ints:
        """The question, counted from 0, that stands at a place of a sitting."""
        within = (self.first[sitting] + place * self.stride[sitting]) % self.pool[sitting]
        return self.exam[sitting] * per_exam + within


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Every answer in order of time, which is the order of ids. Users, questions, sittings count from 0."""

    sitting: Ints
    user: Ints
    question: Ints
    choice: Ints
    correct: Flags
    flagged: Flags
    seconds: Ints
    at: Ints
    attempt: Ints
    days_since: Ints


def make_sittings(size: Size, *, people: People, content: Content, seed: int) -> Sittings:
    """Sessions and attempts over the users' time on the platform; keen users have most of them."""
    rng = stream(seed, "sittings")
    user, started = (
        np.concatenate(pair)
        for pair in zip(
            _visits(rng, size.sessions, people=people), _visits(rng, size.attempts, people=people), strict=True
        )
    )
    total = len(user)
    is_test = np.arange(total) >= size.sessions
    exam = np.where(rng.random(total) < 0.8, people.home_exam[user], people.other_exam[user])
    asked = content.exams.question_count[exam]
    # Most tests are answered almost to the end; some are given up, or are still running.
    answered = np.where(
        rng.random(total) < 0.9,
        asked - rng.integers(0, 4, total),
        (asked * rng.uniform(0.1, 0.9, total)).astype(np.int64),
    )
    weights = np.where(rng.random(total) < 0.02, 0.0, np.clip(rng.lognormal(0.0, 0.6, total), 0.3, 2.4))
    sizes = np.where(is_test, answered, 0)
    sizes[: size.sessions] = apportion(weights[: size.sessions], size.answers - int(sizes.sum()))
    mode = weighted(rng, _MODE_WEIGHTS, size=total)
    # A session is set to a round number of questions; those beyond its answers were skipped or not reached.
    asked = np.where(is_test, asked, np.maximum(5, -(-sizes // 5) * 5))
    first, stride, pool = _question_walks(rng, size, is_test=is_test)
    source = _repeated(user * size.exams + exam, again=((mode == 1) | (mode == 3)) & ~is_test)
    return Sittings(
        sessions=size.sessions, user=user, exam=exam, started=started, mode=mode,
        status=_statuses(rng, sizes=sizes, asked=asked, is_test=is_test), size=sizes, asked=asked,
        first=first[source], stride=stride[source], pool=pool[source],
    )  # fmt: skip


def _visits(rng: np.random.Generator, count: int, *, people: People) -> tuple[Ints, Ints]:
    """The users and starting times of `count` sittings, in order of time."""
    user = weighted(rng, people.keenness, size=count)
    joined = people.joined[user]
    started = joined + ((DEMO_NOW - LONGEST - joined) * rng.random(count) ** 0.8).astype(np.int64)
    order = np.argsort(started, kind="stable")
    return user[order], started[order]


def _statuses(rng: np.random.Generator, *, sizes: Ints, asked: Ints, is_test: Flags) -> Ints:
    """A status per sitting; a test given up early is never a completed one, nor is an empty session."""
    total = len(sizes)
    session = np.where(sizes > 0, weighted(rng, (0.85, 0.09, 0.04, 0.02), size=total), 1)
    to_the_end = weighted(rng, (0.98, 0.0, 0.0, 0.02), size=total)
    cut_short = weighted(rng, (0.0, 0.7, 0.3), size=total)
    return np.where(is_test, np.where(asked - sizes <= 3, to_the_end, cut_short), session)


def _question_walks(rng: np.random.Generator, size: Size, *, is_test: Flags) -> tuple[Ints, Ints, Ints]:
    """Where each sitting begins in its exam's questions, its stride, and how many of them it draws from."""
    total, per_exam = len(is_test), size.questions_per_exam
    # A quarter of the sessions stay with the well-known questions, so that some are answered often.
    popular = max(per_exam // 10, 100)
    pool = np.where((rng.random(total) < 0.25) & ~is_test, popular, per_exam)
    candidates = np.arange(7, per_exam)
    strides = candidates[np.gcd(candidates, per_exam * popular) == 1]
    return rng.integers(0, 2**40, total) % pool, rng.choice(strides, total), pool


def _repeated(who_and_exam: Ints, *, again: Flags) -> Ints:
    """For each sitting, the sitting whose questions it asks: itself, or for a review an earlier one."""
    groups = Groups.by(who_and_exam)
    opens = np.zeros(len(again), dtype=bool)
    opens[groups.starts] = True
    own = ~again[groups.order] | opens
    place = np.maximum.accumulate(np.where(own, np.arange(len(again)), 0))
    source = np.empty(len(again), dtype=np.int64)
    source[groups.order] = groups.order[place]
    return source


def make_answers(size: Size, sittings: Sittings, *, people: People, content: Content, seed: int) -> Answers:
    """The answers of all sittings, in order of time."""
    rng = stream(seed, "answers")
    sitting = np.repeat(np.arange(len(sittings.size)), sittings.size)
    place = np.arange(size.answers) - np.repeat(np.cumsum(sittings.size) - sittings.size, sittings.size)
    seconds, at = _timing(rng, sittings, sitting=sitting, content=content)
    question = sittings.question(sitting, place, per_exam=size.questions_per_exam)
    order = np.argsort(at, kind="stable")
    sitting, question, seconds, at = sitting[order], question[order], seconds[order], at[order]
    user = sittings.user[sitting]
    attempt, days_since = _recurrence(user * size.questions + question, at)
    edge = people.ability[user] - content.questions.hardness[question] + 0.35 * np.minimum(attempt - 1, 4)
    correct = rng.random(size.answers) < 1.0 / (1.0 + np.exp(-edge))
    options = np.array([len(choices) for choices in CHOICES])[content.questions.kind[question]]
    slip = 1 + rng.integers(0, 2**30, size.answers) % (options - 1)
    choice = (content.questions.right[question] + np.where(correct, 0, slip)) % options
    return Answers(
        sitting=sitting, user=user, question=question, choice=choice, correct=correct,
        flagged=rng.random(size.answers) < 0.04, seconds=seconds, at=at, attempt=attempt, days_since=days_since,
    )  # fmt: skip


def _timing(rng: np.random.Generator, sittings: Sittings, *, sitting: Ints, content: Content) -> tuple[Ints, Ints]:
    """Seconds spent on each answer, and when it was given; tests stay within their time limit."""
    is_test = sitting >= sittings.sessions
    exam = sittings.exam[sitting]
    fair_share = content.exams.limit_minutes[exam] * 60 // content.exams.question_count[exam]
    longest = np.where(is_test, fair_share, _LONGEST_ANSWER)
    pace = np.where(is_test | (sittings.mode[sitting] != 2), 3.7, 2.9)
    seconds = np.clip(rng.lognormal(pace, 0.55), 3, longest).astype(np.int64)
    gap = np.where(is_test, 0, rng.integers(0, _GAP + 1, len(sitting)))
    elapsed = np.cumsum(seconds + gap)
    before = np.cumsum(np.bincount(sitting, weights=seconds + gap, minlength=len(sittings.size)).astype(np.int64))
    offset = np.concatenate(([0], before[:-1]))
    return seconds, sittings.started[sitting] + elapsed - offset[sitting]


def _recurrence(key: Ints, at: Ints) -> tuple[Ints, Ints]:
    """Which time this is that the user answers the question, and the whole days since the last (-1: first)."""
    groups = Groups.by(key)
    number = np.arange(len(key)) - np.repeat(groups.starts, groups.sizes) + 1
    times = at[groups.order]
    days = np.where(number > 1, (times - np.roll(times, 1)) // DAY, -1)
    attempt, days_since = np.empty_like(number), np.empty_like(days)
    attempt[groups.order], days_since[groups.order] = number, days
    return attempt, days_since
