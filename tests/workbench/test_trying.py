"""Changes tried on copies: each query on the same state, and no ms for what is run the same way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ptp.engine.meters import Statement
from ptp.errors import DiskFull
from ptp.workbench import trying
from ptp.workbench.indexing import Recorded
from ptp.workbench.trying import Budget, Trial, trial

CALLS = {
    "write": Recorded(tuple((Statement("INSERT INTO t (x, y) VALUES (?, 0)", ((n,),)),) for n in range(50))),
    "look": Recorded(((Statement("SELECT y FROM t WHERE x = ?", ((7,),)),),) * 2),
    "scan": Recorded(((Statement("SELECT y FROM t"),),)),
    "bound": Recorded(((Statement("SELECT y FROM t INDEXED BY t_x WHERE x = 7"),),)),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("trying") / "app.db"
    with closing(sqlite3.connect(file)) as db:
        db.executescript("""
            CREATE TABLE t (id INTEGER PRIMARY KEY, x, y);
            CREATE INDEX t_x ON t (x);
            WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO t (x, y) SELECT i, i FROM n;
        """)
    return file


@pytest.fixture(scope="module")
def tried(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial(path, tmp_path_factory.mktemp("out"), recorded=CALLS, budget=Budget(5, 1.0), seed=1) as opened:
        yield opened


def test_each_query_is_billed_on_the_same_state_whatever_ran_before(tried: Trial) -> None:
    write, look, scan = tried.effects("DROP INDEX t_x", ["write", "look", "scan"])
    assert write.before and write.after and look.before and look.after and scan.before and scan.after
    assert (write.before.written, write.after.written) == (2, 1)
    # One row and the end of its range; all rows. None of the 50 that were written is among them.
    assert (look.before.read, look.after.read) == (2, 1_000)
    assert (scan.before.read, scan.after.read) == (1_000, 1_000)


def test_only_what_is_run_another_way_has_ms(tried: Trial) -> None:
    write, look, scan = tried.effects("DROP INDEX t_x", ["write", "look", "scan"])
    assert write.before and look.before and look.after and scan.after
    assert write.before.ms is None and scan.after.ms is None
    assert look.before.ms and look.after.ms and look.after.ms > look.before.ms


def test_a_change_is_taken_back_before_the_next(tried: Trial) -> None:
    for _ in range(2):
        (look,) = tried.effects("DROP INDEX t_x", ["look"])
        assert look.before and look.after and (look.before.read, look.after.read) == (2, 1_000)
    (same,) = tried.effects("CREATE INDEX t_y ON t (y)", ["look"])
    assert same.after and (same.after.read, same.after.ms) == (2, None)


def test_a_query_that_cannot_run_without_an_index_is_told_and_the_others_go_on(tried: Trial) -> None:
    bound, look = tried.effects("DROP INDEX t_x", ["bound", "look"])
    assert bound.error and "no such index: t_x" in bound.error and bound.after is None
    assert look.error is None and look.after and look.after.read == 1_000


def test_without_room_for_the_copies_nothing_is_begun(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trying, "_COPIES", 10**12)
    with pytest.raises(DiskFull), trial(path, tmp_path, recorded=CALLS, budget=Budget(1, 1.0), seed=1):
        pass
    assert list(tmp_path.iterdir()) == []
