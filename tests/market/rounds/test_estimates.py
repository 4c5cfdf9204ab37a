import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.model.curves import from_points, respond, take
from market.rounds import estimate_for
from market.rounds.estimates import Lines, Secants
from tests.market.rounds.senders import ask, assert_monotone, senders

ONE = np.zeros(1, dtype=np.intp)


@settings(derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["plain", "slope"]))
def test_a_belief_is_monotone_and_reaches_over_the_whole_range(seed, form):
    rng = np.random.default_rng(seed)
    curves = senders(rng, 4)
    estimate = estimate_for(
        form, rng.uniform(1, 100, 4), curves.lowest_kw, curves.highest_kw, np.zeros(len(curves))
    )
    for _ in range(6):
        who = np.flatnonzero(rng.random(4) < 0.7)
        ask(estimate, curves, who, rng.uniform(-0.1, 0.4, who.size))
        believed = estimate.curves
        assert len(believed) == 4
        assert_monotone(believed)
        assert believed.highest_kw == pytest.approx(curves.highest_kw)
        assert believed.lowest_kw == pytest.approx(curves.lowest_kw)


def test_a_plain_bid_is_its_demand_function():
    estimate = Lines(np.array([20.0]), np.array([-5.0]), np.array([5.0]), np.zeros(1))
    estimate.learn(ONE, np.array([0.1]), np.array([1.0]), np.zeros(1))
    at = [respond(estimate.curves, np.array([price]))[0] for price in (-0.5, 0.05, 0.1, 0.2, 0.9)]
    assert at == pytest.approx([5.0, 2.0, 1.0, -1.0, -5.0])


def negotiate_alone(kind, steepness, line, rounds=60):
    """One sender of a known slope against a fixed supply of 1 kW: the prices that its operator asks."""
    true = from_points([(np.array([0.1, 0.2]), np.array([0.1 * steepness, 0.0]))])
    estimate = kind(np.array([line]), true.lowest_kw, true.highest_kw, np.zeros(1))
    price, prices = 0.11, []
    for _ in range(rounds):
        ask(estimate, true, ONE, np.array([price]))
        believed = estimate.curves
        # Where the belief takes 1 kW.
        price = float(np.interp(-1.0, -believed.kw, believed.price))
        prices.append(price)
    return np.array(prices)


def test_a_sender_steeper_than_twice_its_line_cycles_until_its_slope_is_seen():
    assert np.ptp(negotiate_alone(Lines, 100.0, 20.0)[-10:]) > 0.01
    assert negotiate_alone(Secants, 100.0, 20.0, 9)[-1] == pytest.approx(0.2 - 1.0 / 100.0, abs=1e-9)


def test_a_sender_much_flatter_than_its_line_creeps_until_its_slope_is_seen():
    solution = 0.2 - 1.0 / 20.0
    assert abs(negotiate_alone(Lines, 20.0, 400.0, 20)[-1] - solution) > 1e-3
    assert negotiate_alone(Secants, 20.0, 400.0, 3)[-1] == pytest.approx(solution, abs=1e-9)


def test_a_sender_near_its_line_is_found_either_way():
    for kind in (Lines, Secants):
        assert negotiate_alone(kind, 25.0, 20.0)[-1] == pytest.approx(0.2 - 1.0 / 25.0, abs=1e-9)


def test_each_senders_belief_is_its_own():
    rng = np.random.default_rng(4)
    curves = senders(rng, 3)
    slope = np.array([5.0, 20.0, 80.0])
    for form in ("plain", "slope"):
        together = estimate_for(form, slope, curves.lowest_kw, curves.highest_kw, np.zeros(len(curves)))
        alone = [
            estimate_for(
                form, slope[i : i + 1], curves.lowest_kw[i : i + 1], curves.highest_kw[i : i + 1], np.zeros(1)
            )
            for i in range(3)
        ]
        for price in rng.uniform(0.0, 0.3, (8, 3)):
            ask(together, curves, np.arange(3), price)
            for i, estimate in enumerate(alone):
                ask(estimate, take(curves, np.array([i])), ONE, price[i : i + 1])
        for i, estimate in enumerate(alone):
            mine = take(together.curves, np.array([i]))
            assert np.array_equal(mine.price, estimate.curves.price)
            assert np.array_equal(mine.kw, estimate.curves.kw)


@pytest.mark.parametrize("form", ["plain", "slope"])
def test_a_sender_that_is_forgotten_is_as_if_it_had_never_been_heard(form):
    """Its new range counts from then on, and what is known of the others stays."""
    slope, low, high = np.array([10.0, 20.0]), np.array([-5.0, -4.0]), np.array([5.0, 4.0])
    start = np.full(2, 0.1)
    estimate = estimate_for(form, slope, low, high, start)
    both = np.arange(2)
    for price, kw in ((0.1, [2.0, 1.0]), (0.2, [1.5, -1.0])):
        estimate.learn(both, np.full(2, price), np.array(kw), np.array([5.0, 20.0]))
    other = respond(estimate.curves, np.full(2, 0.17))[1]
    estimate.forget(np.array([0]), np.array([-1.0]), np.array([1.0]))
    fresh = estimate_for(form, slope, np.array([-1.0, -4.0]), np.array([1.0, 4.0]), start)
    for price in (-1.0, 0.05, 0.1, 0.12, 1.0):
        now, anew = respond(estimate.curves, np.full(2, price)), respond(fresh.curves, np.full(2, price))
        assert now[0] == anew[0]
    assert respond(estimate.curves, np.full(2, 0.17))[1] == other
    assert (low == [-5.0, -4.0]).all()


@pytest.mark.parametrize("form", ["plain", "slope"])
def test_a_belief_that_reaches_the_end_of_a_range_at_once_does_not_rise_there_by_a_last_bit(form):
    rng = np.random.default_rng(3)
    high_kw, low_kw = rng.uniform(10.0, 40.0, 200), -rng.uniform(10.0, 40.0, 200)
    estimate = estimate_for(form, np.full(200, 1e7), low_kw, high_kw, np.zeros(200))
    # So steep that a millionth of a price leads to either end.
    price, kw = np.full(200, 0.18), rng.uniform(-10.0, 10.0, 200)
    estimate.learn(np.arange(200), price, kw, np.full(200, 1e7))
    believed = estimate.curves
    inside = np.ones(believed.kw.size - 1, dtype=bool)
    inside[believed.start[1:-1] - 1] = False
    assert np.diff(believed.kw)[inside].max() <= 0.0
