"""Changes of the back office: each with its entry in the audit log, both or neither."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ptp.errors import UsageError
from ptp.queries import Actor, AnalyticsQueries, AuditRecord, NewAnswer, StudyQueries
from ptp.queries.administration import MASK

NOW = 1_750_000_000
DAY = 86_400
ENTITIES = {"question": "questions", "exam": "exams", "user": "users", "subscription": "users"}


@pytest.fixture
def made(head: Any) -> dict[str, int]:
    """A row of each entity, and an admin."""
    exam = head.add("exams", name="Networking", price_cents=900)
    objective = head.add("objectives", exam_id=exam)
    user = head.add("users", email="kim@example.com", name="Kim", password_hash="old hash", provider_id="g-1",
                    stripe_customer_id="cus_1")  # fmt: skip
    return {
        "exam": exam, "objective": objective, "user": user, "subscription": user,
        "question": head.add("questions", exam_id=exam, objective_id=objective, text="Why?", difficulty=2),
        "admin": head.add("users", email="admin@example.com", role="admin"),
    }  # fmt: skip


def change(head: Any, made: dict[str, int], entity: str, action: str = "update", **more: Any) -> AuditRecord:
    arguments = {"entity_id": None if action == "create" else made.get(entity, 1), "actor": Actor(user_id=made["admin"]),
                 "now": NOW, **more}  # fmt: skip
    return AnalyticsQueries(head.engine).change(entity=entity, action=action, **arguments)  # type: ignore[arg-type]


def log(head: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = head.rows("SELECT * FROM audit_log ORDER BY id")
    return found


def state(head: Any) -> list[Any]:
    return [head.rows(f"SELECT * FROM {table} ORDER BY id") for table in (*ENTITIES.values(), "audit_log")]


def test_an_update_says_what_was_and_what_is(head: Any, made: dict[str, int]) -> None:
    actor = Actor(user_id=made["admin"], ip_address="::1", user_agent="curl", session_id="s", request_id="r-1",
                  method="PATCH", path="/questions/1")  # fmt: skip
    record = change(
        head, made, "question", values={"text": "Why not? ’", "difficulty": None, "is_active": False}, actor=actor
    )
    (row,) = head.rows("SELECT * FROM questions")
    assert (row["text"], row["difficulty"], row["is_active"], row["updated_at"]) == ("Why not? ’", None, 0, NOW)
    (entry,) = log(head)
    assert json.loads(entry.pop("old_values")) == {"text": "Why?", "difficulty": 2, "is_active": True}
    assert json.loads(entry.pop("new_values")) == {"text": "Why not? ’", "difficulty": None, "is_active": False}
    assert entry == {
        "id": record.id, "user_id": made["admin"], "ip_address": "::1", "user_agent": "curl", "session_id": "s",
        "request_id": "r-1", "method": "PATCH", "path": "/questions/1", "action": "question.update",
        "entity_type": "question", "entity_id": str(made["question"]), "metadata": None, "success": 1,
        "error_code": None, "error_message": None, "created_at": NOW,
    }  # fmt: skip
    assert (record.action, record.entity_id, record.success) == ("question.update", str(made["question"]), True)


VALUES = {"question": {"text": "T", "answers": "[]"}, "exam": {"vendor_id": "v", "code": "C", "name": "N"},
          "user": {"email": "new@example.com", "name": "New"}}  # fmt: skip


@pytest.mark.parametrize("entity", VALUES)
def test_what_is_created_is_there_and_in_the_log(head: Any, made: dict[str, int], entity: str) -> None:
    values = dict(VALUES[entity])
    if entity == "question":
        values |= {"exam_id": made["exam"], "objective_id": made["objective"]}  # type: ignore[dict-item]
    record = change(head, made, entity, "create", values=values)
    (row,) = head.rows(f"SELECT * FROM {ENTITIES[entity]} WHERE id = :key", key=int(record.entity_id or 0))
    assert {name: row[name] for name in values} == values
    assert (row["created_at"], row["updated_at"]) == (NOW, NOW)
    assert (record.action, record.old_values) == (f"{entity}.create", None)
    assert json.loads(record.new_values or "") == values
    assert len(log(head)) == 1


@pytest.mark.parametrize("entity", VALUES)
def test_what_is_deleted_is_gone_and_its_history_stays(head: Any, made: dict[str, int], entity: str) -> None:
    queries = AnalyticsQueries(head.engine)
    (before,) = head.rows(f"SELECT * FROM {ENTITIES[entity]} WHERE id = :key", key=made[entity])
    name = "text" if entity == "question" else "name"
    change(head, made, entity, values={name: "other"})
    record = change(head, made, entity, "delete", now=NOW + 1)
    assert head.rows(f"SELECT * FROM {ENTITIES[entity]} WHERE id = :key", key=made[entity]) == []
    old = json.loads(record.old_values or "")
    assert set(old) == set(before)
    assert (old[name], record.new_values) == ("other", None)
    history = queries.change_history(entity=entity, entity_id=made[entity])  # type: ignore[arg-type]
    assert [entry.action for entry in history] == [f"{entity}.delete", f"{entity}.update"]
    with pytest.raises(UsageError, match=f"There is no {entity} with id {made[entity]}"):
        change(head, made, entity, values={name: "again"})
    assert len(log(head)) == 2


def test_the_entries_of_a_deleted_admin_stay_without_a_name(head: Any, made: dict[str, int]) -> None:
    change(head, made, "exam", values={"name": "Other"})
    AnalyticsQueries(head.engine).change(
        entity="user", action="delete", entity_id=made["admin"], actor=Actor(), now=NOW
    )
    assert [(entry["action"], entry["user_id"]) for entry in log(head)] == [
        ("exam.update", None),
        ("user.delete", None),
    ]


def test_secrets_are_masked_before_and_after_and_written_as_given(head: Any, made: dict[str, int]) -> None:
    change(head, made, "user", values={"password_hash": "new hash", "provider_id": None, "bio": "hello"})
    (user,) = head.rows("SELECT * FROM users WHERE id = :key", key=made["user"])
    assert (user["password_hash"], user["provider_id"]) == ("new hash", None)
    (entry,) = log(head)
    assert json.loads(entry["old_values"]) == {"password_hash": MASK, "provider_id": MASK, "bio": None}
    assert json.loads(entry["new_values"]) == {"password_hash": MASK, "provider_id": None, "bio": "hello"}


def test_no_secret_gets_into_the_log_by_any_action(head: Any, made: dict[str, int]) -> None:
    secrets = {"password_hash": "SECRET-1", "provider_id": "SECRET-2"}
    change(head, made, "user", values=secrets)
    bought = {"stripe_customer_id": "SECRET-3", "stripe_subscription_id": "SECRET-4"}
    change(head, made, "subscription", values=bought)
    change(head, made, "user", "create", values={**VALUES["user"], **secrets})
    change(head, made, "user", "delete")
    assert len(log(head)) == 4
    assert "SECRET" not in str(log(head))
    assert str(log(head)).count(MASK) >= 8


def test_a_subscription_has_its_own_values_and_only_these(head: Any, made: dict[str, int]) -> None:
    record = change(
        head, made, "subscription", values={"subscription_status": "premium", "subscription_expires_at": NOW}
    )
    (user,) = head.rows("SELECT * FROM users WHERE id = :key", key=made["user"])
    assert (user["subscription_status"], user["subscription_expires_at"], user["name"]) == ("premium", NOW, "Kim")
    assert json.loads(record.old_values or "") == {"subscription_status": "free", "subscription_expires_at": None}
    assert (record.action, record.entity_type) == ("subscription.update", "subscription")
    before = state(head)
    for entity, name in (("subscription", "name"), ("subscription", "role"), ("subscription", "updated_at"),
                         ("user", "subscription_status"), ("user", "stripe_customer_id")):  # fmt: skip
        with pytest.raises(UsageError, match=f"A {entity} has no value '{name}' that can be set"):
            change(head, made, entity, values={name: "premium"})
    for action in ("create", "delete"):
        with pytest.raises(UsageError, match="for a subscription it must be one of update"):
            change(head, made, "subscription", action)
    assert state(head) == before


NO_VALUE = "has no value"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an entity that there is not": ({"entity": "objective"}, "entity is 'objective': it must be one of question, exam,"),
    "an entity in SQL": ({"entity": "users; --"}, "entity is 'users; --'"),
    "an action that there is not": ({"action": "upsert"}, "action is 'upsert': for a question it must be one of"),
    "an id that stands for nothing": ({"entity_id": 999}, "There is no question with id 999."),
    "an id that stands for no user": ({"entity": "subscription", "entity_id": 999, "values": {"subscription_status": "free"}},
                                      "There is no user with id 999."),
    "no id": ({"entity_id": None}, "To update a question, name its entity_id."),
    "an id to create": ({"action": "create", "entity_id": 1}, "To create a question, leave out its entity_id."),
    "nothing to update": ({"values": {}}, "To update a question, name the values."),
    "nothing to create": ({"action": "create", "entity_id": None, "values": {}}, "To create a question, name the values."),
    "values to delete": ({"action": "delete"}, "To delete a question, give no values."),
    "the id itself": ({"values": {"id": 5}}, NO_VALUE),
    "what is counted": ({"values": {"total_attempts": 5}}, NO_VALUE),
    "the mean": ({"values": {"avg_time_seconds": 5}}, NO_VALUE),
    "the sum of times": ({"values": {"total_time_seconds": 5}}, NO_VALUE),
    "a column of another table": ({"values": {"email": "x"}}, NO_VALUE),
    "a column in SQL": ({"values": {"text = 'x' --": "x"}}, NO_VALUE),
    "a list": ({"values": {"answers": ["a"]}}, "answers is ['a']: it must be a text, a number, True, False or None."),
    "bytes": ({"values": {"text": b"a"}}, "text is b'a': it must be a text"),
    "a status that there is not": ({"values": {"review_status": "fine"}}, "The question cannot be changed so: CHECK"),
    "a level that there is not": ({"values": {"difficulty": 6}}, "The question cannot be changed so: CHECK"),
    "answers that are no JSON": ({"values": {"answers": "[1,"}}, "The question cannot be changed so: CHECK"),
    "a text that must be": ({"values": {"text": None}}, "The question cannot be changed so: NOT NULL"),
    "an objective that there is not": ({"values": {"objective_id": 999}}, "The question cannot be changed so: FOREIGN KEY"),
    "a text for a number": ({"values": {"difficulty": "hard"}}, "The question cannot be changed so: cannot store TEXT"),
    "a number for a flag": ({"values": {"is_active": 0.5}}, "is_active is 0.5: it must be True, False or None."),
    "a text for a flag": ({"values": {"is_beta": "yes"}}, "is_beta is 'yes': it must be True, False or None."),
    "the time of the change": ({"values": {"updated_at": 5}}, NO_VALUE),
    "an email that is taken": ({"entity": "user", "values": {"email": "admin@example.com"}},
                               "The user cannot be changed so: UNIQUE"),
    "an actor that there is not": ({"actor": Actor(user_id=999)}, "There is no user with id 999."),
    "a time that there is not": ({"now": -1}, "now is -1"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_one_sentence_and_neither_change_nor_entry(
    head: Any, made: dict[str, int], what: str
) -> None:
    more, message = REFUSED[what]
    before = state(head)
    arguments = {"entity": "question", "values": {"text": "other"}, **more}
    with pytest.raises(UsageError) as caught:
        change(head, made, **arguments)
    assert message in str(caught.value)
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).endswith(".")
    assert not str(caught.value).endswith("..")
    assert state(head) == before


def test_a_change_that_cannot_be_entered_is_not_made(head: Any, made: dict[str, int]) -> None:
    """A rule on the log itself: the last statement fails, and the first is taken back."""
    head.change("CREATE TRIGGER full BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'the log is closed'); END")
    for entity, action, values in (("exam", "update", {"name": "Other"}), ("exam", "delete", {}),
                                   ("user", "create", VALUES["user"])):  # fmt: skip
        before = state(head)
        with pytest.raises(UsageError, match="the log is closed"):
            change(head, made, entity, action, values=values)
        assert state(head) == before


def test_answers_are_not_audited(head: Any, made: dict[str, int]) -> None:
    answer = NewAnswer(user_id=made["user"], question_id=made["question"], selected_answer="a", is_correct=True,
                       time_spent_seconds=3)  # fmt: skip
    StudyQueries(head.engine).record_answers([answer, answer], now=NOW)
    assert log(head) == []


def test_the_trail_is_the_newest_of_a_period_and_the_history_that_of_one_thing(head: Any, made: dict[str, int]) -> None:
    queries, model = AnalyticsQueries(head.engine), []
    for number, age in enumerate((40 * DAY, 30 * DAY, 30 * DAY - 1, DAY, DAY, 0, -5)):
        entity = ("exam", "question")[number % 2]
        record = change(head, made, entity, values={"is_active": bool(number % 3)}, now=NOW - age)
        model.append((NOW - age, record.id, entity))
    newest = sorted(model, reverse=True)
    for days, limit in ((30, 100), (1, 100), (31, 3), (3_660, 1)):
        found = queries.audit_trail(days=days, limit=limit, now=NOW)
        inside = [(at, key) for at, key, _ in newest if NOW - days * DAY < at <= NOW]
        assert [(entry.created_at, entry.id) for entry in found] == inside[:limit]
    for entity in ("exam", "question"):
        history = queries.change_history(entity=entity, entity_id=made[entity], limit=3)  # type: ignore[arg-type]
        assert [entry.id for entry in history] == sorted((k for _, k, e in model if e == entity), reverse=True)[:3]
    assert queries.change_history(entity="user", entity_id=made["exam"]) == ()


def test_a_change_of_what_may_be_drawn_is_drawn_at_once(head: Any, made: dict[str, int]) -> None:
    def drawn() -> list[int]:
        found = StudyQueries(head.engine).study_questions(exam_id=made["exam"], user_id=made["user"], now=NOW)
        return [question.id for question in found]

    assert drawn() == [made["question"]]
    change(head, made, "question", values={"review_status": "rejected"})
    assert drawn() == []
    change(head, made, "question", values={"review_status": "approved"})
    assert drawn() == [made["question"]]


@pytest.mark.parametrize(("call", "message"), [
    (lambda q: q.audit_trail(days=0), "days is 0"), (lambda q: q.audit_trail(limit=501), "limit is 501"),
    (lambda q: q.change_history(entity="tweet", entity_id=1), "entity is 'tweet'"),
    (lambda q: q.change_history(entity="exam", entity_id=0), "entity_id is 0"),
    (lambda q: q.change_history(entity="exam", entity_id=1, limit=0), "limit is 0"),
])  # fmt: skip
def test_bad_arguments_of_the_lists_are_refused(head: Any, call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(AnalyticsQueries(head.engine))
