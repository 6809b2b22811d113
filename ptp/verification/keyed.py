"""Content of single rows: those of given source keys, compared as `ptp.verification.content` does whole tables."""

from __future__ import annotations

from collections.abc import Sequence

from ptp.conversions import Conversion, Value
from ptp.conversions.witness import judge_column
from ptp.engine import quoted
from ptp.verification.content import Comparison, Pair
from ptp.verification.kept import Kept
from ptp.verification.pairing import Pairing
from ptp.verification.rows import Reader, Row, exactly, fetch_exactly, in_order
from ptp.verification.tally import Tally


def compare_keys(dbs: Pair, pairing: Pairing, *, keys: Sequence[Row], kept: Kept) -> Tally:
    """Compare the rows of these source keys; what is on neither side is no difference."""
    tally = Tally()
    names, others = tuple(c[0] for c in pairing.columns), tuple(c[1] for c in pairing.columns)
    left = Reader(dbs.source, pairing.source, names, tuple(map(names.index, pairing.source_key)))
    right = Reader(dbs.target, pairing.target, others, tuple(map(others.index, pairing.key)))
    mine, theirs = _rows(left, pairing.source_key, keys), _rows(right, pairing.key, _expected(pairing, keys))
    Comparison(pairing, kept, tally, left).batch(mine, theirs)
    return tally


def _expected(pairing: Pairing, keys: Sequence[Row]) -> list[Row]:
    """The target's keys of these source keys, by the witness."""
    conversions = {source: conversion for source, _, conversion in pairing.columns}
    columns = zip(*keys, strict=True) if keys else ()
    parts = [_converted(conversions[c], v) for c, v in zip(pairing.source_key, columns, strict=False)]
    return list(zip(*parts, strict=True))


def _converted(conversion: Conversion | None, values: Sequence[Value]) -> Sequence[Value]:
    return values if conversion is None else judge_column(conversion, values)[0]


def _rows(reader: Reader, key: Sequence[str], keys: Sequence[Row]) -> list[Row]:
    """The rows of these keys, in the order of their keys and each once."""
    found: dict[tuple[object, ...], Row] = {}
    columns = ", ".join(quoted(c) for c in reader.columns)
    for values in keys:
        marks, bound = exactly(values)
        where = " AND ".join(f"{quoted(c)} COLLATE BINARY IS {m}" for c, m in zip(key, marks, strict=True))
        for row in fetch_exactly(reader.db, f"SELECT {columns} FROM {quoted(reader.table)} WHERE {where}", bound):
            found[in_order(reader.key_of(row))] = row
    return [found[place] for place in sorted(found)]
