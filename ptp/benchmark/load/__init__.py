"""A load: a schedule made beforehand, sent by several processes, and what became of each of its requests."""

from ptp.benchmark.load.arrivals import Scenario, Think, at_rate, by_actors, shares
from ptp.benchmark.load.generator import Crowd, generate, size_of
from ptp.benchmark.load.phases import Phase
from ptp.benchmark.load.records import Records
from ptp.benchmark.load.schedule import Schedule, read_schedule
from ptp.benchmark.load.worker import Planned, Service

__all__ = [
    "Crowd",
    "Phase",
    "Planned",
    "Records",
    "Scenario",
    "Schedule",
    "Service",
    "Think",
    "at_rate",
    "by_actors",
    "generate",
    "read_schedule",
    "shares",
    "size_of",
]
