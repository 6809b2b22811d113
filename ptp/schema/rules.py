"""What `ptp verify` counts anew: every table and column at head that triggers or queries keep, against its sources.

Each is written another way than what keeps it: the tree of the leaderboard by ranges of readiness, the pool by its
slots, the totals of a day from the log.
"""

from __future__ import annotations

from ptp.results import Severity
from ptp.schema.columns import Base
from ptp.verification.rules import Rule

SEARCH_TABLE = "question_search"
SEARCH_STEP = "0005_question_search"

_POOL = """
    SELECT 'question ' || questions.id || ': it may be drawn, and is not in the cell that it belongs to'
    FROM questions
    LEFT JOIN question_pool ON question_pool.question_id = questions.id
    LEFT JOIN question_cells ON question_cells.id = question_pool.slot / 4294967296
    WHERE questions.is_active = 1 AND questions.review_status = 'approved' AND NOT coalesce(
        (question_cells.exam_id, question_cells.objective_id) = (questions.exam_id, questions.objective_id)
        AND nullif(question_cells.difficulty, 0) IS questions.difficulty
        AND question_pool.slot % 4294967296 < question_cells.size, 0)
    UNION ALL
    SELECT 'question ' || question_pool.question_id || ': it is in the pool, and may not be drawn'
    FROM question_pool LEFT JOIN questions ON questions.id = question_pool.question_id
    WHERE questions.is_active IS NOT 1 OR questions.review_status IS NOT 'approved'
    UNION ALL
    SELECT 'cell ' || question_cells.id || ': its size is ' || size || ', and it holds ' || count(question_pool.slot)
    FROM question_cells
    LEFT JOIN question_pool
        ON question_pool.slot >= question_cells.id * 4294967296
        AND question_pool.slot < (question_cells.id + 1) * 4294967296
    GROUP BY question_cells.id HAVING size <> count(question_pool.slot) OR size = 0"""

_RANGES = """
    SELECT exam_id, node, users, level, (node * (1 << 3 * level) - 262144) / 2048.0 AS low,
           ((node + 1) * (1 << 3 * level) - 262144) / 2048.0 AS high
    FROM (
        SELECT exam_id, node, users,
               CASE WHEN node < 16 THEN 5 WHEN node < 128 THEN 4 WHEN node < 1024 THEN 3 WHEN node < 8192 THEN 2
                    WHEN node < 65536 THEN 1 ELSE 0 END AS level
        FROM leaderboard_nodes)"""

_LEADERBOARD = f"""
    SELECT 'exam ' || ranges.exam_id || ', node ' || node || ': ' || users || ' users, and it should be ' || (
        SELECT count(*) FROM user_progress
        WHERE user_progress.exam_id = ranges.exam_id AND total_questions_seen > 50
            AND (coalesce(readiness_score, 0) >= low OR low = 0)
            AND (coalesce(readiness_score, 0) < high OR high = 128))
    FROM ({_RANGES}) AS ranges
    WHERE users = 0 OR users <> (
        SELECT count(*) FROM user_progress
        WHERE user_progress.exam_id = ranges.exam_id AND total_questions_seen > 50
            AND (coalesce(readiness_score, 0) >= low OR low = 0)
            AND (coalesce(readiness_score, 0) < high OR high = 128))
    UNION ALL
    SELECT 'exam ' || coalesce(standing.exam_id, counted.exam_id) || ', level ' || levels.value || ': '
        || coalesce(counted.users, 0) || ' users, and it should be ' || coalesce(standing.users, 0)
    FROM json_each('[0,1,2,3,4,5]') AS levels
    CROSS JOIN (
        SELECT exam_id, count(*) AS users FROM user_progress WHERE total_questions_seen > 50 GROUP BY exam_id
    ) AS standing
    LEFT JOIN (
        SELECT exam_id, level, sum(users) AS users FROM ({_RANGES}) GROUP BY exam_id, level
    ) AS counted ON counted.exam_id = standing.exam_id AND counted.level = levels.value
    WHERE counted.users IS NOT standing.users"""

# Sums of REAL depend on their order, in the last digits.
_AI_COSTS = """
    SELECT coalesce(kept.day, logged.day) || ' days after 1970-01-01, ' || coalesce(kept.purpose, logged.purpose)
        || ', ' || coalesce(kept.model, logged.model) || ': ' || coalesce(kept.calls, 0) || ' calls kept, '
        || coalesce(logged.calls, 0) || ' in the log, or other costs or successes'
    FROM ai_cost_days AS kept
    FULL JOIN (
        SELECT CAST(strftime('%s', date(created_at, 'unixepoch')) AS INTEGER) / 86400 AS day, purpose, model,
               sum(1) AS calls, sum(cost_cents IS NOT NULL) AS priced, total(cost_cents) AS cents,
               sum(success IS NOT NULL) AS judged, sum(success IS 1) AS succeeded
        FROM ai_generation_log WHERE created_at IS NOT NULL GROUP BY 1, 2, 3
    ) AS logged ON logged.day = kept.day AND logged.purpose = kept.purpose AND logged.model = kept.model
    WHERE (kept.calls, kept.priced, kept.judged, kept.succeeded)
            IS NOT (logged.calls, logged.priced, logged.judged, logged.succeeded)
        OR abs(kept.cost_cents - logged.cents) > 1e-9 * max(1.0, abs(logged.cents))"""

_TIMES = """
    SELECT 'question ' || id || ': ' || total_time_seconds || ' s in ' || coalesce(total_attempts, 0)
        || ' attempts, and a mean of ' || coalesce(avg_time_seconds, 'none')
    FROM questions
    WHERE total_time_seconds IS NOT NULL AND NOT coalesce(
        abs(avg_time_seconds * total_attempts - total_time_seconds) * 2 <= total_attempts, 0)"""

DERIVED = (
    Rule(
        "verify.derived.question-pool",
        "What may be drawn is each active, approved question, once and in its cell, without a gap",
        _POOL,
    ),
    Rule("verify.derived.leaderboard", "The leaderboard's tree counts every user who stands on it", _LEADERBOARD),
    Rule("verify.derived.ai-costs", "The daily totals of AI calls agree with their log", _AI_COSTS),
    Rule("verify.derived.times", "Each mean time is the rounded mean of its question's times", _TIMES),
)
"""The rules on what is derived from other rows."""

FRESH = Rule(
    "verify.derived.head-only",
    "Columns that no source has are empty, as the build leaves them",
    " UNION ALL ".join(
        f"SELECT '{table.name}, key ' || id || ': {column.name}' FROM {table.name} WHERE {column.name} IS NOT NULL"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.info["head_only"]
    ),
)
"""Of a target that nobody has written to since it was built."""


def _domain(
    name: str,
    claim: str,
    table: str,
    broken: str,
    *,
    severity: Severity = "data",
    join: str = "",
    beside: tuple[str, ...] = (),
) -> Rule:
    """A rule on single rows of a table, or on rows beside those of the tables `beside`."""
    place = f"SELECT '{table}, key ' || {table}.id FROM {table} {join} WHERE {broken}"
    return Rule(f"verify.domain.{name}", claim, place, severity, table, beside)


DOMAIN = (
    _domain(
        "question-attempts",
        "No question was answered right more often than it was answered",
        "questions",
        "questions.correct_attempts > questions.total_attempts",
    ),
    _domain(
        "question-counts",
        "No count or mean time of a question is negative",
        "questions",
        "min(coalesce(total_attempts, 0), coalesce(correct_attempts, 0), coalesce(avg_time_seconds, 0)) < 0",
    ),
    _domain(
        "question-exam",
        "The objective of each question is one of its exam",
        "questions",
        "objectives.exam_id <> questions.exam_id",
        join="JOIN objectives ON objectives.id = questions.objective_id",
    ),
    _domain(
        "session-accuracy",
        "The accuracy of each session lies within 0 and 1",
        "study_sessions",
        "study_sessions.accuracy NOT BETWEEN 0 AND 1",
    ),
    _domain(
        "session-counts",
        "No session has more right answers than questions",
        "study_sessions",
        "study_sessions.correct_answers > study_sessions.total_questions",
    ),
    _domain(
        "session-totals",
        "The totals of a completed session agree with its answers",
        "study_sessions",
        "study_sessions.status = 'completed' AND (study_sessions.total_questions, study_sessions.correct_answers) <> "
        "(SELECT count(*), coalesce(sum(is_correct), 0) FROM user_answers WHERE study_session_id = study_sessions.id)",
        severity="gate",
        beside=("user_answers",),
    ),
    _domain(
        "session-owner",
        "Each answer of a session is its user's",
        "user_answers",
        "study_sessions.user_id <> user_answers.user_id",
        join="JOIN study_sessions ON study_sessions.id = user_answers.study_session_id",
    ),
    _domain(
        "attempt-score",
        "No test attempt has a score below 0, or more right answers than questions answered",
        "test_attempts",
        "test_attempts.score < 0 OR test_attempts.correct_count < 0 OR test_attempts.incorrect_count < 0",
    ),
    _domain(
        "attempt-times",
        "No test attempt was completed before it was started",
        "test_attempts",
        "test_attempts.completed_at < test_attempts.started_at",
    ),
    _domain(
        "answer-time",
        "No answer took less than no time",
        "user_answers",
        "user_answers.time_spent_seconds < 0 OR user_answers.attempt_number < 1",
    ),
    _domain(
        "progress-accuracy",
        "The accuracy of each user in each exam lies within 0 and 1",
        "user_progress",
        "user_progress.overall_accuracy NOT BETWEEN 0 AND 1",
    ),
    _domain(
        "progress-counts",
        "No user has more right and wrong answers, or different questions, than questions seen",
        "user_progress",
        "user_progress.total_correct + user_progress.total_incorrect > user_progress.total_questions_seen "
        "OR user_progress.unique_questions_seen > user_progress.total_questions_seen",
    ),
    _domain(
        "ai-costs",
        "No call of an AI model has a negative cost",
        "ai_generation_log",
        "ai_generation_log.cost_cents < 0 OR ai_generation_log.total_tokens < 0",
    ),
    _domain(
        "growth",
        "No day has fewer than no followers",
        "growth_metrics",
        "growth_metrics.followers_count < 0 OR growth_metrics.new_followers < 0 OR growth_metrics.lost_followers < 0",
    ),
)
"""The rules of the platform; what the source breaks already is told, and only new breaches fail."""
