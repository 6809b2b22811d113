"""Requests made from the API's own OpenAPI document, right and wrong ones: none ends in an error of the server."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.service.api_heads import HEADERS, TestClient, client_of, copy_of, rows

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
HOST = "http://testserver"


class Fuzzer:
    """Sends generated cases, half of them with ids that stand for something, and counts what comes back."""

    def __init__(self, client: TestClient, head: Path) -> None:
        self.client, self.statuses = client, Counter[tuple[str, int]]()
        self.schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        self.known = {"exam_id": rows(head, "SELECT id FROM exams"), "question_id": rows(head, "SELECT id FROM questions"),
                      "session_id": rows(head, "SELECT id FROM study_sessions WHERE user_id = ?", 5)}  # fmt: skip
        self.headers = {**HEADERS, "X-User-Id": "5"}

    def operations(self) -> Iterator[tuple[Any, Any]]:
        for found in self.schema.get_all_operations():
            yield from itertools.product([found.ok()], schemathesis.GenerationMode)

    def fuzz(self, operation: Any, mode: Any, *, examples: int, seed: int) -> None:
        @seeded(seed)
        @settings(max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode), place=st.none() | st.integers(0, 20))
        def run(case: Any, place: int | None) -> None:
            if place is not None:
                self._make_known(case, place)
            self._send(case)

        try:
            run()
        except Unsatisfiable:
            assert mode is schemathesis.GenerationMode.NEGATIVE  # nothing of it can be wrong

    def _make_known(self, case: Any, place: int) -> None:
        answers = case.body.get("answers") if isinstance(case.body, dict) else None
        for part in (case.path_parameters, case.query, *(answers if isinstance(answers, list) else ())):
            for name in self.known.keys() & (part.keys() if isinstance(part, dict) else ()):
                values = self.known[name]
                part[name] = values[place % len(values)][0]

    def _send(self, case: Any) -> None:
        try:
            made = requests.Request(**{**case.as_transport_kwargs(base_url=HOST), "cookies": None}).prepare()
            headers = {
                name: value.encode() if isinstance(value, str) else value for name, value in made.headers.items()
            }
            found = self.client.request(made.method or "", made.url or "", content=made.body,
                                        headers={**headers, **self.headers})  # fmt: skip
        except (requests.exceptions.InvalidHeader, httpx.InvalidURL, UnicodeError):
            return  # no client can send it
        self.statuses[case.operation.label, found.status_code] += 1
        case.validate_response(found, checks=CHECKS)


@pytest.fixture
def fuzzer(api_head: Path, tmp_path: Path) -> Iterator[Fuzzer]:
    head = copy_of(api_head, tmp_path)
    with client_of(head) as client:
        yield Fuzzer(client, head)


def test_no_request_ends_in_an_error_of_the_server(fuzzer: Fuzzer) -> None:
    for operation, mode in fuzzer.operations():
        fuzzer.fuzz(operation, mode, examples=15, seed=1)
    labels = {label for label, _ in fuzzer.statuses}
    answered = {label for label, status in fuzzer.statuses if status == 200}
    assert len(labels) == 14 and answered == labels, labels - answered
    assert {404, 422} <= {status for _, status in fuzzer.statuses}


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_ten_minutes_of_requests(fuzzer: Fuzzer) -> None:
    end = time.monotonic() + 600
    for seed in itertools.count(2):
        for operation, mode in fuzzer.operations():
            if time.monotonic() > end:
                print(f"{fuzzer.statuses.total():,} requests: {dict(sorted(fuzzer.statuses.items()))}")
                return
            fuzzer.fuzz(operation, mode, examples=100, seed=seed)
