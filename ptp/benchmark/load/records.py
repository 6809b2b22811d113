"""What became of every request of a load, a column each, and the figures that are read from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ptp.benchmark.load.phases import spans
from ptp.benchmark.load.schedule import Column, Schedule
from ptp.benchmark.openloop import Load, Request, State
from ptp.stats import percentile

Mask: TypeAlias = NDArray[np.bool_]

_NS_PER_MS, _NS_PER_S = 1e6, 1e9


@dataclass(frozen=True, eq=False)
class Records:
    """A load that has been: each request of the schedule with its times in ns from the start, -1 for what was not.

    `error` is a place in `errors`, from 1, and 0 for none. `backlogs` are, for each process, which requests were its
    own and how many of these were in flight as each came due. `cpu` is the processor time of each process in seconds
    until all was sent, at `generated` ns; `loop_cpu` that of its loop alone.
    """

    schedule: Schedule
    sent: Column
    started: Column
    ended: Column
    error: Column
    errors: tuple[str, ...]
    processes: int
    threads: int
    backlogs: tuple[tuple[Column, Column], ...]
    generated: int
    cpu: tuple[float, ...]
    loop_cpu: tuple[float, ...]
    strays: int = 0
    unaccounted: int = 0

    @property
    def completed(self) -> Mask:
        """Which requests were answered, and rightly."""
        found: Mask = (self.ended >= 0) & (self.error == 0)
        return found

    @property
    def response_ms(self) -> NDArray[np.float64]:
        """From when each was due to its end; infinite for what has no right answer."""
        return np.where(self.completed, (self.ended - self.schedule.due) / _NS_PER_MS, np.inf)

    @property
    def service_ms(self) -> NDArray[np.float64]:
        """From when a thread began with each to its end; infinite for what has no right answer."""
        return np.where(self.completed, (self.ended - self.started) / _NS_PER_MS, np.inf)

    def counts(self, which: Mask | None = None) -> Counter[State]:
        """How many requests are in each state; they sum to what was scheduled."""
        chosen = np.ones(len(self.schedule), dtype=bool) if which is None else which
        done = self.ended >= 0
        states: dict[State, Mask] = {
            "completed": self.completed,
            "error": done & (self.error > 0),
            "skipped": self.sent < 0,
            "in flight": (self.sent >= 0) & ~done,
        }
        return Counter({state: int((mask & chosen).sum()) for state, mask in states.items()})

    def of(self, operation: str) -> Mask:
        """Which requests are measured ones of an operation."""
        place = self.schedule.operations.index(operation)
        found: Mask = self.schedule.measured & (self.schedule.operation == place)
        return found

    def kinds(self) -> Counter[str]:
        """How often each error was met."""
        found = np.bincount(self.error, minlength=len(self.errors) + 1)
        return Counter({text: int(found[place]) for place, text in enumerate(self.errors, start=1)})

    def load(self, which: Mask) -> Load:
        """The chosen requests as the verdict takes them."""
        columns = (self.schedule.due, self.sent, self.started, self.ended, self.error)
        requests = tuple(
            Request(
                due,
                None if sent < 0 else sent,
                None if started < 0 else started,
                None if ended < 0 else ended,
                self.errors[error - 1] if error else None,
            )
            for due, sent, started, ended, error in zip(*(column[which].tolist() for column in columns), strict=True)
        )
        return Load(
            requests=requests,
            scheduled=int(which.sum()),
            backlog=tuple(self.in_flight_at(self.schedule.due[which]).tolist()),
            generated=self.generated,
            cpu_share=self.cpu_share,
            strays=self.strays,
        )

    @property
    def cpu_share(self) -> float:
        """How much of its share of the processors the busiest process of the generator used, 0 to 1."""
        seconds = self.generated / _NS_PER_S
        return max(self.cpu, default=0.0) / seconds if seconds else 0.0

    @property
    def loop_share(self) -> float:
        """The same of its loop alone, where the work itself is done in the generator's processes."""
        seconds = self.generated / _NS_PER_S
        return max(self.loop_cpu, default=0.0) / seconds if seconds else 0.0

    def in_flight_at(self, moments: Column) -> Column:
        """How many requests were due and not ended at each moment in ns, skipped ones left out."""
        sent = self.sent >= 0
        due = np.sort(self.schedule.due[sent])
        ended = np.sort(self.ended[self.ended >= 0])
        found: Column = np.searchsorted(due, moments) - np.searchsorted(ended, moments, side="right")
        return found

    def little(self) -> tuple[float, float, float]:
        """Little's law over what is measured: the mean number in flight as counted, the rate, the mean time there in s.

        The number is that which each process counted as a request came due; it knows nothing of the times. Of these
        counts what lies within the measured time, which makes the law exact, also where requests are still open.
        """
        measured, sent = self.schedule.measured, self.sent >= 0
        counted = sum(float(backlog[measured[n]].mean()) for n, backlog in self.backlogs if measured[n].any())
        begin, end = self._window
        last = np.where(self.ended >= 0, self.ended, round(end))
        within = np.clip(np.minimum(last, end) - np.maximum(self.schedule.due, begin), 0, None)[sent].sum()
        n = int((measured & sent).sum())
        if not n:
            return counted, 0.0, 0.0
        return counted, n / (end - begin) * _NS_PER_S, float(within) / n / _NS_PER_S

    @property
    def completed_rate(self) -> float:
        """Measured requests that were answered rightly, a second."""
        begin, end = self._window
        return (
            float((self.schedule.measured & self.completed).sum()) / (end - begin) * _NS_PER_S if end > begin else 0.0
        )

    @property
    def _window(self) -> tuple[float, float]:
        """When what is measured begins and ends, in ns; the phases of it follow each other."""
        found = [(begin, end) for phase, begin, end in spans(self.schedule.phases) if phase.measured]
        return (found[0][0] * _NS_PER_S, found[-1][1] * _NS_PER_S) if found else (0.0, 0.0)

    def timeline(self) -> list[dict[str, Any]]:
        """A row for each second: requests due then, how long they took, and how many were open at its end."""
        due_s = (self.schedule.due // round(_NS_PER_S)).astype(int)
        ended_s = np.where(self.ended >= 0, self.ended // round(_NS_PER_S), -1).astype(int)
        last = int(np.ceil(self.schedule.seconds))
        measured, response = self.schedule.measured, self.response_ms
        rows = []
        for second in range(last):
            own = due_s == second
            times = sorted(response[own & self.completed].tolist())
            open_ = self.in_flight_at(np.array([(second + 1) * round(_NS_PER_S)]))
            rows.append(
                {
                    "second": second,
                    "measured": bool((own & measured).any()),
                    "rate": int(own.sum()),
                    "done": int((ended_s == second).sum()),
                    **_figures(times),
                    "errors": int((own & ~self.completed).sum()),
                    "in_flight": int(open_[0]),
                }
            )
        return rows

    def row(self, operation: str) -> dict[str, Any]:
        """What is told of an operation: counts, percentiles of response and service time in ms."""
        own = self.of(operation)
        counts = self.counts(own)
        service = sorted(self.service_ms[own & self.completed].tolist())
        return {
            "name": operation,
            "n": int(own.sum()),
            "errors": int(own.sum()) - counts["completed"],
            **_figures(sorted(self.response_ms[own & self.completed].tolist())),
            "service_p50_ms": percentile(service, q=0.5) if service else None,
            "service_p95_ms": percentile(service, q=0.95) if service else None,
        }


def _figures(ordered: list[float]) -> Mapping[str, float | None]:
    named = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "most_ms": 1.0}
    return {name: percentile(ordered, q=q) if ordered else None for name, q in named.items()}
