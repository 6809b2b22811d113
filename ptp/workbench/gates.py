"""Which gates a run must have: one that is absent makes the verdict invalid."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ptp.benchmark.load import shares
from ptp.benchmark.load.verdicts import ERRORS, GENERATOR, LITTLE, SUMS, response_gate
from ptp.schema.rules import DERIVED, DOMAIN, FRESH
from ptp.workbench.content import CARRIED
from ptp.workbench.load_checks import KEPT, SENT, STATISTICS, UNWRITTEN
from ptp.workbench.sides import HEAD_TABLES
from ptp.workbench.trials import ALARMS, RATE
from ptp.workbench.verifying import SEARCH
from ptp.workload.limits import REQUIRED, Profile
from ptp.workload.scenarios import SCENARIOS

MIGRATION = ("migrate.conversions", "migrate.backup", "migrate.source-unchanged", "migrate.plan")
VERIFICATION = (
    *(f"verify.content.{table}" for table in HEAD_TABLES),
    CARRIED,
    "verify.rows",
    "verify.values",
    "verify.integrity",
    "verify.foreign-keys",
    "verify.schema",
    "verify.marks",
    "verify.journal",
    *(rule.id for rule in (*DERIVED, FRESH, *DOMAIN)),
    SEARCH,
)
PROOF = (RATE, ALARMS)
LOAD = (
    *(GENERATOR, SUMS, LITTLE, ERRORS),
    *(response_gate(operation) for operation in shares(SCENARIOS)),
    *(KEPT, SENT, STATISTICS, UNWRITTEN),
)

FURTHER: Mapping[Profile, tuple[str, ...]] = MappingProxyType({"quick": (), "full": (*LOAD, "scale.model")})
"""The gates of the notebooks that not every profile has."""


def required_gates(profile: Profile) -> tuple[str, ...]:
    """The gates that a whole run of a profile must have."""
    return (*MIGRATION, *VERIFICATION, *PROOF, *REQUIRED[profile], *FURTHER[profile])
