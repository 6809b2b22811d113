"""The grammar of a step, the order of a folder, and the chain that holds both."""

import hashlib
import sqlite3
import string
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptp.errors import StepRefused
from ptp.migration.steps import Step, links, load_steps, parse_step
from ptp.resources import folder

GOOD = "-- why\n\n-- ptp:up\nCREATE TABLE t (a);\nCREATE INDEX i ON t (a);\n-- ptp:down\nDROP TABLE t;\n"
TRIGGER = "CREATE TRIGGER x AFTER INSERT ON t BEGIN\n  UPDATE t SET a = CASE WHEN 1 THEN ';' END;"


def test_a_step_has_an_up_and_a_down() -> None:
    step = parse_step("0001_first", GOOD)
    assert step.up == ("CREATE TABLE t (a)", "CREATE INDEX i ON t (a)")
    assert step.down == ("DROP TABLE t",)
    assert step.checksum == hashlib.sha256(GOOD.encode()).hexdigest()


def test_line_ends_of_windows_are_the_same_step() -> None:
    assert parse_step("0001_first", GOOD.replace("\n", "\r\n")).checksum == parse_step("0001_first", GOOD).checksum


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("SELECT 1;\n" + GOOD, "line 1, column 1", "SQL stands before"),
        ("-- a\n   SELECT 1;\n" + GOOD, "line 2, column 4", "SQL stands before"),
        ("/* a */\n" + GOOD, "line 1, column 1", "SQL stands before"),
        ("-- ptp:down\nDROP TABLE t;\n" + GOOD, "line 1, column 1", "'-- ptp:down' comes before '-- ptp:up'"),
        (GOOD + "-- ptp:up\nSELECT 1;\n", "line 8, column 1", "a second '-- ptp:up'"),
        (GOOD + "-- ptp:down\nSELECT 1;\n", "line 8, column 1", "a second '-- ptp:down'"),
        (GOOD + "-- ptp:requires fts5\n", "line 8, column 1", "'-- ptp:requires fts5 or rtree or geopoly or dbstat' is"),
        (GOOD + "-- ptp:irreversible\n", "line 8, column 1", "'-- ptp:irreversible' is an option, and stands before"),
        ("-- ptp:requires fts5\n-- ptp:requires rtree\n" + GOOD, "line 2, column 1", "'-- ptp:requires fts5 or"),
        ("-- ptp:deletes t\n-- ptp:deletes t\n" + GOOD, "line 2, column 1", "'-- ptp:deletes TABLE' stands once"),
        ("-- ptp:deletes u\n" + GOOD, "line 1, column 1", "no statement names the table u"),
        ("-- ptp:requires\n" + GOOD, "line 1, column 1", "'-- ptp:requires' is not of the form '-- ptp:requires fts5"),
        ("-- ptp:requires fts\n" + GOOD, "line 1, column 1", "'-- ptp:requires fts' is not of the form"),
        ("-- ptp:deletes a.b\n" + GOOD, "line 1, column 1", "'-- ptp:deletes a.b' is not of the form '-- ptp:deletes TABLE'"),
        ("-- ptp:irreversible t\n" + GOOD, "line 1, column 1", "'-- ptp:irreversible t' is not of the form"),
        ("-- ptp:sideways\n" + GOOD, "line 1, column 1", "unknown directive '-- ptp:sideways'; there are '-- ptp:requires"),
        ("\n\t-- ptp:sideways\n" + GOOD, "line 2, column 2", "a directive begins its line"),
        (GOOD.replace("-- ptp:up", "\t-- ptp:up"), "line 3, column 2", "a directive begins its line"),
        (GOOD.replace("-- ptp:up", "-- ptp:up "), "line 3, column 1", "'-- ptp:up ' is not of the form '-- ptp:up'"),
        (GOOD.replace("-- ptp:up", "-- ptp:UP"), "line 3, column 1", "unknown directive '-- ptp:UP'"),
        (GOOD.replace("-- ptp:up", "-- ptp: up"), "line 3, column 1", "unknown directive '-- ptp: up'"),
        (GOOD.replace("-- ptp:up", "--ptp:up"), "line 3, column 1", "this is nearly a directive"),
        (GOOD.replace("-- ptp:up", "-- PTP:up"), "line 3, column 1", "this is nearly a directive"),
        (GOOD.replace("-- ptp:up", "-- pt:up"), "line 3, column 1", "this is nearly a directive"),
        ("-- why -- ptp:irreversible\n" + GOOD, "line 1, column 1", "a directive begins its line"),
        ("-- ptp:irreversible\n" + GOOD, "line 7, column 1", "a step that is irreversible has no down"),
        ("\ufeff" + GOOD, "line 1, column 1", "the file begins with a byte order mark"),
        (GOOD.replace("(a);\nCREATE", "(a\0);\nCREATE"), "line 4, column 18", "a NUL character may not stand in a step"),
        (GOOD.replace("DROP", "\x1bDROP"), "line 7, column 1", "the control character 0x1b"),
        (GOOD.replace("DROP", "\rDROP"), "line 7, column 1", "a carriage return without a line feed"),
        (GOOD.replace("(a);\nC", "(a DEFAULT 'x);\nC"), "line 4, column 27", "the string that begins here has no end"),
        (GOOD.replace("TABLE t;", 'TABLE "t;'), "line 7, column 12", "the quoted name that begins here has no end"),
        (GOOD.replace("TABLE t;", "TABLE [t;"), "line 7, column 12", "the quoted name that begins here has no end"),
        (GOOD.replace("TABLE t;", "TABLE `t;"), "line 7, column 12", "the quoted name that begins here has no end"),
        (GOOD + "/* why", "line 8, column 1", "the comment that begins here has no end"),
        (GOOD.replace("t (a);\n-- ptp:d", "t (a)\n-- ptp:d"), "line 5, column 1", "the statement that begins here has no ';'"),
        (GOOD + "  DROP TABLE u -- ;", "line 8, column 3", "the statement that begins here has no ';'"),
        (GOOD + f"{TRIGGER}", "line 8, column 1", "the trigger that begins here has no 'END;'"),
        (GOOD + f"{TRIGGER}\nEND", "line 8, column 1", "the trigger that begins here has no 'END;'"),
        (GOOD.replace("DROP TABLE t", "BEGIN"), "line 7, column 1", "BEGIN may not stand in a step"),
        (GOOD.replace("DROP", "DROP TABLE a; begin immediate;"), "line 7, column 15", "BEGIN may not stand in a step"),
        *(
            (GOOD + f"{word} x;", "line 8, column 1", f"{word.split()[0]} may not stand in a step")
            for word in (
                "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH 'f' AS", "DETACH", "VACUUM",
                "PRAGMA journal_mode =", "PRAGMA foreign_keys = ON --\n",
            )
        ),
        (GOOD + "EXPLAIN SELECT 1;", "line 8, column 1", "a statement of a step does not begin with 'EXPLAIN'"),
        (GOOD + "'a';", "line 8, column 1", "a statement of a step does not begin with"),
        (GOOD + "CREATE TEMP TABLE x (a);", "line 8, column 1", "what is TEMP does not last"),
        (GOOD + "DELETE FROM [ptp_journal];", "line 8, column 13", "ptp_journal is not a step's to name"),
        (GOOD + "DELETE FROM sqlite_sequence;", "line 8, column 13", "sqlite_sequence is not a step's to name"),
        (GOOD.replace("t (a);", "t (a); CREATE VIRTUAL TABLE f USING fts5 (a);"), "line 3, column 1", "up creates a virtual table of fts5"),
        ("-- ptp:up\n-- nothing\n-- ptp:down\nSELECT 1;\n", "line 1, column 1", "the part '-- ptp:up' holds no statement"),
        ("-- ptp:up\nSELECT 1;\n-- ptp:down\n\n;\n", "line 3, column 1", "the part '-- ptp:down' holds no statement"),
        ("", "line 1, column 1", "there is no '-- ptp:up'"),
        ("-- ptp:up\nSELECT 1;\n", "line 3, column 1", "there is no '-- ptp:down'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_line_and_column(text: str, place: str, what: str) -> None:
    with pytest.raises(StepRefused) as caught:
        parse_step("0001_first", text)
    assert str(caught.value).startswith(f"0001_first.sql, {place}: {what}")
    assert caught.value.exit_code == 2
    with pytest.raises(StepRefused) as again:  # and at the same place for who has lines that end as on Windows
        parse_step("0001_first", text.replace("\n", "\r\n"))
    assert str(again.value) == str(caught.value)


@pytest.mark.parametrize("name", ["1_first", "0001-first", "0001_First", "00001_first", "0001_", "0001"])
def test_a_step_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(StepRefused, match=r"NNNN_name\.sql"):
        parse_step(name, GOOD)


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / f"{name}.sql").write_text(GOOD, encoding="utf-8")
    return folder


def test_a_folder_is_read_in_order_and_other_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "0002_b", "0001_a", "0003_c")
    (tmp_path / "schema.sql").write_text("not a step", encoding="utf-8")
    (tmp_path / "0004_notes.txt").write_text("not a step", encoding="utf-8")
    assert [s.name for s in load_steps(tmp_path)] == ["0001_a", "0002_b", "0003_c"]


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("0001_a", "0003_c"), r"0003_c\.sql stands where step 0002 is due"),
        (("0002_b",), r"0002_b\.sql stands where step 0001 is due"),
        (("0001_a", "0001_b"), r"0001_b\.sql stands where step 0002 is due"),
        (("0000_z", "0001_a"), r"0000_z\.sql stands where step 0001 is due"),
        ((), "There is no step"),
    ],
)
def test_a_gap_a_repeat_or_no_step_is_refused(tmp_path: Path, names: tuple[str, ...], what: str) -> None:
    with pytest.raises(StepRefused, match=what):
        load_steps(write(tmp_path, *names))


def test_the_chain_binds_every_step_to_all_before_it() -> None:
    a, b, c = (parse_step(f"000{n}_x", GOOD + f"-- {n}") for n in (1, 2, 3))
    edited = parse_step("0001_x", GOOD + "-- other")
    chain = [link.chain for link in links([a, b, c])]
    assert len(set(chain)) == 3
    assert [link.chain for link in links([a, b])] == chain[:2]
    assert all(x != y for x, y in zip(chain, (link.chain for link in links([edited, b, c])), strict=True))
    assert links([b, a, c])[2].chain != chain[2]
    assert links([a, c])[1].chain not in chain


def test_the_chain_is_the_documented_one() -> None:
    first = parse_step("0001_x", GOOD)
    expected = hashlib.sha256(f"\n0001_x\n{hashlib.sha256(GOOD.encode()).hexdigest()}".encode()).hexdigest()
    assert links([first])[0].chain == expected


def test_a_step_may_require_a_module_of_sqlite() -> None:
    assert parse_step("0001_first", "-- ptp:requires fts5\n" + GOOD).requires == "fts5"
    assert parse_step("0001_first", GOOD).requires == ""


def test_an_irreversible_step_has_no_down() -> None:
    step = parse_step("0001_first", "-- ptp:irreversible\n" + GOOD.partition("-- ptp:down")[0])
    assert step.irreversible and step.down == ()


def test_bytes_that_are_not_utf_8_are_named_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_bytes(b"-- na\xc3\xafve\r\n-- ptp:up\r\nSELECT '\xff';")
    with pytest.raises(StepRefused, match=r"0001_a\.sql, line 3, column 9: the byte 0xff is not UTF-8"):
        load_steps(tmp_path)


PIECES = (
    "CREATE TABLE a1 (b TEXT DEFAULT ';' CHECK (b <> 'it''s; END;'))",
    'CREATE INDEX "in;dex" ON [a;1] (`b;`)',
    "INSERT INTO a1 VALUES ('-- no comment', x'00', \"/*\")",
    "CREATE TRIGGER tr AFTER UPDATE ON a1 BEGIN SELECT 1; UPDATE a1 SET b = CASE WHEN 1 THEN 'END;' END; END",
    "create trigger if not exists tr2 after delete on a1 begin\n  delete from a1; -- ; END;\n  /* END; */\nend",
    "WITH c AS (SELECT 1) UPDATE a1 SET b = (SELECT * FROM c)",
    "UPDATE a1 SET b = '日本\n語'",
    "DELETE FROM a1 -- why; because\n  WHERE b /* ; */ IS NULL",
)
BETWEEN = ("", "\n", "\n\n-- a remark; with ' and /*\n", " /* another; one */ ", "\n;\n", "\t")
bodies = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(tuple)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    irreversible = draw(st.booleans())
    return Step(
        draw(st.from_regex(r"\A[0-9]{4}_[a-z0-9_]{1,9}\Z")),
        draw(bodies),
        () if irreversible else draw(bodies),
        "",
        requires=draw(st.sampled_from(("", "fts5", "rtree"))),
        irreversible=irreversible,
        deletes=draw(st.sampled_from(((), ("a1",)))) if irreversible else (),
        changes=tuple(draw(st.lists(st.from_regex(r"\A[a-z_]{1,5}(\.[a-z_][0-9]?)?\Z"), max_size=2, unique=True))),
    )


def rendered(step: Step, between: Iterator[str]) -> str:
    """A text of a step, written down from the grammar and not from the parser."""
    options = [f"requires {step.requires}"] if step.requires else []
    options += ["irreversible"] if step.irreversible else []
    options += [f"deletes {n}" for n in step.deletes] + [f"changes {n}" for n in step.changes]
    lines = [f"-- ptp:{option}\n" for option in options]
    for word, body in (("up", step.up), ("down", step.down)):
        if body:
            lines.append(f"-- ptp:{word}\n" + "".join(f"{next(between)}{sql}{next(between)};" for sql in body) + "\n")
    return "-- why\n" + "".join(lines)


@settings(max_examples=60)
@given(steps(), st.lists(st.sampled_from(BETWEEN[:-2]), min_size=16, max_size=16), st.booleans())
def test_what_is_written_by_the_grammar_is_read_as_it_was_meant(step: Step, between: list[str], windows: bool) -> None:
    if any("a1" in d for d in step.deletes) and not any("a1" in sql.split() for sql in step.up):
        step = replace(step, deletes=())
    text = rendered(step, iter(between))
    found = parse_step(step.name, text.replace("\n", "\r\n") if windows else text)
    assert replace(found, checksum="") == step
    assert all(sqlite3.complete_statement(f"{sql};") for sql in (*found.up, *found.down))


WHOLE = """-- ptp:requires fts5
-- ptp:deletes answers
-- ptp:up
CREATE VIRTUAL TABLE found USING fts5 (words);
DELETE FROM answers;
-- ptp:down
DROP TABLE found;
"""
FINAL = "-- ptp:irreversible\n-- ptp:up\nDROP TABLE answers;\n"
CHARACTERS = string.ascii_lowercase + string.digits[:3] + "T -_:;.'/*\n\r\t\0"


@pytest.mark.parametrize(
    ("text", "line"), [(t, n) for t in (WHOLE, FINAL) for n, line in enumerate(t.split("\n")) if "ptp:" in line]
)
def test_a_slip_in_a_directive_is_refused_or_means_the_same(text: str, line: int) -> None:
    """Every character left out, changed or added, the line's end among them."""
    start = len("\n".join(text.split("\n")[:line])) + bool(line)
    meant = parse_step("0001_x", text)
    refused = 0
    for at in range(start, start + len(text.split("\n")[line]) + 1):
        slips = {text[:at] + text[at + 1 :]}
        slips |= {text[:at] + c + text[at + more :] for c in CHARACTERS for more in (0, 1)}
        for slip in slips - {text}:
            try:
                found = parse_step("0001_x", slip)
            except StepRefused:
                refused += 1
            else:
                assert replace(found, checksum=meant.checksum) == meant, slip
    assert refused > 300


def test_a_comment_that_only_speaks_of_ptp_is_a_comment() -> None:
    remarks = "-- `ptp verify` counts it anew.\n-- the up and the down\n-- ptp\n-- who requires it\n"
    assert parse_step("0001_x", remarks + GOOD).up == parse_step("0001_x", GOOD).up


@pytest.mark.parametrize("step", load_steps(folder("sql")), ids=lambda s: s.name)
def test_the_statements_of_the_steps_are_those_that_sqlite_finds(step: Step) -> None:
    """The witness is SQLite's own shell, which knows where a statement ends: as many, and the same schema."""
    for sql in (*step.up, *step.down):
        assert sqlite3.complete_statement(f"{sql};") and not sqlite3.complete_statement(sql)
        head = sql.rpartition(";")[0] + ";"
        assert not sql.upper().startswith("CREATE TRIGGER") or not sqlite3.complete_statement(head)


def test_schema_sql_is_not_what_an_edited_step_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test that holds sql/schema.sql (tests/schema/test_head.py) goes by this text."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("write_schema", folder("sql").parent / "tools" / "write_schema.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    written = (folder("sql") / "schema.sql").read_text(encoding="utf-8")
    for step in folder("sql").glob("0*.sql"):
        (tmp_path / step.name).write_bytes(step.read_bytes())
    monkeypatch.setattr(tool, "folder", lambda name: tmp_path)
    assert tool.schema_text() == written
    edited = tmp_path / "0002_indexes.sql"
    edited.write_text(edited.read_text(encoding="utf-8").replace("readiness_score DESC", "readiness_score"), "utf-8")
    assert tool.schema_text() != written


def test_nothing_in_the_package_runs_a_script_as_a_whole() -> None:
    """`executescript` commits a pending transaction on one driver, and not on the other."""
    package = Path(sys.modules["ptp"].__file__ or "").parent
    assert len(list(package.rglob("*.py"))) > 100
    found = {p.name for p in package.rglob("*.py") if "executescript" in p.read_text(encoding="utf-8")}
    # One reads a shape into memory, where there is nothing to commit; the other refuses scripts on a replica.
    assert found <= {"shapes.py", "guarded.py"}
