"""The auditor certifies what was cleared, tells what is wrong with it, and stays quiet where nothing was."""

import base64

import numpy as np
import pytest

from broker.messages import columns
from market.analysis.reference import lam_only, no_sharing, optimum, single_layer
from market.analysis.settlement import wam_surplus
from market.solver.clearing import clear
from tests.market.participants import world


def audit(town, tick):
    (said,) = town.said(town.topics.audit, tick)
    assert said == town.clerk.audits[tick]
    return said


def own_cost(case, output_kw):
    return np.bincount(case.resources.owner, case.resources.cost(output_kw), minlength=case.demand_kw.size)


async def test_a_quiet_interval_is_certified_and_compared(town):
    for tick in range(2):
        await town.interval(tick)
    case, said = world.case(1), audit(town, 1)
    assert (said.beyond, said.notes) == ([], [])
    figures = said.certificate
    assert max(figures.balance_kw, figures.prosumer_gain, figures.lam_gain, abs(figures.duality_gap)) < 1e-9
    costs = {each.name: (each.cost, each.violated) for each in said.benchmarks}
    wanted = {
        "no_sharing": no_sharing(case),
        "lam_only": lam_only(case),
        "single_layer": single_layer(case),
        "single_layer_network": single_layer(case, with_network=True),
        "optimum": optimum(case),
    }
    assert costs == {
        name: (pytest.approx(each.social_cost * world.DT_H), each.violations) for name, each in wanted.items()
    }
    assert said.market_cost == pytest.approx(clear(case).social_cost * world.DT_H)
    gain = wanted["no_sharing"].social_cost - clear(case).social_cost
    assert said.efficiency == pytest.approx(
        gain / (wanted["no_sharing"].social_cost - wanted["optimum"].social_cost)
    )


async def test_savings_are_what_each_pays_alone_less_what_it_pays_in_the_market(town):
    await town.interval(0)
    case, outcome = world.case(0), clear(world.case(0))
    apart = no_sharing(case)
    alone = np.where(apart.trade_kw > 0, case.tariff.retail, case.tariff.feed_in) * apart.trade_kw
    paid = outcome.price[case.lam_of] * outcome.trade_kw + case.fee[case.lam_of] * np.abs(outcome.trade_kw)
    saved = alone + own_cost(case, apart.output_kw) - paid - own_cost(case, outcome.output_kw)
    told = columns.unpack(audit(town, 0).saving, len(world.NAMES))
    np.testing.assert_allclose(told, saved * world.DT_H, rtol=0, atol=1e-9)


async def test_rents_add_up_to_what_the_wam_keeps(town):
    await town.interval(0)
    rents, booking = audit(town, 0).rents, town.clerk.bookings[0]
    kept = rents.fees + rents.loss + rents.voltage + rents.congestion + rents.limits
    assert kept == pytest.approx(booking.wam_surplus_usd, abs=1e-5)
    wam, case = clear(world.case(0)).wam, world.case(0)
    wanted = wam_surplus(
        wam.net_kw, case.wam_fee, wam.energy_price, wam.row_dual, case.network, case.grid, case.offset_kw
    )
    assert rents.voltage == pytest.approx(wanted.rows[0] * world.DT_H)
    assert (rents.voltage != 0.0, rents.congestion, rents.limits) == (True, 0.0, 0.0)
    assert booking.lam_surplus.min() >= 0.0


async def test_two_operators_are_audited_as_one(town_of):
    async with town_of(lam_hosts={"north": [0, 2], "south": [1]}) as town:
        await town.interval(0)
        assert (audit(town, 0).beyond, audit(town, 0).notes) == ([], [])


def swapped(fields):
    return fields | {"energy": fields["loss"], "loss": fields["energy"]}


def with_trade_off(fields):
    """One percent more for one member, in the record and not in its award."""
    trade_kw = columns.unpack(base64.b64decode(fields["trade_kw"])).copy()
    trade_kw[4] *= 1.01
    return fields | {"trade_kw": base64.b64encode(columns.pack(trade_kw)).decode()}


def with_fee_forgotten(fields):
    price = columns.unpack(base64.b64decode(fields["price"]))
    return fields | {"trade_price": base64.b64encode(columns.pack(price[world.LAM_OF])).decode()}


@pytest.mark.parametrize(
    ("topic", "change", "words"),
    [
        ("wam/outcome", swapped, "a price misses what it must be"),
        ("lam-outcome/lams", with_trade_off, "a balance or limit of power is missed"),
        ("lam-outcome/lams", with_fee_forgotten, "a payment misses what is due"),
    ],
)
async def test_what_is_told_wrongly_is_found(town, topic, change, words):
    await town.interval(0)
    town.rewrite(f"{town.topics.root}/{topic}", change, tick=1)
    await town.interval(1)
    assert words in " ".join(audit(town, 1).beyond)
    await town.interval(2)
    assert audit(town, 2).beyond == []


async def test_a_market_with_a_silent_member_is_certified_as_it_was_bid(town):
    await town.interval(0)
    town.lose(town.topics.bid("A", "p0"), tick=1)
    await town.interval(1)
    said = audit(town, 1)
    assert said.beyond == []
    assert said.certificate.prosumer_gain < 1e-9
    assert said.notes == ["no benchmarks: some did not take part in the clearing"]
    assert (said.benchmarks, said.saving, said.market_cost) == ([], b"", None)
    assert said.rents is not None


async def test_where_the_wam_was_silent_there_is_nothing_to_certify(town):
    await town.interval(0)
    town.lose(town.topics.wam_outcome, tick=1)
    await town.interval(1)
    said = audit(town, 1)
    assert said.certificate is None
    assert said.notes == ["neither certificate nor benchmarks: the WAM was silent"]


async def test_held_prices_are_no_equilibrium(town):
    await town.interval(0)
    town.lose(town.topics.feeder_reply, tick=1)
    await town.interval(1)
    assert town.outcome(1).status == "held"
    assert audit(town, 1).notes == ["neither certificate nor benchmarks: the last prices were held"]


async def test_a_silent_lam_leaves_nothing_to_certify(town):
    await town.interval(0)
    town.lose(town.topics.lam_bid("B"), tick=1)
    await town.interval(1)
    assert audit(town, 1).notes == ["neither certificate nor benchmarks: LAM B was silent"]


async def test_lost_positions_are_named(town):
    await town.interval(0)
    town.lose(town.topics.position("live"), tick=1)
    await town.interval(1)
    assert audit(town, 1).notes == [
        "neither certificate nor benchmarks: positions of 3 prosumers are missing"
    ]


async def test_nonsense_counts_as_silence_and_does_not_end_the_auditor(town):
    await town.interval(0)
    short = base64.b64encode(columns.pack([1.0])).decode()
    town.rewrite(town.topics.position("live"), lambda fields: fields | {"min_kw": short}, tick=1)
    await town.interval(1)
    assert audit(town, 1).notes == [
        "neither certificate nor benchmarks: positions of 3 prosumers are missing"
    ]
    assert any(topic == "position/live" and "min_kw" in why for topic, why in town.refusals(1))
    await town.interval(2)
    assert audit(town, 2).certificate is not None


async def test_nobody_waits_for_an_auditor_that_is_gone(town):
    await town.interval(0)
    await town.stop("auditor")
    await town.interval(1)
    assert town.clerk.audits[1] is None
    assert 1 in town.clerk.bookings
    await town.start("auditor")
    await town.interval(2)
    assert audit(town, 2).beyond == []
