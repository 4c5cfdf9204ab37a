from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from market.analysis.reference import (
    efficiency,
    lam_only,
    no_sharing,
    optimum,
    references,
    single_layer,
    violated_rows,
)
from market.files.case_file import read_case
from market.model.case import Resources, Tariff
from market.solver.clearing import clear

CASES = Path(__file__).parents[1] / "cases"


def case_of(name):
    return read_case(CASES / f"{name}.json")


def lone(case, prosumer):
    """Least cost of one prosumer at the tariffs, by search over its trades."""
    keep = case.resources.owner == prosumer
    own = Resources(*(values[keep] for values in vars(case.resources).values()))
    nu = np.linspace(-0.2, 0.6, 8001)[:, None]
    ramp = (nu - own.cost_linear) / np.maximum(own.cost_quadratic, 1e-9)
    output = np.clip(ramp, own.min_kw, own.max_kw)
    supplied = output.sum(axis=1)
    trade = np.append(case.demand_kw[prosumer] - np.linspace(supplied[0], supplied[-1], 4001), 0.0)
    made = case.demand_kw[prosumer] - trade
    trade = trade[(made >= supplied[0]) & (made <= supplied[-1])]
    cost = np.interp(case.demand_kw[prosumer] - trade, supplied, own.cost(output).sum(axis=1))
    return (cost + np.where(trade > 0, case.tariff.retail, case.tariff.feed_in) * trade).min()


@pytest.mark.parametrize("name", ["two-lams", "all-steps"])
def test_without_sharing_each_prosumer_minimises_its_own_bill(name):
    case = case_of(name)
    alone = no_sharing(case)
    bill = np.where(alone.trade_kw > 0, case.tariff.retail, case.tariff.feed_in) * alone.trade_kw
    cost = np.bincount(case.resources.owner, case.resources.cost(alone.output_kw), minlength=bill.size) + bill
    best = [lone(case, j) for j in range(bill.size)]
    assert cost == pytest.approx(best, abs=2e-3)
    assert (cost <= np.array(best) + 1e-9).all()


def test_indifferent_prosumers_trade_the_least():
    case = case_of("one-lam")
    resources = Resources(np.zeros(1, int), np.zeros(1), np.full(1, 5.0), np.full(1, 0.3), np.zeros(1))
    one = replace(
        case,
        prosumer_id=("only",),
        lam_of=np.zeros(1, dtype=int),
        demand_kw=np.array([3.0]),
        resources=resources,
        tariff=Tariff(0.3, 0.04),
    )
    assert no_sharing(one).trade_kw[0] == 0.0


def test_lams_alone_balance_inside_and_meet_the_tariffs_outside():
    case = case_of("rows-binding")
    alone = lam_only(case)
    assert case.net_kw(alone.trade_kw) == pytest.approx(alone.net_kw)
    assert alone.grid_kw == pytest.approx(case.offset_kw + case.balance @ alone.net_kw)


@pytest.mark.parametrize("name", ["two-lams", "no-fees", "islanded", "import-limit", "price-taking"])
def test_the_optimum_is_cheapest(name):
    case = case_of(name)
    assert optimum(case).social_cost <= clear(case).social_cost + 1e-9
    if name == "two-lams":
        assert optimum(case).social_cost <= single_layer(case, with_network=True).social_cost + 1e-9


def test_efficiency_rises_with_sensitivity_and_without_fees():
    case = replace(case_of("two-lams"), network=None)
    before, best = no_sharing(case), optimum(case)
    shares = []
    assert before.violations == 0
    for factor, fee in [(0.3, 1.0), (1.0, 1.0), (1e4, 0.0)]:
        easy = replace(
            case,
            sensitivity=case.sensitivity * factor,
            wam_sensitivity=case.wam_sensitivity * factor,
            fee=case.fee * fee,
            wam_fee=case.wam_fee * fee,
        )
        shares.append(efficiency(before, clear(easy).social_cost, best))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0, abs=1e-3)


def test_efficiency_is_withheld_where_it_means_nothing():
    free = replace(case_of("two-lams"), network=None)
    apart, best = replace(no_sharing(free), social_cost=10.0), replace(optimum(free), social_cost=6.0)
    assert efficiency(apart, 8.0, best) == pytest.approx(0.5)
    assert efficiency(replace(apart, violated=np.array([2])), 8.0, best) is None
    assert efficiency(replace(apart, grid_excess_kw=-1.0), 8.0, best) is None
    assert efficiency(apart, 10.0, replace(best, social_cost=10.0 - 1e-7)) is None


def test_what_an_island_would_import_without_sharing_is_a_violation():
    """The grid's price stands for nothing where no grid is."""
    alone = no_sharing(case_of("islanded"))
    assert alone.grid_excess_kw == pytest.approx(alone.grid_kw)
    assert alone.violations == 1 + alone.violated.size
    assert optimum(case_of("islanded")).violations == 0


def test_a_single_layer_has_one_price_and_ignores_rows_unless_asked():
    case = case_of("rows-binding")
    free, held = single_layer(case), single_layer(case, with_network=True)
    assert free.violated.size > 0
    assert held.violated.size == 0
    assert held.grid_kw == pytest.approx(case.grid_kw(held.net_kw))


@pytest.mark.parametrize("name", ["rows-binding", "two-lams", "islanded"])
def test_benchmarks_together_have_the_bits_that_each_has_alone(name):
    case = case_of(name)
    found, _ = references(case)
    alone = {
        "single_layer": partial(single_layer, case),
        "single_layer_network": partial(single_layer, case, with_network=True),
        "optimum": partial(optimum, case),
    }
    for which, solve in alone.items():
        assert found[which].trade_kw.tolist() == solve().trade_kw.tolist()


def test_violated_rows_are_found_on_either_side():
    case = case_of("rows-binding")
    network = replace(case.network, lower=case.network.base - 1.0, upper=case.network.base + 1.0)
    far = np.full(len(case.lam_id), 50.0)
    value = network.matrix @ far
    expected = np.flatnonzero(abs(value) > 1.0)
    assert np.array_equal(violated_rows(replace(case, network=network), far), expected)
    assert violated_rows(replace(case, network=None), far).size == 0
