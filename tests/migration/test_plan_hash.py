"""The hash of a plan is the same in every process: a rehearsal, and what was shown, are bound to it."""

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
    command = [sys.executable, "-m", "ptp.cli", "migrate", "--source", str(source), "--target", "x.db", "--dry-run"]
    shown = {
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2", "3")
    }
    assert len(shown) == 1


def test_a_plan_that_is_not_the_one_shown_does_not_run(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    with pytest.raises(CannotFinish, match="not the one that was shown"):
        migrate(source, target, tmp_path, run="r", shown="0" * 64)
    assert not target.exists()
