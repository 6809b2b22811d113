"""Sources of any size in seconds: rows that SQLite makes of a series of numbers, over the people and texts of a demo.

Real in what the queries feel: one exam, questions with the texts and states of the demo's, 200 answers a user, keen
users with far more than others, well-known questions that are asked far more often, sessions of 20 answers over two
years in the order of their ids, and statistics of the questions that agree with the answers. The same seed and counts
give the same rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ptp.workload.demo import DEMO_NOW, DEMO_START, Shape, write_demo
from ptp.workload.demo.writing import statements

Progress = Callable[[float, str], None]

ANSWERS_A_SESSION = 20
ANSWERS_A_USER = 200
_LEAST_USERS = 20
OPPORTUNITIES, METRIC_DAYS, GENERATIONS = 20_000, 1_000, 50_000
"""What the source of the growth system holds: as a demo of size full."""

_DAY = 86_400
_ACCOUNTS = 200
_TINY = ".tiny"


def write_study_source(out: Path, *, questions: int, answers: int, seed: int, progress: Progress) -> None:
    """Write a source of the raw shape with one exam of so many questions, and so many answers (a multiple of 20)."""
    users, sessions = max(answers // ANSWERS_A_USER, _LEAST_USERS), answers // ANSWERS_A_SESSION
    values = {"questions": questions, "answers": answers, "users": users, "sessions": sessions, "seed": seed}
    values |= {"start": DEMO_START, "span": DEMO_NOW - ANSWERS_A_SESSION * 30 - DEMO_START}
    _write(out, "raw", _study_fillings(), values, progress)


def write_outreach_source(out: Path, *, seed: int, progress: Progress) -> None:
    """Write a source of the drizzle shape with opportunities, daily metrics and calls of AI models."""
    values = {"seed": seed, "now": DEMO_NOW, "start": DEMO_START, "span": DEMO_NOW - DEMO_START}
    _write(out, "drizzle", _OUTREACH, values, progress)


def _write(out: Path, shape: Shape, fillings: Mapping[str, str], values: Mapping[str, Any], progress: Progress) -> None:
    tiny = out.with_name(out.name + _TINY)
    write_demo(shape=shape, size="tiny", seed=int(values["seed"]), out=tiny)
    tables, indexes = statements(shape)
    with closing(sqlite3.connect(out, isolation_level=None)) as db:
        # Nothing here needs to survive a crash: a file that is not finished is thrown away.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -64000", "locking_mode = EXCLUSIVE"):
            db.execute(f"PRAGMA {pragma}")
        for ddl in tables:
            db.execute(ddl)
        db.execute("ATTACH ? AS demo", (str(tiny),))
        steps = [*fillings.items(), *(("making indexes", ddl) for ddl in indexes)]
        costs = [_cost(sql, values) for _, sql in steps]
        db.execute("BEGIN")
        for place, (what, sql) in enumerate(steps):
            progress(sum(costs[:place]) / sum(costs), what)
            db.execute(_completed(db, sql), values)
        db.execute("COMMIT")
        db.execute("DETACH demo")
        db.execute("PRAGMA journal_mode = DELETE")
    tiny.unlink()


def _cost(sql: str, values: Mapping[str, Any]) -> float:
    """About the microseconds of a step, beside the others: by the rows that it goes over."""
    of_a_row = {
        "FILL user_answers": ("answers", 1.2),
        "FROM user_answers": ("answers", 0.8),
        "ON user_answers": ("answers", 0.45),
        "FILL questions": ("questions", 4.2),
        "ON questions": ("questions", 0.9),
    }
    counted = next((found for words, found in of_a_row.items() if words in sql), None)
    return 1_000.0 if counted is None else counted[1] * int(values.get(counted[0], 0))


def _completed(db: sqlite3.Connection, sql: str) -> str:
    """A filling of a table from the demo's, with the columns that it does not name taken as they are."""
    if not sql.startswith("FILL "):
        return sql
    table, count, *given = (part.strip() for part in sql.removeprefix("FILL ").split("\n") if part.strip())
    named = dict(line.split(" = ", 1) for line in given)
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    (most,) = db.execute(f"SELECT count(*) FROM demo.{table}").fetchone()
    shown = ", ".join(named.get(column, f"d.{column}") for column in columns)
    joins = named.get("JOIN", "")
    return (
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
        f"INSERT INTO {table} ({', '.join(columns)}) "
        f"SELECT {shown} FROM n JOIN demo.{table} AS d ON d.id = 1 + (n.i - 1) % {most} {joins}"
    )


def _chance(number: str, factor: int) -> str:
    """A number from 0 to 1 that follows from another: multiplied by a large odd one, of which the low bits remain."""
    return f"(({number} * {factor} + :seed * 40503) % 4294967296 / 4294967296.0)"


def _study_fillings() -> Mapping[str, str]:
    known, keen = _chance("n.i", 2654435761), _chance("n.i", 2246822519)
    started = ":start + s.id * :span / :sessions"
    return {
        "copying exams": "INSERT INTO exams SELECT * FROM demo.exams",
        "copying objectives": "INSERT INTO objectives SELECT * FROM demo.objectives",
        "inventing users": """FILL users
            :users
            id = n.i
            email = 'user' || n.i || '@example.com'
            provider_id = NULL
            stripe_customer_id = NULL
            stripe_subscription_id = NULL""",
        "inventing sessions": f"""FILL study_sessions
            :sessions
            id = n.i
            user_id = 1 + CAST(:users * {keen} * {keen} AS INTEGER)
            exam_id = 1
            current_question_id = NULL
            created_at = datetime(:start + n.i * :span / :sessions, 'unixepoch')
            last_activity = datetime(:start + n.i * :span / :sessions + 600, 'unixepoch')
            completed_at = datetime(:start + n.i * :span / :sessions + 600, 'unixepoch')""",
        "inventing answers": f"""FILL user_answers
            :answers
            id = n.i
            JOIN = JOIN study_sessions AS s ON s.id = 1 + (n.i - 1) / {ANSWERS_A_SESSION}
            user_id = s.user_id
            question_id = 1 + CAST(:questions * {known} * {known} * {known} AS INTEGER)
            study_session_id = s.id
            test_attempt_id = NULL
            is_correct = (n.i * 48271 + :seed) % 2147483647 % 100 < 65
            time_spent_seconds = 10 + n.i * 69621 % 2147483647 % 80
            answered_at = datetime({started} + (n.i - 1) % {ANSWERS_A_SESSION} * 30, 'unixepoch')""",
        "adding up": "CREATE TEMP TABLE totals (id INTEGER PRIMARY KEY, attempts, correct, seconds)",
        "adding up answers": """INSERT INTO totals
            SELECT question_id, count(*), sum(is_correct), CAST(round(avg(time_spent_seconds)) AS INTEGER)
            FROM user_answers GROUP BY question_id""",
        "inventing questions": """FILL questions
            :questions
            id = n.i
            JOIN = LEFT JOIN totals AS t ON t.id = n.i
            text = d.text || ' (' || n.i || ')'
            total_attempts = coalesce(t.attempts, 0)
            correct_attempts = coalesce(t.correct, 0)
            avg_time_seconds = coalesce(t.seconds, 0)""",
        "adding up users": """INSERT INTO user_progress (user_id, exam_id, total_questions_seen, unique_questions_seen,
                total_correct, total_incorrect, overall_accuracy, readiness_score, last_study_date,
                created_at, updated_at)
            SELECT user_id, 1, 20 * count(*), 20 * count(*), 13 * count(*), 7 * count(*), 0.65,
                   user_id * 7919 % 1000 / 10.0, date(max(last_activity)), max(last_activity), max(last_activity)
            FROM study_sessions GROUP BY user_id""",
    }


_SERIES = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {0})"

_OUTREACH: Mapping[str, str] = {
    "inventing accounts": f"""{_SERIES.format(_ACCOUNTS)}
        INSERT INTO twitter_accounts (id, username, display_name, followers_count, created_at, updated_at)
        SELECT 'account' || i, 'user' || i, 'User ' || i, i * 37 % 9000, :start, :start FROM n""",
    "inventing tweets": f"""{_SERIES.format(OPPORTUNITIES)}
        INSERT INTO tweets (id, account_id, text, created_at)
        SELECT 'tweet' || i, 'account' || (1 + i % {_ACCOUNTS}), 'Studying for the exam, day ' || i || ': ' || d.text,
               :start + i * :span / {OPPORTUNITIES}
        FROM n JOIN demo.questions AS d ON d.id = 1 + i % 300""",
    "inventing opportunities": f"""{_SERIES.format(OPPORTUNITIES)}
        INSERT INTO engagement_opportunities (
            id, tweet_id, account_id, opportunity_type, relevance_score, suggested_response, status, created_at)
        SELECT 'opportunity' || i, 'tweet' || i, 'account' || (1 + i % {_ACCOUNTS}),
               iif(i % 10 < 7, 'reply', iif(i % 10 < 9, 'quote', 'follow')),
               round({_chance("i", 2654435761)}, 4), 'Good luck with number ' || i,
               CASE i % 20 / 5 WHEN 0 THEN 'pending' WHEN 1 THEN 'approved' WHEN 2 THEN 'rejected' ELSE 'executed' END,
               :start + i * :span / {OPPORTUNITIES} + 60
        FROM n""",
    "inventing days": f"""{_SERIES.format(METRIC_DAYS)}
        INSERT INTO growth_metrics (date, followers_count, following_count, new_followers, lost_followers, tweets_sent,
            engagements_made, impressions, profile_visits, engagement_rate, ai_costs, created_at)
        SELECT date(:now - ({METRIC_DAYS} - i) * {_DAY}, 'unixepoch'), 1000 + i * 20, 300 + i, i * 13 % 45, i * 7 % 20,
               i % 12, i % 30, 500 + i * 97 % 4000, i * 31 % 200, (i * 17 % 100) / 1000.0, (i * 29 % 300) / 100.0,
               :now - ({METRIC_DAYS} - i) * {_DAY}
        FROM n""",
    "inventing calls": f"""{_SERIES.format(GENERATIONS)}
        INSERT INTO ai_generation_log (purpose, model, prompt_tokens, completion_tokens, total_tokens, cost_cents,
            success, generation_time_ms, created_at)
        SELECT CASE i % 4 WHEN 0 THEN 'generation' WHEN 1 THEN 'explanation' WHEN 2 THEN 'reply' ELSE 'analysis' END,
               iif(i % 3 = 0, 'gpt-4o', 'gpt-4o-mini'), 200 + i % 800, 100 + i % 400, 300 + i % 800 + i % 400,
               (i * 37 % 400) / 100.0, i % 25 > 0, 900 + i * 11 % 3000, :start + i * :span / {GENERATIONS}
        FROM n""",
}
