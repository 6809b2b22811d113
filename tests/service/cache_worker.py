"""One worker of the trial for stale reads: a process that reads and writes through the cache, and logs every call.

python cache_worker.py DATABASE SEED SECONDS REDIS_URL|- OUT
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ptp.engine import open_engine
from ptp.queries import NewAnswer, NewGeneration
from ptp.service.caching import over
from ptp.service.caching.keeping import Keeper
from ptp.service.caching.shared import Breaker

NOW = 1_750_000_000
USERS = 6
SEEN = 60
Log = list[tuple[str, str, float, float, int]]


def write(queries: Any, chance: random.Random, log: Log) -> None:
    user = chance.randint(1, USERS)
    kind = chance.choice(("answer", "answer", "answer", "seen", "ai"))
    begun = time.monotonic()
    if kind == "answer":
        queries.study.record_answer(
            NewAnswer(
                user_id=user,
                question_id=chance.randint(1, 5),
                selected_answer="a",
                is_correct=True,
                time_spent_seconds=1,
                study_session_id=user,
            ),
            now=NOW,
        )
    elif kind == "seen":
        queries.progress.update_progress(user_id=user, exam_id=1, questions_seen=SEEN, correct=0, now=NOW)
    else:
        queries.analytics.log_generation(NewGeneration(purpose="p", model="m", cost_cents=1.0, success=True), now=NOW)
    log.append(("w", kind if kind == "ai" else f"{kind} {user}", begun, time.monotonic(), 1))


def read(queries: Any, chance: random.Random, log: Log) -> None:
    user = chance.randint(1, USERS)
    which = chance.randrange(6)
    begun = time.monotonic()
    found: dict[str, int] = {}
    if which == 0:
        found[f"answer {user}"] = queries.progress.weekly_activity(user_id=user, exam_id=1, now=NOW)
    elif which == 1:
        progress = queries.progress.user_progress(user_id=user, exam_id=1, now=NOW)
        found[f"answer {user}"] = progress.weekly_activity
        found[f"seen {user}"] = progress.total_questions_seen // SEEN
    elif which == 2:
        for line in queries.progress.leaderboard(exam_id=1, limit=3, now=NOW):
            found[f"answer {line.user_id}"] = line.weekly_activity
            found[f"seen {line.user_id}"] = line.total_questions_seen // SEEN
    elif which == 3:
        found[f"answer {user}"] = queries.study.session_progress(session_id=user).total_questions
    elif which == 4:
        found[f"answer {user}"] = queries.progress.current_streak(user_id=user, exam_id=1)
    else:
        found["ai"] = sum(cost.calls for cost in queries.analytics.ai_cost_summary(now=NOW))
    ended = time.monotonic()
    log.extend(("r", key, begun, ended, value) for key, value in found.items())


def main() -> None:
    path, seed, seconds, url, out = sys.argv[1:]
    engine = open_engine(path)
    cache = over(engine, Keeper(engine, redis_url=None if url == "-" else url, breaker=Breaker(retry_s=0.2)))
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.monotonic() + float(seconds)
    logs: list[Log] = []
    problems: list[str] = []

    def run(act: Any, number: int, pause_s: float) -> None:
        chance, log = random.Random(f"{seed} {number}"), logs[number]
        try:
            while time.monotonic() < until:
                act(cache.queries, chance, log)
                time.sleep(chance.random() * pause_s)
        except Exception as problem:
            problems.append(repr(problem))

    plan = [(write, 0.02)] * 2 + [(read, 0.0005)] * 3
    logs.extend([] for _ in plan)
    threads = [threading.Thread(target=run, args=(act, n, pause)) for n, (act, pause) in enumerate(plan)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counters = cache.counters()
    cache.close()
    engine.dispose()
    found = {
        "log": [each for log in logs for each in log],
        "counters": counters,
        "problems": problems,
        "failures": cache.keeper.breaker.failures,
    }
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
