"""Every total that a demo source states agrees with its answers: computed anew in SQL, row by row.

Each query yields the rows that disagree, so each must yield none.
"""

from __future__ import annotations

import sqlite3

import pytest

from .conftest import SECONDS

COUNTS = """
    count(*) AS n, sum(is_correct) AS c, sum(time_spent_seconds) AS t, sum(flagged) AS f,
    min(at) AS first, max(at) AS last, sum(is_correct) * 1.0 / count(*) AS accuracy,
    sum(time_spent_seconds) * 1.0 / count(*) AS pace
"""

#: Per group of answers: the run of correct ones after the last wrong one, and the longest run.
STREAKS = """
    WITH runs AS (
        SELECT {key}, is_correct,
               sum(NOT is_correct) OVER (PARTITION BY {key} ORDER BY at, id) AS wrong_before,
               sum(NOT is_correct) OVER (PARTITION BY {key}) AS wrong_ever
        FROM answer WHERE {where}
    ), lengths AS (
        SELECT {key}, wrong_before, wrong_ever, sum(is_correct) AS length
        FROM runs GROUP BY {key}, wrong_before, wrong_ever
    )
    SELECT {key}, sum(CASE WHEN wrong_before = wrong_ever THEN length ELSE 0 END) AS now, max(length) AS longest
    FROM lengths GROUP BY {key}
"""


def both_ways(left: str, right: str) -> str:
    """The rows that only one of two queries yields."""
    return f"SELECT * FROM ({left} EXCEPT {right}) UNION ALL SELECT * FROM ({right} EXCEPT {left})"


def scores(table: str, *, column: str, link: str) -> str:
    stated = f"SELECT t.id, CAST(e.key AS INTEGER), e.value FROM {table} AS t, json_each(t.{column}) AS e"
    counted = f"""
        SELECT {link}, objective_id, sum(is_correct) * 1.0 / count(*)
        FROM answer WHERE {link} IS NOT NULL GROUP BY 1, 2"""
    return both_ways(stated, counted)


DISAGREEMENTS = {
    "answers are in order of time": """
        SELECT id FROM (SELECT id, at, lag(at) OVER (ORDER BY id) AS before FROM answer) WHERE at < before""",
    "every answer belongs to one session or one test attempt": """
        SELECT id FROM answer WHERE (study_session_id IS NULL) = (test_attempt_id IS NULL)""",
    "answers of a session are of its user and exam, after its start": f"""
        SELECT a.id FROM answer AS a JOIN study_sessions AS s ON s.id = a.study_session_id
        WHERE (a.user_id, a.exam_id) <> (s.user_id, s.exam_id) OR a.at < {SECONDS.format("s.created_at")}""",
    "answers of a test are of its user and exam, within its limit": f"""
        SELECT a.id FROM answer AS a JOIN test_attempts AS t ON t.id = a.test_attempt_id
        WHERE (a.user_id, a.exam_id) <> (t.user_id, t.exam_id) OR a.at < {SECONDS.format("t.started_at")}
           OR a.at > {SECONDS.format("t.expires_at")}""",
    "no question comes twice in one sitting": """
        SELECT study_session_id, test_attempt_id FROM answer GROUP BY 1, 2, question_id HAVING count(*) > 1""",
    "what was selected is what makes the answer right": """
        SELECT a.id FROM answer AS a
        JOIN (SELECT q.id, group_concat(o.value ->> 'id', ',') AS ids
              FROM questions AS q, json_each(q.answers) AS o WHERE o.value ->> 'isCorrect' GROUP BY q.id) AS r
          ON r.id = a.question_id
        WHERE (a.selected_answer = r.ids) <> a.is_correct""",
    "attempt_number and days_since_last_seen": """
        SELECT id FROM (
            SELECT id, attempt_number, days_since_last_seen,
                   row_number() OVER question AS number, (at - lag(at) OVER question) / 86400 AS days
            FROM answer WINDOW question AS (PARTITION BY user_id, question_id ORDER BY at, id))
        WHERE attempt_number <> number OR days_since_last_seen IS NOT days""",
    "session totals": f"""
        SELECT s.id FROM study_sessions AS s
        LEFT JOIN (SELECT study_session_id AS id, {COUNTS} FROM answer GROUP BY 1) AS a ON a.id = s.id
        WHERE s.total_questions <> coalesce(a.n, 0) OR s.correct_answers <> coalesce(a.c, 0)
           OR s.flagged_questions <> coalesce(a.f, 0) OR s.time_spent_seconds <> coalesce(a.t, 0)
           OR s.accuracy IS NOT a.accuracy OR s.avg_time_per_question IS NOT a.pace
           OR {SECONDS.format("s.last_activity")} IS NOT coalesce(a.last, {SECONDS.format("s.created_at")})""",
    "session completion": """
        SELECT id FROM study_sessions
        WHERE (status = 'completed') <> (completed_at IS NOT NULL) OR completed_at <> last_activity
           OR total_questions > question_count
           OR skipped_questions <> iif(status = 'completed', question_count - total_questions, 0)""",
    "session streaks": f"""
        SELECT s.id FROM study_sessions AS s
        LEFT JOIN ({STREAKS.format(key="study_session_id", where="study_session_id IS NOT NULL")}) AS r
          ON r.study_session_id = s.id
        WHERE s.streak_count <> coalesce(r.now, 0) OR s.max_streak <> coalesce(r.longest, 0)""",
    "session objective_scores": scores("study_sessions", column="objective_scores", link="study_session_id"),
    "session objectives": """
        SELECT s.id FROM study_sessions AS s JOIN answer AS a ON a.study_session_id = s.id
        WHERE s.objectives IS NOT NULL
          AND a.objective_id NOT IN (SELECT o.value FROM json_each(s.objectives) AS o)""",
    "test attempt totals": f"""
        SELECT t.id FROM test_attempts AS t
        LEFT JOIN (SELECT test_attempt_id AS id, {COUNTS} FROM answer GROUP BY 1) AS a ON a.id = t.id
        WHERE t.correct_count <> a.c OR t.incorrect_count <> a.n - a.c OR t.total_time_seconds <> a.t
           OR a.n IS NULL OR t.skipped_count <> json_array_length(t.question_ids) - a.n""",
    "test attempt scores": """
        SELECT id FROM test_attempts
        WHERE score IS NOT iif(status = 'completed', correct_count * 1.0 / json_array_length(question_ids), NULL)
           OR passed IS NOT iif(status = 'completed', score >= passing_score, NULL)
           OR (skipped_count IS NULL) = (status = 'completed')
           OR certificate_issued IS NOT coalesce(passed, 0)""",
    "test attempt conditions": f"""
        SELECT t.id FROM test_attempts AS t JOIN exams AS e ON e.id = t.exam_id
        WHERE t.passing_score <> e.passing_score OR t.time_limit_minutes <> e.time_limit_minutes
           OR json_array_length(t.question_ids) <> e.question_count
           OR {SECONDS.format("t.expires_at")} - {SECONDS.format("t.started_at")} <> t.time_limit_minutes * 60
           OR (t.completed_at IS NOT NULL) <> (t.status IN ('completed', 'invalidated'))""",
    "test attempt question_ids and time_per_question, in order": """
        SELECT a.id FROM (
            SELECT *, row_number() OVER (PARTITION BY test_attempt_id ORDER BY at, id) - 1 AS place
            FROM answer WHERE test_attempt_id IS NOT NULL) AS a
        JOIN test_attempts AS t ON t.id = a.test_attempt_id
        WHERE t.question_ids ->> a.place IS NOT a.question_id
           OR t.time_per_question ->> a.place IS NOT a.time_spent_seconds""",
    "test attempt objective_breakdown": scores("test_attempts", column="objective_breakdown", link="test_attempt_id"),
    "question statistics": f"""
        SELECT q.id FROM questions AS q
        LEFT JOIN (SELECT question_id AS id, {COUNTS} FROM answer GROUP BY 1) AS a ON a.id = q.id
        WHERE q.total_attempts <> coalesce(a.n, 0) OR q.correct_attempts <> coalesce(a.c, 0)
           OR q.avg_time_seconds <> coalesce(round(a.pace), 0)""",
    "questions and objectives stay within their exam": """
        SELECT q.id FROM questions AS q JOIN objectives AS o ON o.id = q.objective_id WHERE o.exam_id <> q.exam_id
        UNION ALL
        SELECT o.id FROM objectives AS o JOIN objectives AS p ON p.id = o.parent_id
        WHERE p.exam_id <> o.exam_id OR p.id = o.id OR p.parent_id IS NOT NULL""",
    "question_percentage": """
        SELECT o.id FROM objectives AS o
        WHERE o.question_percentage <>
              (SELECT count(*) FROM questions AS q WHERE q.objective_id = o.id) * 100
              / ((SELECT count(*) FROM questions AS q WHERE q.exam_id = o.exam_id) * 1.0)""",
    "exam statistics": """
        SELECT e.id FROM exams AS e
        LEFT JOIN (SELECT exam_id AS id, count(*) AS n, avg(passed) AS rate, avg(score) AS mean
                   FROM test_attempts GROUP BY 1) AS t ON t.id = e.id
        WHERE e.total_attempts <> coalesce(t.n, 0) OR e.pass_rate <> coalesce(t.rate, 0)
           OR abs(e.avg_score - coalesce(t.mean, 0)) > 1e-12""",
    "progress is of every user and exam with answers": both_ways(
        "SELECT user_id, exam_id FROM user_progress", "SELECT user_id, exam_id FROM answer"
    ),
    "progress totals": f"""
        SELECT p.id FROM user_progress AS p
        JOIN (SELECT user_id, exam_id, count(DISTINCT question_id) AS u, count(DISTINCT date(at, 'unixepoch')) AS d,
                     {COUNTS} FROM answer GROUP BY 1, 2) AS a ON (a.user_id, a.exam_id) = (p.user_id, p.exam_id)
        WHERE p.total_questions_seen <> a.n OR p.unique_questions_seen <> a.u OR p.total_correct <> a.c
           OR p.total_incorrect <> a.n - a.c OR p.overall_accuracy <> a.accuracy
           OR p.avg_time_per_question <> a.pace OR p.total_study_minutes <> a.t / 60
           OR p.study_days_count <> a.d OR p.last_study_date IS NOT date(a.last, 'unixepoch')
           OR {SECONDS.format("p.created_at")} <> a.first OR {SECONDS.format("p.updated_at")} <> a.last""",
    "progress streaks": f"""
        SELECT p.id FROM user_progress AS p
        JOIN ({STREAKS.format(key="user_id, exam_id", where="true")}) AS r
          ON (r.user_id, r.exam_id) = (p.user_id, p.exam_id)
        WHERE p.current_streak <> r.now OR p.longest_streak <> r.longest""",
    "progress objective_mastery": both_ways(
        """SELECT p.user_id, p.exam_id, CAST(e.key AS INTEGER), e.value
           FROM user_progress AS p, json_each(p.objective_mastery) AS e""",
        """SELECT user_id, exam_id, objective_id, sum(is_correct) * 1.0 / count(*)
           FROM answer GROUP BY 1, 2, 3""",
    ),
    "progress of tests": f"""
        SELECT p.id FROM user_progress AS p
        LEFT JOIN (SELECT user_id, exam_id, count(*) AS n, sum(passed) AS passed, max(score) AS best,
                          avg(score) AS mean, date(max({SECONDS.format("completed_at")}), 'unixepoch') AS last
                   FROM test_attempts WHERE status = 'completed' GROUP BY 1, 2) AS t
          ON (t.user_id, t.exam_id) = (p.user_id, p.exam_id)
        WHERE p.tests_taken <> coalesce(t.n, 0) OR p.tests_passed <> coalesce(t.passed, 0)
           OR p.best_score <> coalesce(t.best, 0) OR abs(p.avg_test_score - coalesce(t.mean, 0)) > 1e-12
           OR p.last_test_date IS NOT t.last""",
    "logins": f"""
        SELECT u.id FROM users AS u
        LEFT JOIN (SELECT user_id AS id, count(*) AS n, max(started) AS last
                   FROM (SELECT user_id, {SECONDS.format("created_at")} AS started FROM study_sessions
                         UNION ALL
                         SELECT user_id, {SECONDS.format("started_at")} FROM test_attempts) GROUP BY 1) AS s
          ON s.id = u.id
        WHERE u.login_count <> coalesce(s.n, 0) OR {SECONDS.format("u.last_login")} IS NOT s.last
           OR s.last < {SECONDS.format("u.created_at")}""",
}

OUTREACH_DISAGREEMENTS = {
    "growth from day to day": """
        SELECT id FROM (
            SELECT *, lag(followers_count) OVER days AS before, lag(date) OVER days AS yesterday
            FROM growth_metrics WINDOW days AS (ORDER BY date))
        WHERE followers_count <> before + new_followers - lost_followers OR date <> date(yesterday, '+1 day')""",
    "an opportunity is of its tweet's account, and later than its analysis": """
        SELECT o.id FROM engagement_opportunities AS o JOIN tweets AS t ON t.id = o.tweet_id
        WHERE o.account_id <> t.account_id OR t.analyzed_at IS NULL OR o.created_at < t.analyzed_at""",
    "only what was executed has a time of execution": """
        SELECT id FROM engagement_opportunities
        WHERE (status = 'executed') <> (executed_at IS NOT NULL) OR executed_at < created_at""",
    "ids have the form that the platform gives them": """
        SELECT id FROM engagement_opportunities WHERE length(id) <> 32 OR id GLOB '*[^0-9a-f]*'
        UNION ALL SELECT id FROM tweets WHERE length(id) < 18 OR id GLOB '*[^0-9]*'""",
    "an account has at least the tweets that are known": """
        SELECT a.id FROM twitter_accounts AS a
        WHERE a.tweet_count < (SELECT count(*) FROM tweets AS t WHERE t.account_id = a.id)""",
    "tokens, and what the log refers to": """
        SELECT l.id FROM ai_generation_log AS l
        LEFT JOIN tweets AS t ON t.id = l.tweet_id
        LEFT JOIN engagement_opportunities AS o ON o.id = l.opportunity_id
        LEFT JOIN objectives AS j ON j.id = l.objective_id
        WHERE l.total_tokens <> l.prompt_tokens + l.completion_tokens OR l.success = (l.error_message IS NOT NULL)
           OR (l.tweet_id IS NOT NULL AND (t.id IS NULL OR t.created_at > l.created_at))
           OR (l.opportunity_id IS NOT NULL AND (o.id IS NULL OR o.created_at > l.created_at))
           OR j.exam_id IS NOT l.exam_id""",
}


@pytest.mark.parametrize("claim", DISAGREEMENTS)
def test_agreement(connection: sqlite3.Connection, claim: str) -> None:
    assert connection.execute(DISAGREEMENTS[claim]).fetchmany(5) == []


@pytest.mark.parametrize("demo", ["drizzle-tiny", "drizzle-quick"], indirect=True)
@pytest.mark.parametrize("claim", OUTREACH_DISAGREEMENTS)
def test_outreach_agreement(connection: sqlite3.Connection, claim: str) -> None:
    assert connection.execute(OUTREACH_DISAGREEMENTS[claim]).fetchmany(5) == []


@pytest.mark.parametrize("demo", ["raw-tiny", "drizzle-tiny"], indirect=True)
def test_the_queries_can_fail(connection: sqlite3.Connection) -> None:
    """One wrong answer breaks the totals of its session or test, its question, its user's progress and more."""
    connection.execute("SAVEPOINT before")
    connection.execute("UPDATE answer SET is_correct = 1 - is_correct, time_spent_seconds = 9999 WHERE id = 1000")
    failing = {claim for claim, query in DISAGREEMENTS.items() if connection.execute(query).fetchone()}
    connection.execute("ROLLBACK TO before")
    connection.execute("RELEASE before")
    assert {"question statistics", "progress totals", "progress objective_mastery"} <= failing
    assert "what was selected is what makes the answer right" in failing
    assert failing & {"session totals", "test attempt totals"}
