"""What the certificate must catch: every kind of wrong outcome, told by its own figure."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from market.analysis.certificate import Announced, Certificate, certify
from market.analysis.settlement import trade_payment
from market.analysis.tolerance import exceeds
from market.files.case_file import read_case
from market.model.case import Case, Grid, Resources, Tariff
from market.solver.clearing import clear

CASES = Path(__file__).parents[1] / "cases"
NAMES = sorted(path.name.removesuffix(".solution.json") for path in CASES.glob("*.solution.json"))
NAMES = [name for name in NAMES if not name.startswith("infeasible")]


def solved(name):
    case = read_case(CASES / f"{name}.json")
    return case, clear(case)


def claims(case, outcome):
    """Everything that is said about an outcome, to be changed by a story."""
    wam = outcome.wam
    return {
        "trade_kw": outcome.trade_kw,
        "output_kw": outcome.output_kw,
        "price": outcome.price,
        "net_kw": wam.net_kw,
        "grid_kw": wam.grid_kw,
        "energy_price": wam.energy_price,
        "row_dual": wam.row_dual,
        "announced": Announced(
            wam.price,
            wam.parts,
            trade_payment(outcome.price[case.lam_of], case.fee[case.lam_of], outcome.trade_kw),
        ),
    }


def judged(case, outcome, **changes):
    return exceeds(certify(case, **(claims(case, outcome) | changes)), case)


def moved(case, outcome, prosumer, by_kw):
    """An outcome in which one prosumer trades more, balanced by its first resource and by the grid."""
    trade_kw, output_kw = outcome.trade_kw.copy(), outcome.output_kw.copy()
    resource = np.flatnonzero(case.resources.owner == prosumer)[0]
    trade_kw[prosumer] += by_kw
    output_kw[resource] -= by_kw
    net_kw = case.net_kw(trade_kw)
    announced = replace(
        claims(case, outcome)["announced"],
        payment=trade_payment(outcome.price[case.lam_of], case.fee[case.lam_of], trade_kw),
    )
    return {
        "trade_kw": trade_kw,
        "output_kw": output_kw,
        "net_kw": net_kw,
        "grid_kw": case.grid_kw(net_kw),
        "announced": announced,
    }


def interior(case, outcome):
    """A prosumer that trades and whose first resource has room on both sides."""
    first = np.array(
        [np.flatnonzero(case.resources.owner == j)[:1].sum() for j in range(case.demand_kw.size)]
    )
    resources = case.resources
    room = np.minimum(outcome.output_kw - resources.min_kw, resources.max_kw - outcome.output_kw)[first]
    has = np.isin(np.arange(case.demand_kw.size), resources.owner) & (resources.cost_quadratic[first] > 0)
    return int(np.argmax(np.where(has, np.minimum(room, np.abs(outcome.trade_kw)), -1.0)))


@pytest.mark.parametrize("name", NAMES)
def test_an_equilibrium_keeps_every_tolerance(name):
    assert judged(*solved(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_local_price_that_is_shifted(name):
    case, outcome = solved(name)
    price = outcome.price.copy()
    price[0] += 1e-3
    assert any("a price misses" in text for text in judged(case, outcome, price=price))


@pytest.mark.parametrize("name", ["rows-binding", "one-lam", "two-lams", "price-taking"])
def test_all_prices_shifted_together(name):
    """Prices that agree with each other but not with anyone's wish to trade."""
    case, outcome = solved(name)
    by, wam = 1e-3, outcome.wam
    announced = claims(case, outcome)["announced"]
    announced = replace(
        announced,
        wam_price=wam.price + case.balance * by,
        parts=replace(
            wam.parts,
            energy=wam.parts.energy + by,
            loss=wam.parts.loss + (case.balance - 1.0) * by,
        ),
        payment=trade_payment(
            (outcome.price + case.balance * by)[case.lam_of], case.fee[case.lam_of], outcome.trade_kw
        ),
    )
    found = judged(
        case,
        outcome,
        price=outcome.price + case.balance * by,
        energy_price=wam.energy_price + by,
        announced=announced,
    )
    assert any("gains by another bid" in text or "duality gap" in text for text in found)
    assert not any("a price misses" in text or "a payment misses" in text for text in found)


@pytest.mark.parametrize("name", ["rows-binding", "one-lam", "two-lams", "weak-sensitivity"])
def test_a_trade_that_is_one_percent_off(name):
    case, outcome = solved(name)
    prosumer = interior(case, outcome)
    trade_kw = outcome.trade_kw.copy()
    trade_kw[prosumer] *= 1.01
    assert any("balance" in text for text in judged(case, outcome, trade_kw=trade_kw))
    # Even where output, net purchase and grid follow, so that every balance holds.
    found = judged(case, outcome, **moved(case, outcome, prosumer, 0.01 * outcome.trade_kw[prosumer]))
    assert any("gain" in text or "duality gap" in text for text in found)
    assert not any("balance" in text for text in found)


def test_a_row_that_is_violated():
    """The equilibrium of a market that does not know the network."""
    case, _ = solved("rows-binding")
    blind = clear(replace(case, network=None))
    no_rows = np.zeros(case.network.base.size)
    found = judged(case, blind, row_dual=no_rows)
    assert any("network row" in text for text in found)


def test_a_grid_limit_that_is_violated():
    """A village that would rather import than run its own resources."""
    case = village(5)
    thirsty = replace(case, grid=replace(case.grid, import_price=0.02))
    bounded = replace(thirsty, grid=replace(thirsty.grid, import_limit_kw=1.0))
    assert judged(bounded, clear(bounded)) == []
    assert any("limit of power" in text for text in judged(bounded, clear(thirsty)))


def test_an_output_beyond_its_limit_though_all_balances_hold():
    case, outcome = solved("two-lams")
    resource = 0
    prosumer = case.resources.owner[resource]
    beyond = case.resources.max_kw[resource] + 0.1 - outcome.output_kw[resource]
    found = judged(case, outcome, **moved(case, outcome, prosumer, -beyond))
    assert any("limit of power is missed by 0.1 kW" in text for text in found)


def test_a_price_on_a_limit_that_does_not_bind():
    case, outcome = solved("rows-binding")
    loose = replace(case.network, upper=case.network.upper + 1.0, lower=case.network.lower - 1.0)
    assert any("does not bind" in text for text in judged(replace(case, network=loose), outcome))


def village(members, seed=7):
    """One LAM of members that differ, with a grid that may stay away."""
    rng = np.random.default_rng(seed)
    one, each = np.ones(1), np.arange(members)
    return Case(
        prosumer_id=tuple(f"p{j}" for j in each),
        lam_id=("A",),
        lam_of=np.zeros(members, dtype=np.intp),
        demand_kw=np.where(each % 3 == 0, 0.0, 3.0) + rng.uniform(0.0, 1.0, members),
        resources=Resources(
            each,
            np.zeros(members),
            np.full(members, 5.0),
            rng.uniform(0.05, 0.2, members),
            np.full(members, 0.04),
        ),
        sensitivity=10.0 * one,
        fee=0.0 * one,
        wam_sensitivity=100.0,
        wam_fee=0.0 * one,
        balance=one,
        offset_kw=0.0,
        network=None,
        grid=Grid(0.3, 0.01, 100.0, 100.0),
        tariff=Tariff(0.35, 0.01),
    )


def passed_off(case):
    """The social optimum with its own prices, as an outcome of the market."""
    ideal = replace(case, fee=0.0 * case.fee, wam_fee=0.0 * case.wam_fee, sensitivity=1e9 * case.sensitivity)
    return clear(replace(ideal, wam_sensitivity=1e9))


def test_the_social_optimum_of_a_small_market_is_not_its_equilibrium():
    gains = {}
    for members in (3, 10, 100):
        case = village(members)
        proof = certify(case, **claims(case, passed_off(case)))
        gains[members] = proof.prosumer_gain
        assert any("a prosumer gains" in text for text in exceeds(proof, case))
        assert exceeds(certify(case, **claims(case, clear(case))), case) == []
    assert gains[3] > 5 * gains[10] > 25 * gains[100] > 0


@pytest.mark.parametrize("name", ["rows-binding", "two-lams", "export-limit"])
def test_fees_and_strategic_terms_left_out_over_the_feeder(name):
    case, _ = solved(name)
    found = judged(case, passed_off(case))
    assert any("gains by another bid" in text for text in found)


def test_a_prosumer_that_buys_and_sells_at_once_pays_two_fees():
    """One signed trade cannot say it, but the payment would: 1 kW more each way costs 2 delta."""
    case, outcome = solved("rows-binding")
    announced = claims(case, outcome)["announced"]
    payment = announced.payment.copy()
    payment[3] += 2.0 * case.fee[case.lam_of[3]] * 1.0
    assert case.fee[case.lam_of[3]] > 0
    (found,) = judged(case, outcome, announced=replace(announced, payment=payment))
    assert "a payment misses" in found


def test_a_payment_of_the_wrong_sign():
    case, outcome = solved("two-lams")
    announced = claims(case, outcome)["announced"]
    seller = int(np.argmin(outcome.trade_kw))
    payment = announced.payment.copy()
    payment[seller] = -payment[seller]
    (found,) = judged(case, outcome, announced=replace(announced, payment=payment))
    assert "a payment misses" in found


@pytest.mark.parametrize("pair", [("energy", "loss"), ("voltage", "congestion"), ("loss", "voltage")])
def test_a_dlmp_split_by_the_wrong_cause(pair):
    case, outcome = solved("rows-binding")
    announced = claims(case, outcome)["announced"]
    part, other = pair
    parts = announced.parts
    swapped = replace(parts, **{part: getattr(parts, other), other: getattr(parts, part)})
    (found,) = judged(case, outcome, announced=replace(announced, parts=swapped))
    assert "a price misses" in found


def test_a_part_that_is_left_out_of_the_dlmp():
    case, outcome = solved("rows-binding")
    announced = claims(case, outcome)["announced"]
    without = replace(announced, wam_price=announced.parts.energy + announced.parts.loss)
    (found,) = judged(case, outcome, announced=without)
    assert "a price misses" in found


MEASURES = [field.name for field in fields(Certificate) if "Measure" in str(field.type)]


@pytest.mark.parametrize("name", MEASURES)
def test_a_figure_that_is_not_a_number_is_never_within_tolerance(name):
    case, outcome = solved("rows-binding")
    proof = certify(case, **claims(case, outcome))
    held = getattr(proof, name)
    for measure in held if isinstance(held, list) else [held]:
        for place in (0, measure.miss.size - 1):
            miss = measure.miss.copy()
            miss[place] = np.nan
            off = replace(measure, miss=miss)
            changed = [off if each is measure else each for each in held] if isinstance(held, list) else off
            (found,) = exceeds(replace(proof, **{name: changed}), case)
            assert "nan" in found
