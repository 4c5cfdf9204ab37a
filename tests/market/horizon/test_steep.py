"""Members who reckon with next to no price slope: proximal steps settle, whatever the sensitivity."""

from dataclasses import replace

import numpy as np
import pytest

from market.errors import NotConverged
from market.horizon import clearing, proximal
from market.horizon.clearing import clear_horizon
from market.horizon.feeder import FeederLimits
from market.horizon.members import Members, price_size
from market.horizon.newton import Newton
from market.horizon.proof import beyond_tolerance, certify_horizon
from market.horizon.proximal import LEAST, MOST
from market.horizon.stores import within_reach
from market.horizon.unsettled import unsettled
from market.oracles.horizon import solve_horizon
from tests.market.horizon.objective import objective
from tests.market.horizon.town import town, with_more_stores


def steep(case, lam, wam=1e4):
    """The case with other sensitivities of all LAMs and of the WAM."""
    lams = len(case.first.lam_id)
    intervals = tuple(
        replace(one, sensitivity=np.full(lams, lam), wam_sensitivity=wam) for one in case.intervals
    )
    return replace(case, intervals=intervals, stores=within_reach(case.stores, case.hours)[0])


def assert_settles(case):
    outcome = clear_horizon(case)
    assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == []
    assert objective(case, outcome) == pytest.approx(solve_horizon(case).objective, rel=1e-7, abs=1e-8)
    return outcome


def never(*_, **__):
    raise NotConverged(80, 1.0, "")


@pytest.mark.parametrize("sensitivity", [10.0, 1e3, 5e4, 1e6, 1e8, 1e10, 1e15])
@pytest.mark.parametrize(
    ("seed", "lams", "rows", "wam"), [(2, 6, 2, 1e6), (4, 6, 2, 100.0), (5, 1, 0, 100.0)]
)
def test_prices_settle_at_any_sensitivity(sensitivity, seed, lams, rows, wam):
    assert_settles(steep(town(seed, T=12, lams=lams, members=4, stores=0.8, rows=rows), sensitivity, wam))


@pytest.mark.parametrize("sensitivity", [1e3, 1e5, 1e9])
def test_a_village_with_few_large_vehicles_settles_over_a_day_of_quarter_hours(sensitivity):
    case = steep(town(11, T=96, lams=3, members=4, stores=0.7, hours=0.25), sensitivity)
    outcome = clear_horizon(case)
    assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == []


@pytest.mark.parametrize("sensitivity", [10.0, 1e4, 1e7, 1e10])
def test_members_with_several_stores_settle(sensitivity):
    assert_settles(steep(with_more_stores(town(3, T=8, lams=3, members=4, rows=2), 3), sensitivity))


@pytest.mark.parametrize("seed", range(3))
def test_proximal_steps_end_where_a_plain_search_does(monkeypatch, seed):
    case = town(seed, T=8, lams=3, members=5, rows=1)
    plain = clear_horizon(case)
    monkeypatch.setattr(clearing, "_directly", lambda *_: None)
    held = clear_horizon(case)
    assert held.trade_kw == pytest.approx(plain.trade_kw, abs=1e-7)
    assert held.price == pytest.approx(plain.price, abs=1e-9)
    assert held.power_kw == pytest.approx(plain.power_kw, abs=1e-7)


def test_a_step_that_does_not_settle_is_taken_with_more_slope(monkeypatch):
    case = steep(town(4, T=6, lams=2, members=4, rows=1), 1e5)
    plain = clear_horizon(case)
    solve, asked = Newton.solve, []

    def sometimes(self, now, start, **how):
        if how.get("ridge") is not None:
            asked.append(float(self._lams._members.flatness))
            if len(asked) in (2, 3, 5):
                raise NotConverged(1, 1.0, "")
        return solve(self, now, start, **how)

    monkeypatch.setattr(clearing, "_directly", lambda *_: None)
    monkeypatch.setattr(Newton, "solve", sometimes)
    assert clear_horizon(case).price == pytest.approx(plain.price, abs=1e-9)
    assert asked[0] == pytest.approx(MOST, rel=1e-3)
    assert asked[1] < asked[2] < asked[3] < asked[0]
    assert min(asked) >= LEAST


def test_where_steps_held_by_the_most_slope_do_not_settle_the_search_is_given_up(monkeypatch):
    case = town(4, T=4, lams=2, members=4)
    monkeypatch.setattr(clearing, "least_violation", lambda _: None)
    monkeypatch.setattr(Newton, "solve", never)
    with pytest.raises(NotConverged):
        clear_horizon(case)


def test_a_search_that_is_given_up_says_how_much_is_left_and_where():
    case = steep(town(3, T=6, lams=3, members=4, rows=2), 100.0)
    limits = FeederLimits.of(case, price_size(case))
    with pytest.raises(NotConverged, match=r"after 2 iterations: .* kW left; most at .*interval \d; ") as why:
        Newton(case, Members(case), limits).solve(clearing._middle(case, limits), None, most=2)
    assert 0.0 < why.value.residual_kw < 100.0


def test_trades_that_do_not_come_to_rest_are_named_with_the_slope_that_lets_them(monkeypatch):
    case = steep(town(2, T=6, lams=6, members=4, stores=0.8), 1e8)
    monkeypatch.setattr(proximal, "TRIES", 2)
    why = r"kW left; p\d+'s trade in interval \d does not come to rest; members of lam\d reckon .* lower"
    with pytest.raises(NotConverged, match=why):
        clear_horizon(case)


def test_a_limit_that_stands_farthest_off_is_named_by_its_name():
    case = town(4, T=4, lams=2, members=4, rows=1)
    limits = FeederLimits.of(case, price_size(case))
    begin = clearing._middle(case, limits)
    y = begin.y.copy()
    y[limits.head[2] + 1] = 1e4
    here = Newton(case, Members(case), limits)._settled(replace(begin, y=y), 1e-6)
    why = str(unsettled(case, limits, here, 7, is_held=True))
    assert "most at network row v0 in interval 2; the price of network row v0 in interval 2 rises" in why
    assert why.endswith("widen it")
