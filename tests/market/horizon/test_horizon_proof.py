"""The certificate over a horizon finds what is wrong with a store's plan, and whose it is."""

from dataclasses import replace

import numpy as np
import pytest

from market.horizon.clearing import clear_horizon
from market.horizon.proof import beyond_tolerance, certify_horizon
from market.horizon.stores import within_reach
from tests.market.horizon.town import planned_apart, town, with_more_stores


@pytest.fixture(scope="module")
def cleared():
    case = town(3, T=6, lams=2, members=5)
    return case, clear_horizon(case).claim(case)


def shiftable(case, claim):
    """A store and an interval in which it charges as much as it likes, energy not at a bound behind it."""
    stores, state = case.stores, claim.state_kwh[:, 1:]
    free = (claim.power_kw < -0.1) & (claim.power_kw > 0.1 - stores.charge_kw)
    free &= (state > stores.lower_kwh[:, 1:] + 0.1) & (state < stores.upper_kwh[:, 1:] - 0.1)
    store, t = np.argwhere(free[:, :-1])[0].tolist()
    return store, t


def moved(claim, store, **columns):
    """The claim with something added to a store's columns, {name: {interval: by}}."""
    changed = {}
    for name, steps in columns.items():
        column = getattr(claim, name).copy()
        for t, by in steps.items():
            column[store, t] += by
        changed[name] = column
    return replace(claim, **changed)


def test_an_equilibrium_passes(cleared):
    case, claim = cleared
    certificate = certify_horizon(case, claim)
    assert beyond_tolerance(certificate, case) == []
    assert certificate.balance_kw == pytest.approx(0.0, abs=1e-12)
    assert certificate.store_gain < 1e-9
    assert abs(certificate.duality_gap) < 1e-8


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("state_kwh", "a store's energy is missed by 1e-05 kWh (p"),
        ("spilled_kwh", "a store's energy is missed by 1e-05 kWh (p"),
        ("energy_value", "a store's energy changes its worth without reason by 1e-05 $/kWh (p"),
        ("power_kw", "a balance or limit of power is missed by 1e-05 kW (p"),
    ],
)
def test_a_small_lie_is_caught(cleared, column, says):
    case, claim = cleared
    store, t = shiftable(case, claim)
    lie = moved(claim, store, **{column: {t: 1e-5}})
    clauses = beyond_tolerance(certify_horizon(case, lie), case)
    assert any(says in clause for clause in clauses), clauses


def test_a_plan_that_charges_at_the_wrong_time_gains_by_another(cleared):
    case, claim = cleared
    store, t = shiftable(case, claim)
    other, shift = t + 1, 0.05
    wrong = moved(
        claim,
        store,
        power_kw={t: shift, other: -shift},
        state_kwh={t + 1: -shift * case.stores.charge_efficiency[store, t]},
    )
    owner = case.stores.owner[store]
    said = list(wrong.intervals)
    for at, by in ((t, -shift), (other, shift)):
        trade = said[at].trade_kw.copy()
        trade[owner] += by
        said[at] = replace(said[at], trade_kw=trade, announced=None)
    certificate = certify_horizon(case, replace(wrong, intervals=said))
    assert certificate.store_gains.miss[owner] > 1e-5
    assert any("gains by another plan" in clause for clause in beyond_tolerance(certificate, case))


def test_plans_that_stores_of_one_owner_make_apart_are_no_equilibrium():
    """Each is best for its store as if the owner's others were somebody else's."""
    case = with_more_stores(town(3, T=6, lams=2, members=5), 3)
    case = replace(case, stores=within_reach(case.stores, case.hours)[0])
    apart, owner = planned_apart(case)
    said = clear_horizon(apart).claim(apart)
    assert beyond_tolerance(certify_horizon(apart, said), apart) == []
    n = case.first.demand_kw.size
    whose = np.concatenate([np.arange(n), owner[apart.stores.owner >= n]])
    intervals = [
        replace(one, trade_kw=np.bincount(whose, one.trade_kw, minlength=n), announced=None)
        for one in said.intervals
    ]
    certificate = certify_horizon(case, replace(said, intervals=intervals))
    several = np.bincount(owner, minlength=n) > 1
    gains = certificate.store_gains
    assert gains.miss[several].max() > 1e-3
    assert (gains.miss > gains.tolerance)[several].any()
    assert any("gains by another plan" in clause for clause in beyond_tolerance(certificate, case))
    together = clear_horizon(case).claim(case)
    assert beyond_tolerance(certify_horizon(case, together), case) == []


def test_of_several_stores_of_one_owner_the_worst_is_told(cleared):
    case = with_more_stores(cleared[0], 3)
    case = replace(case, stores=within_reach(case.stores, case.hours)[0])
    claim = clear_horizon(case).claim(case)
    owner = case.stores.owner
    member = int(np.bincount(owner).argmax())
    first, second = np.flatnonzero(owner == member)[:2]
    for store in (first, second):
        lie = moved(claim, store, spilled_kwh={2: 1e-5})
        assert certify_horizon(case, lie).energy.miss[member] == pytest.approx(1e-5, rel=1e-6)
