"""Export of the quarantine: every class and byte comes back, and a change of one of them is seen."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ptp.errors import UsageError
from ptp.migration.export import decode, differences, encode, export, read_export, read_manifest
from ptp.migration.quarantine import DDL

# Every kind of value that conversions reject or round, in every storage class, as SQL.
VALUES = [
    *("'2025-03-01T10:00:00.123Z'", "1740823200.5", "'2025-02-30 10:00:00'", "'24:00:00'", "'now'", "''"),
    *("' 2025-03-01 10:00:00'", "'2025-03-01 10:00:00 '", "'01/03/2025'", "-1", "4102444800", "1740823200000"),
    *("2460736.5", "X'00'", "X''", "X'FFFE00'", "X'0C'", "2", "'t'", "0.5", "X'01'", "'[{\"id\":\"a\",'", "'[NaN]'"),
    *("'{''a'':1}'", "'// c'", "'12 seconds'", "9223372036854775808", "9223372036854775807", "-9223372036854775808"),
    *("9007199254740993", "0.1", "-0.0", "0.0", "9e999", "-9e999", "5e-324", "1.7976931348623157e308", "NULL"),
    *("'müll 🎓'", "CAST(X'E280AE616263' AS TEXT)", "CAST(X'61006200' AS TEXT)", "CAST(X'FFFEC328' AS TEXT)"),
    *("CAST(X'EDA080' AS TEXT)", "CAST(X'EFBBBF61' AS TEXT)", "CAST(X'0A0D09E280A8E2808500' AS TEXT)", "char(10, 13, 8232)"),
    *("CAST(X'00' AS TEXT)", "CAST(X'C080' AS TEXT)", "CAST(X'00D861' AS TEXT)", "'{\"class\": \"null\"}'"),
]  # fmt: skip


def database(path: Path, *, encoding: str = "UTF-8") -> Path:
    """A quarantine with each value as an original, as a placeholder, and its literal as a key."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA encoding = '{encoding}'")
        for sql in DDL:
            db.execute(sql)
        for number, value in enumerate(VALUES):
            table = ("users", "a/b c", "..")[number % 3]
            db.execute(
                "INSERT INTO ptp_quarantine (run, kind, table_name, row_key, column_name, original, placeholder, "
                f"reason) VALUES ('r', 'value', ?, quote({value}), 'ü', {value}, {value}, 'rejected: \"x\"')",
                (table,),
            )
        db.execute("DELETE FROM ptp_quarantine WHERE id = 3")  # ids have gaps
        db.commit()
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return database(tmp_path / "kept.db")


def exported(path: Path, folder: Path, **options: Any) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(path)) as db:
        export(db, folder, **options)


def found(path: Path, folder: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(differences(db, folder))


def raw_rows(path: Path) -> list[tuple[Any, ...]]:
    """The table as the driver gives it, read apart from the code under test."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(
            "SELECT id, table_name, typeof(original), CAST(original AS BLOB), typeof(placeholder), "
            "CAST(placeholder AS BLOB), CAST(row_key AS BLOB), "
            "CASE WHEN typeof(original) IN ('real', 'integer') THEN original END FROM ptp_quarantine ORDER BY id"
        ).fetchall()


def by_hand(stored: dict[str, str], codec: str) -> tuple[str, Any]:
    """A stored value as the documentation of the format says, without the code under test."""
    name = stored["class"]
    if "base64" in stored:
        return name, base64.b64decode(stored["base64"])
    if name == "text":
        return name, stored["value"].encode(codec)
    if name == "real":
        return name, float.fromhex(stored["value"])
    return name, int(stored["value"]) if name == "integer" else None


@pytest.mark.parametrize(
    ("encoding", "codec"), [("UTF-8", "utf-8"), ("UTF-16le", "utf-16-le"), ("UTF-16be", "utf-16-be")]
)
def test_every_class_and_byte_is_in_the_files(tmp_path: Path, encoding: str, codec: str) -> None:
    path, folder = database(tmp_path / "kept.db", encoding=encoding), tmp_path / "out"
    exported(path, folder)
    lines = {}
    for file in folder.glob("*.jsonl"):
        for line in file.read_bytes().split(b"\n")[:-1]:
            document = json.loads(line)
            lines[document["id"]] = document
    rows = raw_rows(path)
    assert sorted(lines) == [row[0] for row in rows]
    assert len(rows) == len(VALUES) - 1
    for number, table, kind, original, placeholder_kind, placeholder, key, numeric in rows:
        line = lines[number]
        assert (line["table"], line["run"], line["kind"], line["column"]) == (table, "r", "value", "ü")
        assert line["reason"] == 'rejected: "x"'
        name, value = by_hand(line["original"], codec)
        assert name == kind
        if kind == "real":
            assert struct.pack("<d", value) == struct.pack("<d", numeric)
        else:
            assert value == (numeric if kind == "integer" else original)
        name, value = by_hand(line["placeholder"], codec)
        assert name == placeholder_kind
        assert placeholder_kind in ("real", "integer") or value == placeholder
        assert by_hand(line["key"], codec) == ("text", key)
    assert found(path, folder) == []


def test_the_manifest_says_what_the_files_are(kept: Path, tmp_path: Path) -> None:
    exported(kept, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert (document["format"], document["version"], document["encoding"]) == ("ptp-quarantine", 1, "UTF-8")
    assert document["entries"] == len(VALUES) - 1
    names = {f["table"]: f["file"] for f in document["files"]}
    assert names == {"users": "users.jsonl", "a/b c": "a%2Fb%20c.jsonl", "..": "...jsonl"}
    for file in document["files"]:
        written = (tmp_path / "out" / file["file"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(written).hexdigest()
        assert file["entries"] == written.count(b"\n")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*names.values(), "manifest.json"}
    assert {p.stat().st_mode & 0o077 for p in (tmp_path / "out").glob("*.jsonl")} == {0}


def test_plain_texts_are_readable_and_odd_ones_go_by_their_bytes() -> None:
    assert encode(("text", "müll\n".encode()), "utf-8") == {"class": "text", "value": "müll\n"}
    for raw in (b"a\x00", b"\xff", b"\xed\xa0\x80", b"\xc0\x80"):
        assert encode(("text", raw), "utf-8") == {"class": "text", "base64": base64.b64encode(raw).decode()}
    assert encode(("real", -0.0), "utf-8") == {"class": "real", "value": "-0x0.0p+0"}
    assert encode(("real", float("-inf")), "utf-8") == {"class": "real", "value": "-inf"}
    assert encode(("integer", 2**63 - 1), "utf-8") == {"class": "integer", "value": "9223372036854775807"}
    assert decode({"class": "null"}, "utf-8") == ("null", None)


def test_one_table_can_be_asked_for(kept: Path, tmp_path: Path) -> None:
    exported(kept, tmp_path / "out", table="users")
    manifest = read_manifest(tmp_path / "out")
    assert [f.table for f in manifest.files] == ["users"]
    entries = list(read_export(tmp_path / "out", manifest.files[0], encoding="UTF-8"))
    assert len(entries) == manifest.entries == len(range(0, len(VALUES), 3))
    assert found(kept, tmp_path / "out") == []


def test_a_folder_that_is_not_empty_is_not_written_to(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with closing(sqlite3.connect(kept)) as db, pytest.raises(UsageError, match="is not empty"):
        export(db, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]


def test_what_stops_an_export_leaves_the_folder_empty(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with closing(sqlite3.connect(kept)) as db:
        db.execute("UPDATE ptp_quarantine SET reason = CAST(X'FF' AS TEXT) WHERE id = 20")
        with pytest.raises(UsageError, match="it was written by another program"):
            export(db, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


DAMAGE = [
    "UPDATE ptp_quarantine SET original = CAST(CAST(original AS TEXT) AS BLOB) WHERE id = 1",
    "UPDATE ptp_quarantine SET original = '1740823200.5' WHERE id = 2",
    "UPDATE ptp_quarantine SET original = 9007199254740992 WHERE original = 9007199254740993",
    "UPDATE ptp_quarantine SET original = 0.0 WHERE typeof(original) = 'real' AND original = 0",
    "UPDATE ptp_quarantine SET original = NULL WHERE original = ''",
    "UPDATE ptp_quarantine SET original = CAST(X'FFFEC329' AS TEXT) WHERE hex(original) = 'FFFEC328'",
    "UPDATE ptp_quarantine SET placeholder = NULL WHERE id = 1",
    "UPDATE ptp_quarantine SET row_key = row_key || ' ' WHERE id = 1",
    "UPDATE ptp_quarantine SET reason = 'x' WHERE id = 1",
    "UPDATE ptp_quarantine SET run = 'x' WHERE id = 1",
    "UPDATE ptp_quarantine SET kind = 'row' WHERE id = 1",
    "UPDATE ptp_quarantine SET column_name = 'x' WHERE id = 1",
    "UPDATE ptp_quarantine SET table_name = '..' WHERE id = 1",
    "UPDATE ptp_quarantine SET id = 1000 WHERE id = 1",
    "DELETE FROM ptp_quarantine WHERE id = 1",
    "INSERT INTO ptp_quarantine SELECT 1000, run, kind, table_name, row_key, column_name, original, placeholder, reason "
    "FROM ptp_quarantine WHERE id = 1",
]


@pytest.mark.parametrize("sql", DAMAGE)
def test_a_change_of_the_database_is_seen(kept: Path, tmp_path: Path, sql: str) -> None:
    exported(kept, tmp_path / "out")
    with closing(sqlite3.connect(kept, isolation_level=None)) as db:
        assert db.execute(sql).rowcount
    assert found(kept, tmp_path / "out")


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.replace(b'"r"', b'"s"', 1),
        lambda b: b[:-1],
        lambda b: b[: b.rindex(b"\n", 0, -1) + 1],
        lambda b: b + b[: b.index(b"\n") + 1],
        lambda b: b + b"no JSON\n",
        lambda b: b.replace(b'"value": "inf"', b'"value": "one"', 1),
        lambda b: b.replace(b'"class": "text"', b'"class": "what"', 1),
        lambda b: b"",
        lambda b: b.replace(b'{"id": ', b'{ "id": ', 1),  # the same to a reader; the bytes are not
    ],
)
def test_a_change_of_a_file_is_seen(kept: Path, tmp_path: Path, change: Any) -> None:
    exported(kept, tmp_path / "out")
    for file in (tmp_path / "out").glob("*.jsonl"):
        before = file.read_bytes()
        file.write_bytes(change(before))
        assert file.read_bytes() == before or found(kept, tmp_path / "out")
        file.write_bytes(before)
    (tmp_path / "out" / "users.jsonl").unlink()
    assert found(kept, tmp_path / "out")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "ptp-quarantine", "version": 2, "encoding": "UTF-8"}'])
def test_what_is_no_export_is_refused_in_one_sentence(kept: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="no finished export"):
        found(kept, tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match=r"manifest\.json (cannot be read|is not of the format)"):
        found(kept, tmp_path)
