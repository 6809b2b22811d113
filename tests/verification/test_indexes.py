"""Indexes: what is missing, twice or unused is named, and what only looks so is not."""

import sqlite3
from collections.abc import Collection
from contextlib import closing

import pytest

from ptp.engine import Inventory, read_inventory
from ptp.engine.plans import reads
from ptp.verification.indexes import check_missing, check_redundant, check_used

BASE = """
CREATE TABLE parents (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT);
CREATE TABLE t (
  id INTEGER PRIMARY KEY,
  parent_id INTEGER REFERENCES parents (id) ON DELETE CASCADE,
  name TEXT COLLATE NOCASE,
  kind TEXT,
  score REAL
);
CREATE INDEX t_parent ON t (parent_id, score);
CREATE INDEX t_kind ON t (kind, score DESC) WHERE score > 1;
CREATE INDEX t_lower ON t (lower(name), kind);
"""
TABLES = ("parents", "t")


def inventory(script: str) -> Inventory:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(script)
        return read_inventory(db)


def redundant(more: str, tables: Collection[str] = TABLES) -> tuple[str, ...]:
    return check_redundant(inventory(BASE + more), tables=tables).where


def missing(script: str, expected: str = BASE) -> tuple[str, ...]:
    return check_missing(inventory(script), expected=inventory(expected), tables=TABLES).where


def test_a_schema_in_order_passes() -> None:
    base = inventory(BASE)
    found = [
        check_redundant(base, tables=TABLES),
        check_missing(base, expected=base, tables=TABLES),
        check_used(base, used={"t_kind", "t_lower"}, reasons={}, tables=TABLES),
    ]
    assert [f.id for f in found] == ["indexes.redundant", "indexes.missing", "indexes.unused"]
    assert [(f.verdict, f.value, f.where) for f in found] == [("pass", 0, ())] * 3
    assert [f.n for f in found] == [4, 5, 4], "indexes; indexes and references; indexes"


REDUNDANT = {
    "the same under another name": ("INDEX more ON t (parent_id, score)", ("more", "repeats t_parent")),
    "the same, written otherwise": ('INDEX more ON "t"("Parent_ID" ASC,[score])', ("more", "repeats t_parent")),
    "a collation that the column has": (
        "INDEX a ON t (name); CREATE INDEX more ON t (name COLLATE NOCASE)",
        ("more", "repeats a"),
    ),
    "the beginning of another": ("INDEX more ON t (parent_id)", ("more", "is the beginning of t_parent")),
    "one that makes an older one its beginning": (
        "INDEX more ON t (parent_id, score, kind)",
        ("t_parent", "is the beginning of more"),
    ),
    "a twin of a UNIQUE rule": ("INDEX more ON parents (email)", ("more", "repeats sqlite_autoindex_parents_1")),
    "a unique twin of a UNIQUE rule": (
        "UNIQUE INDEX more ON parents (email)",
        ("more", "repeats sqlite_autoindex_parents_1"),
    ),
    "a plain twin made before a unique one": (
        "INDEX more ON t (kind, id); CREATE UNIQUE INDEX one ON t (kind, id)",
        ("more", "repeats one"),
    ),
    "the beginning of a unique one": (
        "INDEX more ON parents (name); CREATE UNIQUE INDEX one ON parents (name, email)",
        ("more", "is the beginning of one"),
    ),
    "the rowid": ("INDEX more ON t (id)", ("more", "begins with the rowid")),
    "the rowid and more": ("INDEX more ON t (id, kind)", ("more", "begins with the rowid")),
    "the rowid, unique": ("UNIQUE INDEX more ON t (id)", ("more", "begins with the rowid")),
    "a partial twin": (
        "INDEX more ON t (kind, score desc) where  SCORE>1 /* big */",
        ("more", "repeats t_kind"),
    ),
    "the beginning of a partial one": (
        "INDEX more ON t (kind) WHERE score > 1",
        ("more", "is the beginning of t_kind"),
    ),
    "the same expression": ("INDEX more ON t (LOWER( name ), kind)", ("more", "repeats t_lower")),
    "an expression that begins another": ("INDEX more ON t (lower(name) ASC)", ("more", "is the beginning of t_lower")),
}


@pytest.mark.parametrize("case", REDUNDANT)
def test_a_redundant_index_is_named_with_the_one_that_makes_it_so(case: str) -> None:
    more, (name, reason) = REDUNDANT[case]
    (place,) = redundant(f"CREATE {more};")
    assert place.startswith((f"t: {name} ", f"parents: {name} "))
    assert reason in place


@pytest.mark.parametrize(
    "more",
    [
        "INDEX more ON t (score, parent_id)",
        "INDEX more ON t (parent_id DESC)",
        "INDEX more ON t (parent_id, kind)",
        "INDEX more ON t (parent_id) WHERE kind = 'a'",
        "INDEX more ON t (kind, score DESC)",
        "INDEX more ON t (kind, score DESC) WHERE score > 2",
        "INDEX more ON t (kind, score DESC) WHERE score > '1'",
        "INDEX more ON t (kind, score) WHERE score > 1",
        "INDEX more ON t (id) WHERE kind = 'a'",
        "INDEX a ON t (name); CREATE INDEX more ON t (name COLLATE BINARY)",
        "INDEX more ON t (lower(kind))",
        "INDEX more ON t (name)",
        "INDEX a ON t (lower(kind), score); CREATE INDEX more ON t (lower(kind) COLLATE NOCASE)",
        "UNIQUE INDEX more ON t (parent_id)",
        "UNIQUE INDEX more ON t (id, kind)",
        "INDEX more ON parents (name)",
        "INDEX more ON parents (email, name)",
        "INDEX more ON t (kind, iif(score > 1, (2), 3))",
        "INDEX more ON t (coalesce(kind, 'a,b)'), score); CREATE INDEX other ON t (coalesce(kind, 'a,c)'))",
    ],
)
def test_an_index_that_only_looks_redundant_is_not_accused(more: str) -> None:
    assert redundant(f"CREATE {more};") == ()


def test_of_three_twins_two_are_too_many() -> None:
    found = redundant("CREATE INDEX b ON t (score); CREATE INDEX a ON t (score); CREATE INDEX c ON t (score);")
    assert [place.split()[1] for place in found] == ["a", "c"], "the first made is kept"


def test_a_key_of_a_table_without_rowid_makes_its_beginning_redundant() -> None:
    script = "CREATE TABLE pairs (a, b, c, PRIMARY KEY (a, b)) WITHOUT ROWID; CREATE INDEX more ON pairs (a);"
    (place,) = redundant(script, tables=["pairs"])
    assert "is the beginning of sqlite_autoindex_pairs_1" in place


def test_a_key_that_is_no_rowid_makes_nothing_redundant_by_itself() -> None:
    script = "CREATE TABLE odd (a INTEGER PRIMARY KEY DESC, b); CREATE INDEX more ON odd (a, b);"
    assert redundant(script, tables=["odd"]) == ()


def test_only_the_named_tables_are_looked_at() -> None:
    assert redundant("CREATE INDEX more ON t (parent_id);", tables=["parents"]) == ()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("t_parent", "(parent_id, score)"),
        ("t_kind", "(kind, score DESC) WHERE score > 1"),
        ("t_lower", "(lower ( name ), kind)"),
    ],
)
def test_an_index_that_was_dropped_is_missing(name: str, shown: str) -> None:
    places = missing(f"{BASE} DROP INDEX {name};")
    assert places[0] == f"t: {shown} is missing; it is {name} of the expected schema"
    assert len(places) == (2 if name == "t_parent" else 1), "the reference lost its index too"


def test_an_index_is_known_by_its_definition_and_not_its_name() -> None:
    renamed = BASE.replace("t_parent", "other").replace("t_kind", "another")
    assert missing(renamed) == ()
    assert missing(BASE.replace("NOT NULL UNIQUE,", "NOT NULL,") + "CREATE UNIQUE INDEX u ON parents (email);") == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("score DESC", "score"),
        ("WHERE score > 1", "WHERE score > 2"),
        (" WHERE score > 1", ""),
        ("lower(name)", "upper(name)"),
        ("(lower(name), kind)", "(kind, lower(name))"),
        ("(parent_id, score)", "(parent_id)"),
        ("TEXT NOT NULL UNIQUE", "TEXT NOT NULL"),
        ("name TEXT COLLATE NOCASE", "name TEXT"),
    ],
)
def test_an_index_that_was_changed_is_missing(old: str, new: str) -> None:
    expected = BASE + "CREATE INDEX t_name ON t (name);"
    assert old in expected
    (place,) = [p for p in missing(expected.replace(old, new), expected) if "is missing" in p][:1]
    assert place


def test_a_table_that_is_not_there_has_none_of_its_indexes() -> None:
    places = missing("CREATE TABLE parents (id INTEGER PRIMARY KEY, email TEXT UNIQUE);")
    assert len(places) == 3 and all(p.startswith("t: ") for p in places)


REFERENCE = "CREATE TABLE p (a, b, PRIMARY KEY (a, b)); CREATE TABLE t ({}FOREIGN KEY (x, y) REFERENCES p (a, b)); {}"


@pytest.mark.parametrize(
    ("columns", "more", "served"),
    [
        ("x, y, ", "", False),
        ("x, y, ", "CREATE INDEX i ON t (x, y);", True),
        ("x, y, ", "CREATE INDEX i ON t (Y, X);", True),
        ("x, y, ", "CREATE INDEX i ON t (x);", False),
        ("x, y, z, ", "CREATE INDEX i ON t (z, x, y);", False),
        ("x, y, z, ", "CREATE INDEX i ON t (x, y, z);", True),
        ("x, y, ", "CREATE INDEX i ON t (x, y) WHERE x IS NOT NULL;", True),
        ("x, y, ", "CREATE INDEX i ON t (x, y) WHERE x IS NOT NULL AND y IS NOT NULL;", True),
        ("x, y, ", "CREATE INDEX i ON t (x, y) WHERE x > 1;", False),
        ("x, y, z, ", "CREATE INDEX i ON t (x, y) WHERE x IS NOT NULL AND z IS NOT NULL;", False),
        ("x, y, ", "CREATE INDEX i ON t (x, y + 0);", False),
        ("x, y, UNIQUE (x, y), ", "", True),
        ("x, y, PRIMARY KEY (y, x), ", "", True),
    ],
)
def test_a_reference_without_an_index_is_named_and_sqlite_agrees(columns: str, more: str, *, served: bool) -> None:
    """The witness: whether SQLite reads an index of the child when a row of the parent is deleted."""
    script = REFERENCE.format(columns, more)
    found = inventory(script)
    places = check_missing(found, expected=found, tables=["p", "t"]).where
    assert (places == ()) == served
    assert served or places[0].startswith("t: no index begins with (x, y), by which its rows are found when one of p ")
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript("PRAGMA foreign_keys = ON;" + script)
        indexes = {i.name for i in found.tables["t"].indexes}
        # An index on part of the columns is read too, but finds more than the rows of the reference.
        partly = "(x)" in more or "+ 0" in more
        assert bool(reads(db, "DELETE FROM p WHERE a = 1") & indexes) == (served or partly)


def test_a_reference_from_the_rowid_needs_no_index() -> None:
    script = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY REFERENCES p);"
    assert missing(script, script) == ()
    script = script.replace("t (id INTEGER PRIMARY KEY REFERENCES", "t (id INTEGER PRIMARY KEY, p_id REFERENCES")
    assert len(missing(script, script)) == 1


def test_an_index_that_no_statement_reads_is_unused() -> None:
    found = check_used(inventory(BASE), used={"t_lower", "t_parent"}, reasons={}, tables=TABLES)
    assert (found.verdict, found.value) == ("fail", 1)
    assert found.where == (
        "t: no statement reads t_kind (kind, score DESC) WHERE score > 1, and no reference or rule needs it",
    )


@pytest.mark.parametrize(
    ("more", "reasons", "accused"),
    [
        ("INDEX more ON t (score)", {}, True),
        ("INDEX more ON t (score)", {"more": "rule: no two alike"}, False),
        ("INDEX more ON t (score)", {"more": "the study query"}, True),
        ("UNIQUE INDEX more ON t (score)", {}, False),
        ("INDEX more ON t (parent_id) WHERE parent_id IS NOT NULL", {}, False),
        ("INDEX more ON t (parent_id) WHERE score > 1", {}, True),
        ("INDEX more ON t (score, parent_id)", {}, True),
    ],
)
def test_a_rule_and_a_reference_are_uses(more: str, reasons: dict[str, str], *, accused: bool) -> None:
    base = inventory(f"{BASE} CREATE {more};")
    places = check_used(base, used={"t_kind", "t_lower"}, reasons=reasons, tables=TABLES).where
    assert [("more" in p) for p in places] == [True] * accused


def test_what_the_plans_say_is_read_is_what_is_used() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(BASE + "CREATE INDEX by_score ON t (score);")
        used = reads(db, "SELECT * FROM t WHERE lower(name) = 'a'") | reads(db, "INSERT INTO t (score) VALUES (1)")
        found = check_used(read_inventory(db), used=used, reasons={}, tables=TABLES)
        assert [p.split()[4] for p in found.where] == ["t_kind", "by_score"], "that a write maintains it is no use"
