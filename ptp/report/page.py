"""The report of one run: an offline page whose first screen is the verdict, made from the run folder's files alone."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ptp.evidence import Evidence, Run, read_evidence
from ptp.report.gates import gates_of, headline
from ptp.report.sections import environment_of, sections_of
from ptp.report.words import clean, duration, moment

_TEMPLATES = Path(__file__).parent / "templates"
BROAD = 60
"""A fact of more characters stands after the others, and takes the room of two."""


def render(evidence: Evidence, *, files: Collection[str] | None = None) -> str:
    """The page as HTML; the same evidence gives the same bytes.

    Where `files`, the paths inside the run folder, are given, only these are linked to.
    """
    gates = gates_of(evidence)
    return page_from(
        "page.html.j2",
        run=evidence.run,
        facts=_facts(evidence.run),
        head=headline(evidence, gates),
        gates=gates,
        sections=sections_of(evidence, files=files),
        environment=environment_of(evidence),
        recorded=evidence.verdict is not None,
        broad=BROAD,
    )


def write_report(folder: Path, evidence: Evidence | None = None) -> Path:
    """Write the run folder's index.html, atomically, from its files or, before the last is written, from `evidence`.

    Raises UsageError when it is no run folder.
    """
    evidence = evidence or read_evidence(folder)
    files = {f.relative_to(folder).as_posix() for part in ("notebooks", "results") for f in (folder / part).glob("*")}
    target = folder / "index.html"
    write_text(target, render(evidence, files=files))
    return target


def page_from(template: str, **values: object) -> str:
    """A template of this package, filled; every text that is not markup is cleaned and escaped."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style = Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(style=style, **values)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically: to a temporary file beside it, synced, then renamed."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    """What was run on what, for the first screen."""
    told = [(_named(name), text) for name, text in run.facts.items()]
    facts = [
        ("Source", run.source),
        ("Target", run.target),
        *(fact for fact in told if len(fact[1]) <= BROAD),
    ]
    facts += [("Profile", run.profile), ("Environment", run.env)]
    facts += [("Started", moment(run.started)), ("Took", duration(run.seconds))]
    facts += [fact for fact in told if len(fact[1]) > BROAD]
    return tuple((name, text) for name, text in facts if text)


def _named(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def _finalize(value: object) -> object:
    # Markup was made by this package and is whole; anything else may come from data.
    return value if isinstance(value, Markup) else clean(str(value))
