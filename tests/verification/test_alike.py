"""The short way through content finds what the comparison row by row finds, on tables that hold anything."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ptp.conversions import Choice, Conversion, Span
from ptp.conversions.witness import judge
from ptp.verification import content, texts
from ptp.verification.columns import ABSENT, BETWEEN, are_json, seconds_of
from ptp.verification.content import Pair, compare_span
from ptp.verification.digests import digest_table
from ptp.verification.exact import same
from ptp.verification.kept import Kept
from ptp.verification.pairing import Pairing
from ptp.verification.rows import WHOLE, exactly
from ptp.verification.tally import Tally
from ptp.verification.texts import written

COLUMNS: dict[str, Conversion | None] = {
    "id": Conversion("integer", nullable=False),
    "whole": Conversion("integer", rule=Span(1, 5)),
    "many": Conversion("integer", nullable=False),
    "flag": Conversion("boolean"),
    "moment": Conversion("time"),
    "late": Conversion("time", nullable=False, fallback=0),
    "state": Conversion("text", rule=Choice(("a", "b"))),
    "words": Conversion("text", nullable=False, fallback="-", personal=True),
    "part": Conversion("real", rule=Span(0, 1)),
    "doc": Conversion("json"),
    "day": Conversion("date"),
    "extra": None,
}
TYPES = {
    "none": dict.fromkeys(COLUMNS, ""),
    "own": {
        "whole": "INTEGER", "many": "INT", "flag": "BOOLEAN", "moment": "TIMESTAMP", "late": "INTEGER", "state": "TEXT",
        "words": "VARCHAR", "part": "REAL", "doc": "JSON", "day": "DATE", "extra": "INTEGER",
    },
    "text": dict.fromkeys(COLUMNS, "TEXT COLLATE NOCASE"),
}  # fmt: skip
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31, 23, 59, 59)).map(
    lambda d: d.isoformat(" ", "seconds")
)
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(1, 5), "many": st.integers(-(2**63), 2**63 - 1), "flag": st.integers(0, 1),
    "moment": TIMES, "late": TIMES | st.integers(0, 2**32), "state": st.sampled_from("ab"), "words": st.text(max_size=3),
    "part": st.floats(0, 1), "doc": st.sampled_from(["[]", '{"a": 1}', "1", '"x"', "null"]),
    "day": st.dates().map(str), "extra": st.integers(0, 9) | st.text(max_size=2),
}  # fmt: skip
#: A value to be bound, and a text of any bytes as its own kind: ("text", bytes).
ODD: st.SearchStrategy[Any] = st.sampled_from([
    None, 0, 1, 5, 6, -1, 0.0, -0.0, 1.0, 5.0, 0.5, 7.000000000000001, 7.0, float("inf"), 2**53 + 1, 1e300, "", "0", "5",
    "-", ",", "null", "5.0", "a\0b", "A", "a ", "[1,", "[1", "2]", "NaN", " []", "[]\n", ABSENT, "2025-02-30 00:00:00",
    "2025-03-01 10:00:00,2025-03-01 10:00:00", "2025-03-01 24:00:00", "2025-03-01T10:00:00", "1969-12-31 23:59:59",
    "2100-01-01 00:00:00", "0000-00-00 00:00:01", "２025-03-01 10:00:00", 1740823200, 1740823200000,
    b"", b"\x13\x35", b"\x00", b"\x17a", b"5", b"2025-03-01 10:00:00", ("text", b"\xff"), ("text", b"a\0"), "é",
])  # fmt: skip
NAMES = [n for n in COLUMNS if n != "id"]
ROW = st.tuples(*(st.one_of(*[GOOD[name]] * 12, ODD) for name in NAMES))
CLEAN = st.tuples(*(GOOD[name] for name in NAMES))
KEYS = st.integers(-3, 12) | st.integers(4_090, 4_100) | st.sampled_from([-(2**63), 2**63 - 1, 2**40])
PAIRING = Pairing("t", "t", ("id",), ("id",), tuple((n, n, c) for n, c in COLUMNS.items()), tuple(COLUMNS))


def create(path: Path, types: dict[str, str]) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF"):
        db.execute(f"PRAGMA {pragma}")
    columns = ", ".join(f"{name} {types[name]}" for name in NAMES)
    db.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})")
    # An index that holds all that is asked for would be read in its own order.
    db.execute("CREATE INDEX covering ON t (whole DESC)")
    return db


def fill(db: sqlite3.Connection, rows: dict[int, tuple[Any, ...]]) -> None:
    db.execute("BEGIN")
    for key, row in rows.items():
        texts = [v[1].decode("utf-8", "surrogateescape") if isinstance(v, tuple) else v for v in row]
        marks, bound = exactly(texts)
        db.execute(f"INSERT INTO t VALUES (?, {', '.join(marks)})", (key, *bound))
    db.execute("COMMIT")


def converted(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row as the target is to have it: by the witness, value by value."""
    plain = (v[1].decode("utf-8", "surrogateescape") if isinstance(v, tuple) else v for v in row)
    wanted = (COLUMNS[name] for name in NAMES)
    return tuple(v if c is None else judge(c, v).value for c, v in zip(wanted, plain, strict=True))


@contextmanager
def opened(folder: Path, driver: str) -> Iterator[Pair]:
    paths = folder / "old.db", folder / "new.db"
    with closing(sqlite3.connect(paths[0])) as source, closing(sqlite3.connect(paths[1])) as target:
        if driver == "sqlite3":
            yield Pair(source, target, source, target)
        else:
            with closing(apsw.Connection(str(paths[0]))) as old, closing(apsw.Connection(str(paths[1]))) as new:
                yield Pair(source, target, old, new)


def tally_of(dbs: Pair) -> Tally:
    kept = Kept(dbs.target, "no_quarantine", {})
    return compare_span(dbs, PAIRING, span=WHOLE, kept=kept, progress=lambda _: None)


def told(tally: Tally) -> tuple[Any, ...]:
    counts = (tally.rows_in, tally.rows_out, tally.rows_quarantined, tally.differences)
    judged = {name: found for name, found in tally.columns.items() if found.judged}
    return *counts, judged, sorted(map(str, tally.places))


@pytest.mark.parametrize("driver", ["sqlite3", "apsw"])
@settings(deadline=None, max_examples=60)
@given(data=st.data(), types=st.sampled_from(list(TYPES)), rows=st.dictionaries(KEYS, ROW | CLEAN, max_size=9))
def test_both_ways_count_and_find_the_same(
    driver: str, data: Any, types: str, rows: dict[int, tuple[Any, ...]]
) -> None:
    # Left as it is, too: what no conversion accepts must not pass because both sides hold it.
    left = data.draw(st.booleans())
    after = {key: row if left else converted(row) for key, row in rows.items()}
    for key in data.draw(st.lists(st.sampled_from(list(rows)), max_size=2)) if rows else []:
        place = data.draw(st.integers(0, len(NAMES) - 1))
        if key in after:
            after[key] = (*after[key][:place], data.draw(ODD), *after[key][place + 1 :])
        if data.draw(st.integers(0, 5)) == 0:
            after.pop(key, None)
    if data.draw(st.integers(0, 5)) == 0:
        after[data.draw(KEYS)] = converted(data.draw(ROW))
    with tempfile.TemporaryDirectory(prefix="ptp-") as name, pytest.MonkeyPatch.context() as patch:
        for file, held in (("old.db", rows), ("new.db", after)):
            with closing(create(Path(name, file), TYPES[types])) as db:
                fill(db, held)
        patch.setattr(content, "FEW", 2)
        patch.setattr("ptp.verification.tally.SHOWN", 1_000)
        with opened(Path(name), driver) as dbs:
            short = tally_of(dbs)
            assert digest_table(dbs.target, "t", key=("id",), layout=short.layout).ranges == short.ranges
            patch.setattr(content, "glance_at", lambda *_, **__: None)
            assert told(short) == told(tally_of(dbs))


def test_clean_rows_take_the_short_way_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = (
        3,
        7,
        1,
        "2025-03-01 10:00:00",
        951_868_799,
        "a",
        "é\0'",
        0.0,
        '{"a": [1.5, null]}',
        "2024-02-29",
        1,
    )
    nulls = (None, 7, None, None, 0, None, "", None, None, None, None)
    rows = {n: nulls if n % 3 else row for n in range(9_000)}
    for file, held in (("old.db", rows), ("new.db", {n: converted(r) for n, r in rows.items()})):
        with closing(create(tmp_path / file, TYPES["own"])) as db:
            fill(db, held)
    monkeypatch.setattr(content, "compare_rows", lambda *_, **__: pytest.fail("row by row"))
    with opened(tmp_path, "apsw") as dbs:
        found = tally_of(dbs)
    assert (found.rows_in, found.rows_out, found.differences) == (9_000, 9_000, 0)
    assert {name: counts.exact for name, counts in found.columns.items()} == dict.fromkeys(COLUMNS, 9_000)
    assert [count for count, _ in found.ranges.values()] == [4_096, 4_096, 808]


@pytest.mark.parametrize(("column", "value"), [
    ("whole", 6), ("flag", 2), ("state", "A"), ("doc", "[1,"), ("day", "2025-02-30"), ("many", None), ("words", b"5"),
    ("late", -1), ("part", 1.5),
])  # fmt: skip
def test_what_no_conversion_accepts_does_not_pass_because_both_sides_hold_it(
    column: str, value: Any, tmp_path: Path
) -> None:
    row = [5, 5, 1, None, 0, "a", "w", 0.5, "[]", "2024-02-29", 1]
    row[NAMES.index(column)] = value
    for file in ("old.db", "new.db"):
        with closing(create(tmp_path / file, TYPES["own"])) as db:
            fill(db, {1: tuple(row)})
    with opened(tmp_path, "apsw") as dbs:
        assert {p.column for p in tally_of(dbs).places} == {column}


def test_a_blob_that_is_json_to_sqlite_is_no_number(tmp_path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        if db.execute("SELECT sqlite_version() >= '3.45'").fetchone()[0]:
            assert db.execute("SELECT json_array(x'1335')").fetchone() == ("[5]",)
    row = (5, 5, 1, None, 0, "a", "w", 0.5, "[]", "2024-02-29", 1)
    for file, held in (("old.db", row), ("new.db", (b"\x13\x35", *converted(row)[1:]))):
        with closing(create(tmp_path / file, TYPES["own"])) as db:
            fill(db, {1: held})
    with opened(tmp_path, "apsw") as dbs:
        assert [p.column for p in tally_of(dbs).places] == ["whole"]


def test_rows_too_large_for_one_text_are_compared_and_digested_in_bounded_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "LONGEST", 80_000)
    large = "é" * 10_000
    rows = dict.fromkeys(range(6), (1, 1, 1, None, 0, "a", large, 0.5, "[]", "2024-02-29", 1))
    rows[3] = (*rows[3][:6], large * 5, *rows[3][7:])
    after = {n: converted(r) for n, r in rows.items()}
    after[4] = (*after[4][:6], large[:-1] + "e", *after[4][7:])
    for file, held in (("old.db", rows), ("new.db", after)):
        with closing(create(tmp_path / file, TYPES["own"])) as db:
            fill(db, held)
    with opened(tmp_path, "apsw") as dbs:
        found = tally_of(dbs)
        assert [(p.key, p.column) for p in found.places] == [("4", "words")]
        digest = digest_table(dbs.target, "t", key=("id",), layout=found.layout)
        assert digest.ranges == found.ranges
        dbs.target.execute("UPDATE t SET words = substr(words, 2) || 'e' WHERE id = 3")
        assert digest_table(dbs.target, "t", key=("id",), layout=found.layout).ranges != found.ranges


@settings(deadline=None, max_examples=200)
@given(row=CLEAN, place=st.integers(0, len(NAMES) - 1), other=ODD)
@example(row=(5, 0, 0, None, 0, "a", "", 0.0, "[]", "2024-02-29", 1), place=0, other=b"\x13\x35")
@example(row=(5, 0, 0, None, 0, "a", "", 0.0, "[]", "2024-02-29", 1), place=7, other=-0.0)
@example(row=(5, 0, 0, None, 0, "a", "", 0.0, "[]", "2024-02-29", 1), place=7, other=5e-324)
def test_a_digest_is_another_when_one_value_is(row: tuple[Any, ...], place: int, other: Any) -> None:
    before = converted(row)
    after = (*before[:place], other, *before[place + 1 :])
    digests, values = [], []
    for held in (before, after):
        with closing(create(Path(":memory:"), TYPES["none"])) as db:
            fill(db, {1: held})
            layout = tally_layout(db)
            digests.append(digest_table(db, "t", key=("id",), layout=layout).ranges)
            db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            values.append(db.execute(f"SELECT {NAMES[place]} FROM t").fetchone()[0])
    assert (digests[0] == digests[1]) is same(*values)


def tally_layout(db: sqlite3.Connection) -> Any:
    return tally_of(Pair(db, db, db, db)).layout


# --- whole columns ---------------------------------------------------------------------------------------------------

TIME_TEXTS = TIMES | st.sampled_from(
    ["", "now", "2025-02-29 00:00:00", "2024-02-29 23:59:60", "2024-13-01 00:00:00", "2024-00-10 00:00:00", ABSENT]
    + [
        "2100-01-01 00:00:00",
        "1969-12-31 23:59:59",
        "2024-01-00 00:00:00",
        "2024-04-31 00:00:00",
        "2024-01-01 00:60:00",
    ]
    + [
        "2024-01-01,00:00:00",
        "2024-01-01 00:00:0,",
        "٢024-01-01 00:00:00",
        "2024-01-01 00:00:000",
        "9999-12-31 00:00:00",
    ]
)


@given(st.lists(st.none() | TIMES | TIME_TEXTS, max_size=6))
@settings(deadline=None)
def test_times_as_a_column_are_what_the_witness_says_of_each(values: list[str | None]) -> None:
    joined = ",".join(ABSENT if v is None else v for v in values)
    found = seconds_of(joined, rows=len(values), present=len(values) - values.count(None))
    judged = [judge(Conversion("time"), v) for v in values]
    if found is not None:
        assert [(j.outcome, j.value) for j in judged] == [("exact", seconds) for seconds in found]
    else:
        assert any(j.outcome != "exact" for j in judged)


def test_every_day_of_the_range_is_known() -> None:
    day = datetime(1970, 1, 1, tzinfo=UTC)
    days = [day + timedelta(days=n, seconds=n % 86_400) for n in range(47_482)]
    joined = ",".join(f"{d:%Y-%m-%d %H:%M:%S}" for d in days)
    assert seconds_of(joined, rows=len(days), present=len(days)) == [int(d.timestamp()) for d in days]


DOCUMENTS = st.sampled_from(
    [
        "[]",
        "{}",
        "1",
        '"a"',
        "[1",
        "2]",
        '"a',
        'b"',
        "1,2",
        "",
        " 1",
        "NaN",
        "Infinity",
        "[1]x",
        '{"a":1,"a":2}',
        '"\0"',
    ]
    + ["[1,]", "01", "1.", "-", "true", "'a'", '"\\u12"', "1 ", "null", "[" * 400 + "]" * 400, '"\t"', '"\\,"']
)


@given(st.lists(DOCUMENTS | st.recursive(st.integers() | st.text(), st.lists).map(json.dumps), max_size=5))
@settings(deadline=None)
def test_documents_as_a_column_are_taken_only_where_the_witness_takes_each(texts: list[str]) -> None:
    if are_json(BETWEEN.join(texts), count=len(texts)):
        assert {judge(Conversion("json"), text).outcome for text in texts} <= {"exact"}
    else:
        assert any(judge(Conversion("json"), text).outcome != "exact" or text != text.strip() for text in texts)


@given(
    st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[st.none() | st.integers(-9, 2**63 - 1)] * n), max_size=4))
)
@settings(deadline=None)
def test_rows_are_written_as_sqlite_writes_them(rows: list[tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        arrays = [db.execute(f"SELECT json_array({', '.join('?' * len(row))})", row).fetchone()[0] for row in rows]
    assert written(list(zip(*rows, strict=True))) == "".join(arrays).encode()
