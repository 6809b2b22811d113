"""Parameters of the notebooks: an unknown name or a wrong type is one sentence, before a kernel and inside it."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from ptp.errors import EXIT_USAGE, UsageError
from ptp.workbench.parameters import (
    NOTEBOOKS,
    BenchmarkParameters,
    MigrateParameters,
    check_parameters,
    parameters_of,
)


def refused(notebook: str, values: dict[str, Any]) -> str:
    """The sentence with which `values` are refused."""
    with pytest.raises(UsageError) as caught:
        check_parameters(notebook, values)
    said = str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE
    assert said.endswith(".") and "\n" not in said and ". " not in said
    assert notebook in said
    return said


def injected(values: dict[str, Any]) -> str:
    """The cell that papermill itself would put in for `values`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on its import papermill warns of what it imports
        from papermill.translators import PythonTranslator
    return str(PythonTranslator.codify(values))


def kernel(notebook: str, *cells: str) -> dict[str, Any]:
    """The globals of a kernel that has run the notebook's defaults and then `cells`."""
    namespace: dict[str, Any] = {f: info.default for f, info in NOTEBOOKS[notebook].model_fields.items()}
    namespace["In"] = ["", "source: str = ''  # the parameters cell"]
    for cell in cells:
        namespace["In"].append(cell)
        exec(cell, namespace)
    return namespace


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_nothing_given_is_the_defaults(notebook: str) -> None:
    assert check_parameters(notebook, {}) == NOTEBOOKS[notebook]()


def test_what_is_given_is_taken() -> None:
    found = check_parameters("01_migrate", {"source": "a.db", "on_dirty": "quarantine", "plan": "ab"})
    assert found == MigrateParameters(source="a.db", on_dirty="quarantine", plan="ab")
    assert check_parameters("03_benchmark", {"profile": "full", "seed": 0}) == BenchmarkParameters(
        profile="full", seed=0
    )


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_an_unknown_name_is_told_with_those_that_there_are(notebook: str) -> None:
    said = refused(notebook, {"sorce": "a.db"})
    assert "'sorce'" in said
    for name in NOTEBOOKS[notebook].model_fields:
        assert name in said


@pytest.mark.parametrize(("notebook", "of_another"), [("02_verify", "on_dirty"), ("01_migrate", "seed")])
def test_a_parameter_of_another_notebook_is_unknown(notebook: str, of_another: str) -> None:
    assert f"no parameter '{of_another}'" in refused(notebook, {of_another: 1})


@pytest.mark.parametrize(
    ("notebook", "name", "value"),
    [
        ("01_migrate", "source", 7),
        ("01_migrate", "source", None),
        ("01_migrate", "out", b"bytes"),
        ("02_verify", "run", ["lab"]),
        ("01_migrate", "on_dirty", "Stop"),
        ("01_migrate", "on_dirty", True),
        ("03_benchmark", "profile", "quik"),
        ("03_benchmark", "seed", "1"),
        ("03_benchmark", "seed", 1.0),
        ("03_benchmark", "seed", True),
        ("03_benchmark", "seed", -1),
    ],
)
def test_a_wrong_type_or_value_is_told_by_the_parameters_name(notebook: str, name: str, value: Any) -> None:
    assert f"The parameter {name!r} of {notebook} does not fit: " in refused(notebook, {name: value})


def test_the_choices_stand_in_the_sentence() -> None:
    assert "'stop' or 'quarantine'" in refused("01_migrate", {"on_dirty": "ignore"})
    assert "'quick' or 'full'" in refused("03_benchmark", {"profile": "ignore"})


def test_parameters_do_not_change_once_they_are_checked() -> None:
    with pytest.raises(ValueError, match="frozen"):
        MigrateParameters().source = "other.db"


def test_a_notebook_that_runs_by_itself_has_its_defaults() -> None:
    assert parameters_of("01_migrate", kernel("01_migrate")) == MigrateParameters()


def test_outside_a_kernel_there_is_no_list_of_cells() -> None:
    assert parameters_of("01_migrate", {"source": "a.db"}) == MigrateParameters(source="a.db")


def test_values_that_papermill_injects_are_taken() -> None:
    namespace = kernel("03_benchmark", injected({"target": "it's.db", "seed": 5}))
    assert parameters_of("03_benchmark", namespace) == BenchmarkParameters(target="it's.db", seed=5)


@pytest.mark.parametrize("value", [1, "x", None, [1, 2], {"a": 1}, -1.5])
def test_a_name_that_papermill_injects_and_the_notebook_does_not_know_is_refused(value: Any) -> None:
    namespace = kernel("01_migrate", injected({"source": "a.db", "on_dirt": value}))
    with pytest.raises(UsageError, match="01_migrate has no parameter 'on_dirt'; it takes source, "):
        parameters_of("01_migrate", namespace)


def test_a_wrong_type_that_papermill_injects_is_refused() -> None:
    with pytest.raises(UsageError, match="The parameter 'seed' of 03_benchmark does not fit: "):
        parameters_of("03_benchmark", kernel("03_benchmark", injected({"seed": "five"})))


@pytest.mark.parametrize("assignment", ["on_dirt: str = 'stop'", "on_dirt = plan = 'a'", "x = 1; on_dirt = 2"])
def test_unknown_names_are_seen_however_they_are_assigned(assignment: str) -> None:
    with pytest.raises(UsageError, match=r"01_migrate has no parameter '(on_dirt|x)'"):
        parameters_of("01_migrate", kernel("01_migrate", f"# Parameters\n{assignment}"))


def test_other_cells_may_have_names_of_their_own() -> None:
    namespace = kernel("01_migrate", "mine = 1", "def f():\n    # Parameters\n    other = 2\n")
    assert parameters_of("01_migrate", namespace) == MigrateParameters()


def test_a_wrong_value_written_into_the_parameters_cell_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="The parameter 'source' of 01_migrate"):
        parameters_of("01_migrate", kernel("01_migrate", "source: str = 5"))
