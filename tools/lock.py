"""Write requirements.txt: everything installed here, pinned, but for ptp and pip themselves."""

import subprocess
import sys
from pathlib import Path

HEADER = """\
# Everything that ptp needs, pinned: what pyproject.toml names and all that it pulls in.
# Written by `make lock`; held to pyproject.toml and environment.yml by tests/test_packaging.py.
"""

freeze = [sys.executable, "-m", "pip", "freeze", "--exclude-editable", "--exclude", "ptp"]
found = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
Path("requirements.txt").write_text(HEADER + found, encoding="utf-8")
