"""Structure, compared: the schema of a target against the models and sql/schema.sql, its marks, and its journal.

The steps built the target, the models are what the application believes, and sql/schema.sql is what was reviewed: three
witnesses, each compared with both others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache, lru_cache

from ptp.engine import Inventory, read_inventory, split_statements
from ptp.errors import CannotFinish
from ptp.migration import journal, quarantine
from ptp.migration.steps import Step
from ptp.resources import folder
from ptp.results import Finding
from ptp.schema.ddl import derived_statements, model_statements
from ptp.verification.drift import check_marks, check_schema, tokens
from ptp.workbench.sides import Sides

MODELS, FILE = "the models", "sql/schema.sql"


def check_structure(sides: Sides) -> Iterator[Finding]:
    """The findings over the schema, the marks of the ids, and the journal."""
    yield check_schema(sides.target, _witnesses(sides), own=())
    yield check_marks(sides.target, sides.source)
    why = journal.why_untrusted(sides.new, sides.steps) or journal.why_incomplete(sides.new, sides.steps)
    yield Finding(
        id="verify.journal",
        claim="The journal names the steps in sql/, all of them, unedited and in order, and the build",
        verdict="fail" if why else "pass",
        severity="data",
        where=(why,) if why else (),
        evidence="SHA-256 chain",
    )


def _witnesses(sides: Sides) -> dict[str, Inventory]:
    """What the target should be, with what is ptp's own and what was carried over, as each witness has it."""
    names = journal.steps_left_out(sides.new)
    taken = [step for step in sides.steps if step.name not in names]
    left_out = [step for step in sides.steps if step.name in names]
    carried = (sql for extra in sides.plan.extras if extra.carried for sql in extra.statements)
    also = (journal.DDL, *quarantine.DDL, *carried)
    return {
        MODELS: _built((*_model_ddl(), *derived_statements(taken), *also)),
        FILE: _built((*_reviewed_ddl(left_out), *also)),
    }


@cache
def _model_ddl() -> tuple[str, ...]:
    return tuple(model_statements())


def _reviewed_ddl(left_out: Sequence[Step]) -> list[str]:
    """The statements of sql/schema.sql, without those of steps that this SQLite cannot run."""
    without = {tokens(sql) for step in left_out for sql in step.up}
    text = (folder("sql") / "schema.sql").read_text(encoding="utf-8")
    return [sql for sql in _statements(text) if tokens(sql) not in without]


@lru_cache(maxsize=2)
def _statements(text: str) -> tuple[str, ...]:
    return tuple(split_statements(text))


@lru_cache(maxsize=8)
def _built(statements: tuple[str, ...]) -> Inventory:
    """What these statements make of an empty database; kept, as a proof of the verifier asks a hundred times."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        for sql in statements:
            try:
                scratch.execute(sql)
            except sqlite3.Error as problem:
                raise CannotFinish(
                    f"The schema to compare with cannot be built: {problem}, at {' '.join(sql.split())[:60]}. "
                    "Is sql/schema.sql whole? tools/write_schema.py writes it."
                ) from None
        return read_inventory(scratch)
