import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cosim.population.stored_value import CELLS, value_at, value_curves


def by_price(price, rate, efficiency, wear, dt_h):
    """Curves for a path of prices that bears any trade."""
    return value_curves(price, price, np.zeros(price.shape[1]), rate, efficiency, wear, dt_h)


def test_one_hour_battery_before_one_good_hour_by_hand():
    # Rating empties it in an hour, so every stored kWh can be sold in the one hour ahead.
    curve = by_price(np.array([[0.3]]), np.array([1.0]), np.array([1.0]), wear=0.02, dt_h=1.0)
    assert curve == pytest.approx(np.full((1, CELLS), 0.28))


def test_two_hour_battery_sells_its_second_half_in_the_worse_hour():
    curve = by_price(np.array([[0.3, 0.1]]), np.array([0.5]), np.array([1.0]), wear=0.0, dt_h=1.0)
    assert curve[0, : CELLS // 2] == pytest.approx(0.3)
    assert curve[0, CELLS // 2 :] == pytest.approx(0.1)


def test_stored_energy_is_worth_no_more_than_buying_it_before_it_is_needed():
    # The cheap hour fills nine tenths of the battery before the dear one; only what lies below is scarce.
    curve = by_price(np.array([[0.05, 0.3]]), np.array([1.0]), np.array([0.9]), wear=0.0, dt_h=1.0)
    assert curve[0, 0] == pytest.approx(0.3 * 0.9)
    assert curve[0, CELLS // 8 :] == pytest.approx(0.05 / 0.9)


def test_groups_of_unlike_ratings_do_not_disturb_each_other():
    price = np.array([[0.1, 0.3, 0.2], [0.3, 0.1, 0.2]])
    rate, efficiency = np.array([0.2, 2.0]), np.array([0.95, 0.9])
    both = by_price(price, rate, efficiency, 0.01, 0.5)
    for k in range(2):
        alone = by_price(price[k : k + 1], rate[k : k + 1], efficiency[k : k + 1], 0.01, 0.5)
        assert np.array_equal(both[k], alone[0])


@given(
    price=arrays(float, (3, 12), elements=st.floats(-0.1, 0.5)),
    rate=st.floats(0.02, 4.0),
    efficiency=st.floats(0.6, 1.0),
)
def test_value_never_rises_with_charge_and_stays_within_the_prices(price, rate, efficiency):
    curves = by_price(price, np.full(3, rate), np.full(3, efficiency), 0.01, 1.0)
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
    curve = by_price(price[None], np.array([1.0 / 8.0]), np.array([1.0]), 0.0, 1.0)[0]
    plans = np.array([best_revenue(price, CELLS, s, step) for s in (0, 1, CELLS // 2, CELLS // 2 + 1)])
    assert curve[0] == pytest.approx(plans[1] - plans[0], abs=1e-9)
    assert curve[CELLS // 2] == pytest.approx(plans[3] - plans[2], abs=1e-9)


def test_what_is_short_is_sold_dear_and_the_rest_cheaply():
    curve = value_curves(
        np.array([[0.1]]), np.array([[0.3]]), np.array([0.25]), np.array([1.0]), np.array([1.0]), 0.02, 1.0
    )
    assert curve[0, : CELLS // 4] == pytest.approx(0.28)
    assert curve[0, CELLS // 4 :] == pytest.approx(0.08)


def test_what_is_left_over_is_bought_cheaply_before_it_is_needed():
    # A quarter is left over first, then half is wanted: a quarter has to be bought dear, or be there.
    low, high = np.array([[0.05, 0.05]]), np.array([[0.2, 0.4]])
    net = np.array([-0.25, 0.5])
    curve = value_curves(low, high, net, np.array([1.0]), np.array([1.0]), 0.0, 1.0)
    assert curve[0, : CELLS // 4] == pytest.approx(0.2)
    assert curve[0, CELLS // 4 :] == pytest.approx(0.05)


def test_where_its_own_power_moves_its_price_it_sells_a_part_in_each_hour():
    """Two hours alike: half of what is stored goes in each, and brings less the more it is."""
    price, ones = np.full((1, 2), 0.3), np.ones(1)
    curve = value_curves(price, price, np.zeros(2), ones, ones, 0.0, 1.0, slope=np.array([0.1]))
    stored = (np.arange(CELLS) + 0.5) / CELLS
    assert curve[0] == pytest.approx(0.3 - 0.1 * stored / 2.0, abs=0.1 / CELLS)


def one_node_cost(net, low, high, power):
    """Cost of a step at one node where batteries discharge so much, all in units of their capacity."""
    grid = net - power
    return np.where(grid > 0.0, high * grid, low * grid)


@settings(max_examples=10, deadline=None)
@given(
    net=arrays(float, 24, elements=st.floats(-0.5, 0.5)),
    high=arrays(float, 24, elements=st.floats(0.08, 0.3)),
    start=st.floats(0.0, 1.0),
    kept=st.sampled_from([1.0, 0.98]),
)
def test_batteries_that_go_by_it_do_what_is_best_for_all(net, high, start, kept):
    low, rate, eta, wear, cells = np.full(24, 0.05), 0.4, 0.95, 0.01, 192
    moves = np.linspace(-rate, rate, 161)
    stored_moves = np.where(moves > 0.0, -moves / eta, -moves * eta)

    def day(curve_at):
        """Cost of the day where each step weighs its own cost against the value of what is left."""
        stored, cost = start, 0.0
        for t in range(24):
            curve = curve_at(t)
            worth = np.concatenate([[0.0], np.cumsum(curve) / cells])
            after = kept * stored + stored_moves
            own = one_node_cost(net[t], low[t], high[t], moves) + wear * np.abs(moves)
            total = own - np.interp(after, np.linspace(0.0, 1.0, cells + 1), worth)
            total[(after < -1e-12) | (after > 1.0 + 1e-12)] = np.inf
            best = int(np.argmin(total))
            stored, cost = float(np.clip(after[best], 0.0, 1.0)), cost + own[best]
        return cost

    def curve_at(t):
        rows = slice(t + 1, None)
        prices = low[None, rows], high[None, rows], net[rows]
        return value_curves(*prices, np.array([rate]), np.array([eta]), wear, 1.0, cells, kept=kept)[0]

    assert day(curve_at) == pytest.approx(best_cost(net, low, high, start, rate, eta, wear, kept), abs=5e-3)


def best_cost(net, low, high, start, rate, eta, wear, kept):
    """Least cost of the day, all steps decided at once by a linear program."""
    from scipy.optimize import linprog

    T = net.size
    # Columns: bought of the grid, sold to it, discharged, charged.
    c = np.concatenate([high, -low, np.full(2 * T, wear)])
    steps = np.arange(T)
    eye, sums = np.eye(T), np.tril(kept ** np.maximum(steps[:, None] - steps, 0))
    left = start * kept ** (steps + 1)
    balance = np.hstack([eye, -eye, eye, -eye])
    drawn = np.hstack([np.zeros((T, 2 * T)), sums / eta, -sums * eta])
    bounds = [(0.0, None)] * (2 * T) + [(0.0, rate)] * (2 * T)
    found = linprog(
        c,
        A_ub=np.vstack([drawn, -drawn]),
        b_ub=np.concatenate([left, 1.0 - left]),
        A_eq=balance,
        b_eq=net,
        bounds=bounds,
    )
    return found.fun
