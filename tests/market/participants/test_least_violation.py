"""When rounds of an interval end whose limits no trade keeps."""

from dataclasses import replace

import numpy as np
import pytest

from market.model.case import Grid
from market.model.curves import Curves
from market.participants.wam.clear_model import clear_model
from market.participants.wam.least_violation import NO_GAIN, Swinging, total_violation_kw
from market.solver.lam_bids import GridBids
from tests.market.participants import stand_ins, world

IMPOSSIBLE = replace(world.NETWORK, lower=np.array([2.0, -100.0]), upper=np.array([3.0, 100.0]))
TERMS = world.rules().terms(0)
BIDS = GridBids(Curves(np.tile([0.05, 0.20], 3), np.tile([5.0, -5.0], 3), 2 * np.arange(4)))


def errors(by_round):
    """The feeder's temper: limits that no trade keeps, and models that are off by ``by_round`` [pu]."""

    def temper(reply):
        error_pu = None if reply["round"] == 0 else by_round[reply["round"] - 1]
        severity = {0: 50.0, 1: 20.0}.get(reply["round"], 30.0)
        model = stand_ins.model(IMPOSSIBLE)
        return reply | {
            "model": model,
            "confirmed": False,
            "severity": severity,
            "linear_error_pu": error_pu,
        }

    return temper


async def test_rounds_end_where_models_swing_and_nothing_is_gained(town):
    town.feeder.temper = errors([0.010, 0.009, 0.009])
    await town.interval(0)
    outcome = town.outcome(0)
    assert (outcome.status, outcome.round, outcome.rounds) == ("unconfirmed", 1, 2)
    flags = town.flags(0)["wam"]
    assert "rounds end at 2: the next would violate limits hardly less" in flags
    assert flags[-1] == "unconfirmed: the least violating dispatch, of round 1"


async def test_rounds_go_on_while_models_become_truer(town):
    town.feeder.temper = errors([0.010, 0.005, 0.002])
    await town.interval(0)
    assert town.outcome(0).rounds == 3
    assert not any("rounds end" in flag for flag in town.flags(0)["wam"])


async def test_limits_that_stand_in_the_way_of_what_is_confirmed_make_no_price(town):
    """Round 1 gives way to limits at taps where its dispatch does not bring the regulators."""
    rounds = town.services["wam"].rounds

    def temper(reply):
        # What was confirmed first is the last of the rounds that an interval has.
        met = reply["round"] > rounds
        return (
            reply
            | {
                "model": stand_ins.model(IMPOSSIBLE if reply["round"] < rounds else world.NETWORK),
                "confirmed": reply["round"] >= rounds,
                "severity": 0.0,
                "linear_error_pu": None if reply["round"] == 0 else 0.02 * 0.5 ** reply["round"],
            }
            | ({"model": None} if met else {})
        )

    town.feeder.temper = temper
    await town.interval(0)
    outcome = town.outcome(0)
    assert (outcome.status, outcome.round, outcome.relaxed_name) == ("confirmed", rounds + 1, [])
    assert max(np.abs(outcome.price)) < 0.5
    assert any("no trade keeps" in flag for flag in town.flags(0)["wam"])


@pytest.fixture
def swinging():
    found = Swinging()
    for error_pu in (0.02, None, 0.019):
        found.judged(error_pu)
    return found


def test_a_gain_is_what_a_clearing_violates_less_by_the_same_model(swinging):
    model = stand_ins.model(IMPOSSIBLE)
    clearing = clear_model(BIDS, model, TERMS)
    assert clearing.relaxed
    least_kw = total_violation_kw(IMPOSSIBLE, TERMS.grid, clearing.flow_kw, clearing.grid_kw)
    # All draw as little as they can; a kW more at C, which moves the voltage most, is a kW of violation more.
    more = np.array([0.0, 0.0, 1.0])
    for gain, is_nothing in ((0.0, True), (0.5 * NO_GAIN, True), (2.0 * NO_GAIN, False)):
        last_kw = clearing.flow_kw + gain * least_kw * more
        assert swinging.gains_nothing(last_kw, clearing, model, TERMS.grid) is is_nothing


def test_rounds_go_on_where_limits_can_be_kept_or_models_do_not_swing(swinging):
    model = stand_ins.model(IMPOSSIBLE)
    clearing = clear_model(BIDS, model, TERMS)
    assert not Swinging().gains_nothing(clearing.flow_kw, clearing, model, TERMS.grid)
    kept = stand_ins.model(replace(IMPOSSIBLE, lower=np.array([0.0, -100.0])))
    clearing = clear_model(BIDS, kept, TERMS)
    assert not clearing.relaxed
    assert not swinging.gains_nothing(clearing.flow_kw, clearing, kept, TERMS.grid)


def test_violations_at_the_head_count():
    grid = Grid(import_price=0.2, export_price=0.1, import_limit_kw=10.0, export_limit_kw=5.0)
    none = np.zeros(3)
    assert total_violation_kw(world.NETWORK, grid, none, 12.0) == pytest.approx(2.0)
    assert total_violation_kw(world.NETWORK, grid, none, -8.0) == pytest.approx(3.0)
