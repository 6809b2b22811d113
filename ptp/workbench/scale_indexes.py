"""What each index adds to the bill: the billed writes of the same calls with it and without it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from ptp.engine import quoted, read_inventory
from ptp.engine.billing import Billed, Biller
from ptp.engine.meters import Statement
from ptp.engine.prices import Prices
from ptp.errors import CannotFinish
from ptp.scale.cost import decimal, exact
from ptp.workload.traffic import TARIFF, Traffic

TABLE = "Cost by index"
Calls: TypeAlias = Mapping[str, Sequence[Sequence[Statement]]]
"""Some calls of each query that writes, by its name."""
Written: TypeAlias = Mapping[str, Mapping[str, Fraction]]
"""By index, the billed writes that it adds to a call of each query."""

_MARK, _UNDO = Statement("SAVEPOINT ptp_call"), Statement("ROLLBACK TO ptp_call")


def writes_of_indexes(db: sqlite3.Connection, billed: Biller, calls: Calls) -> Written:
    """The writes that each index adds to a call; those that carry a rule (unique ones) are left out: they must be."""
    with_all = _written(billed, (), calls)
    found: dict[str, dict[str, Fraction]] = {}
    for table in read_inventory(db).tables.values():
        for index in table.indexes:
            if index.unique:
                continue
            try:
                without = _written(billed, (Statement(f"DROP INDEX {quoted(index.name)}"),), calls)
            except CannotFinish:  # a statement names it: then it cannot be without
                continue
            found[index.name] = {query: with_all[query] - without[query] for query in calls}
    return found


def _written(billed: Biller, first: Sequence[Statement], calls: Calls) -> dict[str, Fraction]:
    """Billed writes of a call of each query, as means, each call on the same state, after the statements `first`."""
    statements = [*first, _MARK]
    for of_one in calls.values():
        statements += [one for call in of_one for one in (*call, _UNDO)]
    rows = iter(billed.each(statements)[len(first) + 1 :])
    return {
        query: Fraction(sum(_sum(rows, call) for call in of_one), max(len(of_one), 1))
        for query, of_one in calls.items()
    }


def _sum(rows: Any, call: Sequence[Statement]) -> int:
    """The writes of one call, and past what undoes it."""
    whole = sum((next(rows) for _ in call), Billed())
    next(rows)
    return whole.rows_written


def index_rows(written: Written, traffic: Traffic, prices: Prices) -> list[dict[str, Any]]:
    """A row an index that costs anything, the dearest first: writes of a month, and $ at the prices of `TARIFF`."""
    each = exact(prices.tariff(TARIFF).written_per_million or 0.0) / 10**6
    rows = []
    for index, queries in written.items():
        by_query = {query: round(traffic.rates[query].calls) * more for query, more in queries.items()}
        whole = sum(by_query.values(), Fraction(0))
        most = max(by_query, key=lambda query: by_query[query], default="")
        if whole:
            dollars = float(decimal(whole) * each)
            rows.append({"index": index, "writes_a_month": float(whole), "dollars": dollars, "most_by": most})
    return sorted(rows, key=lambda row: (-row["dollars"], row["index"]))
