"""Every test starts from an environment without settings of ptp's, whatever the shell of the developer holds."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.upper().startswith(("TURSO_", "PTP_", "JWT_", "REDIS_")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """A shell starts what runs in its background with Ctrl-C ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: Files that take long as a whole: begun first, so that no processor waits for one of them at the end.
LONG = (
    "test_proving.py",
    "test_end_to_end.py",
    "test_errors_end_to_end.py",
    "test_kills.py",
    "test_floors.py",
    "test_against_end_to_end.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)
