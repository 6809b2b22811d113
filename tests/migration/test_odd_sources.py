"""Odd but legal sources: whatever SQLite lets a table be, it comes over offline and online, is followed, and goes back.

All that works stands in one zoo, which is migrated three times in all; what does not is a test of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from ptp.engine import read_inventory
from ptp.errors import PtpError, UnknownShape, UsageError
from ptp.migration.live import Pace
from tests.migration.moving import COMPARING, Place, make_bare, values_of


@dataclass(frozen=True)
class Odd:
    """A table, the rows it begins with, what is written to it while the target is built, and after the move."""

    table: str
    create: Sequence[str]
    during: Sequence[str]
    after: Sequence[str]


def odd(table: str, columns: str, rows: str, during: Sequence[str], after: Sequence[str], *more: str) -> Odd:
    """Statements in which $ stands for the table's name."""
    name = '"' + table.replace('"', '""') + '"'
    create = (f"CREATE TABLE $ {columns}", *more, *((f"INSERT INTO $ {rows}",) if rows else ()))
    create, during, after = (tuple(s.replace("$", name) for s in part) for part in (create, during, after))
    return Odd(table, create, during, after)


def changed(table: str) -> Odd:
    """A table of an odd name: one row changed, one added, one displaced by its second key."""
    return odd(
        table,
        '("i d" INTEGER PRIMARY KEY, "sel""ect;--" TEXT UNIQUE)',
        "VALUES (1, 'a'), (2, 'b')",
        ['UPDATE $ SET "sel""ect;--" = \'c\' WHERE "i d" = 1', "INSERT OR REPLACE INTO $ VALUES (5, 'b')"],
        ["INSERT OR REPLACE INTO $ VALUES (6, 'c')", 'DELETE FROM $ WHERE "i d" = 5'],
    )


NAMES = (
    'we"ird na\'me ü', "a\nb", "a;b--c/*[]`", "source", "main", "temp", "new", "OLD", "select", "rejected_users",
    "ptp_settings", "x" * 2_000, "%_", "1", "ptp_capture_insert_users",
)  # fmt: skip
WIDE = ", ".join(f"c{n}" for n in range(200))
ZOO = {
    **{f"named {name[:20]!r}": changed(name) for name in NAMES},
    "a composite key without rowids": odd(
        "wr", "(a TEXT, b INT, c, PRIMARY KEY (b DESC, a)) WITHOUT ROWID", "VALUES ('x', 1, 1), ('y', 1, 2), ('x', 2, NULL)",
        ["UPDATE $ SET a = 'z' WHERE a = 'x' AND b = 1", "DELETE FROM $ WHERE b = 2", "INSERT INTO $ VALUES (X'00', 9, 1.5)"],
        ["UPDATE $ SET b = 77 WHERE a = 'z'", "INSERT INTO $ VALUES ('n', 3, X'')"],
    ),
    "nothing but its key": odd(
        "only", "(id INTEGER PRIMARY KEY)", "VALUES (1), (2)",
        ["INSERT INTO $ VALUES (7)", "UPDATE $ SET id = 8 WHERE id = 1"], ["DELETE FROM $ WHERE id = 2"],
    ),
    "nothing but a text key": odd(
        "only_text", "(id TEXT PRIMARY KEY) WITHOUT ROWID", "VALUES ('a'), ('b')",
        ["UPDATE $ SET id = 'd' WHERE id = 'a'"], ["DELETE FROM $ WHERE id = 'b'", "INSERT INTO $ VALUES ('70')"],
    ),
    "unique generated columns": odd(
        "generated", "(id INTEGER PRIMARY KEY, a, b AS (a * 2) STORED UNIQUE, c AS (a || 'x'))", "(id, a) VALUES (1, 1), (2, 2)",
        ["REPLACE INTO $ (id, a) VALUES (3, 1)", "UPDATE OR REPLACE $ SET a = 1 WHERE id = 2"],
        ["REPLACE INTO $ (id, a) VALUES (9, 1)"], "CREATE UNIQUE INDEX generated_c ON $ (c)",
    ),
    "very long keys": odd(
        "long", "(id TEXT PRIMARY KEY NOT NULL, v)", "VALUES (printf('%.*c', 300000, 'x'), 1)",
        ["UPDATE $ SET v = 2"], ["UPDATE $ SET v = 3, id = id || 'y'"],
    ),
    "huge rows": odd(
        "huge", "(id INTEGER PRIMARY KEY, v)", "VALUES (1, zeroblob(1000000)), (2, randomblob(70000))",
        ["UPDATE $ SET v = zeroblob(1100000) WHERE id = 1"], ["UPDATE $ SET v = zeroblob(900000) WHERE id = 1"],
    ),
    "bytes as keys": odd(
        "bytes", "(id BLOB NOT NULL PRIMARY KEY, v) WITHOUT ROWID", "VALUES (X'00', 1), (X'', 2), ('', 3), (1, 4), (1.5, 4)",
        ["UPDATE $ SET v = v + 10"], ["DELETE FROM $ WHERE v = 12", "UPDATE $ SET v = v + 10"],
    ),
    "keys of every class": odd(
        "classes", "(id NOT NULL PRIMARY KEY, v) WITHOUT ROWID",
        "VALUES (1, 1), ('1', 2), (X'31', 3), (9007199254740993, 4), (9007199254740992.0, 5), (9e999, 6), ('a' || char(0), 7)",
        ["UPDATE $ SET v = v + 10"], ["UPDATE $ SET v = v + 10"],
    ),
    "real keys": odd(
        "reals", "(id REAL PRIMARY KEY NOT NULL, v)", "VALUES (1, 1), (2.5, 2), (9e999, 3), (-9e999, 3)",
        ["UPDATE $ SET v = v + 1"], ["UPDATE $ SET v = v + 1"],
    ),
    "the extremes of rowids": odd(
        "extremes", "(id INTEGER PRIMARY KEY, v)",
        "VALUES (-9223372036854775808, 1), (9223372036854775807, 2), (0, 3), (-1, 4)",
        ["UPDATE $ SET v = v + 10", "INSERT INTO $ VALUES (-5, 5)"],
        ["UPDATE $ SET v = v + 10", "DELETE FROM $ WHERE id = 9223372036854775807"],
    ),
    "no row": odd("empty", "(id INTEGER PRIMARY KEY, v UNIQUE)", "", [], ["INSERT INTO $ VALUES (1, 1)"]),
    "200 columns": odd(
        "wide", f"(id INTEGER PRIMARY KEY, {WIDE})", "(id, c5) VALUES (1, 2)", ["UPDATE $ SET c7 = 1"], ["UPDATE $ SET c8 = 1"]
    ),
    "strict types": odd(
        "strict", "(id INTEGER PRIMARY KEY, a ANY, b INT) STRICT", "VALUES (1, '1', 2)",
        ["UPDATE $ SET a = X'00'"], ["UPDATE $ SET a = 1.0"],
    ),
    "a reference to itself": odd(
        "own", "(id INTEGER PRIMARY KEY, p REFERENCES own ON DELETE CASCADE)", "VALUES (1, NULL), (2, 1), (3, 2), (4, NULL)",
        ["PRAGMA foreign_keys = ON", "DELETE FROM $ WHERE id = 1"], ["INSERT INTO $ VALUES (5, 4)"],
    ),
    "conflict clauses in its text": odd(
        "clauses", "(id INTEGER PRIMARY KEY ON CONFLICT REPLACE, a UNIQUE ON CONFLICT REPLACE, b UNIQUE ON CONFLICT IGNORE)",
        "VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3)",
        ["INSERT INTO $ VALUES (9, 1, 9)", "UPDATE $ SET b = 99 WHERE id = 2", "INSERT INTO $ VALUES (10, 10, 3)"],
        ["INSERT INTO $ VALUES (11, 2, 12)"],
    ),
    "a key named rowid": odd(
        "rowids", "(rowid INTEGER PRIMARY KEY, _rowid_, oid)", "VALUES (1, 2, 3)",
        ["UPDATE $ SET oid = 9, rowid = 7"], ["UPDATE $ SET _rowid_ = 10"],
    ),
    "what a trigger of its own ignores": odd(
        "ignoring", "(id INTEGER PRIMARY KEY, v)", "VALUES (1, 1), (2, 2)",
        ["UPDATE $ SET v = v - 2"], ["UPDATE $ SET v = v - 2", "UPDATE $ SET v = 8 WHERE id = 2"],
        "CREATE TRIGGER ignoring_t BEFORE UPDATE ON $ WHEN NEW.v < 0 BEGIN SELECT RAISE(IGNORE); END",
    ),
    "a view that is written to": odd(
        "heard", "(id INTEGER PRIMARY KEY, a)", "", ["INSERT INTO seen VALUES (1, 'q')"], ["INSERT INTO seen VALUES (1, 'r')"],
        "CREATE VIEW seen AS SELECT id, email FROM users",
        "CREATE TRIGGER seen_t INSTEAD OF INSERT ON seen BEGIN INSERT INTO $ (a) VALUES (NEW.email); END",
    ),
}  # fmt: skip


def one_connection(path: Path, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in statements:
            db.execute(sql)


@dataclass(frozen=True)
class Seen:
    """What every table of the zoo held, by moment: before, and in both databases after each leg."""

    at: dict[str, dict[str, list[tuple[object, ...]]]]
    failing: dict[str, tuple[str, ...]]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    place = make_bare(tmp_path_factory.mktemp("zoo"))
    one_connection(place.source, [s for o in ZOO.values() for s in o.create])
    at = {"before": held(place.source)}
    off = Place(place.source, place.target.with_name("off.db"), place.out.with_name("off"))
    off.offline()
    at["offline"], failing = held(off.target), off.failing()
    during = [s for o in ZOO.values() for s in (*o.during, "PRAGMA foreign_keys = OFF")]
    place.online({COMPARING: lambda: one_connection(place.source, during)}, pace=Pace(rows=2))
    at["left"], at["online"] = held(place.source), held(place.target)
    one_connection(place.target, [s for o in ZOO.values() for s in o.after])
    at["written"] = held(place.target)
    place.back()
    at["back"] = held(place.source)
    return Seen(at, failing)


def held(path: Path) -> dict[str, list[tuple[object, ...]]]:
    return {o.table: values_of(path, o.table) for o in ZOO.values()}


@pytest.mark.parametrize("name", ZOO)
def test_an_odd_table_comes_over_is_followed_and_goes_back(zoo: Seen, name: str) -> None:
    moments = {moment: tables[ZOO[name].table] for moment, tables in zoo.at.items()}
    assert moments["offline"] == moments["before"]
    assert moments["online"] == moments["left"]
    assert moments["back"] == moments["written"]
    assert moments["left"] != moments["before"] or name == "no row"
    assert moments["written"] != moments["online"]


def test_an_offline_migration_of_the_zoo_is_verified(zoo: Seen) -> None:
    assert zoo.failing == {}


@pytest.fixture
def raw(tmp_path: Path) -> Place:
    return make_bare(tmp_path)


# --- what does not work yet ------------------------------------------------------------------------------------------


def roundtrip(place: Place, found: Odd, *, rows: int = 100) -> None:
    """Online, followed and back, of one table alone."""
    one_connection(place.source, found.create)
    place.online({COMPARING: lambda: one_connection(place.source, found.during)}, pace=Pace(rows=rows))
    assert values_of(place.target, found.table) == values_of(place.source, found.table)
    one_connection(place.target, found.after)
    place.back()
    assert values_of(place.source, found.table) == values_of(place.target, found.table)


KEYLESS = {
    "no key": odd(
        "bag", "(a, b)", "VALUES (1, 1), (1, 1), (NULL, NULL)",
        ["UPDATE $ SET a = 5 WHERE rowid = 2", "DELETE FROM $ WHERE rowid = 1", "UPDATE $ SET rowid = 99 WHERE rowid = 3"],
        ["UPDATE $ SET b = 9", "INSERT INTO $ VALUES (7, 7)"],
    ),
    "NULL in a text key": odd(
        "bag", "(id TEXT PRIMARY KEY, v)", "VALUES (NULL, 1), (NULL, 2), ('a', 3)",
        ["UPDATE $ SET v = v + 10"], ["DELETE FROM $ WHERE v = 12", "INSERT INTO $ VALUES (NULL, 55)"],
    ),
    "an INT key": odd("bag", "(id INT PRIMARY KEY, v)", "VALUES (1, 1), (2, 2)", ["UPDATE $ SET v = 3"], ["UPDATE $ SET v = 4"]),
    "NULL in a key of two": odd(
        "bag", "(x, y, v, PRIMARY KEY (x, y))", "VALUES (NULL, 1, 1), (NULL, 1, 2)", ["UPDATE $ SET v = 3"], ["UPDATE $ SET v = 4"]
    ),
    "the extremes of rowids": odd(
        "bag", "(v)", "(rowid, v) VALUES (-9223372036854775808, 1), (9223372036854775807, 2)", ["UPDATE $ SET v = v + 1"], ["UPDATE $ SET v = 0"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEYLESS)
def test_a_table_known_by_its_rowids_is_followed(raw: Place, name: str) -> None:
    roundtrip(raw, KEYLESS[name], rows=1)


@pytest.mark.parametrize("name", KEYLESS)
def test_a_table_known_by_its_rowids_moves_and_goes_back_when_nobody_writes_meanwhile(raw: Place, name: str) -> None:
    roundtrip(raw, Odd(KEYLESS[name].table, KEYLESS[name].create, (), KEYLESS[name].after), rows=1)


NOCASE = {
    "with rowids": odd(
        "bag", "(id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, v)", "VALUES ('a', 1), ('b', 2)",
        ["UPDATE $ SET id = 'A' WHERE id = 'a'", "REPLACE INTO $ VALUES ('B', 3)"], ["UPDATE $ SET id = 'a' WHERE id = 'a'"],
    ),
    "without": odd(
        "bag", "(id TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID", "VALUES ('a', 1), ('b', 2)",
        ["UPDATE $ SET id = 'A' WHERE id = 'a'", "REPLACE INTO $ VALUES ('B', 3)"], ["UPDATE $ SET id = 'a' WHERE id = 'a'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOCASE)
def test_a_key_that_changes_only_its_case_is_followed(raw: Place, name: str) -> None:
    roundtrip(raw, NOCASE[name])


def test_columns_named_like_those_of_the_log_are_followed(raw: Place) -> None:
    columns = "(id INTEGER PRIMARY KEY, k0, n0, k, s, op, name)"
    roundtrip(
        raw, odd("bag", columns, "VALUES (1, 2, 3, 4, 5, 6, 7)", ["UPDATE $ SET k0 = 9"], ["UPDATE $ SET k0 = 10"])
    )


def test_rows_that_broke_a_check_before_come_over_online_too(raw: Place) -> None:
    raw.edit("CREATE TABLE bag (id INTEGER PRIMARY KEY, a CHECK (a > 0))")
    one_connection(raw.source, ["PRAGMA ignore_check_constraints = ON", "INSERT INTO bag VALUES (1, -1), (2, 2)"])
    raw.online({COMPARING: ["UPDATE bag SET a = 3 WHERE id = 2"]})
    assert raw.ask("SELECT * FROM bag") == [(1, -1), (2, 3)]


def test_a_table_named_like_a_table_of_keys_goes_back(raw: Place) -> None:
    roundtrip(
        raw,
        odd(
            "ptp_keys_0", "(id INTEGER PRIMARY KEY, v)", "VALUES (1, 1)", ["UPDATE $ SET v = 2"], ["UPDATE $ SET v = 3"]
        ),
    )


def test_a_table_named_old_is_followed_where_an_update_displaces_a_row(raw: Place) -> None:
    columns, rows = "(id INTEGER PRIMARY KEY, a UNIQUE)", "VALUES (1, 'a'), (2, 'b'), (3, 'c')"
    during, after = "UPDATE OR REPLACE $ SET a = 'a' WHERE id = 2", "UPDATE OR REPLACE $ SET a = 'a' WHERE id = 3"
    roundtrip(raw, odd("old", columns, rows, [during], [after]))


def test_a_key_that_is_not_utf8_goes_back(raw: Place) -> None:
    bad = "CAST(X'61FF' AS TEXT)"
    roundtrip(
        raw,
        odd(
            "bag",
            "(id TEXT PRIMARY KEY NOT NULL, v)",
            f"VALUES ({bad}, 1)",
            ["UPDATE $ SET v = 2"],
            ["UPDATE $ SET v = 3"],
        ),
    )


def test_a_table_of_as_many_columns_as_sqlite_takes_is_carried_or_refused(raw: Place) -> None:
    raw.edit(
        f"CREATE TABLE bag (id INTEGER PRIMARY KEY, {', '.join(f'c{n}' for n in range(1_999))})",
        "INSERT INTO bag (id, c9) VALUES (1, 2)",
    )
    try:
        raw.offline()
    except PtpError as problem:
        assert "bag" in str(problem)
    else:
        assert raw.failing() == {}


def test_a_table_that_takes_all_names_of_the_rowid_is_carried_or_refused(raw: Place) -> None:
    raw.edit("CREATE TABLE bag (rowid, _rowid_, oid, v)", "INSERT INTO bag VALUES (1, 2, 3, 4)")
    try:
        raw.offline()
    except PtpError as problem:
        assert "bag" in str(problem)
    else:
        assert raw.ask("SELECT * FROM bag") == [(1, 2, 3, 4)]


@pytest.mark.parametrize("name", ["ptp_log", "ptp_move"])
def test_a_table_with_a_name_of_the_capture_is_carried_or_refused_never_lost(raw: Place, name: str) -> None:
    raw.edit(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, a)", f"INSERT INTO {name} VALUES (1, 'mine')")
    try:
        raw.offline()
    except UsageError as problem:
        assert name in str(problem)
    else:
        assert raw.ask(f"SELECT a FROM {name}") == [("mine",)]


@pytest.mark.parametrize("name", ["ptp_log", "ptp_move", "PTP_Log"])
def test_online_a_table_with_a_name_of_the_capture_is_refused_in_words(raw: Place, name: str) -> None:
    raw.edit(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, a)")
    with pytest.raises(UsageError, match=name):
        raw.online()


@pytest.mark.parametrize("way", ["offline", "online"])
@pytest.mark.parametrize("name", ["ptp_capture_mine", "PTP_Capture_mine"])
def test_a_trigger_with_a_name_of_the_capture_is_refused_and_stays(raw: Place, way: str, name: str) -> None:
    raw.edit(
        "CREATE TABLE bag (id INTEGER PRIMARY KEY, a)",
        "CREATE TABLE log (id INTEGER PRIMARY KEY, a)",
        f"CREATE TRIGGER {name} AFTER INSERT ON bag BEGIN INSERT INTO log (a) VALUES (NEW.a); END",
    )
    with pytest.raises(UsageError, match=f"trigger {name}.*rename it"):
        getattr(raw, way)()
    assert raw.ask_source("SELECT name FROM sqlite_schema WHERE type = 'trigger'") == [(name,)]


def test_a_view_that_reads_converted_values_does_not_come_to_mean_something_else(raw: Place) -> None:
    """Triggers of such tables are left out and named for this very reason."""
    raw.edit("CREATE VIEW recent AS SELECT id FROM users WHERE created_at > '2000-01-01 00:00:00'")
    before = raw.ask_source("SELECT id FROM recent ORDER BY id")
    assert before
    raw.offline()
    carried = raw.ask("SELECT name FROM sqlite_schema WHERE name = 'recent'")
    assert not carried or raw.ask("SELECT id FROM recent ORDER BY id") == before


# --- what is refused, by decision ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rename", "missing"),
    [
        (["ALTER TABLE users RENAME TO u", "ALTER TABLE u RENAME TO Users"], "no table users"),
        (["ALTER TABLE users RENAME COLUMN email TO Email"], "no column users.email"),
    ],
)
def test_names_of_another_case_are_another_shape(raw: Place, rename: Sequence[str], missing: str) -> None:
    raw.edit(*rename)
    before = raw.source.read_bytes()
    with pytest.raises(UnknownShape, match=missing):
        raw.online()
    assert raw.source.read_bytes() == before


def test_where_nothing_was_begun_the_inventory_is_that_of_before(raw: Place) -> None:
    """A refused online migration leaves the source as it was, byte for byte in its schema."""
    raw.edit("CREATE TABLE tweets (a)")
    with closing(sqlite3.connect(raw.source)) as db:
        before = read_inventory(db)
    with pytest.raises(UsageError, match="tweets"):
        raw.online()
    with closing(sqlite3.connect(raw.source)) as db:
        assert read_inventory(db) == before
