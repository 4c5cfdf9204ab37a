import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.model.curves import (
    Curves,
    from_points,
    join,
    respond,
    respond_range,
    shift,
    take,
)
from market.model.inverse import price_range, price_range_near

SEEDS = st.integers(0, 2**32 - 1)


def random_curves(seed, n=6, jumps=0.3):
    rng = np.random.default_rng(seed)
    points = []
    for _ in range(n):
        size = int(rng.integers(1, 7))
        step = rng.uniform(0.0, 0.1, size) * (rng.random(size) > jumps)
        price = rng.uniform(-0.1, 0.2) + np.cumsum(step)
        kw = rng.uniform(-2.0, 5.0) - np.cumsum(rng.uniform(0.0, 2.0, size) * (rng.random(size) > 0.3))
        points.append((price, kw))
    return from_points(points)


def interpolated(curves, i, price):
    """Value just above a price, the slow way."""
    own = slice(curves.start[i], curves.start[i + 1])
    prices, powers = curves.price[own], curves.kw[own]
    if price < prices[0]:
        return powers[0]
    last = np.flatnonzero(prices <= price)[-1]
    if last == prices.size - 1:
        return powers[-1]
    part = (price - prices[last]) / (prices[last + 1] - prices[last])
    return powers[last] + part * (powers[last + 1] - powers[last])


@given(SEEDS, st.floats(-0.3, 0.6))
def test_respond_interpolates_and_saturates(seed, price):
    curves = random_curves(seed)
    expected = [interpolated(curves, i, price) for i in range(len(curves))]
    assert respond(curves, np.full(len(curves), price)) == pytest.approx(expected, abs=1e-12)


@given(SEEDS)
def test_respond_never_rises_with_price(seed):
    curves = random_curves(seed)
    prices = np.linspace(-0.3, 0.6, 41)
    answers = np.array([respond(curves, np.full(len(curves), p)) for p in prices])
    assert (np.diff(answers, axis=0) <= 0).all()


def test_a_jump_answers_with_its_whole_range():
    curve = from_points([(np.array([0.1, 0.1, 0.3]), np.array([4.0, 1.0, 0.0]))])
    low, high = respond_range(curve, np.array([0.1]))
    assert (low[0], high[0]) == (1.0, 4.0)
    low, high = respond_range(curve, np.array([0.2]))
    assert low[0] == pytest.approx(0.5)
    assert high[0] == pytest.approx(0.5)


@given(SEEDS, st.floats(-3.0, 6.0))
def test_price_range_inverts_respond(seed, kw):
    curves = random_curves(seed)
    target = np.clip(kw, curves.lowest_kw, curves.highest_kw)
    low, high = price_range(curves, target)
    assert (low <= high).all()
    for end in (low, high):
        finite = np.clip(end, -1.0, 1.0)
        least, most = respond_range(curves, finite)
        assert (least - 1e-9 <= target).all()
        assert (target <= most + 1e-9).all()


@given(SEEDS, st.floats(-3.0, 6.0), st.floats(0.0, 1.0))
def test_a_power_that_may_be_missed_has_the_prices_of_those_beside_it(seed, kw, slack):
    curves = random_curves(seed)
    wanted, missed = np.full(len(curves), kw), np.full(len(curves), slack)
    low, high = price_range_near(curves, wanted, missed)
    np.testing.assert_array_equal(low, price_range(curves, wanted + missed)[0])
    np.testing.assert_array_equal(high, price_range(curves, wanted - missed)[1])
    some = np.arange(len(curves))[::-2]
    for one, every in zip(
        price_range_near(curves, wanted[some], missed[some], some), (low, high), strict=True
    ):
        np.testing.assert_array_equal(one, every[some])


def test_price_range_is_open_where_the_curve_is_saturated():
    curve = from_points([(np.array([0.1, 0.2]), np.array([3.0, -1.0]))])
    low, high = price_range(curve, np.array([3.0]))
    assert (low[0], high[0]) == (-np.inf, 0.1)
    low, high = price_range(curve, np.array([-1.0]))
    assert (low[0], high[0]) == (0.2, np.inf)


@given(SEEDS, st.floats(0.001, 1.0), st.floats(0.0, 0.1))
def test_shift_satisfies_the_best_reply_condition(seed, slope, fee):
    """Any point (p, q) of the shifted curve has nu = p + k q + fee sign(q) on the original at q."""
    original = random_curves(seed)
    shifted = shift(original, slope, fee)
    price = np.linspace(-2.0, 2.0, 23)
    for p in price:
        q = respond(shifted, np.full(len(original), p))
        low, high = price_range(original, q)
        nu_low = p + slope * q - fee * np.where(q > 0, -1.0, 1.0)
        nu_high = p + slope * q + fee * np.where(q < 0, -1.0, 1.0)
        assert (nu_high >= low - 1e-9).all()
        assert (nu_low <= high + 1e-9).all()


def test_shift_opens_a_dead_band_of_twice_the_fee():
    curve = from_points([(np.array([0.0, 0.2]), np.array([1.0, -1.0]))])
    shifted = shift(curve, 0.0, 0.02)
    low, high = price_range(shifted, np.array([0.0]))
    assert low[0] == pytest.approx(0.08)
    assert high[0] == pytest.approx(0.12)


@given(SEEDS)
def test_shifted_curves_stay_monotone(seed):
    shifted = shift(random_curves(seed), 0.3, 0.01, 0.7)
    inner = np.ones(shifted.price.size - 1, dtype=bool)
    inner[shifted.start[1:-1] - 1] = False
    assert (np.diff(shifted.price)[inner] >= 0).all()
    assert (np.diff(shifted.kw)[inner] <= 0).all()


@given(SEEDS)
def test_take_and_join_undo_each_other(seed):
    curves = random_curves(seed)
    pieces = [take(curves, np.array([i])) for i in range(len(curves))]
    whole = join(pieces)
    assert np.array_equal(whole.price, curves.price)
    assert np.array_equal(whole.start, curves.start)


@pytest.mark.parametrize(
    ("price", "kw", "word"),
    [
        ([], [], "at least one"),
        ([0.1], [1.0, 2.0], "as many"),
        ([0.2, 0.1], [1.0, 0.0], "monotone"),
        ([0.1, 0.2], [0.0, 1.0], "monotone"),
        ([0.1], [np.nan], "finite"),
    ],
)
def test_from_points_refuses_what_is_no_curve(price, kw, word):
    good = (np.zeros(1), np.zeros(1))
    with pytest.raises(ValueError, match=f"curve 1: .*{word}"):
        from_points([good, (np.array(price), np.array(kw))])


def test_no_curves_at_all():
    empty = join([])
    assert len(empty) == 0
    assert isinstance(empty, Curves)
