"""Bills by hand: each plan, each quota one row or byte either side, and the exact number of users at which money ends."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from ptp.engine.prices import Tariff, load_prices
from ptp.scale.cost import (
    GB,
    Demand,
    Usage,
    bill_of,
    cents,
    cheapest,
    contributions,
    end_of,
    first_quota,
    greatest,
    rows_of,
)

PRICES = load_prices()
FREE, DEVELOPER, SCALER, PRO = (PRICES.tariff(name) for name in ("Free", "Developer", "Scaler", "Pro"))


def dollars(plan: Tariff, **used: int) -> Decimal | None:
    return bill_of(Usage(**used), plan).dollars


@pytest.mark.parametrize(
    ("plan", "used", "due"),
    [
        # Figures of the price page, worked out on paper.
        (FREE, {}, "0"),
        (FREE, {"rows_read": 500_000_000, "rows_written": 10_000_000, "stored_bytes": 5 * GB, "synced_bytes": 3 * GB}, "0"),
        (FREE, {"rows_read": 500_000_001}, "0.000000001"),
        (FREE, {"rows_written": 10_000_001}, "0.000001"),
        (FREE, {"stored_bytes": 5 * GB + 1}, "0.75"),
        (FREE, {"stored_bytes": 6 * GB}, "0.75"),
        (FREE, {"stored_bytes": 6 * GB + 1}, "1.50"),
        (DEVELOPER, {"rows_read": 2_500_000_000, "rows_written": 25_000_000, "stored_bytes": 9 * GB}, "4.99"),
        (DEVELOPER, {"stored_bytes": 10 * GB}, "5.74"),
        (SCALER, {"rows_read": 100_000_000_000, "rows_written": 100_000_000}, "24.92"),
        (SCALER, {"rows_read": 100_000_000_001}, "24.9200000008"),
        (SCALER, {"rows_written": 100_000_001}, "24.9200008"),
        # 131 million writes: 31 million over at $0.80 a million are $24.80; 24.92 + 24.80 = 49.72.
        (SCALER, {"rows_written": 131_000_000}, "49.72"),
        # 131.35 million are $50 to the cent: 31.35 x 0.8 = 25.08. One row more is not.
        (SCALER, {"rows_written": 131_350_000}, "50.00"),
        (SCALER, {"rows_written": 131_350_001}, "50.0000008"),
        (SCALER, {"stored_bytes": 26 * GB, "rows_read": 101_000_000_000, "rows_written": 102_000_000}, "28.32"),
        (PRO, {"rows_read": 251_000_000_000, "rows_written": 251_000_000, "stored_bytes": 51 * GB}, "418.53"),
    ],
)  # fmt: skip
def test_bills_worked_out_on_paper(plan: Tariff, used: dict[str, int], due: str) -> None:
    assert dollars(plan, **used) == Decimal(due)


@pytest.mark.parametrize(
    ("plan", "used", "unknown"),
    [
        (DEVELOPER, {"rows_read": 2_500_000_001}, ("rows read",)),
        (DEVELOPER, {"rows_written": 25_000_001}, ("rows written",)),
        (SCALER, {"synced_bytes": 24 * GB + 1}, ("syncs",)),
        (SCALER, {"synced_bytes": 24 * GB}, ()),
    ],
)
def test_what_is_over_at_a_price_that_nobody_knows_has_no_bill(
    plan: Tariff, used: dict[str, int], unknown: tuple[str, ...]
) -> None:
    bill = bill_of(Usage(**used), plan)
    assert (bill.dollars is None, bill.unknown) == (bool(unknown), unknown)


def test_a_quota_that_nobody_knows_is_free_only_for_nothing() -> None:
    bare = Tariff("T", 10.0, 1_000, 100, 1e9, 1e6)
    assert dollars(bare) == 10
    assert dollars(bare, stored_bytes=1) is None


def test_the_least_bill_and_where_it_turns() -> None:
    # Free with 14.99 million writes is $4.99, as Developer is; one row more and Developer is the cheaper.
    assert cheapest(Usage(rows_written=14_990_000), PRICES.tariffs).plan == "Free"  # type: ignore[union-attr]
    assert cheapest(Usage(rows_written=14_990_001), PRICES.tariffs).plan == "Developer"  # type: ignore[union-attr]
    # Beyond 25 million Developer has no price: Free takes $20 and more, until Scaler at 34.92 million.
    assert cheapest(Usage(rows_written=34_920_000), PRICES.tariffs).plan == "Free"  # type: ignore[union-attr]
    assert cheapest(Usage(rows_written=34_920_001), PRICES.tariffs).plan == "Scaler"  # type: ignore[union-attr]
    assert cheapest(Usage(synced_bytes=101 * GB), PRICES.tariffs) is None


@pytest.mark.parametrize("edge", [0, 1, 2, 3, 7, 8, 9, 1_000, 12_345, 99_999])
def test_the_search_finds_the_edge_exactly(edge: int) -> None:
    asked: list[int] = []

    def holds(n: int) -> bool:
        asked.append(n)
        return n <= edge

    assert greatest(holds, most=100_000) == edge
    assert len(asked) < 50
    assert greatest(lambda _: True, most=100_000) == 100_000
    assert greatest(lambda _: False) is None


def usage(users: int) -> Usage:
    return Usage(rows_read=users * 1_000_000, rows_written=100 + users * 10_007, stored_bytes=users * 1_000_000)


def test_the_users_at_which_a_budget_ends_by_going_up_one_by_one() -> None:
    for plan, budget in ((SCALER, Decimal(50)), (FREE, Decimal("3.21")), (FREE, Decimal(0))):
        slow = 0
        while (dollars := bill_of(usage(slow + 1), plan).dollars) is not None and dollars <= budget:
            slow += 1
        assert end_of(budget, usage, plan).people == slow > 100


def test_a_plan_over_the_budget_carries_nobody_and_one_without_a_price_says_so() -> None:
    assert end_of(Decimal(50), usage, PRO).people is None
    ended = end_of(Decimal(50), usage, DEVELOPER)
    # 25,000,000 rows written: (25,000,000 - 100) / 10,007 = 2,498.2; 2.5 billion read would be 2,500.
    assert (ended.people, ended.unknown, ended.binds, ended.binds_at) == (
        2_498,
        ("rows written",),
        "rows written",
        2_498,
    )


def test_the_quota_that_binds_first() -> None:
    assert first_quota(lambda n: Usage(rows_read=n * 10**8, rows_written=n), SCALER) == ("rows read", 1_000)
    assert first_quota(lambda n: Usage(stored_bytes=n * GB, rows_written=n), SCALER) == ("storage", 24)
    assert first_quota(lambda n: Usage(synced_bytes=25 * GB + n), SCALER) == ("syncs", -1)
    assert first_quota(lambda n: Usage(), SCALER)[0] == "none"


READS = Demand("look", 1_000, Fraction(41, 2), Fraction(0), only_reads=True)
WRITES = Demand("note", 30, Fraction(10, 3), Fraction(7), only_reads=False)


def test_caches_and_replicas_save_reads_of_calls_that_only_read() -> None:
    assert rows_of((READS, WRITES)) == (20_500 + 100, 210)
    assert rows_of((READS, WRITES), cache_hits=Fraction(1, 4)) == (15_375 + 100, 210)
    assert rows_of((READS, WRITES), replicas=True) == (100, 210)
    # A part of a row is billed as a whole one.
    assert rows_of((replace(WRITES, calls=1),)) == (4, 7)


def test_what_each_call_contributes() -> None:
    # 20,500 x 0.8e-9 = 0.0000164; 100 x 0.8e-9 + 210 x 0.8e-6 = 0.00016808.
    first, second = contributions((READS, WRITES), SCALER)
    assert (first.name, second.name) == ("note", "look")
    assert first.dollars == Decimal("0.00016808") and second.dollars == Decimal("0.0000164")
    assert first.share + second.share == pytest.approx(1)
    with pytest.raises(ValueError, match="Developer"):
        contributions((READS,), DEVELOPER)


def test_cents_go_half_up() -> None:
    assert [cents(Decimal(text)) for text in ("24.925", "24.9249", "0.005")] == [
        Decimal("24.93"),
        Decimal("24.92"),
        Decimal("0.01"),
    ]
