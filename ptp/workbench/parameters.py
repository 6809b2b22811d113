"""The parameters of each notebook: types, defaults and help, checked before a kernel starts and again inside it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ptp.errors import UsageError
from ptp.workload.limits import Profile


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
    workers: int = Field(1, ge=1, le=64, description="processes of the server that is started")
    seed: int = Field(1, ge=0, description="seed of the users, of when they come, and of what they do")


class ScaleParameters(Parameters):
    """Parameters of 05_scale."""

    users: int = Field(1_000, ge=1, le=1_000_000_000, description="active users in a month")
    sessions: int = Field(12, ge=1, le=1_000, description="study sessions of a user in a month")
    answers: int = Field(20, ge=1, le=1_000, description="questions answered in a session")
    growth: float = Field(0.0, ge=0, le=100, description="% by which users become more, each month")
    budget: float = Field(50.0, ge=0, le=1_000_000, description="$ a month that it may cost")
    plan: str = Field("auto", description="plan of the vendor: auto, Free, Developer, Scaler or Pro")
    topology: Literal["primary", "regional", "replicas"] = Field(
        "primary", description="where applications stand: beside the primary, by region, or by region with replicas"
    )
    primary: str = Field("washington", description="region in which the primary stands")
    last_mile: float = Field(20.0, ge=0, le=1_000, description="round trip in ms from a user to their region")
    estimates: Literal["note", "gate"] = Field(
        "note", description="what is only estimated: note, told beside the verdict; gate, decides it"
    )
    seed: int = Field(1, ge=0, description="seed of the calls and of the simulation")


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook of a run: about how many seconds it takes in each profile that has it, and why another leaves it out.

    The seconds are those of a demo on two processors, for the time that is left.
    """

    name: str
    parameters: type[Parameters]
    seconds: Mapping[Profile, float]
    left_out: Mapping[Profile, str] = field(default_factory=dict)


_OF_FULL_TIMES = "what cannot be measured here is modelled from the service times of --profile full"
_ALONE_ON_THE_MACHINE = "a load wants the machine to itself, which --profile full takes it to have"

SHELF: tuple[Notebook, ...] = (
    Notebook("01_migrate", MigrateParameters, {"quick": 10.0, "full": 10.0}),
    Notebook("02_verify", VerifyParameters, {"quick": 16.0, "full": 16.0}),
    Notebook("03_benchmark", BenchmarkParameters, {"quick": 27.0, "full": 470.0}),
    Notebook("04_load", LoadParameters, {"full": 90.0}, left_out={"quick": _ALONE_ON_THE_MACHINE}),
    Notebook("05_scale", ScaleParameters, {"full": 15.0}, left_out={"quick": _OF_FULL_TIMES}),
)
"""The notebooks of a run, in order: one that is new is a line here, and its gates a line in `gates`."""

NOTEBOOKS: Mapping[str, type[Parameters]] = {one.name: one.parameters for one in SHELF}


def notebooks_of(profile: Profile) -> tuple[tuple[str, float, float], ...]:
    """The notebooks of a profile in order, each with the shares of the whole time, 0 to 1, between which it runs."""
    chosen = [one for one in SHELF if profile in one.seconds]
    ends = list(accumulate((one.seconds[profile] for one in chosen), initial=0.0))
    return tuple(
        (one.name, begin / ends[-1], end / ends[-1]) for one, (begin, end) in zip(chosen, pairwise(ends), strict=True)
    )


def left_out_of(profile: Profile) -> Mapping[str, str]:
    """The notebooks that a profile leaves out, each with the reason."""
    return {one.name: one.left_out[profile] for one in SHELF if profile not in one.seconds}


def check_parameters(notebook: str, values: Mapping[str, Any]) -> Parameters:
    """The parameters of a notebook from plain values; raises UsageError for an unknown name or a wrong type."""
    model = NOTEBOOKS[notebook]
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
    values = {name: namespace[name] for name in NOTEBOOKS[notebook].model_fields if name in namespace}
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
