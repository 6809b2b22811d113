"""The simulator against theory, against a slow one written for the test, and against sums done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ptp.scale.queues import Stay, arrivals_at, ends_of, mean_wait_md1, mean_wait_mmc
from ptp.scale.simulate import Call, Network, Place, quantile, simulate, windows
from ptp.scale.topology import Path

COUNT = 200_000


def stay_of(times: np.ndarray) -> Stay:
    nothing = np.zeros(len(times))
    return Stay(times, nothing, nothing)


def waits(times: np.ndarray, rate: float, servers: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    arrivals = arrivals_at(rate, len(times), np.random.default_rng(seed))
    return arrivals, ends_of(arrivals, stay_of(times), servers=servers) - arrivals - times


@pytest.mark.parametrize(
    ("rate", "service", "servers", "mean"),
    [
        # M/M/1: rho / (mu - lambda); at half load the wait is one service time.
        (50, 10.0, 1, 10.0),
        (80, 10.0, 1, 40.0),
        # M/M/2 at rho 0.75: Erlang C is 2 rho^2 / (1 + rho) = 0.642857, the wait 0.642857 x 10 / (2 x 0.25).
        (150, 10.0, 2, 0.642857 * 10 / 0.5),
    ],
)
def test_waits_are_those_of_mmc(rate: float, service: float, servers: int, mean: float) -> None:
    times = np.random.default_rng(1).exponential(service, COUNT)
    _, found = waits(times, rate, servers)
    assert found.mean() == pytest.approx(mean, rel=0.06)
    assert mean_wait_mmc(rate=rate / 1000, service=service, servers=servers) == pytest.approx(mean, rel=1e-5)


def test_waits_are_those_of_md1() -> None:
    # rho / (2 mu (1 - rho)) at rho 0.8: 0.8 x 10 / (2 x 0.2) = 20 ms, half of what M/M/1 has.
    _, found = waits(np.full(COUNT, 10.0), 80, 1)
    assert found.mean() == pytest.approx(20.0, rel=0.05)
    assert mean_wait_md1(rate=0.08, service=10.0) == pytest.approx(20.0)


def test_more_than_can_be_served_has_no_mean() -> None:
    for formula in (mean_wait_md1, mean_wait_mmc):
        with pytest.raises(ValueError, match="more than it can serve"):
            formula(rate=0.1, service=10.0)


def test_littles_law_holds_of_what_is_there() -> None:
    """Those in the system, counted at moments that have nothing to do with arrivals, are rate x time."""
    times = np.random.default_rng(1).gamma(2.0, 5.0, COUNT)
    arrivals, wait = waits(times, 150, 2)
    ends = arrivals + wait + times
    moments = np.linspace(arrivals[1000], arrivals[-1], 20_011)
    there = np.searchsorted(arrivals, moments) - np.searchsorted(np.sort(ends), moments)
    rate = len(arrivals) / arrivals[-1]
    assert there.mean() == pytest.approx(rate * (wait + times).mean(), rel=0.03)


def test_each_request_is_where_a_slow_simulator_has_it() -> None:
    """Event by event, with a list of who is served and who waits, where the other keeps a heap."""
    chance = np.random.default_rng(3)
    arrivals, times = np.cumsum(chance.integers(1, 9, 400)).astype(float), chance.integers(1, 25, 400).astype(float)
    busy: list[float] = []
    expected, queue = {}, list(range(400))
    now = 0.0
    while queue:
        busy = [end for end in busy if end > now]
        if arrivals[queue[0]] <= now and len(busy) < 3:
            expected[queue[0]] = now + times[queue[0]]
            busy.append(expected[queue.pop(0)])
            continue
        now += 1.0
    assert ends_of(arrivals, stay_of(times), servers=3).tolist() == [expected[n] for n in range(400)]


def test_writers_wait_for_each_other_and_readers_for_nobody() -> None:
    arrivals = np.array([0.0, 1.0, 2.0, 3.0])
    stay = Stay(np.array([5.0, 5.0, 5.0, 5.0]), np.array([20.0, 20.0, 0.0, 20.0]), np.array([1.0, 1.0, 1.0, 1.0]))
    # Locks from 5 to 25, 25 to 45 and 45 to 65; the reader is through at 2 + 5 + 1.
    assert ends_of(arrivals, stay, servers=9).tolist() == [26.0, 46.0, 8.0, 66.0]
    # At two places with one server each: the second and fourth request wait for the first and third, and the lock.
    site = np.array([0, 1, 0, 1])
    assert ends_of(arrivals, stay, servers=1, site=site).tolist() == [26.0, 46.0, 32.0, 72.0]


READ = Call("look", 1.0, (2.0,), trips=3, writes=False)
WRITE = Call("note", 1.0, (4.0,), trips=5, writes=True)
FAR = Path("far", "home", user_ms=100.0, read_ms=50.0, write_ms=60.0)
CALM = Place(rate=1e-6, servers=9)


@pytest.mark.parametrize(
    ("call", "path", "network", "place", "due"),
    [
        (READ, FAR, Network(), CALM, 100 + 3 * 50 + 2),
        (WRITE, FAR, Network(), CALM, 100 + 5 * 60 + 4),
        (READ, Path("far", "far", 20.0, None, 60.0), Network(), CALM, 20 + 2),
        (READ, FAR, Network(opened=1.0, handshakes=2), CALM, 3 * 100 + 3 * 50 + 2),
        (Call("long", 1.0, (2.0,), 1, False, reply_bytes=50_000), FAR, Network(), CALM, 3 * 100 + 50 + 2),
        (Call("long", 1.0, (2.0,), 1, False, 50_000), FAR, Network(restarts=False), CALM, 100 + 50 + 2),
        (READ, FAR, Network(loss=1.0, again_ms=200), CALM, 300 + 3 * 250 + 2),
    ],
)
def test_sums_by_hand(call: Call, path: Path, network: Network, place: Place, due: float) -> None:
    found = simulate((call,), (path,), place=place, network=network, count=50)
    assert found.response_ms.tolist() == pytest.approx([due] * 50)
    assert found.wait_ms.tolist() == pytest.approx([0] * 50, abs=1e-6)


def test_a_commit_adds_anything_up_to_what_the_plan_says() -> None:
    found = simulate((WRITE,), (FAR,), place=Place(1e-6, 9, commit_ms=25.0), network=Network(), count=20_000)
    added = found.response_ms - 404
    assert added.min() >= 0 and added.max() <= 25
    assert quantile(added, 0.95) == pytest.approx(23.75, abs=0.3) and added.mean() == pytest.approx(12.5, abs=0.3)
    reading = simulate((READ,), (FAR,), place=Place(1e-6, 9, commit_ms=25.0), network=Network(), count=50)
    assert reading.response_ms.max() == pytest.approx(252)


def test_jitter_keeps_the_mean_and_spreads_as_declared() -> None:
    means = np.full(100_000, 80.0)
    found = Network(jitter=0.25).trips(means, np.random.default_rng(1))
    assert found.mean() == pytest.approx(80, rel=0.01) and found.std() == pytest.approx(20, rel=0.02)
    assert found.min() > 0


def test_loss_and_opened_connections_come_as_often_as_declared() -> None:
    lost = Network(loss=0.02).trips(np.full(100_000, 80.0), np.random.default_rng(1))
    assert set(np.unique(lost)) == {80.0, 280.0} and (lost > 80).mean() == pytest.approx(0.02, abs=0.002)
    found = simulate((READ,), (FAR,), place=CALM, network=Network(opened=0.3), count=20_000)
    assert (found.response_ms > 300).mean() == pytest.approx(0.3, abs=0.015)


def test_far_writers_hold_the_lock_while_their_trips_are_under_way() -> None:
    """Five trips of 60 ms hold the lock for four: 4 writes a second are as many as there can be."""
    few = simulate((WRITE,), (FAR,), place=Place(1, 50), network=Network(), count=4_000)
    many = simulate((WRITE,), (FAR,), place=Place(5, 50), network=Network(), count=4_000)
    assert few.wait_ms.mean() == pytest.approx(1000 * mean_wait_md1(rate=1.0, service=0.244), rel=0.15)
    assert many.wait_ms[-500:].mean() > 50_000


def test_service_times_are_those_measured() -> None:
    samples = tuple(float(n) for n in range(1, 101))
    found = simulate((Call("c", 1.0, samples, 0, False),), (FAR,), place=CALM, network=Network(), count=50_000)
    assert set(found.response_ms - 100.0) <= set(samples)
    assert found.p95() == pytest.approx(195, abs=1)


def test_regions_and_calls_come_in_their_shares_and_are_told_apart() -> None:
    calls = (READ, Call("note", 3.0, (4.0,), 5, True))
    paths = (FAR, Path("near", "home", 10.0, 50.0, 60.0))
    found = simulate(calls, paths, place=CALM, network=Network(), shares={"far": 1.0, "near": 4.0}, count=20_000)
    assert len(found.of(region="near")) / 20_000 == pytest.approx(0.8, abs=0.01)
    assert len(found.of(calls=("note",))) / 20_000 == pytest.approx(0.75, abs=0.01)
    assert set(found.of(region="near", calls=("look",)).round(6)) == {162.0}


def test_the_same_seed_draws_the_same_requests_wherever_they_come_from() -> None:
    near = Path("far", "home", 50.0, 50.0, 60.0)
    first, second, again = (
        simulate((READ, WRITE), (path,), place=CALM, network=Network(), count=500) for path in (FAR, near, FAR)
    )
    assert np.array_equal(first.response_ms, again.response_ms)
    assert np.allclose(first.response_ms - second.response_ms, 50)


@pytest.mark.parametrize(
    ("length", "more"),
    # Windows of 10, 20 and 40 segments of 1,460 bytes: 14,600, 43,800 and 102,200 bytes after 0, 1 and 2 more trips.
    [(0, 0), (1, 0), (14_600, 0), (14_601, 1), (43_800, 1), (43_801, 2), (102_200, 2), (102_201, 3)],
)
def test_a_long_reply_takes_a_trip_a_window(length: int, more: int) -> None:
    assert windows(length) == more


def test_the_quantile_is_a_value_that_was_there() -> None:
    assert quantile(np.array([3.0, 1.0, 2.0, 4.0]), 0.5) == 2.0
    assert math.isclose(quantile(np.arange(1.0, 101.0), 0.95), 95.0)
