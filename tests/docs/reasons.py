"""What of the docs is not run as it stands, each with its reason and the test that stands in for it.

A reason that no line needs any more, and a test that is not there, fail `test_blocks.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Lines that are parsed only: the pattern of the whole line, why, and which file tries what they say."""

    pattern: str
    why: str
    witness: str
    is_slow: bool = False

    def fits(self, line: str) -> bool:
        return re.fullmatch(self.pattern, line) is not None


REASONS = (
    Reason(r"make run", "is what `.ci/run` does at real size", ".ci/run"),
    Reason(r"make test", "is what runs this", "tests/test_packaging.py"),
    Reason(r".*ptp verify --prove quick", "16 s of processor time", "tests/test_end_to_end.py", is_slow=True),
    Reason(r".*papermill .*", "starts a kernel", "tests/test_end_to_end.py", is_slow=True),
    Reason(r".*ptp serve .*", "serves until it is told to end", "tests/service/test_serving.py"),
    Reason(r".*ptp load .*--seconds 60.*", "a minute of 1,000 users", "tests/workbench/test_loading.py"),
    Reason(r".*ptp load .*--find-capacity", "minutes of rising load", "tests/workbench/test_loading.py"),
    Reason(r".*ptp load .*--driver process.*", "a load of 5 s", "tests/workbench/test_loading.py", is_slow=True),
    Reason(r".*ptp replica .*", "wants a primary of Turso's", "tests/replicas/test_cli.py"),
    Reason(
        r".*ptp scale .*--(users|times).*", "as the line before it", "tests/workbench/test_scaling.py", is_slow=True
    ),
    Reason(r".*(libsql|https)://.*", "wants a server and its token", "tests/engine/conformance/test_statements.py"),
)
