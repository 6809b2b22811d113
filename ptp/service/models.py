"""What goes in and comes out of the service, typed: the OpenAPI page is made from it."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import from_json

from ptp.queries.arguments import LARGEST_PAGE, LONGEST_PERIOD_DAYS
from ptp.queries.recording import LONGEST_ANSWER_SECONDS
from ptp.queries.repeats import LONGEST_KEY

LONGEST_TEXT = 2_000
"""In characters: an answer that was selected, or the words of a search."""

Id: TypeAlias = Annotated[int, Field(ge=1, le=2**63 - 1)]
PageLimit: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST_PAGE)]
Days: TypeAlias = Annotated[int, Field(ge=1, le=LONGEST_PERIOD_DAYS)]
Difficulty: TypeAlias = Annotated[int, Field(ge=1, le=5)]
Hours: TypeAlias = Annotated[float, Field(ge=0, le=24 * 366, allow_inf_nan=False)]


def _parsed(text: object) -> object:
    """JSON text as what it says; as the text that it is where it is nested deeper than the parser goes."""
    try:
        return from_json(text) if isinstance(text, str) else text
    except ValueError:
        return text


JsonText: TypeAlias = Annotated[Any, BeforeValidator(_parsed), WithJsonSchema({"description": "any JSON value"})]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class AnswerIn(_In):
    """One answer of the user who sends it; with a `key`, it is recorded once however often it is sent."""

    question_id: Id
    selected_answer: Annotated[str, Field(max_length=LONGEST_TEXT)]
    is_correct: Annotated[bool, Field(strict=True)]
    time_spent_seconds: Annotated[int, Field(ge=0, le=LONGEST_ANSWER_SECONDS)]
    study_session_id: Id | None = None
    test_attempt_id: Id | None = None
    confidence_level: Annotated[int, Field(ge=1, le=5)] | None = None
    flagged: bool = False
    changed_answer: bool = False
    key: Annotated[str, Field(min_length=1, max_length=LONGEST_KEY)] | None = None


class AnswersIn(_In):
    """A batch of answers: all are recorded, or none."""

    answers: Annotated[list[AnswerIn], Field(min_length=1, max_length=LARGEST_PAGE)]


class RecordedOut(_Out):
    """An answer as it was recorded; `repeated` when it had been recorded before, and nothing was written now."""

    answer_id: int
    question_id: int
    is_correct: bool
    attempt_number: int
    days_since_last_seen: int | None
    answered_at: int
    repeated: bool


class RecordedAnswersOut(_Out):
    """The answers of a batch in its order."""

    recorded: list[RecordedOut]


class QuestionOut(_Out):
    """A question as it is shown."""

    id: int
    exam_id: int
    objective_id: int
    text: str
    type: str | None
    answers: JsonText
    explanation: str | None
    reference: str | None
    external_link: str | None
    difficulty: int | None
    tags: JsonText
    image_url: str | None
    diagram_data: JsonText
    total_attempts: int | None
    correct_attempts: int | None
    avg_time_seconds: int | None


class QuestionsOut(_Out):
    """Questions to study, in the order in which they are to be asked."""

    questions: list[QuestionOut]


class SessionProgressOut(_Out):
    """How a session stands; accuracy and scores by objective id from 0 to 1."""

    session_id: int
    total_questions: int
    correct_answers: int
    accuracy: float | None
    time_spent_seconds: int
    mean_time_seconds: float | None
    objective_scores: dict[int, float]


class ProgressOut(_Out):
    """A user's progress in an exam; accuracies and scores as stored."""

    user_id: int
    exam_id: int
    exam_code: str
    exam_name: str
    passing_score: float | None
    total_questions_seen: int
    unique_questions_seen: int
    total_correct: int
    total_incorrect: int
    total_study_minutes: int
    study_days_count: int
    longest_streak: int
    tests_taken: int
    tests_passed: int
    overall_accuracy: float | None
    avg_time_per_question: float | None
    best_score: float | None
    readiness_score: float | None
    predicted_exam_score: float | None
    confidence_interval: float | None
    last_study_date: str | None
    objective_mastery: JsonText
    weak_topics: JsonText
    recommended_objectives: JsonText
    weekly_activity: int
    current_streak: int


class StandingOut(_Out):
    """One line of a leaderboard."""

    rank: int
    user_id: int
    name: str
    readiness_score: float | None
    overall_accuracy: float | None
    total_questions_seen: int
    weekly_activity: int


class LeaderboardOut(_Out):
    """The leaderboard of an exam, best first."""

    standings: list[StandingOut]


class FoundOut(_Out):
    """A question that was found."""

    id: int
    exam_id: int
    objective_id: int
    difficulty: int | None
    text: str
    explanation: str | None
    reference: str | None


class SearchOut(_Out):
    """What a search found, best first; `by` says how it was looked for."""

    by: str
    questions: list[FoundOut]


class OpportunityOut(_Out):
    """A pending opportunity with its tweet and account; times in Unix seconds."""

    id: str
    opportunity_type: str | None
    relevance_score: float | None
    suggested_response: str | None
    created_at: int | None
    tweet_id: str
    tweet_text: str
    tweet_created_at: int | None
    account_id: str
    username: str
    display_name: str | None
    followers_count: int | None


class OpportunitiesOut(_Out):
    """Pending opportunities, most relevant first."""

    opportunities: list[OpportunityOut]


class GrowthDayOut(_Out):
    """One day's growth; the means are over the 7 days up to and with it, costs in dollars."""

    date: str
    followers_count: int | None
    new_followers: int | None
    lost_followers: int | None
    impressions: int | None
    engagement_rate: float | None
    ai_costs: float | None
    cost_per_follower: float | None
    mean_new_followers: float | None
    mean_impressions: float | None
    mean_engagement_rate: float | None
    mean_ai_costs: float | None


class GrowthOut(_Out):
    """Days of growth in order."""

    days: list[GrowthDayOut]


class AiCostOut(_Out):
    """What the calls of one model for one purpose cost, in dollars."""

    purpose: str
    model: str
    calls: int
    cost_dollars: float
    mean_cost_dollars: float | None
    success_rate: float | None


class AiCostsOut(_Out):
    """Costs by purpose and model, dearest first."""

    costs: list[AiCostOut]


class HealthOut(_Out):
    """Whether the service lives, or is ready; `reason` says in a few words why it is not."""

    status: str
    reason: str | None = None


class FieldProblem(BaseModel):
    """One field that does not fit."""

    field: str
    message: str


class ProblemOut(BaseModel):
    """Problem details (RFC 9457); the request id names the request in the log."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldProblem] | None = None
