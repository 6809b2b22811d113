"""Prices: dated data, the vendor's own sums come out of it, and old ones say so."""

import datetime

import pytest

from ptp.engine.prices import Tariff, load_prices


def tariff(name: str) -> Tariff:
    return next(t for t in load_prices().tariffs if t.name == name)


def test_fifty_dollars_on_scaler_buy_about_131_million_writes_or_131_billion_reads() -> None:
    scaler = tariff("Scaler")
    beyond = 50 - scaler.month
    assert scaler.dollars(0, 131e6 - scaler.written_included) == pytest.approx(beyond, rel=0.02)
    assert scaler.dollars(131e9 - scaler.read_included, 0) == pytest.approx(beyond, rel=0.02)


def test_a_price_that_nobody_knows_is_not_made_up() -> None:
    assert tariff("Developer").dollars(1, 1) is None


def test_a_write_costs_about_a_thousand_reads() -> None:
    for name in ("Free", "Scaler", "Pro"):
        assert tariff(name).dollars(0, 1) == pytest.approx(1000 * (tariff(name).dollars(1, 0) or 0))


@pytest.mark.parametrize(("day", "is_old"), [("2026-06-12", False), ("2027-06-12", False), ("2027-06-13", True)])
def test_prices_tell_their_date_and_source_and_when_they_are_old(day: str, is_old: bool) -> None:
    told = load_prices().words(datetime.date.fromisoformat(day))
    assert "2026-06-12" in told
    assert "third party" in told
    assert ("days old" in told) == is_old
