"""A crew makes calls side by side: in order, with their errors, and no process outlives it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from ptp.errors import CannotFinish
from ptp.workbench.crew import crew


def slow(code: str) -> partial[Any]:
    """A call that takes long enough for the helper to get its share."""
    return partial(eval, f"__import__('time').sleep(0.01) or {code}")


def children() -> list[psutil.Process]:
    return psutil.Process().children()


def test_what_the_calls_return_is_in_their_order_and_comes_from_both() -> None:
    told: list[int] = []
    with crew(2) as team:
        found = team.results([slow(f"({n}, __import__('os').getpid())") for n in range(60)], told.append)
    assert [n for n, _ in found] == list(range(60))
    assert len({pid for _, pid in found}) == 2 and os.getpid() in {pid for _, pid in found}
    assert told == sorted(told) and told[-1] == 60


def test_a_crew_of_one_has_no_helper() -> None:
    before = children()
    with crew(1) as team:
        assert children() == before
        assert team.results([os.getpid] * 3, lambda _: None) == [os.getpid()] * 3
        assert team.results([], lambda _: None) == []


@pytest.mark.parametrize("where", ["here", "in the helper"])
def test_an_error_of_a_call_is_raised_and_ends_the_others(where: str, tmp_path: Path) -> None:
    before = children()
    same = "==" if where == "here" else "!="
    mark = f"__import__('tempfile').mkdtemp(dir={str(tmp_path)!r})"
    code = f"{mark} and __import__('os').getpid() {same} {os.getpid()} and int('x')"
    with pytest.raises(ValueError, match="invalid literal"), crew(2) as team:
        team.results([slow(code)] * 200, lambda _: None)
    assert 1 <= len(list(tmp_path.iterdir())) < 200
    assert children() == before


def test_a_helper_that_was_killed_is_told() -> None:
    with pytest.raises(CannotFinish, match="ended before it was done"), crew(2) as team:
        (helper,) = team._helpers
        helper.kill()
        helper.wait()
        team.results([slow("1")] * 50, lambda _: None)


def test_a_helper_whose_parent_is_gone_ends() -> None:
    with crew(2) as team:
        (helper,) = team._helpers
        assert helper.stdin is not None
        helper.stdin.close()
        assert helper.wait(timeout=20) == 0
        helper.stdin = None
