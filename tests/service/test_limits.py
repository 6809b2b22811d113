"""The largest body: told before, or found out chunk by chunk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ptp.service.middleware.limits import LARGEST_BODY
from tests.service.api_heads import HEADERS, TestClient, an_answer, client_of, copy_of, rows

PATH = "/api/study/answers"
JSON = {**HEADERS, "content-type": "application/json"}


@pytest.fixture(scope="module")
def head(api_head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(api_head, tmp_path_factory.mktemp("limits"))


@pytest.fixture(scope="module")
def client(head: Path) -> Iterator[TestClient]:
    with client_of(head) as made:
        yield made


def body_of(size: int) -> bytes:
    text = json.dumps({"answers": [an_answer()]}).encode()
    return text + b" " * (size - len(text))


def chunks(body: bytes, size: int = 10_000) -> Iterator[bytes]:
    yield from (body[at : at + size] for at in range(0, len(body), size))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_not(
    chunked: bool, client: TestClient, head: Path
) -> None:
    before = rows(head, "SELECT count(*) FROM user_answers")[0][0]
    for size, status in ((LARGEST_BODY, 200), (LARGEST_BODY + 1, 413)):
        body = body_of(size)
        found = client.post(PATH, content=chunks(body) if chunked else body, headers=JSON)
        assert found.request.headers.get("transfer-encoding") == ("chunked" if chunked else None)
        assert found.status_code == status, found.text
        assert rows(head, "SELECT count(*) FROM user_answers")[0][0] == before + 1
    assert found.headers["content-type"] == "application/problem+json"
    assert found.json()["request_id"] == found.headers["x-request-id"]


def test_chunks_are_counted_together(client: TestClient) -> None:
    """Each far below the limit, as they arrive over a network; the test client would join them."""
    sent, told = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal sent
        sent += 50_000
        return {"type": "http.request", "body": b" " * 50_000, "more_body": sent < 100 * LARGEST_BODY}

    async def send(message: Any) -> None:
        told.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in JSON.items()]
    scope = {"type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "query_string": b"",
             "headers": headers, "http_version": "1.1", "scheme": "http", "server": ("x", 80)}  # fmt: skip
    asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
    assert told[0]["status"] == 413 and LARGEST_BODY < sent <= LARGEST_BODY + 50_000


def test_a_length_that_is_told_wrongly_is_refused(client: TestClient) -> None:
    found = client.post(PATH, content=b"{}", headers={**JSON, "content-length": str(10**30)})
    assert found.status_code == 413


def test_the_largest_batch_fits(client: TestClient) -> None:
    sent = [
        an_answer(1 + n % 50, selected_answer="a" * 100, key=f"{n:0>200}", study_session_id=None) for n in range(500)
    ]
    found = client.post(PATH, json={"answers": sent}, headers=HEADERS)
    assert found.status_code == 200, found.text
    assert len(found.json()["recorded"]) == 500
