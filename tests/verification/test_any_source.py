"""Whatever dirt a source holds, its migration with quarantine verifies clean: nothing lost, and no false alarm."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ptp.resources import folder
from ptp.workbench.migrating import migrate
from ptp.workbench.verifying import verify

NUMBERS = st.integers(-2, 5) | st.sampled_from([2**53 + 1, 2**63 - 1, 0.5, 1.0, 1e300, 1740823200, 1740823200000])
TIMES = st.sampled_from(
    ["2025-03-01 10:00:00", "2025-03-01", "2025-03-01T10:00:00.5Z", "now", "", "2025-02-30", "12:00", 2460736.5]
)
TEXTS = st.sampled_from(
    [
        "admin",
        "true",
        "[]",
        '{"a": 1}',
        "[1,]",
        "é",
        "e\u0301",
        "a\0b",
        "A@x",
        "a@x",
        "approved",
        "reply",
        "it's",
        "a,b",
    ]
)
BYTES = st.binary(max_size=3)
#: A value as it is bound, and whether it is bound as a text of any bytes.
VALUES = st.tuples(st.none() | NUMBERS | TIMES | TEXTS | BYTES, st.just(False)) | st.tuples(
    BYTES | st.sampled_from([b"a\0b", b"a\xff"]), st.just(True)
)
TABLES = {
    "raw": ("users", "exams", "objectives", "questions", "user_answers", "user_progress"),
    "drizzle": ("users", "exams", "objectives", "twitter_accounts", "tweets", "growth_metrics", "voice_profiles"),
}


def value_of(name: str) -> Any:
    """Small numbers for keys, so that references are met as often as not."""
    if not name.endswith("id"):
        return VALUES
    # Above the highest id, AUTOINCREMENT finds none: SQLite then says that the disk is full, and rolls back.
    return st.tuples(st.integers(1, 3), st.just(False)) | VALUES.filter(lambda value: value[0] != 2**63 - 1)


def fill(db: sqlite3.Connection, shape: str, data: Any) -> None:
    db.executescript((folder("sql") / "shapes" / f"{shape}.sql").read_text(encoding="utf-8"))
    for (index,) in db.execute("SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE UNIQUE%'").fetchall():
        if data.draw(st.booleans()):
            db.execute(f"DROP INDEX {index}")
    for sql in ("PRAGMA ignore_check_constraints = ON", "BEGIN"):
        db.execute(sql)
    for table in TABLES[shape]:
        columns = db.execute(f"SELECT name, \"notnull\" OR pk FROM pragma_table_info('{table}')").fetchall()
        for _ in range(data.draw(st.integers(0, 4))):
            names = [n for n, required in columns if required or data.draw(st.integers(0, 4)) == 0]
            values = [data.draw(value_of(name)) for name in names]
            marks = ", ".join("CAST(? AS TEXT)" if is_text else "?" for _, is_text in values)
            try:
                db.execute(
                    f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})", [v for v, _ in values]
                )
            except sqlite3.IntegrityError:  # a text for an INTEGER PRIMARY KEY
                continue
    db.execute("COMMIT")


@pytest.mark.parametrize("shape", ["raw", "drizzle"])
@settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_any_source_migrates_with_quarantine_and_verifies_clean(shape: str, data: Any) -> None:
    place = Path(tempfile.mkdtemp(prefix="ptp-"))
    try:
        source, target = place / "source.db", place / "target.db"
        with closing(sqlite3.connect(source, isolation_level=None)) as db:
            fill(db, shape, data)
        before = source.read_bytes()
        migrate(source, target, place, run="t", on_dirty="quarantine")
        assert source.read_bytes() == before
        findings = verify(source, target).findings
        assert {f.id: f.where for f in findings if f.verdict not in ("pass", "not applicable")} == {}
        with closing(sqlite3.connect(target)) as db:
            db.execute("ATTACH ? AS source", (str(source),))
            for table in TABLES[shape]:
                rows_in, rows_out, kept = db.execute(
                    f"SELECT (SELECT count(*) FROM source.{table}), (SELECT count(*) FROM main.{table}), "
                    "(SELECT count(*) FROM ptp_quarantine WHERE kind = 'row' AND table_name = ?1) / "
                    "(SELECT count(*) FROM pragma_table_info(?1, 'source'))",
                    (table,),
                ).fetchone()
                assert rows_in == rows_out + kept, table
    finally:
        shutil.rmtree(place)
