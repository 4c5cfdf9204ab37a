import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.model.curves import respond
from market.rounds import Tangents
from market.rounds.tangents import REACH, TRUST
from tests.market.rounds.senders import ask, assert_monotone, senders

ONE = np.zeros(1, dtype=np.intp)


def one_sender(*answers, fallback=10.0, low_kw=-5.0, high_kw=5.0, start=0.1):
    """Belief about a sender after answers of price, power and slope."""
    tangents = Tangents(np.array([fallback]), np.array([low_kw]), np.array([high_kw]), np.array([start]))
    for price, kw, slope in answers:
        tangents.learn(ONE, np.array([price]), np.array([kw]), np.array([slope]))
    return tangents


def believed_kw(tangents, price):
    return float(respond(tangents.curves, np.array([price]))[0])


@settings(derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_tangents_pass_through_every_answer(seed):
    rng = np.random.default_rng(seed)
    curves = senders(rng, 3)
    estimate = Tangents(np.full(3, 10.0), curves.lowest_kw, curves.highest_kw, np.zeros(len(curves)))
    asked = rng.uniform(0.0, 0.3, (5, 3))
    heard = [ask(estimate, curves, np.arange(3), price) for price in asked]
    for price, kw in zip(asked, heard, strict=True):
        assert respond(estimate.curves, price) == pytest.approx(kw, abs=1e-9)


def test_one_not_heard_is_in_the_middle_of_its_range_at_the_first_price():
    tangents = one_sender(low_kw=-1.0, high_kw=5.0, start=0.3)
    assert believed_kw(tangents, 0.3) == 2.0
    assert believed_kw(tangents, -9.0) == 5.0
    assert believed_kw(tangents, 9.0) == -1.0


def test_tangents_meet_between_two_answers():
    # Flat at 2 kW before, falling by 20 kW per $/kWh behind: they meet at 0.2 $/kWh.
    tangents = one_sender((0.1, 2.0, 0.0), (0.25, 1.0, 20.0))
    assert believed_kw(tangents, 0.2) == pytest.approx(2.0)
    assert believed_kw(tangents, 0.225) == pytest.approx(1.5)


def test_what_tangents_leave_unexplained_falls_in_the_middle_of_the_gap():
    # Flat on both sides: there is a step between, nobody knows where.
    tangents = one_sender((0.1, 2.0, 0.0), (0.2, -2.0, 0.0))
    assert believed_kw(tangents, 0.139) == pytest.approx(2.0)
    assert believed_kw(tangents, 0.161) == pytest.approx(-2.0)
    assert believed_kw(tangents, 0.15) == pytest.approx(0.0)


def test_a_tangent_is_believed_a_short_way_beyond_the_outermost_answer():
    tangents = one_sender((0.1, 2.0, 20.0))
    assert believed_kw(tangents, 0.1 + TRUST) == pytest.approx(2.0 - 20.0 * TRUST)
    assert believed_kw(tangents, 0.1 - TRUST) == pytest.approx(2.0 + 20.0 * TRUST)


def test_a_steep_tangent_ends_with_the_range():
    tangents = one_sender((0.1, 2.0, 1e4))
    assert believed_kw(tangents, 0.1 + 7.0 / 1e4) == pytest.approx(-5.0)
    assert believed_kw(tangents, 9.0) == -5.0


def test_the_end_of_the_range_is_reached_for_at_least_as_far_as_prices_were_asked():
    flat = (0.1, 2.0, 0.0), (0.9, 2.0, 0.0)
    price = one_sender(*flat, fallback=1e6).curves.price
    assert price[-1] == pytest.approx(0.9 + TRUST + 0.8)
    assert one_sender(flat[0], fallback=1e6).curves.price[-1] == pytest.approx(0.1 + TRUST + REACH)


def test_an_end_of_the_range_repeated_further_out_tells_nothing_of_what_lies_between():
    once = one_sender((0.1, 2.0, 10.0), (0.5, -5.0, 0.0)).curves
    twice = one_sender((0.1, 2.0, 10.0), (0.5, -5.0, 0.0), (0.7, -5.0, 0.0)).curves
    assert twice.price[1:-1].tolist() == once.price[1:-1].tolist()


def test_an_end_of_the_range_that_is_far_away_is_looked_for_twice_as_far_each_time():
    low = -5.0, 0.0
    reach = [0.1 - one_sender(*((0.1 - k, *low) for k in range(n))).curves.price[0] for n in (2, 3, 5)]
    assert reach == pytest.approx([2.0 + TRUST, 4.0 + TRUST, 8.0 + TRUST])


def test_a_price_asked_again_has_its_first_answer():
    tangents = one_sender((0.1, 2.0, 10.0), (0.1, 2.0 - 1e-12, 3.0))
    assert tangents.curves.price.tolist() == one_sender((0.1, 2.0, 10.0)).curves.price.tolist()


@pytest.mark.parametrize("end_kw", [-5.0, 5.0])
def test_an_end_of_the_range_answered_twice_at_one_price_is_kept(end_kw):
    other = (0.5, -2.0, 10.0) if end_kw > 0 else (-0.5, 2.0, 10.0)
    once = one_sender(other, (0.1, end_kw, 0.0)).curves
    twice = one_sender(other, (0.1, end_kw, 0.0), (0.1, end_kw, 0.0)).curves
    assert twice.price.tolist() == once.price.tolist()
    assert believed_kw(one_sender(other, *2 * [(0.1, end_kw, 0.0)]), 0.1) == end_kw


def test_a_last_bit_of_rounding_leaves_a_belief_monotone():
    curves = one_sender((0.1, 2.0, 0.0), (0.2, float(np.nextafter(2.0, 3.0)), 0.0)).curves
    assert_monotone(curves)
    assert (np.diff(curves.kw) <= 0.0).all()
