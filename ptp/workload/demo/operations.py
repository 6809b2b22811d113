"""The tables of the platform's own running: voice profiles, the AI generation log and the audit log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ptp.workload.demo.arrays import Flags, Floats, Ints, dice, optional, picked, stream, weighted
from ptp.workload.demo.content import Content
from ptp.workload.demo.outreach import Outreach
from ptp.workload.demo.people import OPENING, STAFF, People
from ptp.workload.demo.sizes import DAY, DEMO_NOW, DEMO_START, Size
from ptp.workload.demo.tables import Table, span

_VOICE_COLUMNS = (
    "id", "name", "description", "tone", "topics", "vocabulary", "examples", "voice_data", "is_active",
    "created_at", "updated_at",
)  # fmt: skip
_GENERATION_COLUMNS = (
    "id", "purpose", "model", "prompt_tokens", "completion_tokens", "total_tokens", "cost_cents", "exam_id",
    "objective_id", "question_ids", "tweet_id", "opportunity_id", "success", "error_message",
    "generation_time_ms", "request_id", "user_id", "ip_address", "user_agent", "created_at",
)  # fmt: skip
_AUDIT_COLUMNS = (
    "id", "user_id", "ip_address", "user_agent", "session_id", "action", "entity_type", "entity_id",
    "old_values", "new_values", "metadata", "request_id", "method", "path", "success", "error_code",
    "error_message", "created_at",
)  # fmt: skip
_VOICES = (
    ("Mentor", "warm and patient", '["study plans", "motivation"]'),
    ("Engineer", "dry and exact", '["networking", "security"]'),
    ("Cheerleader", "bright, with emoji 🎉", '["results", "milestones"]'),
    ("Explainer", "short sentences, one idea each", '["concepts"]'),
    ("Café regular", "relaxed, a little wry", '["community"]'),
)
_PURPOSES = ("question_generation", "explanation", "question_review", "tweet_analysis", "engagement_response")
#: Model and its cents per thousand tokens, of the prompt and of the completion.
_MODELS = (("gpt-4o", 0.25, 1.0), ("gpt-4o-mini", 0.015, 0.06), ("claude-3-5-sonnet", 0.3, 1.5))
_FAILURES = ("rate limit reached", "timeout after 30 s", "response was not valid JSON")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/139.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Mobile/15E148",
    "ptp-worker/1.4",
)
#: action, entity, method, path
_ACTIONS = (
    ("user.login", "user", "POST", "/api/auth/login"),
    ("exam.open", "exam", "GET", "/api/exams"),
    ("question.approve", "question", "PATCH", "/api/admin/questions"),
    ("question.update", "question", "PUT", "/api/admin/questions"),
    ("user.update", "user", "PATCH", "/api/users"),
    ("subscription.change", "user", "POST", "/api/billing/subscription"),
)


def operations_tables(*, people: People, content: Content, outreach: Outreach, size: Size, seed: int) -> list[Table]:
    """The three tables."""
    return [
        _voices(size.voices),
        _generations(size.generations, content=content, outreach=outreach, seed=seed),
        _audits(size.audits, people=people, content=content, seed=seed),
    ]


def _voices(count: int) -> Table:
    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        ids = span(part, first=1)
        voices = [_VOICES[(i - 1) % len(_VOICES)] for i in ids]
        return (
            ids,
            [name for name, _, _ in voices],
            [f"How we sound when {tone}." for _, tone, _ in voices],
            [tone for _, tone, _ in voices],
            [topics for _, _, topics in voices],
            ['{"prefer": ["practise", "learn"], "avoid": ["guarantee"]}'] * len(ids),
            ['["You are closer than you think."]'] * len(ids),
            [json.dumps({"version": i, "temperature": 2 * i / 10}) for i in ids],
            [int(i == 1) for i in ids],
            [DEMO_START + i * DAY for i in ids],
            [DEMO_NOW - i * DAY for i in ids],
        )

    return Table(name="voice_profiles", rows=count, columns=_VOICE_COLUMNS, columns_of=columns_of)


def _times(rng: np.random.Generator, count: int) -> Ints:
    return np.sort(rng.integers(OPENING, DEMO_NOW, size=count))


def _generations(count: int, *, content: Content, outreach: Outreach, seed: int) -> Table:
    rng = stream(seed, "generations")
    at, draws = _times(rng, count), dice(rng, count, 6)
    purpose, model = weighted(rng, (0.3, 0.2, 0.15, 0.25, 0.1), size=count), weighted(rng, (1, 3, 1), size=count)
    prompt, completion = rng.integers(200, 3_000, count), rng.integers(50, 1_500, count)
    cents = _price(model, prompt=prompt, completion=completion)
    worked = rng.random(count) >= 0.03
    # Only what existed by then can have been read; an opportunity is found within three hours of its tweet.
    tweets = np.searchsorted(outreach.tweeted, at)
    opportunities = np.searchsorted(outreach.tweeted[outreach.opportunity_tweet], at - 3 * 3_600)
    question = draws[:, 0] % len(content.questions.kind)

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        draw, kind = draws[part], purpose[part]
        on_exam, objective_id = kind <= 2, content.questions.objective_id[question[part]]
        return (
            span(part, first=1),
            picked(_PURPOSES, kind),
            picked([name for name, _, _ in _MODELS], model[part]),
            prompt[part].tolist(),
            completion[part].tolist(),
            (prompt + completion)[part].tolist(),
            cents[part].tolist(),
            optional(content.objectives.exam[objective_id - 1] + 1, on_exam),
            optional(objective_id, on_exam),
            optional([f"[{i + 1}]" for i in question[part].tolist()], on_exam & worked[part]),
            _earlier(outreach.tweet_ids, draw[:, 1], known=tweets[part], wanted=kind == 3),
            _earlier(outreach.opportunity_ids, draw[:, 1], known=opportunities[part], wanted=kind == 4),
            worked[part].astype(int).tolist(),
            optional(picked(_FAILURES, draw[:, 2]), ~worked[part]),
            (300 + completion[part] * 9 + draw[:, 3] % 400).tolist(),
            [f"req_{value:011x}" for value in draw[:, 4].tolist()],
            optional(1 + draw[:, 5] % STAFF, on_exam),
            [_address(value) for value in draw[:, 5].tolist()],
            picked(_AGENTS, draw[:, 3]),
            at[part].tolist(),
        )

    return Table(name="ai_generation_log", rows=count, columns=_GENERATION_COLUMNS, columns_of=columns_of)


def _earlier(ids: list[str], draws: Ints, *, known: Ints, wanted: Flags) -> list[Any]:
    """Where wanted, one of the first `known` ids; None where none is known yet."""
    return optional(picked(ids, draws % np.maximum(known, 1)), wanted & (known > 0))


def _price(model: Ints, *, prompt: Ints, completion: Ints) -> Floats:
    prices = np.array([(asked, told) for _, asked, told in _MODELS])[model]
    cents: Floats = np.round((prompt * prices[:, 0] + completion * prices[:, 1]) / 1_000, 6)
    return cents


def _audits(count: int, *, people: People, content: Content, seed: int) -> Table:
    rng = stream(seed, "audits")
    at, draws = _times(rng, count), dice(rng, count, 5)
    action, good = weighted(rng, (5, 3, 1, 1, 1, 0.3), size=count), rng.random(count) >= 0.02
    # Users stand in order of joining: who acts is one of those who had joined by then.
    joined = np.searchsorted(people.joined, at, side="right")
    user_id = 1 + (joined * rng.random(count) ** 2).astype(np.int64)
    user_id = np.where((action == 2) | (action == 3), 1 + draws[:, 0] % STAFF, user_id)
    known = np.where(action == 1, len(content.exams.passing_score), len(content.questions.kind))
    entity = np.where((action >= 1) & (action <= 3), 1 + draws[:, 1] % known, user_id)

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        draw, what, fine = draws[part], action[part], good[part]
        acts, ids = [_ACTIONS[i] for i in what.tolist()], entity[part].tolist()
        changes = (what == 2) | (what == 3)
        return (
            span(part, first=1),
            optional(user_id[part], fine | (what != 0)),
            [_address(value) for value in draw[:, 2].tolist()],
            picked(_AGENTS, draw[:, 3]),
            [f"s{value % 10**9:09d}" for value in draw[:, 4].tolist()],
            [name for name, _, _, _ in acts],
            [kind for _, kind, _, _ in acts],
            [str(i) for i in ids],
            optional(['{"review_status": "pending"}'] * len(acts), changes),
            optional(['{"review_status": "approved"}'] * len(acts), changes),
            optional(['{"source": "web"}'] * len(acts), draw[:, 3] % 2 == 0),
            [f"req_{value:011x}" for value in draw[:, 1].tolist()],
            [method for _, _, method, _ in acts],
            [path for _, _, _, path in acts],
            fine.astype(int).tolist(),
            optional(["E_DENIED"] * len(acts), ~fine),
            optional(["The request was refused."] * len(acts), ~fine),
            at[part].tolist(),
        )

    return Table(name="audit_log", rows=count, columns=_AUDIT_COLUMNS, columns_of=columns_of)


def _address(draw: int) -> str:
    # The block 203.0.113.0/24 and its like are kept for documentation.
    return f"{('192.0.2', '198.51.100', '203.0.113')[draw % 3]}.{1 + draw // 4 % 254}"
