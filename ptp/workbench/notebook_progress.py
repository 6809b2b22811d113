"""Progress of a notebook's cell: a bar where somebody looks on, a note in the run folder where a run waits for it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from ptp.workbench.notebook_shell import shell
from ptp.workbench.progress import FileProgress, Progress, quiet

_EVERY_S = 0.2
_MUTE = "color:var(--jp-ui-font-color2, #57606a)"


def is_watched() -> bool:
    """Whether the cell that runs was sent by a front end in which somebody sees it, such as JupyterLab.

    Such a front end names the cell that it runs; papermill and nbval, which only execute, do not.
    """
    found = shell()
    if found is None or not hasattr(found, "get_parent"):
        return False
    return bool((found.get_parent() or {}).get("metadata", {}).get("cellId"))


@contextmanager
def following(out: Path | None, *, doing: str) -> Iterator[Progress]:
    """Progress of the work in this block: a bar that becomes a line in the end, or a note in `out` that others read.

    Without a folder it is work that is mostly done already: nothing is shown until it says how far it is.
    """
    if not is_watched():
        yield FileProgress(out) if out else quiet
        return
    bar = _Bar(doing)
    if out:
        bar(0.0, "starting")
    try:
        yield bar
    except BaseException:
        bar.end("stopped")
        raise
    bar.end("done")


@dataclass(slots=True)
class _Bar:
    """A bar among the outputs of a cell, drawn anew at most five times a second."""

    doing: str
    _began: float = field(default_factory=time.perf_counter)
    _due: float = 0.0
    _name: str = field(default_factory=lambda: secrets.token_hex(8))
    _shown: bool = False
    _last: tuple[float, str] = (0.0, "starting")

    def __call__(self, fraction: float, text: str) -> None:
        self._last = (min(max(fraction, 0.0), 1.0), text)
        if (now := time.monotonic()) >= self._due:
            self._due = now + _EVERY_S
            self._show(self._drawn())

    def end(self, word: str) -> None:
        """Draw a line in place of the bar: how it ended, and after how long."""
        if not self._shown:
            return
        fraction, text = self._last
        where = "" if word == "done" else f" at {fraction:.0%}, {text}"
        line = f"{self.doing}: {word} after {self._seconds():.1f} s{where}"
        self._show(f'<small style="{_MUTE}">{escape(line)}</small>')

    def _show(self, text: str) -> None:
        data = {"text/html": text, "text/plain": f"{self.doing} ..."}
        shell().display_pub.publish(data, transient={"display_id": self._name}, update=self._shown)
        self._shown = True

    def _drawn(self) -> str:
        fraction, text = self._last
        said = escape(f"{self.doing}: {text}")
        return (
            f'<progress value="{fraction:.3f}" max="1" aria-label="{said}" style="width:18em;vertical-align:middle">'
            f'</progress> <small style="{_MUTE}">{fraction:.0%} · {said} · {self._seconds():.0f} s</small>'
        )

    def _seconds(self) -> float:
        return time.perf_counter() - self._began
