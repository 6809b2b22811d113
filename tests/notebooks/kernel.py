"""A kernel that runs cells as a front end sends them, and what it showed of each."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 120


@dataclass
class Shown:
    """What a cell left: texts by display, HTML, what it printed, and its error."""

    texts: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    printed: str = ""
    error: tuple[str, str, list[str]] | None = None
    updates: int = 0


class Kernel:
    """One kernel; `run` sends a cell and waits for all that it shows."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, code: str, *, cell: str = "") -> Shown:
        """Run a cell; with the id of a cell as JupyterLab sends it, else as papermill does."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = self._client.session.msg("execute_request", content, metadata={"cellId": cell} if cell else {})
        self._client.shell_channel.send(message)
        shown = Shown()
        while True:
            told = self._client.get_iopub_msg(timeout=SECONDS)
            if told["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
                return shown
            note(shown, told["msg_type"], told["content"])


def note(shown: Shown, kind: str, content: Mapping[str, Any]) -> None:
    match kind:
        case "execute_result" | "display_data":
            shown.texts.append(content["data"].get("text/plain", ""))
            shown.html.append(content["data"].get("text/html", ""))
        case "update_display_data":
            shown.updates += 1
        case "stream":
            shown.printed += content["text"]
        case "error":
            shown.error = (content["ename"], content["evalue"], content["traceback"])


@contextmanager
def kernel(folder: Path) -> Iterator[Kernel]:
    """A kernel that works in a folder and in which a warning is an error, ended with the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jupyter_client.manager import start_new_kernel

        manager, client = start_new_kernel(
            kernel_name="python3",
            startup_timeout=SECONDS,
            cwd=str(folder),
            env={**os.environ, "PYTHONWARNINGS": "error"},
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        )
    try:
        yield Kernel(client)
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def code_cells(name: str) -> list[tuple[str, str, list[str]]]:
    """The code cells of a notebook: id, code, tags."""
    document = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [
        (cell["id"], "".join(cell["source"]), cell["metadata"].get("tags", []))
        for cell in document["cells"]
        if cell["cell_type"] == "code"
    ]
