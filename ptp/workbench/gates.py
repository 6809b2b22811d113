"""Which gates a run must have: one that is absent makes the verdict invalid."""

from __future__ import annotations

from ptp.schema.rules import DERIVED, DOMAIN, FRESH
from ptp.workbench.verifying import CARRIED, HEAD_TABLES, SEARCH
from ptp.workload.limits import REQUIRED, Profile

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


def required_gates(profile: Profile) -> tuple[str, ...]:
    """The gates that a whole run of a profile must have."""
    return (*MIGRATION, *VERIFICATION, *REQUIRED[profile])
