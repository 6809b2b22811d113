"""Answers sent again with their key: recorded once, whoever comes first, and whatever is killed in between."""

from __future__ import annotations

import json
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3

from ptp.engine import open_engine
from ptp.engine.meters import recorded
from ptp.errors import Conflict, UsageError
from ptp.queries import NewAnswer, StudyQueries
from tests.service.api_heads import (
    HEADERS,
    Server,
    TestClient,
    an_answer,
    check_graceful_end,
    client_of,
    copy_of,
    dump,
    rows,
    served,
)

NOW = 1_750_000_000
PATH = "/api/study/answers"
COUNTS = "SELECT id, total_attempts, correct_attempts, total_time_seconds FROM questions ORDER BY id"


def new(question: int = 1, *, user: int = 3, **more: Any) -> NewAnswer:
    values: dict[str, Any] = {"selected_answer": "a", "is_correct": True, "time_spent_seconds": 5, **more}
    return NewAnswer(user_id=user, question_id=question, **values)


@pytest.fixture
def own(api_head: Path, tmp_path: Path) -> Path:
    return copy_of(api_head, tmp_path)


@pytest.fixture
def study(own: Path) -> Iterator[StudyQueries]:
    engine = open_engine(own)
    yield StudyQueries(engine)
    engine.dispose()


@pytest.fixture(scope="module")
def client(api_head: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(copy_of(api_head, tmp_path_factory.mktemp("repeats"))) as made:
        made.headers.update(HEADERS)
        yield made


def test_an_answer_sent_again_changes_nothing_and_is_told_as_it_was(study: StudyQueries, own: Path) -> None:
    first = study.record_answer(new(key="k"), now=NOW)
    before = dump(own)
    again = study.record_answer(new(key="k"), now=NOW + 999)
    assert again == first._replace(repeated=True) and not first.repeated
    assert dump(own) == before


def test_a_batch_half_of_which_was_recorded(study: StudyQueries, own: Path) -> None:
    first = study.record_answers([new(1, key="a"), new(2, key="b")], now=NOW)
    counts = {key: rest for key, *rest in rows(own, COUNTS)}
    mixed = [new(2, key="b"), new(3, key="c"), new(3), new(1, key="a"), new(3, key="c"), new(3)]
    found = study.record_answers(mixed, now=NOW)
    assert [r.question_id for r in found] == [2, 3, 3, 1, 3, 3]
    assert [r.repeated for r in found] == [True, False, False, True, True, False]
    assert (found[0].id, found[3].id) == (first[1].id, first[0].id)
    assert found[4] == found[1]._replace(repeated=True)
    assert [found[n].attempt_number for n in (1, 2, 5)] == [1, 2, 3]
    after = {key: rest for key, *rest in rows(own, COUNTS)}
    assert {key for key in counts if counts[key] != after[key]} == {3}
    assert after[3][0] == (counts[3][0] or 0) + 3


def test_a_key_is_its_users_own(study: StudyQueries) -> None:
    mine, theirs = (study.record_answer(new(user=user, key="k"), now=NOW) for user in (3, 4))
    assert mine.id != theirs.id and not theirs.repeated


OTHERS = {
    "question_id": 2, "selected_answer": "b", "is_correct": False, "time_spent_seconds": 6, "confidence_level": 1,
    "flagged": True, "changed_answer": True,
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_key_of_another_answer_is_a_conflict_and_nothing_is_written(
    name: str, study: StudyQueries, own: Path
) -> None:
    other = new(**{"question": 1, "key": "k", ("question" if name == "question_id" else name): OTHERS[name]})
    study.record_answer(new(key="k"), now=NOW)
    before = dump(own)
    for batch in ([other], [new(5), other], [new(5, key="n"), other]):
        with pytest.raises(Conflict, match="'k'"):
            study.record_answers(batch, now=NOW)
    with pytest.raises(Conflict):
        study.record_answers([new(key="fresh"), new(2, key="fresh")], now=NOW)
    assert dump(own) == before


def test_a_key_of_an_answer_that_was_refused_is_free(study: StudyQueries) -> None:
    with pytest.raises(UsageError):
        study.record_answers([new(key="k"), new(987654)], now=NOW)
    assert not study.record_answer(new(2, key="k"), now=NOW).repeated


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", "\ud800", 5])
def test_a_key_that_cannot_be_kept_is_refused(key: Any, study: StudyQueries) -> None:
    with pytest.raises(UsageError, match="key"):
        study.record_answer(new(key=key), now=NOW)


def test_a_key_costs_one_statement_and_no_key_none(own: Path) -> None:
    engine = open_engine(own)
    counts = []
    for keys in ((None, None), ("a", "b"), ("a", "b")):
        with recorded(engine) as statements:
            StudyQueries(engine).record_answers([new(n, key=key) for n, key in enumerate(keys, 1)], now=NOW)
        counts.append(len(statements))
    engine.dispose()
    assert counts == [2, 3, 1]


@pytest.mark.parametrize("ask", ["queries", "http"])
def test_two_threads_with_the_same_key_record_it_once(ask: str, own: Path) -> None:
    def both(send: Callable[[], Any]) -> list[Any]:
        gate, made = threading.Barrier(4), []

        def run() -> None:
            gate.wait()
            made.append(send())

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return made

    before = rows(own, "SELECT count(*) FROM user_answers")[0][0]
    engine = open_engine(own)
    study = StudyQueries(engine)

    def by_query(key: str) -> tuple[int, bool]:
        found = study.record_answer(new(key=key), now=NOW)
        return found.id, found.repeated

    def by_http(key: str) -> tuple[int, bool]:
        found = client.post(PATH, headers=HEADERS, json={"answers": [an_answer(key=key)]}).json()["recorded"][0]
        return found["answer_id"], found["repeated"]

    with client_of(own) as client:
        made = [both(partial(by_query if ask == "queries" else by_http, str(n))) for n in range(10)]
    engine.dispose()
    for four in made:
        assert len({key for key, _ in four}) == 1 and sorted(r for _, r in four) == [False, True, True, True]
    assert rows(own, "SELECT count(*) FROM user_answers")[0][0] == before + 10


def test_the_header_is_a_key_for_one_answer(client: TestClient) -> None:
    def send(*answers: Any, key: str = "header") -> Any:
        return client.post(PATH, json={"answers": answers}, headers={"Idempotency-Key": key})

    first, again = send(an_answer()).json()["recorded"], send(an_answer()).json()["recorded"]
    assert again == [{**first[0], "repeated": True}]
    conflict = send(an_answer(2))
    assert conflict.status_code == 409 and conflict.headers["content-type"] == "application/problem+json"
    assert send(an_answer(), an_answer(2), key="two").status_code == 400
    assert send(an_answer(key="own"), key="both").status_code == 400
    assert send(an_answer(), key="").status_code == 422
    assert send(an_answer(), key="x" * 201).status_code == 422


class Sender:
    """Sends numbered answers, and each again until it sees a reply; the server may be gone in between."""

    def __init__(self, path: Path, count: int) -> None:
        self.path, self.count = path, count
        self.told: dict[int, int] = {}
        self.repeated = 0

    def answer(self, number: int) -> dict[str, Any]:
        return an_answer(1 + number % 40, is_correct=number % 3 > 0, time_spent_seconds=number % 60, key=f"n{number}")

    def send(self, number: int, address: Callable[[], str]) -> None:
        body = json.dumps({"answers": [self.answer(number)]})
        for _ in range(10_000):
            try:
                found = _POOL.request("POST", address() + PATH, body=body, headers=_JSON, timeout=5, retries=False)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.02)
                continue
            assert found.status == 200, found.data
            told = json.loads(found.data)["recorded"][0]
            self.told[number] = told["answer_id"]
            self.repeated += told["repeated"]
            return
        raise AssertionError("the server did not come back")


_POOL = urllib3.PoolManager(maxsize=8)
_JSON = {**HEADERS, "content-type": "application/json"}


def killed_while_sending(
    own: Path, *, count: int, kills: int, threads: int, at_end: Callable[[Sender, Server], None]
) -> Sender:
    """Send `count` answers from some threads while the server is killed and begun anew `kills` times."""
    sender, chance = Sender(own, count), random.Random(count)
    server = [Server(own, "--insecure-dev", "--port", "0")]
    numbers, lock = iter(range(count)), threading.Lock()
    marks = sorted(chance.sample(range(count // 10, count - count // 10), kills))
    reached = threading.Event()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
                if marks and number == marks[0]:
                    marks.pop(0)
                    reached.set()
            if number is None:
                return
            sender.send(number, lambda: server[0].address)

    crew = [threading.Thread(target=work) for _ in range(threads)]
    try:
        for one in crew:
            one.start()
        for _ in range(kills):
            assert reached.wait(600)
            reached.clear()
            server[0].end(signal.SIGKILL)
            server[0] = Server(own, "--insecure-dev", "--port", "0")
        for one in crew:
            one.join(600)
        at_end(sender, server[0])
    finally:
        server[0].end(signal.SIGTERM)
    return sender


def check_all_there_once(sender: Sender, before: dict[int, Any], first: int) -> None:
    written = rows(sender.path, "SELECT id, request_key, question_id, is_correct, time_spent_seconds "
                   "FROM user_answers WHERE id > ?", first)  # fmt: skip
    assert len(sender.told) == sender.count == len(written)
    assert {key: row_id for row_id, key, *_ in written} == {f"n{n}": told for n, told in sender.told.items()}
    given = {f"n{n}": sender.answer(n) for n in range(sender.count)}
    added: dict[int, Counter[str]] = {}
    for _, key, question, correct, seconds in written:
        answer = given[key]
        assert (question, correct, seconds) == (
            answer["question_id"], int(answer["is_correct"]), answer["time_spent_seconds"])  # fmt: skip
        added.setdefault(question, Counter()).update(n=1, right=correct)
    after = {key: rest for key, *rest in rows(sender.path, COUNTS)}
    for question, (attempts, right, _) in before.items():
        mine = added.get(question, Counter())
        assert after[question][:2] == [(attempts or 0) + mine["n"], (right or 0) + mine["right"]] or not mine
    assert rows(sender.path, "PRAGMA integrity_check") == [("ok",)]


def trial(own: Path, *, count: int, kills: int, threads: int = 4) -> Sender:
    before = {key: rest for key, *rest in rows(own, COUNTS)}
    first = rows(own, "SELECT max(id) FROM user_answers")[0][0]

    def check(sender: Sender, server: Server) -> None:
        check_all_there_once(sender, before, first)
        check_graceful_end(server, own, HEADERS)

    return killed_while_sending(own, count=count, kills=kills, threads=threads, at_end=check)


def test_no_answer_is_lost_or_doubled_when_the_server_is_killed(own: Path) -> None:
    trial(own, count=200, kills=2)


def test_an_answer_whose_reply_was_lost_is_told_when_it_is_sent_again(own: Path) -> None:
    """The client hangs up without a reply, the server is killed once the answer is there, and another one is asked."""
    body = json.dumps({"answers": [an_answer(key="unseen")]})
    head = "".join(
        f"{name}: {value}\r\n" for name, value in {**_JSON, "host": "x", "content-length": len(body)}.items()
    )
    there = "SELECT id FROM user_answers WHERE request_key = 'unseen'"
    with served(own, "--insecure-dev", "--port", "0") as server:
        host, _, port = server.address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as deaf:
            deaf.sendall(f"POST {PATH} HTTP/1.1\r\n{head}\r\n{body}".encode())
            while not (written := rows(own, there)):
                time.sleep(0.001)
            server.end(signal.SIGKILL)
    with client_of(own) as client:
        again = client.post(PATH, content=body, headers=_JSON).json()["recorded"]
    assert [(one["answer_id"], one["repeated"]) for one in again] == [(written[0][0], True)]
    assert rows(own, there) == written


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_ten_thousand_answers_and_three_kills(own: Path) -> None:
    sender = trial(own, count=10_000, kills=3, threads=6)
    print(f"{sender.count:,} answers, 3 kills, {sender.repeated} told as repeated")
