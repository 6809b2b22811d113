"""Make ready what the notebooks show with their defaults: a demo source, its target, and a first run to compare with.

`make lab` calls it before it opens JupyterLab. What is there is kept, so that it takes time only once.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ptp.errors import PtpError
from ptp.resources import home
from ptp.terminal import progress_bar, tell_error
from ptp.workbench.identity import new_run_id
from ptp.workbench.places import demo_source, make_folder
from ptp.workbench.progress import Progress, part
from ptp.workbench.run import Request, execute_run


def main() -> int:
    reports = home() / "reports"
    make_folder(reports / "lab")
    if (home() / "demo" / "raw-quick.db").is_file() and any(reports.glob("*/results/03_benchmark.json")):
        return 0
    print("Making a demo ready: a source, and a first run of it to compare with (once; about half a minute)...")
    try:
        with progress_bar("make lab", silent=False) as progress:
            make_ready(reports, progress)
    except PtpError as problem:
        tell_error(str(problem))
        return problem.exit_code
    return 0


def make_ready(reports: Path, progress: Progress) -> None:
    """The demo source, and a run of it in `reports` that measures times alone and leaves the verifier's proof out."""
    source = demo_source(progress=part(progress, 0.0, 0.2))
    run = new_run_id()
    request = Request(source=source, out=reports / run, id=run, prove="none", measure="times")
    execute_run(request, progress=part(progress, 0.2, 1.0))


if __name__ == "__main__":
    sys.exit(main())
