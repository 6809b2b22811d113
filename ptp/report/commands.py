"""The command that makes a stage's numbers again, as a person would type it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ptp.evidence import Run, Stage
from ptp.report.topics import base_of
from ptp.report.words import cell, is_number

_CONDITIONS, _LOAD = "Conditions", "Load"


def command_of_run(run: Run) -> str:
    """The whole run again."""
    return _joined("ptp run", source=run.source, profile=run.profile) if run.source else ""


def command_of(stage: Stage, run: Run) -> str:
    """The command that makes the stage's numbers again; empty where its results do not say enough."""
    both = {"source": run.source, "target": run.target}
    match base_of(stage.name):
        case "migrate":
            return _joined("ptp migrate", **both)
        case "rehearsal":
            return _joined("ptp migrate", **both) + " --rehearse"
        case "verify" | "prove" | "verify_since":
            return _joined("ptp verify", **both)
        case "benchmark" | "floors":
            end = " --floors" if base_of(stage.name) == "floors" else ""
            seed = _first(stage, _CONDITIONS).get("seed", "")
            return _joined("ptp bench", target=run.target, source=run.source, profile=run.profile, seed=seed) + end
        case "load" | "capacity":
            return _load(stage, run)
        case "scale":
            return _joined("ptp scale", target=run.target)
        case _:
            return ""


def _load(stage: Stage, run: Run) -> str:
    row = _first(stage, _LOAD)
    options = {name: row.get(name, "") for name in ("profile", "driver", "seconds", "seed")}
    end = " --find-capacity" if base_of(stage.name) == "capacity" else ""
    return _joined("ptp load", target=run.target, **options) + end


def _first(stage: Stage, name: str) -> Mapping[str, Any]:
    rows = stage.tables.get(name, ())
    return rows[0] if rows else {}


def _joined(command: str, **options: object) -> str:
    told = {name: f"{value:g}" if is_number(value) else cell(value) for name, value in options.items() if value != ""}
    return " ".join([command, *(f"--{name} {shlex.quote(text)}" for name, text in told.items())])
