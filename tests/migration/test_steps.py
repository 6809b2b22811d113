"""The grammar of a step, the order of a folder, and the chain that holds both."""

import hashlib
from pathlib import Path

import pytest

from ptp.errors import StepRefused
from ptp.migration.steps import links, load_steps, parse_step

GOOD = "-- why\n\n-- ptp:up\nCREATE TABLE t (a);\nCREATE INDEX i ON t (a);\n-- ptp:down\nDROP TABLE t;\n"


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
        ("-- ptp:down\nDROP TABLE t;\n" + GOOD, "line 1, column 1", "'-- ptp:down' comes before '-- ptp:up'"),
        (GOOD + "  -- ptp:up\nSELECT 1;\n", "line 8, column 3", "a second '-- ptp:up'"),
        (GOOD + "-- ptp:down\nSELECT 1;\n", "line 8, column 1", "a second '-- ptp:down'"),
        ("\n\t-- ptp:sideways\n" + GOOD, "line 2, column 2", "unknown directive '-- ptp:sideways'"),
        (GOOD + "-- ptp:requires fts5\n", "line 8, column 1", "'-- ptp:requires' stands once, and before '-- ptp:up'"),
        ("-- ptp:requires a\n-- ptp:requires b\n" + GOOD, "line 2, column 1", "'-- ptp:requires' stands once"),
        ("-- ptp:requires\n" + GOOD, "line 1, column 1", "unknown directive '-- ptp:requires'"),
        (GOOD.replace("-- ptp:up", "-- ptp:UP"), "line 3, column 1", "unknown directive '-- ptp:UP'"),
        (GOOD.replace("-- ptp:up", "-- ptp: up"), "line 3, column 1", "unknown directive '-- ptp: up'"),
    ],
)
def test_a_mistake_is_named_with_line_and_column(text: str, place: str, what: str) -> None:
    with pytest.raises(StepRefused) as caught:
        parse_step("0001_first", text)
    assert str(caught.value).startswith(f"0001_first.sql, {place}: {what}")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "there is no '-- ptp:up'"),
        ("-- ptp:up\nSELECT 1;\n", "there is no '-- ptp:down'"),
        ("-- ptp:up\n-- nothing\n-- ptp:down\nSELECT 1;\n", "the part '-- ptp:up' holds no statement"),
        ("-- ptp:up\nSELECT 1;\n-- ptp:down\n\n;\n", "the part '-- ptp:down' holds no statement"),
    ],
)
def test_a_step_that_lacks_a_part_is_refused(text: str, what: str) -> None:
    with pytest.raises(StepRefused, match=what.replace("(", r"\(")):
        parse_step("0001_first", text)


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
