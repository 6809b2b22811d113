"""Executing a notebook with papermill: parameters in, executed copy and page out, errors brought back as ours."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptp.errors import CannotFinish, PtpError, UsageError, error_named
from ptp.report.notebook import write_notebook_html
from ptp.resources import folder
from ptp.workbench.parameters import check_parameters
from ptp.workbench.progress import Progress, forget_progress, read_progress

_POLL_S = 0.2


def execute(name: str, values: Mapping[str, Any], *, out: Path, progress: Progress) -> PtpError | None:
    """Run one notebook of the workbench into `out`/notebooks, as .ipynb and .html; None when it ran to its end.

    The error that stopped it is returned, for the run to judge with what the notebook has written by then:
    ptp's own with its sentence, any other as CannotFinish. Parameters are checked before a kernel starts.
    """
    check_parameters(name, values)
    # A heavy import, and one that turns on warnings of its own: only where a notebook is run.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import papermill

    executed = out / "notebooks" / f"{name}.ipynb"
    executed.parent.mkdir(exist_ok=True)
    # What they log of a kernel that was ended would stand beside our sentence.
    for logger in ("papermill", "asyncio"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    try:
        with _following(out, progress), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            papermill.execute_notebook(
                str(folder("notebooks") / f"{name}.ipynb"),
                str(executed),
                parameters=dict(values),
                kernel_name="python3",
                progress_bar=False,
                log_output=False,
                start_timeout=120,
                # The kernel listens on this machine only; what it logs of that, and of being shut down, says nothing.
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
            )
    except papermill.PapermillExecutionError as problem:
        text = str(problem.evalue)
        return error_named(problem.ename, text) or CannotFinish(f"{name} stopped at {problem.ename}: {text}")
    except RuntimeError as problem:  # nbclient: the kernel died, or never came up
        return CannotFinish(f"{name} stopped: {problem}")
    finally:
        if executed.is_file():
            _write_page(executed)
    return None


def _write_page(executed: Path) -> None:
    try:
        write_notebook_html(executed)
    except UsageError:  # cut off while it was written, as on a full disk
        executed.unlink()


@contextmanager
def _following(out: Path, progress: Progress) -> Iterator[None]:
    """Pass on what the kernel notes of its progress, until the notebook ends."""
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(_POLL_S):
            if seen := read_progress(out):
                progress(*seen)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        forget_progress(out)
