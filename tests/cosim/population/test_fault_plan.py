from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from cosim.population.fault_plan import plan_faults
from cosim.scenario import ScenarioError, load_scenario
from cosim.scenario.faults import FaultOrder
from devices.faults.fault import KINDS


@dataclass
class People:
    """Forty prosumers, every second one live, every fourth with a battery."""

    id = tuple(f"p{k}" for k in range(40))
    live = np.arange(40) % 2 == 0
    pv_kwp = np.where(np.arange(40) % 2 == 0, 5.0, 0.0)
    has_battery = np.arange(40) % 4 == 0


def plan(*orders, seed=1, intervals=48):
    scenario = load_scenario(seed=seed)
    faults = tuple(FaultOrder(**order) for order in orders)
    return plan_faults(msgspec.structs.replace(scenario, faults=faults), People(), intervals)


def test_a_share_draws_that_many_and_spreads_over_prosumers():
    found = plan(
        {"kind": "silent", "share": 0.5, "first_interval": 3, "intervals": 2}, {"kind": "sign", "share": 0.5}
    )
    assert len(found) == 20
    assert len({fault.prosumer for fault in found}) == 20
    assert {(fault.first, fault.last) for fault in found if fault.kind == "silent"} == {(3, 4)}


def test_small_shares_strike_at_least_one_and_usual_sizes_are_filled_in():
    (found,) = plan({"kind": "scale", "share": 0.001})
    assert found.size == 10.0
    (found,) = plan({"kind": "scale", "share": 0.001, "size": 0.1})
    assert found.size == 0.1


def test_a_rate_draws_beginnings_that_do_not_overlap():
    found = plan({"kind": "stuck", "prosumers": ["p2"], "rate": 0.3, "intervals": 3, "first_interval": 5})
    firsts = [fault.first for fault in found]
    assert len(found) > 3
    assert min(firsts) >= 5
    assert min(np.diff(firsts)) >= 3
    assert all(fault.last < 48 for fault in found)


def test_the_seed_decides_alone():
    order = {"kind": "lost", "device": "battery", "share": 0.3, "rate": 0.1}
    assert plan(order) == plan(order)
    assert plan(order) != plan(order, seed=2)


def test_a_fault_after_the_end_does_not_happen():
    assert plan({"kind": "sign", "share": 0.1, "first_interval": 48}) == ()


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"kind": "sign", "device": "pv", "share": 0.1}, r"faults, entry 1: a pv cannot have 'sign'"),
        ({"kind": "lost", "share": 0.1}, "a meter cannot have 'lost'"),
        ({"kind": "silent", "prosumers": ["p1"]}, "p1 has no emulated meter"),
        ({"kind": "lost", "device": "battery", "prosumers": ["p2"]}, "p2 has no emulated battery"),
        ({"kind": "silent"}, "share above 0"),
    ],
)
def test_what_cannot_fail_is_named(order, message):
    with pytest.raises(ScenarioError, match=message):
        plan(order)


def test_every_kind_of_fault_can_be_ordered():
    assert msgspec.json.schema(FaultOrder)["$defs"]["FaultOrder"]["properties"]["kind"]["enum"] == sorted(
        KINDS
    )
