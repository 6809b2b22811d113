"""Places of a stage's files: as given, or the demo's; a folder that cannot be written is one sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from ptp.errors import EXIT_USAGE, DiskFull, UsageError
from ptp.workbench import places
from ptp.workbench.parameters import MigrateParameters, Parameters
from ptp.workbench.places import demo_source, make_folder, places_of
from ptp.workbench.progress import quiet


@pytest.fixture
def demos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """A home of its own, and the demo sources that were asked for, which are made as empty files."""
    made: list[dict[str, Any]] = []

    def write(**how: Any) -> None:
        made.append(how)
        how["out"].touch()

    monkeypatch.setattr(places, "home", lambda: tmp_path)
    monkeypatch.setattr(places, "write_demo", write)
    return made


def refused(folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        make_folder(folder)
    said = str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE
    assert said.startswith(str(folder)) and said.endswith(".") and "\n" not in said
    return said


def test_what_is_given_is_what_is_used(demos: list[Any], tmp_path: Path) -> None:
    given = Parameters(source="a/old.db", target="sqlite:///b/new.db", out=str(tmp_path / "run"))
    found = places_of(given, progress=quiet)
    assert (found.source, found.target, found.out) == (Path("a/old.db"), Path("b/new.db"), tmp_path / "run")
    assert not found.owns_target
    assert (tmp_path / "run").is_dir()
    assert demos == []


def test_nothing_given_is_the_demo_in_the_lab(demos: list[Any], tmp_path: Path) -> None:
    found = places_of(MigrateParameters(), progress=quiet)
    assert found.source == tmp_path / "demo" / "raw-quick.db"
    assert found.target == tmp_path / "demo" / "head-quick.db"
    assert found.out == tmp_path / "reports" / "lab"
    assert found.out.is_dir()
    assert found.owns_target
    assert [(d["shape"], d["size"], d["seed"], d["out"]) for d in demos] == [("raw", "quick", 1, found.source)]


def test_a_target_that_is_given_is_never_ours_to_replace(demos: list[Any]) -> None:
    assert not places_of(Parameters(target="mine.db"), progress=quiet).owns_target
    assert places_of(Parameters(source="mine.db"), progress=quiet).owns_target


def test_the_demo_source_is_made_once_and_then_kept(demos: list[Any]) -> None:
    first = demo_source(progress=quiet)
    first.write_bytes(b"kept")
    assert demo_source(progress=quiet) == first
    assert first.read_bytes() == b"kept"
    assert len(demos) == 1
    assert demo_source(progress=quiet, shape="drizzle") != first
    assert len(demos) == 2


def test_a_url_that_names_no_file_is_refused(demos: list[Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        places_of(Parameters(source="libsql://host"), progress=quiet)
    assert not (tmp_path / "reports").exists(), "and nothing was made"


def test_a_folder_is_made_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "with space"
    make_folder(folder)
    make_folder(folder)
    assert list(folder.iterdir()) == []


def test_what_a_folder_holds_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept", encoding="utf-8")
    make_folder(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("below", ["", "run", "deep/run"])
def test_a_file_in_the_way_is_told(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    assert "a file stands in its way" in refused(tmp_path / "file" / below)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="wants a file system that nobody can write")
@pytest.mark.parametrize("folder", ["/proc", "/proc/run", "/proc/self/deep/run"])
def test_a_folder_that_nobody_can_write_is_told(folder: str) -> None:
    assert "cannot be written: " in refused(Path(folder))
    assert "--out" in refused(Path(folder))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "permission denied" in refused(tmp_path)
        assert "permission denied" in refused(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP])
def test_whatever_forbids_writing_is_told_with_the_systems_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(self: Path, *_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "touch", fail)
    assert os.strerror(number).lower() in refused(tmp_path)


def test_a_full_disk_is_a_run_that_cannot_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "touch", fail)
    with pytest.raises(DiskFull, match="disk is full"):
        make_folder(tmp_path)


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    assert "too long" in refused(tmp_path / ("x" * 300))
