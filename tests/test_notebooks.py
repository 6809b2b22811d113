"""The notebooks are thin: one parameters cell that is the model, at most 10 code cells, no logic, no outputs."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pandas as pd
import pytest

from ptp.workbench import notebook
from ptp.workbench.parameters import NOTEBOOKS

ROOT = Path(__file__).parents[1]
FOUND = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
}
Cell = dict[str, Any]

LOGIC = (
    (ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | ast.For | ast.AsyncFor | ast.While | ast.If)
    | (ast.IfExp | ast.Try | ast.TryStar | ast.With | ast.Match | ast.ListComp | ast.SetComp | ast.DictComp)
    | (ast.GeneratorExp | ast.BoolOp | ast.Compare | ast.BinOp | ast.Assert | ast.Raise | ast.Delete)
)


def logic_in(code: str) -> list[str]:
    return [type(node).__name__ for node in ast.walk(ast.parse(code)) if isinstance(node, LOGIC)]


def cells(name: str, kind: str) -> list[Cell]:
    return [cell for cell in FOUND[name]["cells"] if cell["cell_type"] == kind]


def source(cell: Cell) -> str:
    return "".join(cell["source"])


def is_parameters(cell: Cell) -> bool:
    return "parameters" in cell["metadata"].get("tags", [])


def parameters(name: str) -> str:
    (cell,) = (c for c in cells(name, "code") if is_parameters(c))
    return source(cell)


def calls_of_notebook(name: str) -> list[ast.Call]:
    """Calls of `notebook.…` in the code cells, in order."""
    code = "\n".join(source(c) for c in cells(name, "code"))
    calls = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    return sorted(calls, key=lambda n: n.lineno)


def test_the_folder_holds_the_notebooks_of_a_run_and_nothing_else() -> None:
    assert list(FOUND) == list(NOTEBOOKS)
    assert sorted(p.suffix for p in (ROOT / "notebooks").iterdir() if p.is_file()) == [".ipynb"] * len(NOTEBOOKS)


@pytest.mark.parametrize("code", ["[a for a in b]", "if a: b", "def f(): ...", "x = a or b", "f(lambda: 1)", "a < b"])
def test_the_check_of_logic_sees_some(code: str) -> None:
    assert logic_in(code)
    assert not logic_in("x: int = 1\nfrom a import b\nc = b.f(x, y='z')\nb.g(c)['a']")


@pytest.mark.parametrize("name", NOTEBOOKS)
class TestNotebook:
    def test_has_exactly_one_parameters_cell_before_all_other_code(self, name: str) -> None:
        assert [is_parameters(c) for c in FOUND[name]["cells"]].count(True) == 1
        assert is_parameters(cells(name, "code")[0])

    def test_has_at_most_10_code_cells(self, name: str) -> None:
        assert len(cells(name, "code")) <= 10

    def test_is_committed_without_outputs_and_execution_counts(self, name: str) -> None:
        for cell in cells(name, "code"):
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            assert set(cell["metadata"]) <= {"tags"}

    def test_holds_no_logic(self, name: str) -> None:
        assert {source(c): found for c in cells(name, "code") if (found := logic_in(source(c)))} == {}

    def test_first_says_in_words_what_it_does_and_how_long_it_takes(self, name: str) -> None:
        first = FOUND[name]["cells"][0]
        assert first["cell_type"] == "markdown"
        assert source(first).startswith("# ")
        assert re.search(r"Takes about \d+ (seconds|minutes)", source(first))

    def test_checks_its_parameters_in_its_first_code_cell_under_its_own_name(self, name: str) -> None:
        calls = [
            n
            for n in ast.walk(ast.parse(source(cells(name, "code")[1])))
            if isinstance(n, ast.Call) and ast.unparse(n.func) == "notebook.start"
        ]
        assert [ast.unparse(call) for call in calls] == [f"notebook.start('{name}', globals())"]

    def test_ends_with_the_call_that_decides(self, name: str) -> None:
        assert [ast.unparse(c.func) for c in calls_of_notebook(name)].count("notebook.finish") == 1
        assert source(FOUND[name]["cells"][-1]).startswith("notebook.finish(session, ")

    def test_calls_only_what_is_there(self, name: str) -> None:
        """Of the workbench; and of a frame or a distribution that it gave, what one does with those."""
        for call in calls_of_notebook(name):
            assert isinstance(call.func, ast.Attribute)
            places = (
                (notebook,) if ast.unparse(call.func.value) == "notebook" else (pd.DataFrame, notebook.Distribution)
            )
            assert any(callable(getattr(place, call.func.attr, None)) for place in places), call.func.attr

    def test_imports_only_the_workbench(self, name: str) -> None:
        code = "\n".join(source(c) for c in cells(name, "code"))
        imports = [ast.unparse(n) for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Import | ast.ImportFrom)]
        assert imports == ["from ptp.workbench import notebook"]

    def test_parameters_are_those_of_the_model(self, name: str) -> None:
        """Names, order, defaults, and the plain type that stands for the model's."""
        written = []
        for node in ast.parse(parameters(name)).body:
            assert isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
            written.append((node.target.id, ast.unparse(node.annotation), ast.literal_eval(node.value)))
        model = []
        for field, info in NOTEBOOKS[name].model_fields.items():
            kind = type(get_args(info.annotation)[0]) if get_origin(info.annotation) is Literal else info.annotation
            assert isinstance(kind, type)
            model.append((field, kind.__name__, info.default))
        assert written == model
        assert [type(w[2]) for w in written] == [type(m[2]) for m in model]

    def test_each_parameter_has_a_comment(self, name: str) -> None:
        tokens = tokenize.generate_tokens(io.StringIO(parameters(name)).readline)
        commented = {t.start[0] for t in tokens if t.type == tokenize.COMMENT and len(t.string) > 8}
        assert commented == {node.lineno for node in ast.parse(parameters(name)).body}

    def test_each_parameter_has_help_in_the_model(self, name: str) -> None:
        assert not [field for field, info in NOTEBOOKS[name].model_fields.items() if not info.description]

    def test_is_in_the_format_that_names_its_cells(self, name: str) -> None:
        found = FOUND[name]
        assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
        ids = [c["id"] for c in found["cells"]]
        assert len(set(ids)) == len(ids)
        assert found["metadata"]["kernelspec"]["name"] == "python3"
