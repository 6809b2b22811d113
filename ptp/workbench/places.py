"""Where the files of a stage are: as given, or those of the demo, which are made when they are missing."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from ptp.engine import database_path
from ptp.errors import DiskFull, UsageError
from ptp.resources import home
from ptp.workbench.parameters import Parameters
from ptp.workbench.progress import Progress
from ptp.workload.demo import Shape, write_demo


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one stage; `owns_target` says that the target is the demo's, which may be replaced."""

    source: Path
    target: Path
    out: Path
    owns_target: bool


def places_of(parameters: Parameters, *, progress: Progress) -> Places:
    """Resolve the paths of a notebook's parameters, make the demo source where it is wanted, and the run folder."""
    source = database_path(parameters.source) if parameters.source else demo_source(progress=progress)
    target = database_path(parameters.target) if parameters.target else home() / "demo" / "head-quick.db"
    out = Path(parameters.out) if parameters.out else home() / "reports" / "lab"
    make_folder(out)
    return Places(source, target, out, owns_target=not parameters.target)


def demo_source(*, progress: Progress, shape: Shape = "raw") -> Path:
    """The demo source of a shape: 100,000 answers, two exams of 10,000 questions; made once, then kept."""
    path = home() / "demo" / f"{shape}-quick.db"
    if not path.is_file():
        make_folder(path.parent)
        write_demo(shape=shape, size="quick", seed=1, out=path, progress=progress)
    return path


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; raises UsageError in one sentence when that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".ptp-probe"
        probe.touch()
        probe.unlink(missing_ok=True)  # another run into the same folder may have been faster
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder} cannot be the output folder: a file stands in its way.") from None
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"The disk is full: {folder} could not be made.") from None
        why = str(problem.strerror).lower()
        raise UsageError(f"{folder} cannot be written: {why}. Name another folder with --out.") from None
