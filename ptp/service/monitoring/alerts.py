"""Alert rules watched over time: inactive, pending, firing, resolved; each change to or from firing is told."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

from pydantic import SecretStr

from ptp.service.monitoring.metrics import hits_of
from ptp.service.monitoring.notifying import Notifier
from ptp.service.monitoring.rules import RULES, WINDOW_S, Rule, Snapshot
from ptp.service.monitoring.watching import Monitor

State: TypeAlias = Literal["inactive", "pending", "firing", "resolved"]

INTERVAL_S = 5.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alert:
    """How one rule stands; `since` by the monitor's clock, `value` None where the rule does not apply."""

    rule: Rule
    state: State = "inactive"
    since: float = 0.0
    value: float | None = None

    def after(self, value: float | None, *, now: float) -> Alert:
        """How it stands with this value."""
        state = self._next(self.rule.broken(value), now)
        return Alert(self.rule, state, self.since if state == self.state else now, value)

    def _next(self, broken: bool, now: float) -> State:
        if self.state == "firing":
            return "firing" if broken else "resolved"
        if not broken:
            return "inactive"
        begun = self.since if self.state == "pending" else now
        return "firing" if now - begun >= self.rule.for_seconds else "pending"

    def as_json(self) -> dict[str, Any]:
        """What is told of it."""
        return {
            "alert": self.rule.name,
            "state": self.state,
            "severity": self.rule.severity,
            "value": self.value,
            "limit": self.rule.limit,
            "unit": self.rule.unit,
            "sentence": self.rule.told(self.value, again=self.state == "resolved"),
        }


class _Point(NamedTuple):
    at: float
    statements: float
    errors: int
    requests: int
    failed: int
    lookups: int
    hits: int


class Alerts:
    """Looks at a monitor every few seconds, in a thread of its own; `evaluate` is one look."""

    def __init__(
        self,
        monitor: Monitor,
        *,
        rules: Sequence[Rule] = RULES,
        webhook: SecretStr | None = None,
        replica_lag: Callable[[], float | None] = lambda: None,
        interval_s: float = INTERVAL_S,
        notifier: Notifier | None = None,
    ) -> None:
        """Keep the rules, all inactive; `replica_lag` in seconds, None where there is no replica."""
        self._monitor, self._replica_lag, self._interval_s = monitor, replica_lag, interval_s
        self._alerts = {rule.name: Alert(rule) for rule in rules}
        self._points: deque[_Point] = deque((self._point(),))
        self._notifier = notifier or Notifier(webhook=webhook, lost=monitor.metrics.dropped.inc)
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        monitor.alerts = self.told

    def start(self) -> None:
        """Begin to look, and to tell the other workers."""
        self._monitor.tell()
        self._thread = threading.Thread(target=self._look, name="ptp-alerts", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; what is still to be sent is given a moment."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._notifier.close()

    def states(self) -> tuple[Alert, ...]:
        """How each rule stands."""
        return tuple(self._alerts.values())

    def told(self) -> list[dict[str, Any]]:
        """The same as JSON; a rule that does not apply says so."""
        return [{**alert.as_json(), "applies": alert.value is not None} for alert in self.states()]

    def evaluate(self) -> tuple[Alert, ...]:
        """Look once, tell what began or ended to fire, and return how the rules stand."""
        with self._lock:
            now, snapshot = self._monitor.clock(), self.snapshot()
            for name, alert in tuple(self._alerts.items()):
                found = alert.after(alert.rule.value(snapshot), now=now)
                self._alerts[name] = found
                if found.state != alert.state and found.state in ("firing", "resolved"):
                    self._notifier.tell({**found.as_json(), "query": snapshot.slowest_query})
        return self.states()

    def snapshot(self) -> Snapshot:
        """What the last minute held."""
        last = self._point()
        self._points.append(last)
        while len(self._points) > 2 and self._points[1].at <= last.at - WINDOW_S:
            self._points.popleft()
        first = self._points[0]
        slow = max((s for s in self._monitor.slow.copy() if s.at > last.at - WINDOW_S), key=_seconds, default=None)
        requests = last.requests - first.requests
        used, room = self._monitor.pool()
        found = Snapshot(
            slowest_s=0.0 if slow is None else slow.seconds,
            slowest_query=slow and slow.query,
            operations=int(last.statements - first.statements) + last.errors - first.errors,
            failures=last.errors - first.errors,
            lookups=last.lookups - first.lookups,
            hits=last.hits - first.hits,
            pool_used=used,
            pool_room=room,
            wal_bytes=self._monitor.wal_bytes(),
            replica_lag_s=self._replica_lag(),
        )
        return replace(found, operations=requests, failures=last.failed - first.failed) if requests else found

    def _point(self) -> _Point:
        monitor, totals = self._monitor, self._monitor.totals
        hits, lookups = hits_of(monitor.cache())
        return _Point(
            monitor.clock(), monitor.statements(), totals.errors, totals.requests, totals.failed, lookups, hits
        )

    def _look(self) -> None:
        while not self._ended.wait(self._interval_s):
            try:
                self.evaluate()
                self._monitor.tell()
            except Exception:
                _LOG.exception("The alert rules could not be evaluated.")


def _seconds(slow: Any) -> float:
    return float(slow.seconds)
