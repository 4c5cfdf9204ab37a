import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cosim.population.stored_value import CELLS, value_at, value_curves


def test_one_hour_battery_before_one_good_hour_by_hand():
    # Rating empties it in an hour, so every stored kWh can be sold in the one hour ahead.
    curve = value_curves(np.array([[0.3]]), np.array([1.0]), np.array([1.0]), wear=0.02, dt_h=1.0)
    assert curve == pytest.approx(np.full((1, CELLS), 0.28))


def test_two_hour_battery_sells_its_second_half_in_the_worse_hour():
    curve = value_curves(np.array([[0.3, 0.1]]), np.array([0.5]), np.array([1.0]), wear=0.0, dt_h=1.0)
    assert curve[0, : CELLS // 2] == pytest.approx(0.3)
    assert curve[0, CELLS // 2 :] == pytest.approx(0.1)


def test_stored_energy_is_worth_no_more_than_buying_it_before_it_is_needed():
    # The cheap hour fills nine tenths of the battery before the dear one; only what lies below is scarce.
    curve = value_curves(np.array([[0.05, 0.3]]), np.array([1.0]), np.array([0.9]), wear=0.0, dt_h=1.0)
    assert curve[0, 0] == pytest.approx(0.3 * 0.9)
    assert curve[0, CELLS // 8 :] == pytest.approx(0.05 / 0.9)


def test_groups_of_unlike_ratings_do_not_disturb_each_other():
    price = np.array([[0.1, 0.3, 0.2], [0.3, 0.1, 0.2]])
    rate, efficiency = np.array([0.2, 2.0]), np.array([0.95, 0.9])
    both = value_curves(price, rate, efficiency, 0.01, 0.5)
    for k in range(2):
        alone = value_curves(price[k : k + 1], rate[k : k + 1], efficiency[k : k + 1], 0.01, 0.5)
        assert np.array_equal(both[k], alone[0])


@given(
    price=arrays(float, (3, 12), elements=st.floats(-0.1, 0.5)),
    rate=st.floats(0.02, 4.0),
    efficiency=st.floats(0.6, 1.0),
)
def test_value_never_rises_with_charge_and_stays_within_the_prices(price, rate, efficiency):
    curves = value_curves(price, np.full(3, rate), np.full(3, efficiency), 0.01, 1.0)
    assert (np.diff(curves, axis=1) <= 0.0).all()
    assert curves.min() >= 0.0
    assert curves.max() <= max(0.0, price.max() * efficiency, (price.max() + 0.01) / efficiency)
    soc = np.linspace(0.0, 1.0, 101)
    values = value_at(curves, np.zeros(101, dtype=np.intp), soc)
    assert (np.diff(values) <= 1e-15).all()


def best_revenue(price: np.ndarray, cells: int, start: int, step: int) -> float:
    """Revenue of the best plan of a lossless battery, by trying every move in every step."""
    worth = np.zeros(cells + 1)
    for p in price[::-1]:
        worth = np.array(
            [
                max(worth[s - move] + p * move for move in range(-step, step + 1) if 0 <= s - move <= cells)
                for s in range(cells + 1)
            ]
        )
    return float(worth[start])


@settings(max_examples=15)
@given(price=arrays(float, 6, elements=st.floats(0.0, 1.0)))
def test_marginal_values_are_those_of_the_best_plan(price):
    # A battery that moves an eighth of itself per step, on the same grid of cells.
    step = CELLS // 8
    curve = value_curves(price[None], np.array([1.0 / 8.0]), np.array([1.0]), 0.0, 1.0)[0]
    plans = np.array([best_revenue(price, CELLS, s, step) for s in (0, 1, CELLS // 2, CELLS // 2 + 1)])
    assert curve[0] == pytest.approx(plans[1] - plans[0], abs=1e-9)
    assert curve[CELLS // 2] == pytest.approx(plans[3] - plans[2], abs=1e-9)
