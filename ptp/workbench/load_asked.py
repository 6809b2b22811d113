"""What `ptp load` was asked for, checked, loaded, and kept in a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ptp.evidence import Stage
from ptp.workbench import scratch
from ptp.workbench.capacity import capacity
from ptp.workbench.loading import Wanted, check_loadable, load_wanted, run_of
from ptp.workbench.measuring import keep
from ptp.workbench.places import make_folder
from ptp.workbench.progress import Progress


@dataclass(frozen=True, slots=True)
class Asked:
    """A load of a target, or with `find_capacity` the search for the highest rate that holds."""

    target: Path
    wanted: Wanted
    find_capacity: bool = False

    def check(self) -> None:
        """Make sure, before anything is made, that it can be; raises UsageError."""
        self.wanted.check()
        check_loadable(self.target)

    def measure(self, folder: Path, progress: Progress) -> Stage:
        """Load it, and leave a run folder; raises Locked where another process measures in that folder."""
        make_folder(folder)
        started = datetime.now(UTC)
        measure = capacity if self.find_capacity else load_wanted
        with scratch.working(folder, doing="loading"):
            stage = measure(self.target, folder, self.wanted, progress=progress)
        keep(folder, run_of(self.target, folder, self.wanted, started=started, seconds=stage.seconds), stage)
        return stage
