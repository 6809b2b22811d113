"""An executed notebook as a page of the report: offline, in the report's style, its code folded, its errors open."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import nbformat
from markupsafe import Markup
from nbconvert import HTMLExporter

from ptp.errors import UsageError
from ptp.report.offline import offline
from ptp.report.page import write_text
from ptp.report.template import page_from

_CELLS = Path(__file__).parent / "templates" / "cells.html.j2"
_SCROLLS = re.compile(r'<div class="output_(?:html|text|stream)[^"]*\boutput_subarea\b[^"]*"')
"""What may be wider than the page and scrolls within itself, which the keyboard must reach."""

_PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
# Neither package has types for these two.
_EXPORTER: Any = HTMLExporter
_READS: Any = nbformat.reads
_NEEDS_SCRIPT = ("application/javascript", "application/vnd.jupyter.widget-view+json")


def write_notebook_html(notebook: Path) -> Path:
    """Write the executed notebook as .html beside it; raises UsageError when the file is no notebook."""
    document = _read(notebook)
    for place, cell in enumerate(document.cells, start=1):
        cell["id"] = str(place)  # of its own, since nbformat draws a random one where there is none
        for output in cell.get("outputs", ()):
            _prepare(output, count=cell.get("execution_count"))
    exporter: Any = _EXPORTER(raw_template=_CELLS.read_text(encoding="utf-8"), exclude_anchor_links=True)
    body, _ = exporter.from_notebook_node(document)
    target = notebook.with_suffix(".html")
    errors = sum(o.get("output_type") == "error" for c in document.cells for o in c.get("outputs", ()))
    page = page_from(
        "notebook.html.j2",
        title=_title(document) or notebook.stem,
        file=notebook.name,
        errors=errors,
        # Built by nbconvert, which escapes texts; offline() takes out what runs or loads.
        body=Markup(_SCROLLS.sub(r'\g<0> tabindex="0" role="group" aria-label="Output"', offline(body))),
    )
    write_text(target, page)
    return target


def _read(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # An older notebook's missing cell ids are no matter of its reader.
            warnings.simplefilter("ignore")
            return _READS(path.read_text(encoding="utf-8"), as_version=4)
    except OSError as problem:
        raise UsageError(f"{path} cannot be read: {problem.strerror}.") from None
    except Exception as problem:  # nbformat raises errors of many kinds for what is not a notebook
        raise UsageError(f"{path} is not a notebook: {type(problem).__name__}.") from None


def _prepare(output: Any, *, count: int | None) -> None:
    """Take out what needs a script, keep the last state of a line that was overwritten, and name every picture."""
    if output.get("output_type") == "stream":
        output["text"] = re.sub(r"[^\n]*\r(?=[^\n])", "", output["text"])
        return
    data = output.get("data", {})
    for kind in _NEEDS_SCRIPT:
        data.pop(kind, None)
    said = str(data.get("text/plain", "")).strip()
    # A figure's own text is its size, which tells nobody what it shows.
    text = said if said and not said.startswith("<") else f"Picture made by cell {count or 'without a number'}"
    for kind in _PICTURES:
        if kind in data:
            output.setdefault("metadata", {}).setdefault(kind, {}).setdefault("alt", text)


def _title(document: Any) -> str:
    """The notebook's first heading."""
    for cell in document.cells:
        found = re.search(r"^#\s+(.+?)\s*$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return re.sub(r"[`*_]", "", found[1])
    return ""
