"""A source that holds every kind of dirt in every column that converts: all of it is listed, kept and given back.

What is due is written down while the source is soiled, and what came back is compared with the source itself, read
with plain sqlite3: nothing that is expected here comes from the code under test.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ptp.conversions import Choice, Conversion, Kind, Span
from ptp.errors import DirtySource
from ptp.migration.preflight import EXAMPLES, inspect_source
from ptp.resources import folder
from ptp.schema.shapes import known_shapes
from ptp.workbench.keeping import check_export, export_quarantine
from ptp.workbench.migrating import migrate, plan_of, stopped
from ptp.workbench.verifying import verify

# Every line of the specification that is not exact, as SQL; affinity leaves each of them as it is.
DIRT: dict[Kind, list[tuple[str, str]]] = {
    "time": [
        ("'2025-03-01T10:00:00.123Z'", "rounded: fraction of a second"),
        ("1740823200.5", "rounded: fraction of a second"),
        ("'2025-02-29 00:00:00'", "rejected: no such date"),
        ("'2025-02-30 10:00:00'", "rejected: no such date"),
        ("'2025-13-01 00:00:00'", "rejected: no such date"),
        ("'2025-04-31 00:00:00'", "rejected: no such date"),
        ("'2025-03-01 24:00:00'", "rejected: no such time"),
        ("'2025-03-01 23:59:60'", "rejected: no such time"),
        ("'10:00:00'", "rejected: no date"),
        ("'now'", "rejected: not a time"),
        ("'CURRENT_TIMESTAMP'", "rejected: not a time"),
        ("''", "rejected: empty"),
        ("' 2025-03-01 10:00:00'", "rejected: surrounding space"),
        ("'2025-03-01 10:00:00 '", "rejected: surrounding space"),
        ("'2025-3-1 10:00:00'", "rejected: not ISO 8601"),
        ("'01/03/2025'", "rejected: not ISO 8601"),
        ("'-2025-03-01 10:00:00'", "rejected: not ISO 8601"),
        ("CAST(X'323032352D30332D3031FF00' AS TEXT)", "rejected: not ISO 8601"),
        ("'1969-12-31 23:59:59'", "rejected: out of range"),
        ("'2100-01-01 00:00:00'", "rejected: out of range"),
        ("-1", "rejected: out of range"),
        ("4102444800", "rejected: out of range"),
        ("9e999", "rejected: out of range"),
        ("1740823200000", "rejected: looks like milliseconds"),
        ("2460736.5", "rejected: out of range (looks like a Julian day)"),
        ("X'00'", "rejected: blob"),
    ],
    "boolean": [(v, "rejected: not a boolean") for v in ("2", "-1", "'t'", "'yes'", "''", "X'01'", "0.5")],
    "json": [
        *((v, "rejected: not JSON") for v in ("''", """'[{"id":"a",'""", "'{''a'':1}'", "'[1,]'", "'NaN'", "'[NaN]'")),
        *((v, "rejected: not JSON") for v in ("'{a:1}'", "'// c'", "CAST(X'5B5D00' AS TEXT)")),
        (f"'{'[' * 1001}{']' * 1001}'", "rejected: JSON nested too deep"),
        (f"'{'[' * 2100}'", "rejected: JSON nested too deep"),
        ("X'0C'", "rejected: blob"),
    ],
    "integer": [(v, "rejected: not an integer") for v in ("'12 seconds'", "1.5", "X'31'", "9223372036854775808")],
    "real": [("'high'", "rejected: not a number"), ("X'00'", "rejected: not a number")],
    "text": [("X'FFFE00'", "rejected: blob")],
    "date": [(v, "rejected: not a date") for v in ("'2025-02-30'", "'2025-03-01 10:00:00'", "20250301")],
}
UNIQUE = {
    "users": ("email",),
    "exams": ("vendor_id", "code"),
    "user_progress": ("user_id", "exam_id"),
    "twitter_accounts": ("username",),
    "growth_metrics": ("date",),
}
NOBODY = {"integer": "987654321", "text": "'nobody'"}


@dataclass
class Soil:
    """What was put into a source: the dirty values by kind, the rows that go by reason, and every place by key."""

    values: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    own: Counter[tuple[str, str]] = field(default_factory=Counter)
    follow: Counter[tuple[str, str]] = field(default_factory=Counter)
    places: list[tuple[str, str, str]] = field(default_factory=list)
    gone: set[tuple[str, str]] = field(default_factory=set)


class Sower:
    """Fills an empty source: a clean row of every table first, then one row for every piece of dirt."""

    def __init__(self, db: sqlite3.Connection, shape: str) -> None:
        self.db, self.soil = db, Soil()
        (known,) = (s for s in known_shapes() if s.name == shape)
        self.kinds = {t.source: {c.source: c.conversion for c in t.columns} for t in known.tables}
        self.last: Counter[str] = Counter()
        self.parents: dict[str, dict[str, str]] = {
            table: {row[3]: row[2] for row in db.execute(f"PRAGMA foreign_key_list({table})")} for table in self.kinds
        }
        self.time = "'2025-03-01 10:00:00'" if shape == "raw" else "1740823200"
        self.texts = {t: self.kinds[t]["id"].kind == "text" for t in self.kinds}

    def key(self, table: str, number: int) -> str:
        return f"'k{number}'" if self.texts[table] else str(number)

    def row(self, table: str, **given: str) -> str:
        """Insert a row, clean but for what is given as SQL; its key as the quarantine writes it."""
        self.last[table] += 1
        number = self.last[table]
        cells = {"id": self.key(table, number)}
        for column, conversion in self.kinds[table].items():
            if column != "id" and column not in ("parent_id", "current_question_id"):
                cells[column] = self.clean(table, column, conversion, number)
        cells.update(given)
        self.db.execute(f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({', '.join(cells.values())})")
        return cells["id"]

    def clean(self, table: str, column: str, conversion: Conversion, number: int) -> str:
        if (parent := self.parents[table].get(column)) is not None:
            return str(number) if (table, column) == ("user_progress", "user_id") else self.key(parent, 1)
        if isinstance(conversion.rule, Choice):
            return f"'{conversion.rule.values[0]}'"
        if conversion.kind == "text":
            return "NULL" if column.endswith("_id") and conversion.nullable else f"'t{number}'"
        of_kind = {"time": self.time, "boolean": "1", "json": "'[]'", "integer": "1", "real": "0.5"}
        return of_kind.get(conversion.kind) or f"'{date(1900, 1, 1) + timedelta(days=number)}'"

    def dirty(self, table: str, column: str, value: str, problem: str, **given: str) -> str:
        """A row with one dirty value, which takes the row with it where it can be neither NULL nor a constant."""
        key = self.row(table, **given, **{column: value})
        self.soil.values[table, column, problem] += 1
        self.soil.places.append((table, key, column))
        if not self.kinds[table][column].nullable:
            self.goes(table, key, f"{problem} ({column})")
        return key

    def goes(self, table: str, key: str, reason: str, *, with_parent: bool = False) -> None:
        counts = self.soil.follow if with_parent else self.soil.own
        counts[table, reason] += 1
        self.soil.gone.add((table, key))

    def doomed(self, table: str) -> str:
        """A row that goes for a value of its own."""
        column = next(c for c, conversion in self.kinds[table].items() if c != "id" and not conversion.nullable)
        kind = self.kinds[table][column].kind
        return self.dirty(
            table, column, "X'FFFE00'", "rejected: not an integer" if kind == "integer" else "rejected: blob"
        )

    def values(self, copies: int) -> None:
        for table, columns in self.kinds.items():
            for column, conversion in columns.items():
                if column == "id":
                    continue
                dirt = [
                    (v, p) for v, p in DIRT[conversion.kind] if p.startswith("rejected") or conversion.kind == "time"
                ]
                for value, problem in [*dirt, *breaches(conversion)] * copies:
                    self.dirty(table, column, value, problem)
            if self.texts[table]:
                key = self.row(table, id="X'00FF'")
                self.soil.values[table, "id", "rejected: blob"] += 1
                self.soil.places.append((table, key, "id"))
                self.goes(table, key, "rejected: blob (id)")

    def orphans(self, copies: int) -> None:
        for table, parents in self.parents.items():
            for column, parent in parents.items():
                for _ in range(2 * copies):
                    key = self.row(table, **{column: NOBODY[self.kinds[table][column].kind]})
                    self.goes(table, key, f"rejected: no such row in {parent} ({column})")
                    self.soil.places.append((table, key, column))

    def followers(self, copies: int) -> None:
        """Rows with nothing wrong but their parents: one for each reference, and a chain of four."""
        parents = {parent for refs in self.parents.values() for parent in refs.values()}
        doomed = {parent: self.doomed(parent) for parent in sorted(parents)}
        for table, refs in self.parents.items():
            for column, parent in refs.items():
                for _ in range(7 * copies):
                    self.follows(table, column, doomed[parent])
        objective = self.follows("objectives", "exam_id", doomed["exams"])
        below = self.follows("objectives", "parent_id", objective)
        question = self.follows("questions", "objective_id", below)
        self.follows("user_answers", "question_id", question)

    def follows(self, table: str, column: str, key: str) -> str:
        parent = self.parents[table][column]
        itself = f"rejected: its parent in {parent} is rejected ({column})"
        found = self.row(table, **{column: key})
        self.goes(
            table,
            found,
            itself if parent == table else f"rejected: no such row in {parent} ({column})",
            with_parent=True,
        )
        return found

    def twins(self, copies: int) -> None:
        for table, columns in UNIQUE.items():
            if table not in self.kinds:
                continue
            same = {c: v for c, v in self.values_of(table, columns).items() if c != "user_id"}
            user = {"user_id": self.row("users")} if "user_id" in columns else {}
            self.row(table, **same, **user)
            for _ in range(2 * copies):
                key = self.row(table, **same, **user)
                self.goes(table, key, f"rejected: an earlier row has the same value ({', '.join(columns)})")
                self.soil.places += [(table, key, c) for c in columns]
                if table == "users":
                    self.follows("user_answers", "user_id", key)
        # By bytes these are two, whatever the collation of the column calls them.
        self.row("users", email="'Case@X'")
        self.row("users", email="'case@x'")

    def values_of(self, table: str, columns: tuple[str, ...]) -> dict[str, str]:
        own = {"date": "'2024-02-29'", "exam_id": "1"}
        return {c: own.get(c, f"'twin of {table}'") for c in columns}


def breaches(conversion: Conversion) -> list[tuple[str, str]]:
    """Values that break a rule, each with the rule written out."""
    if isinstance(conversion.rule, Choice):
        listed = ", ".join(f"'{v}'" for v in conversion.rule.values)
        wrong = ["'nothing like it'", "''", f"'{conversion.rule.values[0].upper()}'", f"'{conversion.rule.values[0]} '"]
        return [(v, f"rejected: breaks the rule IN ({listed})") for v in wrong]
    if isinstance(conversion.rule, Span):
        low, high = conversion.rule.low, conversion.rule.high
        return [(str(v), f"rejected: breaks the rule BETWEEN {low} AND {high}") for v in (low - 1, high + 1, -(2**62))]
    return []


def sow(path: Path, shape: str, copies: int) -> Soil:
    """Write a source with `copies` of every piece of dirt, without the unique rules that would refuse twins."""
    ddl = (folder("sql") / "shapes" / f"{shape}.sql").read_text(encoding="utf-8")
    for old, new in {
        "CREATE UNIQUE INDEX": "CREATE INDEX",
        "email TEXT NOT NULL UNIQUE": "email TEXT COLLATE NOCASE NOT NULL",
        "email TEXT NOT NULL,": "email TEXT COLLATE NOCASE NOT NULL,",
        ",\n    UNIQUE (vendor_id, code)": "",
        ",\n    UNIQUE (user_id, exam_id)": "",
    }.items():
        ddl = ddl.replace(old, new)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(ddl)
        # A unique rule by NOCASE that holds for some rows only, so that twins stand beside it.
        db.execute("DROP INDEX IF EXISTS users_email_unique")
        db.execute("CREATE UNIQUE INDEX users_email_unique ON users (email COLLATE NOCASE) WHERE id < 10")
        for sql in ("PRAGMA ignore_check_constraints = ON", "PRAGMA synchronous = OFF", "BEGIN"):
            db.execute(sql)
        sower = Sower(db, shape)
        for table in sower.kinds:
            sower.row(table)
        # A row of progress belongs to a user of its own: there are as many users beforehand.
        while sower.last["users"] < 400 * copies:
            sower.row("users")
        sower.values(copies)
        sower.orphans(copies)
        sower.followers(copies)
        sower.twins(copies)
        assert sower.last["user_progress"] <= 400 * copies
        db.execute("COMMIT")
    return sower.soil


@dataclass
class Field:
    """One soiled source and where it goes."""

    shape: str
    source: Path
    target: Path
    out: Path
    soil: Soil

    def tables(self) -> list[str]:
        (known,) = (s for s in known_shapes() if s.name == self.shape)
        return [t.source for t in known.tables]


def make_field(place: Path, shape: str, copies: int) -> Field:
    (place / "out").mkdir(parents=True)
    source = place / "source.db"
    return Field(shape, source, place / "target.db", place / "out", sow(source, shape, copies))


@pytest.fixture(scope="module", params=["raw", "drizzle"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Field:
    return make_field(tmp_path_factory.mktemp("dirt") / request.param, request.param, 1)


@pytest.fixture(scope="module")
def moved(small: Field) -> Field:
    migrate(small.source, small.target, small.out, run="test", on_dirty="quarantine")
    return small


def listed_kinds(rows: Any) -> tuple[Counter[Any], Counter[Any], Counter[Any]]:
    """The listing as three counts: values, rows of their own, rows with their parents."""
    found: tuple[Counter[Any], Counter[Any], Counter[Any]] = (Counter(), Counter(), Counter())
    for row in rows:
        if row["column"] == "(whole row)":
            found[1][row["table"], row["problem"]] = row["count"]
        elif row["column"] == "(whole row, with its parent)":
            found[2][row["table"], row["problem"]] = row["count"]
        else:
            found[0][row["table"], row["column"], row["problem"]] = row["count"]
    return found


def check_stop(field: Field, place: Path) -> None:
    before, target, out = field.source.read_bytes(), place / "stopped.db", place / "stopped"
    out.mkdir()
    with pytest.raises(DirtySource) as refused:
        migrate(field.source, target, out, run="test", on_dirty="stop")
    assert refused.value.exit_code == 1
    assert field.source.read_bytes() == before
    assert not target.exists()
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == ["01_migrate.json", "plan.sql"]
    rows = stopped(out).tables["Dirt"]
    assert listed_kinds(rows) == (field.soil.values, field.soil.own, field.soil.follow)
    own, follow = field.soil.own.total(), field.soil.follow.total()
    assert f" holds {field.soil.values.total():,} values that" in str(refused.value)
    assert f" {own:,} rows would go whole, and {follow:,} more with their parents. Nothing was changed." in str(
        refused.value
    )
    for row in rows:
        assert row["examples"].count("key ") == min(EXAMPLES, row["count"]), row


def test_stop_lists_every_kind_that_was_sown_and_changes_nothing(small: Field, tmp_path: Path) -> None:
    check_stop(small, tmp_path)


def test_every_example_names_a_place_that_was_soiled(small: Field) -> None:
    seen = inspect_source(small.source, plan_of(small.source).pairs, progress=lambda share, text: None)
    places = set(small.soil.places)
    for dirt in seen.dirt:
        assert len(dirt.examples) == min(EXAMPLES, dirt.count)
        assert {(dirt.table, key, dirt.column) for key, _ in dirt.examples} <= places
    for gone in seen.gone:
        assert len(gone.examples) == min(EXAMPLES, gone.count)
        assert {(gone.table, key) for key, _ in gone.examples} <= small.soil.gone
        assert all(set(values) for _, values in gone.examples)
    assert seen.rows_with_parents == small.soil.follow.total()


def check_kept(field: Field) -> None:
    """Hold that rows in = rows out + rows kept, and that every value that is not kept is what it was."""
    findings = verify(field.source, field.target).findings
    assert {f.id: f.where for f in findings if f.verdict not in ("pass", "not applicable")} == {}
    with closing(sqlite3.connect(field.target)) as db:
        db.execute("ATTACH ? AS source", (str(field.source),))
        for table in field.tables():
            columns = [row[1] for row in db.execute(f"PRAGMA source.table_info({table})")]
            kept = {
                k
                for (k,) in db.execute(
                    "SELECT DISTINCT row_key FROM ptp_quarantine WHERE kind = 'row' AND table_name = ?", (table,)
                )
            }
            assert kept == {key for name, key in field.soil.gone if name == table}
            rows_in, rows_out, entries = db.execute(
                f"SELECT (SELECT count(*) FROM source.{table}), (SELECT count(*) FROM main.{table}), "
                "(SELECT count(*) FROM ptp_quarantine WHERE kind = 'row' AND table_name = ?)", (table,)
            ).fetchone()  # fmt: skip
            assert rows_in == rows_out + len(kept), table
            assert entries == len(kept) * len(columns), table
            for column in columns:
                read = f"CASE WHEN s.{column} = '2025-03-01 10:00:00' THEN 1740823200 ELSE s.{column} END"
                changed = db.execute(
                    f"SELECT s.id FROM source.{table} AS s JOIN main.{table} AS t ON t.id = s.id "
                    f"WHERE (typeof({read}) <> typeof(t.{column}) OR t.{column} IS NOT {read} COLLATE BINARY) AND NOT EXISTS "
                    "(SELECT 1 FROM ptp_quarantine WHERE kind = 'value' AND table_name = ? AND row_key = quote(s.id) "
                    "AND column_name = ?)", (table, column)
                ).fetchall()  # fmt: skip
                assert changed == [], (table, column)


def test_with_quarantine_every_row_and_value_is_conserved_and_verified(moved: Field) -> None:
    check_kept(moved)


def test_every_kind_that_was_sown_stands_in_quarantine_and_nothing_else(moved: Field) -> None:
    due: Counter[tuple[str, str, str]] = Counter()
    for (table, column, problem), count in moved.soil.values.items():
        if (table, f"{problem} ({column})") not in moved.soil.own:
            due[table, column, problem] = count
    with closing(sqlite3.connect(moved.target)) as db:
        found = db.execute(
            "SELECT table_name, column_name, reason, count(*) FROM ptp_quarantine WHERE kind = 'value' GROUP BY 1, 2, 3"
        )
        assert {tuple(row[:3]): row[3] for row in found} == dict(due)
        rows = db.execute(
            "SELECT table_name, reason, count(DISTINCT row_key) FROM ptp_quarantine WHERE kind = 'row' GROUP BY 1, 2"
        )
        assert Counter({(t, r): n for t, r, n in rows}) == moved.soil.own + moved.soil.follow


def entries_of(out: Path) -> Iterator[dict[str, Any]]:
    for file in out.glob("*.jsonl"):
        for line in file.read_bytes().split(b"\n")[:-1]:
            yield json.loads(line)


def by_hand(stored: dict[str, str]) -> tuple[str, Any]:
    """An original as the format says, without the code under test."""
    name = stored["class"]
    if "base64" in stored:
        return name, base64.b64decode(stored["base64"])
    if name == "text":
        return name, stored["value"].encode()
    if name == "real":
        return name, float.fromhex(stored["value"])
    return name, int(stored["value"]) if name == "integer" else None


def check_export_of(field: Field, out: Path) -> None:
    """Hold every original of an export to what the source holds in that place, in class and bytes."""
    (finding,) = export_quarantine(field.target, out).findings
    assert finding.verdict == "pass"
    assert [f.verdict for f in check_export(field.target, out).findings] == ["pass"]
    due = set(field.soil.places)
    with closing(sqlite3.connect(field.source)) as db:
        for entry in entries_of(out):
            table, key, column = entry["table"], by_hand(entry["key"])[1].decode(), entry["column"]
            there = db.execute(
                f"SELECT typeof({column}), CASE WHEN typeof({column}) IN ('text', 'blob') THEN CAST({column} AS BLOB) "
                f"ELSE {column} END FROM {table} WHERE id = {key}"
            ).fetchall()
            assert there == [by_hand(entry["original"])], (table, key, column)
            due.discard((table, key, column))
    assert due == set()


def test_the_export_gives_every_sown_value_back_in_class_and_bytes(moved: Field, tmp_path: Path) -> None:
    check_export_of(moved, tmp_path / "originals")


@pytest.mark.parametrize("shape", ["raw", "drizzle"])
@pytest.mark.torture
@pytest.mark.timeout(1200)
def test_a_large_source_full_of_dirt_is_listed_kept_and_given_back(tmp_path: Path, shape: str) -> None:
    field = make_field(tmp_path / "field", shape, 10)
    check_stop(field, tmp_path)
    migrate(field.source, field.target, field.out, run="test", on_dirty="quarantine")
    check_kept(field)
    check_export_of(field, tmp_path / "originals")
