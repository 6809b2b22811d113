"""`ptp doctor`: can this machine do what ptp does, and what to do where it cannot; nothing is changed."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ptp.engine import has_module
from ptp.engine.environment import environment
from ptp.errors import PtpError
from ptp.evidence import Stage
from ptp.migration.conditions import flaws_of, temporary_folder
from ptp.resources import folder
from ptp.results import Finding, Severity, Verdict
from ptp.settings import load_settings, variables_of_a_child

NAME, TITLE = "doctor", "Machine"
PYTHON = (3, 11)
SQLITE = (3, 37, 0)
"""The first SQLite with STRICT tables."""
ROOM_MB = 2_000
"""What a run on the demo takes at its most, with room to spare."""
CLOCK_NS = 10_000
_STEPS = 200

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "libsql": ("libsql",),
    "turso": ("turso",),
    "remote": ("turso_serverless",),
    "serve": ("fastapi", "uvicorn", "dogpile.cache", "prometheus_client", "jwt", "redis"),
}
"""What can be installed besides, and the modules that tell whether it is."""
_NEEDED = ("papermill", "ipykernel", "jupyterlab", "nbconvert", "matplotlib", "pandas", "sqlalchemy", "apsw")
_SHARED = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs"))


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one thing: whether it is well, what was seen, and what to do where it is not."""

    claim: str
    verdict: Verdict
    seen: str
    todo: str = ""
    severity: Severity = "gate"


def examine(place: Path) -> Stage:
    """Look at the machine and at the folder `place`, from which ptp is used."""
    started = time.perf_counter()
    looks: Mapping[str, Callable[[], Look]] = {
        "python": _python,
        "sqlite": _sqlite,
        "sqlite-flaws": _flaws,
        "full-text": _full_text,
        "packages": _packages,
        "files": _files,
        "kernel": _kernel,
        "settings": _settings,
        "secrets": lambda: _secrets(place),
        "room": lambda: _room(place),
        "temporary": lambda: _temporary(),
        "file-system": lambda: _file_system(place),
        "clock": _clock,
        "cores": _cores,
    }
    findings = [*(_finding(name, look()) for name, look in looks.items()), *_extras()]
    return Stage(NAME, TITLE, time.perf_counter() - started, tuple(findings))


def _finding(name: str, look: Look) -> Finding:
    where = () if look.verdict in ("pass", "not applicable") else (f"{look.seen}: {look.todo}",)
    return Finding(
        id=f"doctor.{name}",
        claim=look.claim,
        verdict=look.verdict,
        severity=look.severity,
        where=where,
        evidence=look.seen,
    )


def _held(holds: bool) -> Verdict:
    return "pass" if holds else "fail"


def _python() -> Look:
    wanted = ".".join(map(str, PYTHON))
    return Look(
        f"Python is {wanted} or newer",
        _held(sys.version_info >= PYTHON),
        f"Python {platform.python_version()} in {sys.prefix}",
        f"install Python {wanted}, and run make there anew",
    )


def _sqlite() -> Look:
    wanted = ".".join(map(str, SQLITE))
    holds = sqlite3.sqlite_version_info >= SQLITE
    return Look(
        f"SQLite is {wanted} or newer, with STRICT tables",
        _held(holds),
        f"SQLite {sqlite3.sqlite_version}",
        "use a Python that brings a newer one",
    )


def _flaws() -> Look:
    flaws = flaws_of()
    return Look(
        "This version of SQLite has no known way to corrupt",
        "inconclusive" if flaws else "pass",
        "; ".join(f.name for f in flaws) or f"SQLite {sqlite3.sqlite_version}",
        "use a Python that brings a newer SQLite where you can; ptp itself avoids what leads to it",
        "note",
    )


def _full_text() -> Look:
    with closing(sqlite3.connect(":memory:")) as db:
        holds = has_module(db, "fts5")
    return Look(
        "SQLite has FTS5, so that a search need not read every question",
        "pass" if holds else "inconclusive",
        "fts5" if holds else "no fts5",
        "searches work without it, and are slower",
        "note",
    )


def _packages() -> Look:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    seen = (
        f"no {', '.join(missing)}" if missing else f"{len(_NEEDED)} packages, papermill {metadata.version('papermill')}"
    )
    return Look("What ptp is made of is installed", _held(not missing), seen, "run make setup")


def _files() -> Look:
    missing = [name for name in ("sql", "notebooks") if not any(folder(name).glob("0*"))]
    seen = f"nothing in {', '.join(missing)}" if missing else "sql/ and notebooks/"
    return Look("The steps and the notebooks are there", _held(not missing), seen, "install ptp anew")


def _kernel() -> Look:
    asked = [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False, env=variables_of_a_child())
    try:
        found: dict[str, dict[str, str]] = json.loads(told.stdout)["kernelspecs"]
    except (ValueError, KeyError):
        found = {}
    has_python = "python3" in found
    seen = f"python3 in {found['python3']['resource_dir']}" if has_python else f"kernels: {', '.join(found) or 'none'}"
    return Look(
        "Notebooks have a kernel to run in", _held(has_python), seen, "python -m ipykernel install --sys-prefix"
    )


def _settings() -> Look:
    try:
        load_settings()
    except PtpError as problem:
        return Look(
            "The settings can be read", "fail", str(problem).rstrip("."), "correct it in .env or the environment"
        )
    return Look("The settings can be read", "pass", ".env and the environment")


def _secrets(place: Path) -> Look:
    """Whether a file of settings, which may hold tokens, is for its owner alone."""
    claim, path = "Nobody else may read .env", place / ".env"
    if not path.is_file():
        return Look(claim, "not applicable", "there is no .env", severity="note")
    mode = stat.S_IMODE(path.stat().st_mode)
    is_private = not mode & (stat.S_IRGRP | stat.S_IROTH)
    return Look(claim, "pass" if is_private else "inconclusive", f"its mode is {mode:o}", f"chmod 600 {path}", "note")


def _room(place: Path) -> Look:
    free = shutil.disk_usage(place).free / 1e6
    holds = free >= ROOM_MB and os.access(place, os.W_OK)
    seen = f"{free:,.0f} MB free in {place}" if os.access(place, os.W_OK) else f"{place} cannot be written"
    return Look(f"There is room for a run: {ROOM_MB:,} MB", _held(holds), seen, "make room, or work in another folder")


def _temporary() -> Look:
    place = temporary_folder()
    free = shutil.disk_usage(place).free / 1e6
    seen = f"{free:,.0f} MB free in {place}"
    return Look(
        "There is room to sort in", _held(free >= ROOM_MB / 4), seen, "name a folder with more room in SQLITE_TMPDIR"
    )


def _file_system(place: Path) -> Look:
    """SQLite's write-ahead log needs memory that processes share, which file systems over a network have not."""
    kind = _kind_of_file_system(place)
    return Look(
        "The file system is of this machine, as the write-ahead log needs it",
        "inconclusive" if not kind else _held(kind not in _SHARED),
        kind or "not known on this system",
        "work on a disk of this machine",
        "gate" if kind else "note",
    )


def _kind_of_file_system(place: Path, mounts: Path = Path("/proc/mounts")) -> str:
    try:
        lines = [line.split()[:3] for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    here = place.resolve()
    found = [(len(at), kind) for _, at, kind in lines if here.is_relative_to(at.replace("\\040", " "))]
    return max(found, default=(0, ""))[1]


def _clock() -> Look:
    """The smallest step of the clock that queries are timed with."""
    steps = []
    for _ in range(_STEPS):
        first = time.perf_counter_ns()
        while (now := time.perf_counter_ns()) == first:
            pass
        steps.append(now - first)
    step = sorted(steps)[_STEPS // 2]
    return Look(
        "The clock is fine enough for queries of microseconds",
        _held(step <= CLOCK_NS),
        f"{step} ns a step",
        "use another",
    )


def _cores() -> Look:
    here = environment()
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cores = int(here["cores"])
    return Look(
        "The machine is quiet enough for times",
        "pass" if busy < cores else "inconclusive",
        f"{cores} cores of {here['cpu']}, load {busy:.1f}",
        "times may come out inconclusive while other work goes on; counters do not vary",
        "note",
    )


def _extras() -> Iterator[Finding]:
    for name, modules in EXTRAS.items():
        missing = [m for m in modules if not _is_there(m)]
        seen = f"not installed: pip install 'ptp[{name}]'" if missing else ", ".join(modules)
        look = Look(f"The extra {name}", "not applicable" if missing else "pass", seen, severity="note")
        yield _finding(f"extra.{name}", look)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that is not there either
        return False
