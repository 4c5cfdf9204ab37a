from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from market.analysis import reply
from market.analysis.reply import Programs
from market.files.case_file import read_case
from market.model.case import Resources
from market.model.curves import respond, shift
from market.model.response import disaggregate, supply_curves
from market.solver.clearing import clear

CASES = Path(__file__).parents[1] / "cases"


@pytest.mark.parametrize("name", ["rows-binding", "lone-prosumers", "no-fees", "price-taking", "islanded"])
def test_best_replies_prove_themselves_without_a_search(name, monkeypatch):
    case = read_case(CASES / f"{name}.json")
    outcome = clear(case)
    slope, price = case.slope[case.lam_of], outcome.price[case.lam_of]
    programs = Programs(case.demand_kw, case.resources, slope, price, case.fee[case.lam_of])
    cost = programs.cost(outcome.trade_kw, outcome.output_kw)
    searched, _ = programs.least(outcome.trade_kw + 1.0, outcome.output_kw)
    monkeypatch.setattr(reply, "BISECTIONS", 0)
    told, _ = programs.least(outcome.trade_kw, outcome.output_kw)
    assert told == pytest.approx(cost, rel=1e-12, abs=1e-12)
    assert searched == pytest.approx(cost, rel=1e-12, abs=1e-12)


def population(rng, n=6):
    """Prosumers with none to several resources: steps, ramps that rounding would eat, fixed outputs."""
    count = int(rng.integers(0, 4 * n))
    low = rng.uniform(-2.0, 0.5, count)
    high = low + rng.uniform(0.0, 3.0, count) * (rng.random(count) > 0.2)
    linear = rng.choice([-0.1, 0.0, 0.1, 0.15, 0.2], count)
    quadratic = rng.choice([0.0, 1e-320, 1e-14, 1e-6, 0.05, 0.2], count)
    return rng.uniform(-4.0, 4.0, n), Resources(rng.integers(0, n, count), low, high, linear, quadratic)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1e-320, 1e-3, 0.5, 1e9]),
    st.sampled_from([0.0, 0.01, 0.05]),
    st.sampled_from([-0.1, 0.0, 0.1, 0.17, 1e3]),
)
@example(seed=3277701, curvature=1e-320, fee=0.0, price=0.0)
def test_the_bound_is_the_cost_of_the_best_reply_whatever_reply_is_shown(seed, curvature, fee, price):
    rng = np.random.default_rng(seed)
    demand_kw, resources = population(rng)
    n = demand_kw.size
    supply = supply_curves(demand_kw, resources)
    best_kw = respond(shift(supply.curves, curvature, fee), np.full(n, price))
    best_output = disaggregate(supply, best_kw)
    programs = Programs(demand_kw, resources, np.full(n, curvature), np.full(n, price), np.full(n, fee))
    least = programs.cost(best_kw, best_output)
    output = resources.min_kw + rng.random(resources.owner.size) * (resources.max_kw - resources.min_kw)
    trade = demand_kw - np.bincount(resources.owner, output, minlength=n)
    rounding = 1e-10 + 1e-15 * curvature
    for shown in ((best_kw, best_output), (trade, output)):
        assert programs.least(*shown)[0] == pytest.approx(least, rel=1e-10, abs=rounding)
