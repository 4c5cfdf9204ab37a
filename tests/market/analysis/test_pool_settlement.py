"""Money where members have a utility: legs that sum to zero, and rents of what binds."""

from dataclasses import replace

import numpy as np
import pytest

from market.analysis.certify_outcome import certify_outcome
from market.analysis.settlement import settle, utility_trades, wam_surplus
from market.analysis.tolerance import exceeds
from market.model.case import Grid
from market.solver.clearing import clear
from tests.market.quantity import quantity_case


def settled(case, outcome):
    wam = outcome.wam
    utility = utility_trades(case, outcome.utility_kw, wam.charge, wam.energy_price)
    return settle(
        case.lam_of, outcome.trade_kw, outcome.price, case.fee, wam.price, case.wam_fee, wam.net_kw,
        case.grid, wam.grid_kw, utility,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_what_parties_pay_is_what_others_get(seed):
    case = quantity_case(seed)
    outcome = clear(case)
    paid = settled(case, outcome)
    lams = case.net_kw(paid.prosumer) - paid.lam - paid.lam_surplus
    assert lams == pytest.approx(np.zeros(lams.size), abs=1e-12)
    # A LAM keeps what its anchor lifts its price by: nothing, or k Q^2.
    assert paid.lam_surplus == pytest.approx(case.wam_slope * outcome.wam.net_kw**2, abs=1e-9)
    assert paid.lam.sum() - paid.losses == pytest.approx(paid.wam_surplus, abs=1e-12)
    everyone = paid.prosumer.sum() + paid.utility.sum()
    kept = paid.lam_surplus.sum() + paid.wam_surplus + paid.utility_margin + paid.grid
    assert everyone == pytest.approx(kept, abs=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_the_wam_keeps_the_rents_of_what_binds(seed):
    case = quantity_case(seed, rows=2)
    outcome = clear(case)
    wam = outcome.wam
    rents = wam_surplus(
        wam.net_kw, case.wam_fee, wam.energy_price, wam.row_dual, case.network, case.grid, case.offset_kw,
        has_utility=True,
    )  # fmt: skip
    assert settled(case, outcome).wam_surplus == pytest.approx(rents.total, abs=1e-9)


def test_a_limit_of_the_head_leaves_its_rent_with_the_wam():
    case = quantity_case(3, rows=0, losses=False)
    limit = 0.5 * abs(clear(case).wam.grid_kw)
    case = replace(case, grid=Grid(case.grid.import_price, case.grid.export_price, limit, limit))
    outcome = clear(case)
    wam = outcome.wam
    rents = wam_surplus(
        wam.net_kw, case.wam_fee, wam.energy_price, wam.row_dual, None, case.grid, case.offset_kw,
        has_utility=True,
    )  # fmt: skip
    assert rents.limits > 1e-5
    assert settled(case, outcome).wam_surplus == pytest.approx(rents.total, abs=1e-9)


def lied(outcome, **changes):
    wam = {name: value for name, value in changes.items() if hasattr(outcome.wam, name)}
    rest = {name: value for name, value in changes.items() if name not in wam}
    return replace(outcome, wam=replace(outcome.wam, **wam), **rest)


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (lambda o: lied(o, utility_kw=o.utility_kw + 1e-4), "balance"),
        (lambda o: lied(o, price=o.price + 1e-5), "a price misses"),
        (lambda o: lied(o, charge=o.wam.charge + 1e-4), "price misses"),
        (lambda o: lied(o, trade_kw=o.trade_kw + 1e-4, utility_kw=o.utility_kw - 1e-4), "balance"),
        (
            lambda o: lied(
                o,
                trade_kw=o.trade_kw + shifted(o),
                utility_kw=o.utility_kw - shifted(o),
            ),
            "marginal value",
        ),
        (lambda o: lied(o, charge=o.wam.charge - 1.0), "does not bind|price misses"),
    ],
)
def test_a_lie_is_caught(lie, said):
    case = quantity_case(11, rows=2)
    outcome = clear(case)
    assert exceeds(certify_outcome(case, outcome), case) == []
    words = "; ".join(exceeds(certify_outcome(case, lie(outcome)), case))
    assert any(part in words for part in said.split("|")), words


def shifted(outcome):
    """Two members of one LAM trade 1e-4 kW more and less with the market, and make it up at the utility."""
    move = np.zeros(outcome.trade_kw.size)
    case = quantity_case(11, rows=2)
    members = np.flatnonzero(case.lam_of == np.argmax(case.members))
    move[members[:2]] = [1e-4, -1e-4]
    return move
