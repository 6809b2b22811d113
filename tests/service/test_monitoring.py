"""The monitor: statements under their query's name, errors by kind, and alerts that fire and resolve for real causes."""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import Engine, text

from ptp.engine import atomic, fetch, open_engine
from ptp.errors import PtpError, UsageError
from ptp.service.monitoring import (
    RULES,
    Alerts,
    Monitor,
    Notifier,
    Rule,
    Snapshot,
    metrics_text,
    performance,
    query_name,
    watch,
)
from ptp.service.monitoring.names import OTHER, Bounded
from ptp.service.monitoring.showing import quantile
from ptp.settings import Settings

BY_NAME = {rule.name: rule for rule in RULES}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "watched.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT UNIQUE, body BLOB)")
        db.execute("INSERT INTO things VALUES (1, 'one', NULL)")
        db.commit()
    return path


@pytest.fixture
def engine(database: Path) -> Iterator[Engine]:
    made = open_engine(database, settings=Settings(PTP_POOL_SIZE=2, PTP_BUSY_TIMEOUT_MS=0))
    yield made
    made.dispose()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def calls() -> dict[str, dict[str, int]]:
    """The counters of a cache."""
    return {}


@pytest.fixture
def monitor(engine: Engine, clock: Clock, calls: dict[str, dict[str, int]]) -> Iterator[Monitor]:
    made = watch(engine, cache=lambda: calls)
    made.clock = clock
    yield made
    made.close()


def samples(monitor: Monitor) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What Prometheus's own parser reads in the metrics, without the worker."""
    families = text_string_to_metric_families(metrics_text(monitor.registry).decode())
    return {
        (s.name, frozenset((k, v) for k, v in s.labels.items() if k != "worker")): s.value
        for family in families
        for s in family.samples
    }


def value(monitor: Monitor, name: str, **labels: str) -> float | None:
    return samples(monitor).get((name, frozenset(labels.items())))


# --- what is counted


def test_each_statement_counts_under_the_name_of_its_query(engine: Engine, monitor: Monitor) -> None:
    with engine.connect() as db:
        with query_name("leaderboard"):
            for _ in range(3):
                fetch(db, "SELECT name FROM things WHERE id = ?", (1,))
            with query_name("rank"):
                db.execute(text("SELECT 1"))
            db.execute(text("SELECT 2"))
        db.execute(text("SELECT 3"))
    count = "ptp_statement_seconds_count"
    assert [value(monitor, count, query=q) for q in ("leaderboard", "rank", "other")] == [4, 1, 1]
    assert monitor.statements() == 6
    assert value(monitor, "ptp_statement_seconds_bucket", query="rank", le="+Inf") == 1


def test_names_belong_to_their_thread(engine: Engine, monitor: Monitor) -> None:
    both = threading.Barrier(2)

    def run(name: str, times: int) -> None:
        with query_name(name), engine.connect() as db:
            for _ in range(times):
                both.wait(10)
                db.execute(text("SELECT 1"))

    threads = [threading.Thread(target=run, args=(name, 20)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [value(monitor, "ptp_statement_seconds_count", query=q) for q in ("a", "b")] == [20, 20]


def test_a_time_is_that_of_its_own_thread(engine: Engine, monitor: Monitor) -> None:
    """A short statement that begins and ends within a long one of another thread leaves its time alone."""
    with engine.connect() as one, engine.connect() as other:
        for db, pause_s in ((one, 0.3), (other, 0.0)):
            raw: Any = db.connection.dbapi_connection
            raw.create_function("pause", 0, lambda s=pause_s: time.sleep(s))

        def run() -> None:
            with query_name("long"):
                one.execute(text("SELECT pause()"))

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.1)
        with query_name("short"):
            other.execute(text("SELECT pause()"))
        thread.join()
    assert value(monitor, "ptp_statement_seconds_bucket", query="long", le="0.2") == 0
    assert value(monitor, "ptp_statement_seconds_bucket", query="short", le="0.2") == 1


def test_names_are_bounded() -> None:
    bounded = Bounded(most=3)
    assert [bounded(name) for name in ("a", "b", "c", "d", "a", OTHER)] == ["a", "b", "c", OTHER, "a", OTHER]


def test_routes_are_bounded_and_requests_counted(monitor: Monitor) -> None:
    for number in range(200):
        monitor.observe_request(f"/made/up/{number}", 404, 0.001)
    monitor.observe_request("/made/up/0", 503, 2.0)
    found = samples(monitor)
    routes = {dict(labels)["route"] for name, labels in found if name == "ptp_requests_total"}
    assert len(routes) < 70
    assert value(monitor, "ptp_requests_total", route="/made/up/0", status="5xx") == 1
    assert sum(v for (name, _), v in found.items() if name == "ptp_request_seconds_count") == 201
    assert (monitor.totals.requests, monitor.totals.failed) == (201, 1)


def test_errors_count_by_kind(engine: Engine, monitor: Monitor, database: Path) -> None:
    def fails(sql: str) -> None:
        with query_name("write"), pytest.raises(Exception), atomic(engine) as db:  # noqa: B017
            db.execute(text(sql))

    fails("INSERT INTO things (name) VALUES ('one')")
    fails("SELECT missing FROM nowhere")
    with closing(sqlite3.connect(database, isolation_level=None)) as other, engine.connect() as db:
        db.execute(text("SELECT 1 FROM things"))
        other.execute("BEGIN IMMEDIATE")
        with query_name("write"), pytest.raises(PtpError):  # a reader that wants to write now meets the lock
            db.execute(text("UPDATE things SET name = 'two'"))
    found = {
        dict(labels)["kind"]: v
        for (name, labels), v in samples(monitor).items()
        if name == "ptp_statement_errors_total"
    }
    assert found == {"constraint": 1, "statement": 1, "locked": 1}
    assert monitor.totals.errors == 3


def test_metrics_and_the_page_hold_no_value(engine: Engine, monitor: Monitor) -> None:
    with query_name("search"), engine.connect() as db:
        fetch(db, "SELECT 'private-text', ?", ("private-value",))
        with pytest.raises(Exception):  # noqa: B017
            fetch(db, "SELECT missing, 'private-text', ?", ("private-value",))
    shown = json.dumps(performance(monitor))
    assert "search" in shown
    assert "private" not in shown
    assert b"private" not in metrics_text(monitor.registry)


def test_the_gauges_are_read_when_asked_for(engine: Engine, monitor: Monitor, calls: dict[str, Any]) -> None:
    assert math.isnan(value(monitor, "ptp_cache_hit_ratio") or 0)
    calls["rank"] = {"hits": 3, "misses": 1}
    with engine.connect() as db, db.begin():
        db.execute(text("INSERT INTO things (body) VALUES (zeroblob(100000))"))
        assert value(monitor, "ptp_pool_checked_out") == 1
    assert value(monitor, "ptp_pool_checked_out") == 0
    assert value(monitor, "ptp_pool_size") == 12
    assert (value(monitor, "ptp_wal_bytes") or 0) > 100_000
    assert value(monitor, "ptp_cache_calls_total", query="rank", event="hits") == 3


def test_two_applications_count_apart_and_a_closed_monitor_not_at_all(engine: Engine, monitor: Monitor) -> None:
    other = watch(engine, registry=CollectorRegistry())
    with engine.connect() as db:
        db.execute(text("SELECT 1"))
        other.close()
        db.execute(text("SELECT 1"))
    assert (monitor.statements(), other.statements()) == (2, 1)


def test_quantiles_are_estimated_within_their_bucket() -> None:
    buckets = [(0.1, 50.0), (0.2, 90.0), (math.inf, 100.0)]
    assert quantile(buckets, 0.5) == pytest.approx(0.1)
    assert quantile(buckets, 0.7) == pytest.approx(0.15)
    assert quantile(buckets, 0.99) == 0.2
    assert quantile([], 0.5) is None
    assert quantile([(0.1, 0.0), (math.inf, 0.0)], 0.5) is None


def test_the_page_shows_queries_slow_statements_and_parts(engine: Engine, monitor: Monitor) -> None:
    slow_statement(engine)
    shown = performance(monitor)
    assert shown["queries"]["export"]["n"] == 1
    assert 200 < shown["queries"]["export"]["p50_ms_estimate"] < 500
    assert "estimated" in shown["quantiles"]
    assert [slow["query"] for slow in shown["slow"]] == ["export"]
    assert shown["pool"] == {"checked_out": 0, "size": 12}
    assert json.loads(json.dumps(shown)) == shown


# --- alerts


def slow_statement(engine: Engine) -> None:
    with engine.connect() as db, query_name("export"):
        raw: Any = db.connection.dbapi_connection
        raw.create_function("pause", 0, lambda: time.sleep(0.25))
        db.execute(text("SELECT pause()"))


def watched(monitor: Monitor, name: str, **more: Any) -> Alerts:
    return Alerts(monitor, rules=(BY_NAME[name],), **more)


def state(alerts: Alerts) -> str:
    return alerts.evaluate()[0].state


def test_a_slow_statement_fires_and_resolves(engine: Engine, monitor: Monitor, clock: Clock) -> None:
    alerts = watched(monitor, "slow_query")
    assert state(alerts) == "inactive"
    slow_statement(engine)
    assert state(alerts) == "firing"
    assert "A statement took 25" in alerts.told()[0]["sentence"]
    assert value(monitor, "ptp_alert_firing", alert="slow_query") == 1
    clock.now += 61
    assert state(alerts) == "resolved"
    assert value(monitor, "ptp_alert_firing", alert="slow_query") == 0
    assert state(alerts) == "inactive"


def test_failing_requests_fire_and_resolve(monitor: Monitor, clock: Clock) -> None:
    alerts = watched(monitor, "error_rate")
    for number in range(19):
        monitor.observe_request("/r", 500 if number < 5 else 200, 0.01)
    assert state(alerts) == "inactive"  # too few to judge by
    monitor.observe_request("/r", 200, 0.01)
    assert state(alerts) == "pending"
    clock.now += 9
    assert state(alerts) == "pending"
    clock.now += 1
    assert state(alerts) == "firing"
    for _ in range(100):
        monitor.observe_request("/r", 404, 0.01)  # who asks for what is not there has made the error
    assert state(alerts) == "resolved"


def test_failing_statements_fire_where_there_are_no_requests(engine: Engine, monitor: Monitor, clock: Clock) -> None:
    alerts = watched(monitor, "error_rate")
    with engine.connect() as db:
        for number in range(40):
            if number % 4:
                db.execute(text("SELECT 1"))
            else:
                with pytest.raises(Exception, match="no such column"):
                    db.execute(text("SELECT missing"))
    assert state(alerts) == "pending"
    clock.now += 10
    assert state(alerts) == "firing"
    assert alerts.states()[0].value == 25
    clock.now += 61
    assert state(alerts) == "resolved"
    assert alerts.told()[0]["sentence"] == "error_rate has nothing to be judged by."


def test_a_low_hit_rate_fires_and_resolves(monitor: Monitor, clock: Clock, calls: dict[str, Any]) -> None:
    alerts = watched(monitor, "hit_rate")
    assert alerts.evaluate()[0].value is None
    assert alerts.told()[0]["applies"] is False
    calls["rank"] = {"hits": 20, "misses": 79, "bypasses": 0}
    assert alerts.evaluate()[0].value is None
    calls["rank"] = {"hits": 20, "misses": 79, "bypasses": 1}
    assert state(alerts) == "pending"
    clock.now += 59
    calls["rank"] = {"hits": 40, "misses": 158, "bypasses": 2}
    assert state(alerts) == "pending"
    clock.now += 1
    assert state(alerts) == "firing"
    calls["rank"] = {"hits": 900, "misses": 158, "bypasses": 2}
    assert state(alerts) == "resolved"


def test_an_exhausted_pool_fires_and_resolves(engine: Engine, monitor: Monitor, clock: Clock) -> None:
    alerts = watched(monitor, "pool")
    held = [engine.connect() for _ in range(10)]  # of 12: 83 %
    assert state(alerts) == "pending"
    clock.now += 10
    assert state(alerts) == "firing"
    held.pop().close()
    assert state(alerts) == "resolved"
    for db in held:
        db.close()


def test_a_pool_that_is_free_again_in_time_never_fires(engine: Engine, monitor: Monitor, clock: Clock) -> None:
    alerts = watched(monitor, "pool")
    held = [engine.connect() for _ in range(10)]
    assert state(alerts) == "pending"
    for db in held:
        db.close()
    clock.now += 10
    assert state(alerts) == "inactive"


def test_a_large_log_fires_and_resolves(engine: Engine, monitor: Monitor, clock: Clock, database: Path) -> None:
    alerts = watched(monitor, "wal_size")
    with engine.connect() as reader:
        reader.execute(text("SELECT 1 FROM things"))  # one that never ends, so that no checkpoint empties the log
        with atomic(engine) as db:
            db.execute(text("INSERT INTO things (body) VALUES (zeroblob(70000000))"))
        assert state(alerts) == "pending"
        clock.now += 30
        assert state(alerts) == "firing"
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert state(alerts) == "resolved"


def test_a_replica_that_lags_fires_and_resolves(monitor: Monitor, clock: Clock) -> None:
    lag: list[float | None] = [None]
    alerts = watched(monitor, "replica_lag", replica_lag=lambda: lag[0])
    state(alerts)
    assert alerts.told()[0]["applies"] is False
    lag[0] = 11
    assert state(alerts) == "pending"
    clock.now += 30
    assert state(alerts) == "firing"
    lag[0] = 10
    assert state(alerts) == "resolved"


def test_the_rules_are_those_that_were_asked_for() -> None:
    assert {rule.name: (rule.limit, rule.unit, rule.side) for rule in RULES} == {
        "slow_query": (200, "ms", "over"),
        "error_rate": (5, "%", "over"),
        "hit_rate": (30, "%", "under"),
        "pool": (80, "%", "over"),
        "wal_size": (64, "MiB", "over"),
        "replica_lag": (10, "s", "over"),
    }
    assert all("over 64 MiB" in rule.told(65.0) for rule in RULES if rule.name == "wal_size")
    assert BY_NAME["hit_rate"].told(12.0).startswith("The cache answered 12 % of the calls, under 30 %")
    assert BY_NAME["pool"].value(Snapshot(pool_used=4, pool_room=0)) is None


def test_a_rule_that_breaks_does_not_end_the_watch(monitor: Monitor, caplog: pytest.LogCaptureFixture) -> None:
    looks: list[int] = []

    def bad(_: Snapshot) -> float:
        looks.append(1)
        raise RuntimeError("broken rule")

    rule = Rule(name="bad", value=bad, limit=1, unit="", sentence="{value}")
    alerts = Alerts(monitor, rules=(rule,), interval_s=0.01)
    alerts.start()
    until = time.monotonic() + 10
    while len(looks) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    alerts.close()
    assert len(looks) >= 3
    assert "could not be evaluated" in caplog.text


# --- notifications


class Receiver:
    """A real HTTP server that takes notifications, after refusing as many as it is told to."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.refuse = 0
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.hold.wait(10)
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.paths.append(self.path)
                if receiver.refuse:
                    receiver.refuse -= 1
                    self.send_response(500)
                else:
                    receiver.bodies.append(body)
                    self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = SecretStr(f"http://127.0.0.1:{self.server.server_address[1]}/hooks/private-token?key=private-key")
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def wait_for(self, count: int) -> None:
        until = time.monotonic() + 10
        while len(self.bodies) < count and time.monotonic() < until:
            time.sleep(0.01)
        assert len(self.bodies) == count


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_an_alert_reaches_a_real_webhook_when_it_fires_and_when_it_resolves(
    engine: Engine, monitor: Monitor, clock: Clock, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.refuse = 1
    notifier = Notifier(webhook=receiver.url, waits_s=(0.01, 0.01))
    alerts = watched(monitor, "slow_query", notifier=notifier)
    slow_statement(engine)
    for _ in range(3):  # told once, however often it is looked at
        state(alerts)
    receiver.wait_for(1)
    clock.now += 61
    state(alerts)
    receiver.wait_for(2)
    alerts.close()
    fired, resolved = receiver.bodies
    assert (fired["alert"], fired["state"], fired["severity"], fired["query"]) == (
        "slow_query", "firing", "warning", "export",
    )  # fmt: skip
    assert fired["value"] > 250
    assert (resolved["state"], resolved["sentence"]) == ("resolved", "slow_query is within its limit again: 0 ms.")
    assert receiver.paths == ["/hooks/private-token?key=private-key"] * 3
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.getMessage().startswith("{")]
    assert [line["state"] for line in lines] == ["firing", "resolved"]
    assert "status 500" in caplog.text
    assert "private" not in caplog.text


def test_a_webhook_that_hangs_holds_up_nothing_and_what_is_too_much_is_counted(receiver: Receiver) -> None:
    receiver.hold.clear()
    lost: list[int] = []
    notifier = Notifier(webhook=receiver.url, most_waiting=2, waits_s=(), lost=lambda: lost.append(1))
    begun = time.monotonic()
    for number in range(50):
        notifier.tell({"alert": str(number)})
    assert time.monotonic() - begun < 2  # each of them would take the timeout's 3 s
    assert 47 <= len(lost) <= 48  # one is being sent, two wait
    receiver.hold.set()
    receiver.wait_for(50 - len(lost))
    notifier.close()


def test_a_webhook_that_is_not_there_is_given_up_and_its_address_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    lost: list[int] = []
    url = SecretStr("http://127.0.0.1:1/private-token")
    notifier = Notifier(webhook=url, waits_s=(0.01,), lost=lambda: lost.append(1))
    notifier.tell({"alert": "x"})
    until = time.monotonic() + 10
    while not lost and time.monotonic() < until:
        time.sleep(0.01)
    notifier.close()
    assert lost == [1]
    assert "did not take it" in caplog.text
    assert "private" not in caplog.text
    with pytest.raises(UsageError, match="PTP_ALERT_WEBHOOK is no web address"):
        Notifier(webhook=SecretStr("private"))
