from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.crash.place", "tests.crash.trials")

from tests.crash.place import Place, Worker  # noqa: E402


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    found = Worker()
    yield found
    found.close()


@pytest.fixture(scope="module")
def raw(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("raw") / "place", worker, "raw")


@pytest.fixture(scope="module")
def drizzle(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("drizzle") / "place", worker, "drizzle")
