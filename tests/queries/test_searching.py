"""Search: every input is words and nothing else; what may be studied is found, the best of the newest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ptp.errors import UsageError
from ptp.queries import Search, StudyQueries, searching


@pytest.fixture
def exam(head: Any) -> dict[str, int]:
    exam_id = head.add("exams")
    return {"exam_id": exam_id, "objective_id": head.add("objectives", exam_id=exam_id)}


@pytest.fixture(params=["fts5", "scan"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways; a database without the index is the scan's."""
    if request.param == "scan":
        monkeypatch.setattr(searching, "_has_index", lambda _: False)
    return str(request.param)


def add(head: Any, exam: dict[str, int], text: str, **more: Any) -> int:
    return int(head.add("questions", **{**exam, "text": text, **more}))


def search(head: Any, words: str, **more: Any) -> Search:
    return StudyQueries(head.engine).search_questions(words, **more)


def found(head: Any, words: str, **more: Any) -> list[int]:
    return sorted(question.id for question in search(head, words, **more).questions)


def test_a_question_is_shown_as_it_is_stored(head: Any, exam: dict[str, int], by: str) -> None:
    key = add(head, exam, 'What is "OSPF"?', explanation="A <b>routing</b> protocol", reference=None, difficulty=4)
    result = search(head, "ospf")
    assert result.by == by
    assert [tuple(q) for q in result.questions] == [
        (key, exam["exam_id"], exam["objective_id"], 4, 'What is "OSPF"?', "A <b>routing</b> protocol", None)
    ]


def test_all_words_must_be_there_between_the_three_texts(head: Any, exam: dict[str, int], by: str) -> None:
    whole = add(head, exam, "Which protocol?", explanation="It routes packets", reference="RFC 2328")
    add(head, exam, "Which protocol?", explanation="It routes packets")
    add(head, exam, "RFC 2328", explanation=None)
    assert found(head, "rfc 2328 ROUTES Protocol") == [whole]
    assert len(found(head, "protocol")) == 2
    assert found(head, "protocol switches") == []


LANGUAGE = ["alpha AND beta", "alpha OR beta", "alpha NOT beta", "NEAR(alpha beta)", "NEAR/2 alpha", "alpha + beta",
            "text: alpha", "explanation:alpha", "{text reference}: alpha", "^alpha", "- text: alpha", "rowid: alpha"]  # fmt: skip


@pytest.mark.parametrize("words", LANGUAGE)
def test_the_words_of_the_query_language_are_only_words(head: Any, exam: dict[str, int], by: str, words: str) -> None:
    """Who holds all of them as words is found, and who would be by the operator is not."""
    plain = {add(head, exam, "alpha beta"), add(head, exam, "alpha"), add(head, exam, "beta")}
    spelt = "".join(letter if letter.isalnum() else " " for letter in words)
    key = add(head, exam, f"Some {spelt} here")
    with_operator = len(spelt.split()) > len({"alpha", "beta"} & set(spelt.split()))
    assert key in found(head, words)
    assert not with_operator or not plain & set(found(head, words))


@pytest.mark.parametrize("words", [
    '"', '""', "'", "alpha'", '"alpha', 'alpha"', '"alpha beta"', "al''pha", "(alpha", "alpha)", "alpha;", "[alpha]", "alpha\\",
    "alpha\x00beta", "%alpha%", "_alpha_", "alpha**", "* alpha", "alpha'; DROP TABLE questions; --", "' OR 1=1 --",
    '" OR text MATCH "beta', ":match", "?1 alpha", "alpha\n\tbeta", "🙂 alpha", "--", "/* alpha */", "alpha^2",
])  # fmt: skip
def test_whatever_is_typed_is_searched_for_or_refused(head: Any, exam: dict[str, int], by: str, words: str) -> None:
    add(head, exam, "alpha beta")
    add(head, exam, "gamma")
    if any(letter.isalnum() for letter in words):
        result = search(head, words)
        assert result.by == by
        assert len(result.questions) <= 1
    else:
        with pytest.raises(UsageError, match="holds no word to look for"):
            search(head, words)
    assert head.rows("SELECT count(*) AS n FROM questions") == [{"n": 2}]


@pytest.mark.parametrize(("words", "is_found"), [
    ('"alpha beta"', True), ("'alpha'", True), ("beta, alpha!", True), ("alpha-beta", True), ("alpha_beta", True),
    ("ALPHA", True), ("alphabet", False), ("alpha delta", False), ("al*", True), ("AL* be*", True), ("alp* ga*", False),
    ("* alpha", True), ("alpha**", True),
])  # fmt: skip
def test_what_a_search_means(head: Any, exam: dict[str, int], by: str, words: str, is_found: bool) -> None:
    key = add(head, exam, "Alpha, beta.")
    assert found(head, words) == ([key] if is_found else [])


@pytest.mark.parametrize(("text", "words"), [
    ("Café réseau", "cafe RESEAU"), ("cafe reseau", "café réseau"), ("Übung naïve", "ubung naive"), ("ÉTÉ", "été"),
    ("Việt Nam", "viet"), ("路由 器", "路由"), ("Ω omega", "ω"), ("x²", "x²"),
])  # fmt: skip
def test_accents_and_case_do_not_count_by_the_index(head: Any, exam: dict[str, int], text: str, words: str) -> None:
    key = add(head, exam, text)
    add(head, exam, "other")
    assert found(head, words) == [key]


def test_a_prefix_is_one_only_with_a_star(head: Any, exam: dict[str, int]) -> None:
    keys = [add(head, exam, text) for text in ("route", "router", "routing", "reroute")]
    assert found(head, "route") == [keys[0]]
    assert found(head, "route*") == keys[:2]
    assert found(head, "rout*") == keys[:3]
    assert found(head, "r*") == keys


def test_only_what_may_be_studied_is_found(head: Any, exam: dict[str, int], by: str) -> None:
    (good, *_) = [add(head, exam, "alpha", **more) for more in (
        {}, {"is_active": 0}, {"is_active": None}, {"review_status": None}, {"review_status": "pending"},
        {"review_status": "rejected"}, {"review_status": "needs_revision"})]  # fmt: skip
    assert found(head, "alpha") == [good]
    head.change("UPDATE questions SET review_status = 'pending'")
    assert found(head, "alpha") == []


def test_one_exam_or_all(head: Any, exam: dict[str, int], by: str) -> None:
    other = head.add("exams")
    second = {"exam_id": other, "objective_id": head.add("objectives", exam_id=other)}
    keys = [add(head, exam, "alpha"), add(head, second, "alpha")]
    assert found(head, "alpha") == keys
    assert found(head, "alpha", exam_id=exam["exam_id"]) == keys[:1]
    assert found(head, "alpha", exam_id=other) == keys[1:]
    with pytest.raises(UsageError, match="There is no exam with id 999"):
        search(head, "alpha", exam_id=999)


def test_the_number_of_an_exam_is_no_word_of_its_questions(head: Any, exam: dict[str, int], by: str) -> None:
    add(head, exam, "alpha")
    number = add(head, exam, f"Port {exam['exam_id']}")
    assert found(head, str(exam["exam_id"])) == [number]
    assert found(head, f"alpha {exam['exam_id']}") == found(head, "exam_id") == []
    with pytest.raises(UsageError, match="exam_id is"):
        search(head, "alpha", exam_id='1" OR alpha')


def test_a_question_of_another_exam_is_found_there(head: Any, exam: dict[str, int], by: str) -> None:
    other, key = head.add("exams"), add(head, exam, "alpha")
    head.change("UPDATE questions SET exam_id = :other", other=other)
    assert found(head, "alpha", exam_id=exam["exam_id"]) == []
    assert found(head, "alpha", exam_id=other) == [key]


def test_what_is_edited_is_found_by_its_new_words_only(head: Any, exam: dict[str, int], by: str) -> None:
    key = add(head, exam, "alpha", explanation="beta", reference="gamma")
    head.change("UPDATE questions SET text = 'delta', explanation = NULL, reference = 'epsilon'")
    assert [found(head, words) for words in ("alpha", "beta", "gamma", "delta", "delta epsilon")] == [
        [],
        [],
        [],
        [key],
        [key],
    ]
    head.change("DELETE FROM questions")
    assert found(head, "delta") == []


def test_the_best_match_comes_first_and_of_equals_the_newest(head: Any, exam: dict[str, int]) -> None:
    """More of the word in less text is better; between equals, the higher id."""
    long = "alpha " + "other words " * 40
    keys = [add(head, exam, text) for text in ("alpha", long, "alpha", "alpha alpha alpha", long)]
    order = [question.id for question in search(head, "alpha").questions]
    assert order == [keys[3], keys[2], keys[0], keys[4], keys[1]]
    assert [q.id for q in search(head, "alpha", limit=2).questions] == order[:2]


def test_the_scan_gives_the_newest_first(head: Any, exam: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_has_index", lambda _: False)
    keys = [add(head, exam, "alpha") for _ in range(4)]
    assert [q.id for q in search(head, "alpha", limit=3).questions] == keys[:0:-1]


def test_the_best_are_chosen_of_the_newest_500(head: Any, exam: dict[str, int]) -> None:
    best = add(head, exam, "alpha")
    with head.engine.begin() as db:
        for number in range(499):
            row = {**exam, "text": f"alpha and {number}"}
            db.exec_driver_sql("INSERT INTO questions (exam_id, objective_id, text, answers, review_status)"
                               " VALUES (:exam_id, :objective_id, :text, '[]', 'approved')", row)  # fmt: skip
    assert search(head, "alpha", limit=500).questions[0].id == best
    assert len(search(head, "alpha", limit=500).questions) == searching.CONSIDERED == 500
    add(head, exam, "alpha, but inactive", is_active=0)
    assert search(head, "alpha", limit=1).questions[0].id == best  # who may not be studied takes no place
    newest = add(head, exam, "alpha and one more")
    result = [question.id for question in search(head, "alpha", limit=500).questions]
    assert len(result) == 500
    assert best not in result  # the 501st from the newest is not considered
    assert newest in result


def test_without_its_index_a_database_is_scanned_and_says_so(head: Any, exam: dict[str, int]) -> None:
    key = add(head, exam, "Alpha router")
    assert search(head, "alpha").by == "fts5"
    for statement in ("DROP TRIGGER question_search_insert", "DROP TRIGGER question_search_update",
                      "DROP TRIGGER question_search_delete", "DROP TABLE question_search"):  # fmt: skip
        head.change(statement)
    later = add(head, exam, "Second alpha")
    result = search(head, "alpha")
    assert (result.by, [question.id for question in result.questions]) == ("scan", [later, key])


def test_without_the_module_a_database_is_scanned(
    head: Any, exam: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(head, exam, "alpha")
    monkeypatch.setattr(searching, "has_module", lambda _, name: name != "fts5")
    assert search(head, "alpha").by == "scan"


@pytest.mark.parametrize(("words", "more", "message"), [
    ("", {}, "The search '' holds no word to look for"), ("?! *", {}, "holds no word"), ("_", {}, "holds no word"),
    (None, {}, "The search None holds no word"), ("a " * 33, {}, "The search holds 33 words: give at most 32."),
    ("b " + "a" * 1_001, {}, "The search holds a word of 1001 characters: give at most 1000."),
    ("a", {"limit": 0}, "limit is 0"), ("a", {"limit": 501}, "limit is 501"),
])  # fmt: skip
def test_bad_searches_are_refused(head: Any, by: str, words: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        search(head, words, **more)
    assert message in str(caught.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(max_size=30))
@example("\U0001e900 alpha")  # a letter younger than the index's Unicode
@example("\ud800 alpha")
@example("a\u0301lpha")
def test_any_text_at_all_is_searched_for_or_refused(head: Any, exam: dict[str, int], by: str, words: str) -> None:
    if not head.rows("SELECT 1 FROM questions"):
        add(head, exam, "alpha beta")
    try:
        assert search(head, words).by == by
    except UsageError as refusal:
        assert "holds" in str(refusal)


@pytest.mark.parametrize("letter", ["a", "語"])
def test_the_longest_words_are_searched_for(head: Any, exam: dict[str, int], by: str, letter: str) -> None:
    key = add(head, exam, letter * 1_000)
    assert found(head, letter * 1_000) == [key]
    assert found(head, " ".join([letter * 1_000] * 32)) == [key]


def test_32_words_are_searched_for(head: Any, exam: dict[str, int], by: str) -> None:
    key = add(head, exam, " ".join(f"w{n}" for n in range(32)))
    assert found(head, " ".join(f"w{n}" for n in range(32))) == [key]
    assert found(head, " ".join(f"w{n}" for n in range(1, 33))) == []
