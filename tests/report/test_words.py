import math

import pytest

from ptp.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (0, "0"),
        (50.0, "50"),
        (0.31249, "0.312"),
        (1234.56, "1,235"),
        (12.345, "12.3"),
        (0.000012, "1.2e-05"),
        (math.inf, "∞"),
        (math.nan, "not a number"),
        (True, "yes"),
    ],
)
def test_numbers_read_as_a_person_writes_them(value: float, text: str):
    assert words.number(value) == text


def test_different_numbers_never_read_alike():
    assert words.apart(49.996, 50.0) == "49.996"
    assert words.apart(49.0, 50.0) == "49"


def test_numbers_of_one_column_have_their_digits_in_line():
    assert words.aligned([0.5, 12, None, 1000]) == ["0.5", "12.0", "–", "1,000.0"]
    assert words.aligned([1, 1000]) == ["1", "1,000"]
    assert words.aligned([0.00004, 1.5]) == ["4e-05", "1.5"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250 ms"), (12.34, "12.3 s"), (83.4, "1 min 23 s"), (7260, "2 h 01 min")]
)
def test_spans_of_time_read_as_said(seconds: float, text: str):
    assert words.duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


def test_moments_are_told_in_utc():
    assert words.moment("2025-01-02T03:04:05+02:00") == "2025-01-02 01:04:05 UTC"
    assert words.moment("some day") == "some day"


def test_what_cannot_be_seen_is_shown():
    assert words.clean("a\x00b\u202ec\ud800d\x7f") == "a␀b⟨U+202E⟩c�d␡"
    assert words.clean("עברית 👩‍💻\n") == "עברית 👩‍💻\n"


def test_long_texts_keep_their_beginning_and_their_end():
    short = words.shorten("a" * 500_000 + "b" * 500_000, longest=90)
    assert len(short) == 90 and short.startswith("aaa") and short.endswith("bbb") and "…" in short


def test_only_a_plain_path_inside_the_folder_is_a_file():
    assert words.as_file("results/02_verify.json#gate-1") == "results/02_verify.json#gate-1"
    for text in (
        "../secret.json",
        "/etc/hosts.txt",
        "//host/a.json",
        "https://a.b/c.html",
        "two words.json",
        "x" * 999,
    ):
        assert words.as_file(text) is None
