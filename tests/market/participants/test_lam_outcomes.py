"""Outcomes of LAM hosts side by side, and what stands for a host that was not heard."""

import numpy as np
import pytest

from broker.messages import Exchange, LamOutcome, columns
from market.model.case import Tariff
from market.participants.audit.interval_case import members_without_bid
from market.participants.lam_outcomes import read_lam_outcomes
from tests.market.participants import world

TARIFF = Tariff(retail=0.4, feed_in=0.1)
ROSTER = world.roster({"north": [0, 2], "south": [1]})


def outcome(host, price, missing=()):
    """Outcome of a host in which member ``j`` trades ``j`` kW."""
    lams = ROSTER.lam_hosts[host]
    members = np.flatnonzero(np.isin(ROSTER.lam, lams))
    return LamOutcome(
        run="r1",
        sender=host,
        tick=0,
        seq=1,
        lam=columns.pack_index(lams),
        price=columns.pack(np.full(lams.size, price)),
        net_kw=columns.pack(10.0 * lams),
        wam_price=columns.pack(np.full(lams.size, price - 0.01)),
        prosumer=columns.pack_index(members),
        trade_kw=columns.pack(members),
        trade_price=columns.pack(np.full(members.size, price)),
        alone=False,
        refused=[],
        missing=list(missing),
        exchange=Exchange(rounds=1, messages=1, bytes=8),
    )


def test_every_host_fills_in_its_own_lams_and_members():
    found = read_lam_outcomes(ROSTER, TARIFF, [outcome("south", 0.2), outcome("north", 0.3)])
    assert found.trade_kw.tolist() == list(range(len(ROSTER.prosumers)))
    assert found.price.tolist() == [0.3, 0.2, 0.3]
    assert found.wam_price.tolist() == pytest.approx([0.29, 0.19, 0.29])
    assert found.net_kw.tolist() == [0.0, 10.0, 20.0]
    assert not found.alone.any()
    np.testing.assert_array_equal(found.payment_per_h, found.trade_kw * found.price[ROSTER.lam])


def test_lams_of_a_silent_host_are_alone_at_the_tariff_and_allocated_nothing():
    found = read_lam_outcomes(ROSTER, TARIFF, [outcome("north", 0.3)])
    silent = ROSTER.lam == 1
    assert found.alone.tolist() == [False, True, False]
    assert found.price[1] == 0.25
    assert found.wam_price[1] == 0.4
    assert (found.trade_kw[silent] == 0.0).all()
    assert (found.trade_price[silent] == 0.4).all()


def test_members_without_a_bid_are_those_that_hosts_name():
    outcomes = [outcome("north", 0.3, ["p0"]), outcome("south", 0.2, ["p4", "p3"])]
    assert np.flatnonzero(members_without_bid(ROSTER, outcomes)).tolist() == [0, 3, 4]


def test_somebody_who_takes_no_part_cannot_be_without_a_bid():
    with pytest.raises(KeyError, match="stranger"):
        members_without_bid(ROSTER, [outcome("north", 0.3, ["stranger"])])
