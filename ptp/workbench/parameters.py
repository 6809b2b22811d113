"""The parameters of each notebook: types, defaults and help, checked before a kernel starts and again inside it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ptp.errors import UsageError


class Parameters(BaseModel):
    """What every notebook takes. Paths are relative to where the notebook runs; an empty one stands for the demo."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    source: str = Field("", description="database to migrate from, only read; empty: a demo source, made if missing")
    target: str = Field("", description="database at head; empty: the demo's, made if missing")
    out: str = Field("", description="run folder that takes the results; empty: reports/lab")
    run: str = Field("lab", description="id of the run, as it stands in the journal and in quarantine")


class MigrateParameters(Parameters):
    """Parameters of 01_migrate."""

    on_dirty: Literal["stop", "quarantine"] = Field(
        "stop", description="what to do with values that do not convert exactly: stop, or keep them in quarantine"
    )
    plan: str = Field("", description="hash that the plan must have, as it was shown before; empty: any")


class VerifyParameters(Parameters):
    """Parameters of 02_verify."""

    prove: Literal["none", "quick", "full"] = Field(
        "quick", description="damage a demo in every known way, once or 25 times, to see whether the verifier sees it"
    )


class BenchmarkParameters(Parameters):
    """Parameters of 03_benchmark."""

    profile: Literal["quick", "full"] = Field("quick", description="how many samples a query: quick 300, full 2,000")
    measure: Literal["all", "times"] = Field(
        "all", description="all: also what a call costs, what each index is worth, and the claims; times: the limits"
    )
    seed: int = Field(1, ge=0, description="seed of the arguments that the queries are called with")


class LoadParameters(Parameters):
    """Parameters of 04_load."""

    users_profile: Literal["light", "medium", "heavy", "spike"] = Field(
        "light", description="how many users: 100, 500, 1,000, or 500 with a spike of 1,500"
    )
    driver: Literal["process", "http"] = Field(
        "process", description="process: the queries themselves; http: the API of a server that is started"
    )
    seconds: float = Field(5.0, ge=1, le=86_400, description="how long is measured, after a warm-up")
    seed: int = Field(1, ge=0, description="seed of the users, of when they come, and of what they do")


NOTEBOOKS: Mapping[str, type[Parameters]] = {
    "01_migrate": MigrateParameters,
    "02_verify": VerifyParameters,
    "03_benchmark": BenchmarkParameters,
}
"""The notebooks of a run, in order."""

ALONE: Mapping[str, type[Parameters]] = {"04_load": LoadParameters}
"""The notebooks that are run by themselves."""

ALL: Mapping[str, type[Parameters]] = {**NOTEBOOKS, **ALONE}


def check_parameters(notebook: str, values: Mapping[str, Any]) -> Parameters:
    """The parameters of a notebook from plain values; raises UsageError for an unknown name or a wrong type."""
    model = ALL[notebook]
    try:
        return model.model_validate(dict(values))
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        if name not in model.model_fields:
            known = ", ".join(model.model_fields)
            raise UsageError(f"{notebook} has no parameter {name!r}; it takes {known}.") from None
        said = first["msg"][:1].lower() + first["msg"][1:]
        raise UsageError(f"The parameter {name!r} of {notebook} does not fit: {said}.") from None


def parameters_of(notebook: str, namespace: Mapping[str, Any]) -> Parameters:
    """The parameters as a running notebook holds them; to be called in its first code cell with `globals()`.

    Papermill only warns of a name that the notebook does not know, so what it injected is looked at here.
    """
    values = {name: namespace[name] for name in ALL[notebook].model_fields if name in namespace}
    for cell in namespace.get("In", ()):
        if str(cell).startswith("# Parameters"):
            values |= {name: namespace.get(name) for name in _assigned(str(cell))}
    return check_parameters(notebook, values)


def _assigned(code: str) -> list[str]:
    targets: list[ast.expr] = []
    for node in ast.parse(code).body:
        targets += node.targets if isinstance(node, ast.Assign) else []
        targets += [node.target] if isinstance(node, ast.AnnAssign) else []
    return [t.id for t in targets if isinstance(t, ast.Name)]
