"""What became of the values is counted for every column, and a column that does not add up is named."""

from __future__ import annotations

from typing import Any

import pytest

from ptp.verification import tally
from ptp.verification.tally import Counts
from ptp.workbench.verifying import verify


def by_column(pair: Any) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = verify(pair.source, pair.target).tables["Values by column"]
    return {(r["table"], r["column"]): (r["values in"], r["exact"], r["rounded"], r["rejected"]) for r in rows}


def test_columns_that_are_not_all_exact_are_shown_and_every_table_adds_up(pair: Any) -> None:
    (users,) = pair.ask("SELECT count(*) FROM users")[0]
    found = by_column(pair)
    rounded = 1 if pair.shape == "raw" else found["users", "last_login"][2]
    assert found["users", "last_login"] == (users, users - rounded - 1, rounded, 1)
    assert found["users", "login_count"] == (users, users - 1, 0, 1)
    assert ("users", "email") not in found
    (columns,) = [column for table, column in found if table == "users" and column.startswith("all ")]
    values = found["users", columns][0]
    assert values == users * int(columns.removeprefix("all "))
    assert found["users", columns] == (values, values - rounded - 2, rounded, 2)


def test_a_column_whose_values_are_not_all_judged_is_named(raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    take = tally.Tally.count

    def forgetful(self: Any, column: str, counts: Counts) -> None:
        take(self, column, Counts() if column == "bio" else counts)

    monkeypatch.setattr(tally.Tally, "count", forgetful)
    finding = raw.findings()["verify.values"]
    (users,) = raw.ask("SELECT count(*) FROM users")[0]
    assert (finding.verdict, finding.value) == ("fail", users)
    assert finding.where == (f"users, column bio: {users} values in, 0 judged",)
