"""What `ptp scale` was asked for, checked, modelled, and kept in a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ptp.errors import UsageError
from ptp.evidence import Stage
from ptp.workbench import scratch
from ptp.workbench.benchmarking import check_benchmarkable
from ptp.workbench.measuring import keep
from ptp.workbench.places import make_folder
from ptp.workbench.progress import Progress
from ptp.workbench.scale_wanted import Wanted
from ptp.workbench.scaling import run_of, scale


@dataclass(frozen=True, slots=True)
class Asked:
    """A model of a target; `source` is what it was migrated from, `times` a run folder with service times."""

    target: Path
    wanted: Wanted
    source: Path | None = None
    times: Path | None = None

    def check(self) -> None:
        """Make sure, before anything is made, that it can be; raises UsageError."""
        self.wanted.check()
        check_benchmarkable(self.target)
        if self.times is not None and not (self.times / "results").is_dir():
            raise UsageError(f"{self.times} is no run folder: it has no results. Name one that ptp bench or run left.")

    def measure(self, folder: Path, progress: Progress) -> Stage:
        """Model it, and leave a run folder; raises Locked where another process measures in that folder."""
        make_folder(folder)
        started = datetime.now(UTC)
        with scratch.working(folder, doing="modelling"):
            stage = scale(self.target, folder, self.wanted, source=self.source, measured=self.times, progress=progress)
        keep(folder, run_of(self.target, folder, started=started, seconds=stage.seconds), stage)
        return stage
