"""The catalogue of damage: each kind changes something, in a place that its seed decides, and nothing else."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ptp.workbench.proving import build_subject
from ptp.workload.mutations import CATALOGUE, GROUPS, Kind, NoDamage, NotHere, inflict
from ptp.workload.mutations.kinds import _rows, _schema
from ptp.workload.mutations.tools import ask, behind, untyped

Open = Callable[[], sqlite3.Connection]


@pytest.fixture(scope="module")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutations")
    build_subject(folder, "drizzle", 3)
    return folder / "drizzle-target.db"


@pytest.fixture
def fresh(_built: Path, tmp_path: Path) -> Iterator[Open]:
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        copy = shutil.copy(_built, tmp_path / f"{len(opened)}.db")
        opened.append(sqlite3.connect(copy, isolation_level=None))
        return opened[-1]

    yield connect
    for db in opened:
        db.close()


def nothing(db: sqlite3.Connection, rng: random.Random) -> str:
    return "nowhere"


def same_value(db: sqlite3.Connection, rng: random.Random) -> str:
    with behind(db), untyped(db, "users", "name"):
        db.execute("UPDATE users SET name = name")
    return "users"


def also_schema(db: sqlite3.Connection, rng: random.Random) -> str:
    db.execute("DELETE FROM user_answers WHERE id = 1")
    db.execute("DROP TRIGGER question_pool_insert")
    return "user_answers 1"


def test_the_catalogue_is_large_and_told_in_words() -> None:
    assert len(CATALOGUE) >= 50
    assert len({k.id for k in CATALOGUE}) == len({k.words for k in CATALOGUE}) == len(CATALOGUE)
    assert {k.group for k in CATALOGUE} == set(GROUPS)
    for kind in CATALOGUE:
        assert kind.words[0].isupper() and not kind.words.endswith(".")


@pytest.mark.parametrize("damage", [nothing, same_value])
def test_a_mutation_that_changes_nothing_is_refused(fresh: Open, damage: Callable[..., str]) -> None:
    with pytest.raises(NoDamage, match="none changed nothing"):
        inflict(Kind("none", "Nothing", "rows", damage), fresh(), random.Random(1))


def test_a_mutation_of_rows_that_changes_the_schema_too_is_refused(fresh: Open) -> None:
    with pytest.raises(NoDamage, match="changed the schema too"):
        inflict(Kind("more", "More", "rows", also_schema), fresh(), random.Random(1))


def test_what_is_put_out_of_force_is_put_back(fresh: Open) -> None:
    db = fresh()
    before = _schema(db), _rows(db)
    same_value(db, random.Random(1))
    assert (_schema(db), _rows(db)) == before
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("UPDATE users SET is_active = 7")
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("UPDATE users SET login_count = 'many'")


def test_an_error_within_leaves_the_database_as_it_was(fresh: Open) -> None:
    db = fresh()
    before = _schema(db), _rows(db)
    with pytest.raises(ZeroDivisionError), behind(db):
        db.execute("DELETE FROM user_answers")
        raise ZeroDivisionError
    assert (_schema(db), _rows(db)) == before


@pytest.mark.parametrize("kind", CATALOGUE[::4], ids=lambda k: k.id)
def test_a_seed_decides_the_place_and_another_seed_another(fresh: Open, kind: Kind) -> None:
    try:
        first = inflict(kind, fresh(), random.Random(1))
    except NotHere as reason:
        assert kind.id == "row-invented", reason
        return
    assert inflict(kind, fresh(), random.Random(1)) == first
    few = {"view-dropped", "journal-phase-lost", "index-not-unique", "quarantine-stranger", "quarantine-row-lost"}
    few |= {"value-extra", "search-added", "index-ascending", "quarantine-invented"}
    if kind.id not in few:
        assert any(inflict(kind, fresh(), random.Random(seed)) != first for seed in range(2, 9))


def test_values_are_written_as_they_are(fresh: Open) -> None:
    for name, cls in (("integer-as-text", "text"), ("integer-as-real", "real"), ("text-as-blob", "blob")):
        db = fresh()
        kind = next(k for k in CATALOGUE if k.id == name)
        place, column = inflict(kind, db, random.Random(4)).split(", ")
        table, key = place.split(" ", 1)
        found = ask(db, f"SELECT typeof({column}) FROM {table} WHERE id = ?", (key.strip("'"),))
        assert found == [(cls,)]


def test_a_kind_may_not_apply(fresh: Open) -> None:
    db = fresh()
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.execute("CREATE TABLE ai_cost_days (day, purpose, model)")
        kind = next(k for k in CATALOGUE if k.id == "ai-day-lost")
        with pytest.raises(NotHere, match="ai_cost_days is empty"):
            kind.damage(empty, random.Random(1))
    assert inflict(kind, db, random.Random(1)).endswith("lost")
