"""Progress across processes: what is written is read, and what is half-written is nobody's trouble."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptp.workbench import progress
from ptp.workbench.progress import FileProgress, forget_progress, part, quiet, read_progress

FILE = ".progress"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def test_what_is_noted_is_read(tmp_path: Path, clock: Clock) -> None:
    FileProgress(tmp_path)(0.25, "copying “ümlaut”\nrows")
    assert read_progress(tmp_path) == (0.25, "copying “ümlaut”\nrows")


def test_notes_are_written_at_most_five_times_a_second(tmp_path: Path, clock: Clock) -> None:
    note = FileProgress(tmp_path)
    seen = []
    for step in range(100):  # a tenth of the time between two writes
        clock.now = 100 + step / 50
        note(step / 100, "")
        found = read_progress(tmp_path)
        assert found is not None
        seen.append(found[0])
    assert seen[0] == 0.0, "the first note is written at once"
    assert len(set(seen)) <= 10, "in two seconds"
    assert len(set(seen)) >= 9
    assert seen == sorted(seen)


def test_where_nothing_was_noted_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None
    assert read_progress(tmp_path / "missing") is None


def test_a_note_that_is_half_written_is_as_none(tmp_path: Path) -> None:
    whole = json.dumps([0.5, "what"])
    for length in range(len(whole)):
        (tmp_path / FILE).write_text(whole[:length], encoding="utf-8")
        assert read_progress(tmp_path) is None, whole[:length]
    (tmp_path / FILE).write_text(whole, encoding="utf-8")
    assert read_progress(tmp_path) == (0.5, "what")


@pytest.mark.parametrize("written", ["[]", "[1]", "[1, 2, 3]", '["x", "y"]', "null", "5", "[null, 1]", "{}", "\0"])
def test_a_file_that_is_no_note_is_as_none(tmp_path: Path, written: str) -> None:
    (tmp_path / FILE).write_text(written, encoding="utf-8")
    assert read_progress(tmp_path) is None


def test_bytes_that_are_no_text_are_as_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"[0.5, \xff]")
    assert read_progress(tmp_path) is None
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    assert read_progress(tmp_path) is None


def test_forgetting_removes_the_file_and_can_be_repeated(tmp_path: Path, clock: Clock) -> None:
    FileProgress(tmp_path)(0.5, "what")
    forget_progress(tmp_path)
    forget_progress(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_part_maps_its_ends_to_its_place_in_the_whole() -> None:
    seen: list[tuple[float, str]] = []
    inner = part(part(lambda fraction, text: seen.append((fraction, text)), 0.5, 1.0), 0.0, 0.5)
    for fraction in (0.0, 0.5, 1.0):
        inner(fraction, "text")
    assert seen == [(0.5, "text"), (0.625, "text"), (0.75, "text")]


def test_quiet_takes_everything_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    quiet(0.5, "what")
    assert capsys.readouterr() == ("", "")
