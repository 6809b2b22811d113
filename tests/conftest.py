"""Every test starts from an environment without settings of ptp's, whatever the shell of the developer holds."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.upper().startswith(("TURSO_", "PTP_")):
                patch.delenv(name)
        yield
