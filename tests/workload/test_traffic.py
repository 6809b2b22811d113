"""Traffic and dollars: costs are counters times dated prices times declared traffic, to the row (rule 18)."""

import pytest

from ptp.engine.prices import Tariff, load_prices
from ptp.workload.limits import LIMITS_MS
from ptp.workload.traffic import TARIFF, TRAFFIC, Traffic, month_dollars, month_rows

PRICES = load_prices()
SCALER, DEVELOPER = PRICES.tariff("Scaler"), PRICES.tariff("Developer")


def test_every_query_has_its_traffic_with_a_reason() -> None:
    assert set(TRAFFIC.rates) == set(LIMITS_MS)
    assert all(rate.calls > 0 and rate.reason for rate in TRAFFIC.rates.values())


def test_the_calls_follow_from_users_sessions_and_questions() -> None:
    # 20,000 users, 12 sessions, 20 questions: by hand.
    calls = {name: rate.calls for name, rate in TRAFFIC.rates.items()}
    assert calls["study_questions"] == 144_000 and calls["study_questions_weak_areas"] == 24_000
    assert calls["record_answer"] == 3_840_000 and calls["record_answers_50"] == 19_200
    assert calls["record_answer"] + 50 * calls["record_answers_50"] == 20_000 * 12 * 20
    assert calls["change"] == 1_500 and calls["record_daily_metrics"] == 30
    doubled = Traffic(users=2 * TRAFFIC.users).rates
    assert doubled["record_answer"].calls == 2 * calls["record_answer"]
    assert doubled["change"].calls == calls["change"]


@pytest.mark.parametrize(
    ("read", "written", "dollars"),
    [
        # Of one answer in 3.84 million: prices of Scaler, $0.80 a billion read and a million written, by hand.
        (0, 1, 3.84 * 0.80),
        (0, 2, 2 * 3.84 * 0.80),
        (953, 0, 953 * 3.84e6 * 0.80e-9),
        (20, 0, 20 * 3.84e6 * 0.80e-9),
        (604, 402, 604 * 3.84e6 * 0.80e-9 + 402 * 3.84 * 0.80),
    ],
)
def test_rule_18_cost_is_counters_times_prices_times_traffic(read: int, written: int, dollars: float) -> None:
    assert month_dollars("record_answer", SCALER, read=read, written=written) == pytest.approx(dollars)


def test_rule_18_one_row_either_side_of_the_quota() -> None:
    included = 100_000_000_000, 100_000_000
    assert SCALER.month_dollars(*included) == 24.92
    assert SCALER.month_dollars(included[0] - 1, included[1] - 1) == 24.92
    over = Tariff("T", 10.0, 1_000, 100, 1e9, 1e6)  # a dollar a row, so that one row shows
    assert [over.month_dollars(1_000 + n, 100) for n in (-1, 0, 1)] == [10.0, 10.0, 11.0]
    assert [over.month_dollars(1_000, 100 + n) for n in (-1, 0, 1)] == [10.0, 10.0, 11.0]
    # What is under one quota does not make up for what is over the other.
    assert over.month_dollars(0, 101) == 11.0
    assert SCALER.month_dollars(included[0] + 10**9, included[1] + 10**6) == pytest.approx(24.92 + 0.8 + 0.8)


def test_where_the_price_of_what_is_over_is_unknown_so_is_the_bill() -> None:
    assert DEVELOPER.month_dollars(2_500_000_000, 25_000_000) == 4.99
    assert DEVELOPER.month_dollars(2_500_000_001, 25_000_000) is None
    with pytest.raises(ValueError, match="Developer has no known price"):
        month_dollars("rank", DEVELOPER, read=1, written=0)


def test_the_rows_of_a_month_are_those_of_each_call() -> None:
    read, written = month_rows({"record_answer": (10.0, 2.0), "change": (3.0, 1.0)})
    assert (read, written) == (3_840_000 * 10 + 1_500 * 3, 3_840_000 * 2 + 1_500)


def test_the_cheapest_tariff_is_found_with_its_bill() -> None:
    assert [PRICES.cheapest(r, w)[0].name for r, w in ((0, 0), (1e9, 0), (3e9, 0), (1e11, 1e8), (3e11, 1e9))] == [
        "Free",
        "Free",
        "Free",
        "Scaler",
        "Scaler",
    ]
    # A billion reads over the Free quota are $0.50; ten million writes over it are $10, more than Developer takes.
    assert PRICES.cheapest(1e9, 10e6) == (PRICES.tariff("Free"), pytest.approx(0.5))
    assert PRICES.cheapest(0, 20e6) == (DEVELOPER, 4.99)


def test_the_tariff_of_the_report_has_prices() -> None:
    assert PRICES.tariff(TARIFF).dollars(1e9, 1e6) == pytest.approx(1.6)
