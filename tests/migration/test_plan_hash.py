"""The hash of a plan is the same in every process: a rehearsal, and what was shown, are bound to it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ptp.errors import CannotFinish
from ptp.workbench.migrating import migrate
from ptp.workload.demo import write_demo


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_demo(shape="drizzle", size="tiny", seed=5, out=tmp_path / "source.db").path


def test_two_processes_with_other_hash_seeds_make_the_same_plan(source: Path) -> None:
    given = ["--source", str(source), "--target", "x.db", "--on-dirty", "quarantine", "--dry-run", "--json"]
    shown = set()
    for seed in ("1", "2", "3"):
        command = [sys.executable, "-m", "ptp.cli", "migrate", *given]
        ended = subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True, cwd=source.parent
        )
        told = json.loads(ended.stdout)
        statements = [(s["kind"], s["sql"], s["rows"], s["rows_read"], s["rows_written"]) for s in told["statements"]]
        shown.add(json.dumps([told["hash"], statements, told["risks"], told["locks"][0]["what"]]))
    assert len(shown) == 1


def test_a_plan_that_is_not_the_one_shown_does_not_run(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    with pytest.raises(CannotFinish, match="not the one that was shown"):
        migrate(source, target, tmp_path, run="r", shown="0" * 64)
    assert not target.exists()
