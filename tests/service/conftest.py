"""The head database that the tests of the service copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.api_heads import head_in


@pytest.fixture(scope="session")
def api_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return head_in(tmp_path_factory.mktemp("api"))
