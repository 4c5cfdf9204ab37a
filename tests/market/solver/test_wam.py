from dataclasses import replace

import numpy as np
import pytest

from market.errors import Infeasible, NotConverged
from market.model.case import Grid, Network
from market.model.curves import from_points, shift
from market.model.response import supply_curves
from market.solver.aggregation import aggregate
from market.solver.clearing import member_curves
from market.solver.wam import LimitPrices, clear_wam
from tests.market.wild import wild_case

GRID = Grid(0.25, 0.05, 100.0, 100.0)


def lines(*pairs):
    """Curves that fall straight from high_kw at 0 $/kWh to low_kw at 0.3 $/kWh."""
    return from_points([(np.array([0.0, 0.3]), np.array([high, low])) for high, low in pairs])


def rows(matrix, lower, upper, voltage=None):
    matrix = np.array(matrix, dtype=float)
    flags = None if voltage is None else np.array(voltage)
    return Network(matrix, np.zeros(len(matrix)), np.array(lower, float), np.array(upper, float), flags)


def test_two_lams_share_at_one_price():
    outcome = clear_wam(lines((3.0, -3.0), (5.0, -1.0)), None, GRID, np.ones(2), 0.0)
    # 8 - 40 p = 0 at p = 0.2, between the grid's prices.
    assert outcome.energy_price == pytest.approx(0.2)
    assert outcome.net_kw == pytest.approx([-1.0, 1.0])
    assert outcome.grid_kw == 0.0


@pytest.mark.parametrize(
    ("offset_kw", "price", "grid_kw"), [(10.0, 0.25, 8.0), (-20.0, 0.05, -14.0), (0.0, 0.2, 0.0)]
)
def test_the_grid_serves_what_is_left_at_its_prices(offset_kw, price, grid_kw):
    outcome = clear_wam(lines((3.0, -3.0), (5.0, -1.0)), None, GRID, np.ones(2), offset_kw)
    assert outcome.energy_price == pytest.approx(price)
    assert outcome.grid_kw == pytest.approx(grid_kw)


def test_beyond_a_grid_limit_the_price_leaves_the_grid_behind():
    tight = replace(GRID, import_limit_kw=4.0)
    outcome = clear_wam(lines((3.0, -3.0), (5.0, -1.0)), None, tight, np.ones(2), 7.0)
    assert outcome.grid_kw == 4.0
    assert outcome.energy_price == pytest.approx(0.275)


def test_a_price_that_nothing_fixes_stands_in_the_middle():
    flat = from_points([(np.array([0.0]), np.array([2.0])), (np.array([0.0]), np.array([-2.0]))])
    assert clear_wam(flat, None, GRID, np.ones(2), 0.0).energy_price == pytest.approx(0.15)
    stepped = from_points([(np.array([0.2, 0.3]), np.array([2.0, 1.0])), (np.zeros(1), np.array([-2.0]))])
    assert clear_wam(stepped, None, GRID, np.ones(2), 0.0).energy_price == pytest.approx(0.15)
    late = from_points([(np.array([0.1, 0.12]), np.array([3.0, 2.0])), (np.zeros(1), np.array([-2.0]))])
    assert clear_wam(late, None, GRID, np.ones(2), 0.0).energy_price == pytest.approx(0.15)
    early = from_points([(np.array([0.21, 0.3]), np.array([3.0, 2.0])), (np.zeros(1), np.array([-2.0]))])
    assert clear_wam(early, None, GRID, np.ones(2), 0.0).energy_price == pytest.approx(0.25)


def test_an_islanded_price_may_leave_the_grids_range():
    island = Grid(0.25, 0.05, 0.0, 0.0)
    outcome = clear_wam(lines((3.0, -3.0), (5.0, -1.0)), None, island, np.ones(2), 3.6)
    assert outcome.energy_price == pytest.approx(0.29)
    assert outcome.grid_kw == 0.0


def test_locational_prices_are_the_sum_of_their_causes():
    network = rows([[1.0, 0.0, 0.5], [0.0, 1.0, 0.2]], [-9.0, -9.0], [-0.5, 0.2], [True, False])
    w = np.array([1.02, 0.98, 1.0])
    outcome = clear_wam(lines((6.0, -3.0), (5.0, -1.0), (2.0, -2.0)), network, GRID, w, 0.0)
    assert (outcome.row_dual > 0).all()
    assert outcome.row_value == pytest.approx([-0.5, 0.2])
    assert outcome.parts.energy == pytest.approx(np.full(3, outcome.energy_price))
    assert outcome.parts.loss == pytest.approx((w - 1.0) * outcome.energy_price)
    assert outcome.parts.voltage == pytest.approx(outcome.row_dual[0] * network.matrix[0])
    assert outcome.parts.congestion == pytest.approx(outcome.row_dual[1] * network.matrix[1])
    parts = outcome.parts.energy + outcome.parts.loss + outcome.parts.voltage + outcome.parts.congestion
    assert outcome.price == pytest.approx(parts)


def test_a_lower_limit_has_a_negative_price():
    network = rows([[1.0, 0.0]], [1.5], [9.0])
    outcome = clear_wam(lines((3.0, -3.0), (5.0, -1.0)), network, GRID, np.ones(2), 0.0)
    assert outcome.row_dual[0] < 0
    assert outcome.net_kw[0] == pytest.approx(1.5)


def test_repeated_rows_and_rows_out_of_reach_change_no_price():
    once = rows([[1.0, 0.0]], [-9.0], [-1.5])
    twice = rows([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0]], [-9.0, -99.0, -1e6], [-1.5, -3.0, 1e6])
    curves = lines((3.0, -3.0), (5.0, -1.0))
    single = clear_wam(curves, once, GRID, np.ones(2), 0.0)
    double = clear_wam(curves, twice, GRID, np.ones(2), 0.0)
    assert double.price == pytest.approx(single.price)
    assert double.row_dual[2] == 0.0


def test_unlimited_sides_of_rows_are_welcome():
    network = rows([[1.0, 0.0]], [-np.inf], [-1.5])
    outcome = clear_wam(lines((3.0, -3.0), (5.0, -1.0)), network, GRID, np.ones(2), 0.0)
    assert outcome.net_kw[0] == pytest.approx(-1.5)


def test_jumps_are_cleared_without_a_trace_of_the_proximal_slope():
    step = from_points([(np.array([0.1, 0.1]), np.array([6.0, -2.0])), (np.zeros(1), np.array([1.0]))])
    outcome = clear_wam(step, None, GRID, np.ones(2), 0.0)
    assert outcome.net_kw == pytest.approx([-1.0, 1.0], abs=1e-9)
    assert outcome.price[0] == pytest.approx(0.1, abs=1e-12)


def test_an_impossible_balance_is_named_with_what_is_missing():
    with pytest.raises(Infeasible, match=r"power balance .* 92 kW") as refused:
        clear_wam(lines((3.0, -3.0), (5.0, -1.0)), None, Grid(0.25, 0.05, 4.0, 4.0), np.ones(2), 100.0)
    assert refused.value.amount == pytest.approx(92.0)
    assert refused.value.index is None


def test_an_impossible_row_is_named_with_what_is_missing():
    network = replace(rows([[1.0, 0.0], [0.01, 0.0]], [-9.0, 0.05], [9.0, 0.07]), name=("feeder", "end"))
    with pytest.raises(Infeasible, match="network row end") as refused:
        clear_wam(lines((3.0, -3.0), (5.0, -1.0)), network, GRID, np.ones(2), 0.0)
    assert refused.value.index == 1
    assert refused.value.amount == pytest.approx(0.02)


def test_rows_that_exclude_each_other_are_infeasible():
    network = rows([[1.0, 1.0], [1.0, 1.0]], [-9.0, 1.0], [-1.0, 9.0])
    with pytest.raises(Infeasible):
        clear_wam(lines((3.0, -3.0), (5.0, -1.0)), network, GRID, np.ones(2), 0.0)


def test_a_limit_that_takes_a_very_high_price_is_still_met():
    """Only the second LAM's last part can meet the row, to which it adds a hundred-thousandth per kW."""
    network = rows([[1.0, 1e-5]], [-9.0], [-3.0 - 0.9e-5])
    outcome = clear_wam(lines((3.0, -3.0), (5.0, -1.0)), network, GRID, np.ones(2), 0.0)
    assert outcome.row_value[0] <= network.upper[0] + 1e-9
    assert outcome.net_kw == pytest.approx([-3.0, -0.9], abs=1e-4)


def test_giving_up_says_how_far_it_came():
    problem = NotConverged(400, 0.25)
    assert "400 iterations" in str(problem)
    assert "0.25 kW" in str(problem)


def test_a_steep_lam_does_not_drown_in_the_prices_of_a_weak_one():
    """Where the last bit of a price is more power than a limit may be missed by."""
    weak = (np.array([-1e5, 1e5]), np.array([200.0, -200.0]))
    steep = (np.array([0.04, 0.04]), np.array([250.0, 60.0]))
    fixed = (np.array([0.0]), np.array([77.8]))
    network = rows([[0.09, -0.88, -0.96]], [-1e3], [-240.0])
    island = Grid(0.0, 0.0, 0.0, 0.0)
    outcome = clear_wam(from_points([weak, steep, fixed]), network, island, np.ones(3), -100.0)
    assert abs(outcome.net_kw.sum() - 100.0) < 1e-9
    assert outcome.row_value == pytest.approx([-240.0], abs=1e-9)
    assert outcome.net_kw[0] == pytest.approx(-outcome.price[0] / 500.0, abs=1e-9)
    assert outcome.price[1] == pytest.approx(0.04, abs=1e-8)


def test_jumps_are_cleared_alike_in_watts_and_in_gigawatts():
    for unit in (1e-6, 1.0, 1e6):
        jump = (np.array([0.1, 0.1]), np.array([3.0, -3.0]) * unit)
        slope = (np.array([0.0, 0.3]), np.array([2.0, -1.0]) * unit)
        outcome = clear_wam(from_points([jump, slope]), None, Grid(0.25, 0.05, 0.0, 0.0), np.ones(2), 0.0)
        assert outcome.price == pytest.approx([0.1, 0.1], abs=1e-9)
        assert outcome.net_kw / unit == pytest.approx([-1.0, 1.0], abs=1e-6)


def test_limits_that_rounded_numbers_miss_keep_a_price_of_ordinary_size():
    """Fixed powers that should add up to nothing, and do to their sixth decimal."""
    still = from_points([(np.array([0.2]), np.array([1.333333])), (np.array([0.2]), np.array([-1.3333334]))])
    outcome = clear_wam(still, None, Grid(0.25, 0.05, 0.0, 0.0), np.ones(2), 0.0)
    assert outcome.energy_price == pytest.approx(0.15)
    assert abs(outcome.grid_kw) < 1e-6


def wide_problem(seed):
    """Arguments of ``clear_wam`` for a wild case."""
    case = wild_case(seed)
    members = member_curves(case, supply_curves(case.demand_kw, case.resources))
    total = aggregate(members, case.lam_of, len(case.lam_id))
    curves = shift(total, case.wam_slope, case.wam_fee)
    return curves, case.network, case.grid, case.balance, case.offset_kw


def test_prices_to_start_from_save_steps_and_change_nothing_else():
    cold_steps = warm_steps = 0
    for seed in range(60):
        try:
            cold = clear_wam(*wide_problem(seed))
        except Infeasible:
            continue
        warm = clear_wam(*wide_problem(seed), cold.limit_prices)
        far = clear_wam(*wide_problem(seed), LimitPrices(-3.0, {f"r{i}": 7.0 for i in range(8)}))
        size_kw = 1.0 + np.abs(cold.net_kw).max()
        for other in (warm, far):
            assert other.net_kw == pytest.approx(cold.net_kw, abs=1e-6 * size_kw)
        cold_steps, warm_steps = cold_steps + cold.iterations, warm_steps + warm.iterations
    assert warm_steps < 0.7 * cold_steps
