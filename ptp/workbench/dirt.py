"""Dirt in words: what the preflight of the values saw, as a finding, as a table, and as what stops a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ptp.conversions import Value
from ptp.migration.plan import OnDirty
from ptp.migration.preflight import Gone, Preflight
from ptp.results import Finding
from ptp.schema.shapes import known_shapes
from ptp.verification.exact import shown
from ptp.workbench.keeping import WHOLE_ROW

STAGE = "01_migrate"
WITH_PARENT = "(whole row, with its parent)"
_KEY = ""  # stands for the key among the personal columns of a table; no column has this name
_KINDS_TOLD = 5  # in the sentence; the table has them all


def clean_finding(seen: Preflight, on_dirty: OnDirty) -> Finding:
    """What the preflight saw, judged by the policy."""
    kept = on_dirty == "quarantine"
    values = sum(d.count for d in seen.dirt)
    return Finding(
        id="migrate.conversions",
        claim="Every source value converts exactly" + (", or is kept in quarantine" if kept else ""),
        verdict="pass" if seen.is_clean or kept else "fail",
        severity="data",
        value=values + seen.rejected_rows,
        unit="values and rows",
        limit=None if kept else 0,
        where=tuple(_kinds(seen)),
        evidence=f"preflight of the whole source, --on-dirty {on_dirty}",
    )


def dirt_rows(seen: Preflight) -> list[dict[str, object]]:
    """Every kind of dirt with its number and examples: single values, then rows that go whole."""
    personal = _personal()
    rows: list[dict[str, object]] = [
        {
            "table": d.table,
            "column": d.column,
            "problem": d.problem,
            "count": d.count,
            "examples": "; ".join(_example(d.table, key, {d.column: value}, personal) for key, value in d.examples),
        }
        for d in seen.dirt
    ]
    return rows + [
        {
            "table": g.table,
            "column": WITH_PARENT if g.with_parent else WHOLE_ROW,
            "problem": g.reason,
            "count": g.count,
            "examples": "; ".join(_example(g.table, key, values, personal, named=True) for key, values in g.examples),
        }
        for g in seen.gone
    ]


def _personal() -> dict[str, frozenset[str]]:
    """The personal columns by source table, those that are the key among them."""
    found: dict[str, frozenset[str]] = {}
    for table in (t for shape in known_shapes() for t in shape.tables):
        personal = {c.source for c in table.columns if c.conversion.personal}
        found[table.source] = (
            found.get(table.source, frozenset()) | personal | ({_KEY} if personal & set(table.source_key) else set())
        )
    return found


def _example(
    table: str, key: str, values: Mapping[str, Value], personal: Mapping[str, frozenset[str]], *, named: bool = False
) -> str:
    hidden = personal.get(table, frozenset())
    told = ", ".join(
        f"{column + ' ' if named else ''}{shown(value, personal=column in hidden)}" for column, value in values.items()
    )
    return f"key {'(personal, masked)' if _KEY in hidden else key}" + (f": {told}" if told else "")


def _kinds(seen: Preflight) -> list[str]:
    """Every kind of dirt in a few words."""
    return [f"{d.table}.{d.column}: {d.count} {d.problem}" for d in seen.dirt] + [_gone_in_words(g) for g in seen.gone]


def _gone_in_words(gone: Gone) -> str:
    return f"{gone.table}: {gone.count} rows {'with their parents, ' if gone.with_parent else ''}{gone.reason}"


def dirty_sentence(source: Path, seen: Preflight, out: Path) -> str:
    """What stops a run over a source that is not clean, and where all of it is told."""
    kinds = _kinds(seen)
    more = f" and {len(kinds) - _KINDS_TOLD} more kinds" if len(kinds) > _KINDS_TOLD else ""
    values, own = sum(d.count for d in seen.dirt), seen.rejected_rows - seen.rows_with_parents
    return (
        f"{source} holds {values:,} values that do not convert exactly ({'; '.join(kinds[:_KINDS_TOLD])}{more}); "
        f"{own:,} rows would go whole, and {seen.rows_with_parents:,} more with their parents. Nothing was changed. "
        f"All kinds, with examples: {out / 'results' / f'{STAGE}.json'}. "
        "Mend them, or keep them in quarantine with --on-dirty quarantine."
    )
