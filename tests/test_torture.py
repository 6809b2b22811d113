"""Long trials at full size, by hand: `make torture`. They print what they measure; only bounds of the brief fail."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ptp.workload.demo import Shape, write_demo

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1200)]
MAX_MB = 500


@pytest.mark.parametrize("shape", ["raw", "drizzle"])
def test_a_full_source_passes_within_its_memory(shape: Shape, tmp_path: Path) -> None:
    source = write_demo(shape=shape, size="full", seed=1, out=tmp_path / "source.db").path
    before = source.read_bytes()
    command = [sys.executable, "-m", "ptp.cli", "run", "--source", str(source), "--out", str(tmp_path / "run")]
    process = psutil.Popen(command)
    peak = 0.0
    while process.poll() is None:
        for each in [process, *process.children(recursive=True)]:
            try:
                peak = max(peak, each.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue
        try:
            process.wait(0.2)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            continue
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text())
    print(f"\n{shape}: {verdict['verdict']} in {verdict['run']['seconds']} s, at most {peak:.0f} MB in a process")
    assert process.returncode == 0
    assert peak < MAX_MB
    assert source.read_bytes() == before
