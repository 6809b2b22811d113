"""A token is planted, and looked for wherever it might come out: output, files, and the list of processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptp.workload.demo import write_demo
from tests.remote.standin import StandIn

TOKEN = "planted-t0ken-for-all-to-look-for"
RIGHT, WRONG = TOKEN, f"{TOKEN}-that-is-wrong"
MIGRATE = ("migrate", "--target", "new.db", "--out", "run")
TRIED = [
    pytest.param(MIGRATE, RIGHT, id="the right one"),
    pytest.param(("health",), WRONG, id="a wrong one"),
    *(
        pytest.param(words, token, id=f"{words[0]} {which}", marks=pytest.mark.torture)
        for words in (("backup", "take", "--out", "kept"), MIGRATE, ("health",), ("bench", "--out", "timed"))
        for which, token in (("taken", RIGHT), ("refused", WRONG))
    ),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    source = write_demo(shape="raw", size="tiny", seed=1, out=tmp_path_factory.mktemp("served") / "old.db").path
    with StandIn(source, token=TOKEN) as found:
        yield found


def watched(command: list[str], cwd: Path, token: str) -> tuple[str, set[str]]:
    """What a command prints, and every command line that was to be seen in the list of processes meanwhile."""
    variables = {**os.environ, "TURSO_AUTH_TOKEN": token}
    out = cwd / "output.txt"
    seen: set[str] = set()
    with out.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=cwd, env=variables, stdout=file, stderr=subprocess.STDOUT)
        while process.poll() is None:
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(place.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:  # it has just ended
                    continue
            time.sleep(0.02)
    return out.read_text(encoding="utf-8"), seen


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the list of processes is read from /proc")
@pytest.mark.parametrize(("words", "token"), TRIED)
def test_a_token_comes_out_nowhere(served: StandIn, tmp_path: Path, words: tuple[str, ...], token: str) -> None:
    side = "--source" if words[0] in ("backup", "migrate") else "--target"
    command = [sys.executable, "-m", "ptp.cli", *words, side, served.http]

    said, processes = watched(command, tmp_path, token)

    assert said and TOKEN not in said and "Traceback" not in said
    assert any(" ".join(words) in line for line in processes)
    assert not [line for line in processes if TOKEN in line]
    left = [p for p in tmp_path.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
    assert left == []
    if token == TOKEN and words[0] in ("backup", "migrate"):
        assert any(p.suffix == ".db" for p in tmp_path.rglob("*"))
    shutil.rmtree(tmp_path, ignore_errors=True)
