from dataclasses import fields

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.population.build import build_population
from cosim.population.members import LamSites, apportion, choose_live
from cosim.scenario import Scenario, ScenarioError

replace = msgspec.structs.replace


def sites(*spot_kw: float) -> LamSites:
    return LamSites(
        tuple(f"b{k}" for k in range(len(spot_kw))), np.array(spot_kw), np.full(len(spot_kw), 0.5)
    )


def scenario(prosumers: int = 200, seed: int = 1, per_lam: int = 1, **section: object) -> Scenario:
    default = Scenario()
    return replace(
        default,
        run=replace(default.run, seed=seed),
        population=replace(default.population, prosumers=prosumers, **section),
        live=replace(default.live, per_lam=per_lam),
    )


def same(a, b) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def test_equal_seeds_give_equal_bits_and_others_do_not():
    place = sites(40.0, 20.0, 75.0)
    assert same(build_population(scenario(), place), build_population(scenario(), place))
    assert not same(build_population(scenario(), place), build_population(scenario(seed=2), place))


def test_one_key_leaves_the_other_attributes_alone():
    place = sites(40.0, 20.0, 75.0)
    before = build_population(scenario(), place)
    after = build_population(scenario(annual_kwh_median=3000.0), place)
    assert np.allclose(after.annual_kwh, 1.5 * before.annual_kwh)
    assert np.array_equal(after.pv_kwp, before.pv_kwp)
    assert np.array_equal(after.live, before.live)


def test_largest_remainder_by_hand():
    # Fair shares of 10 are 4.286, 2.857, 2.857: floors leave two, which go to the larger remainders.
    assert apportion(10, np.array([3.0, 2.0, 2.0]), 0).tolist() == [4, 3, 3]
    assert apportion(10, np.array([98.0, 1.0, 1.0]), 2).tolist() == [6, 2, 2]
    assert apportion(6, np.array([0.0, 0.0, 0.0]), 1).tolist() == [2, 2, 2]
    assert apportion(6, np.array([9.0, 1.0, 0.0]), 2).tolist() == [2, 2, 2]


@given(
    weights=st.lists(st.floats(0.0, 1e3), min_size=1, max_size=30),
    minimum=st.integers(0, 4),
    extra=st.integers(0, 500),
)
def test_apportioned_numbers_add_up_keep_the_minimum_and_the_order(weights, minimum, extra):
    total = minimum * len(weights) + extra
    counts = apportion(total, np.array(weights), minimum)
    assert counts.sum() == total
    assert counts.min() >= minimum
    order = np.argsort(weights, kind="stable")
    assert (np.diff(counts[order]) >= -1).all()
    fair = (
        total * np.array(weights) / sum(weights)
        if sum(weights) > 0
        else np.full(len(weights), total / len(weights))
    )
    if fair.min() >= minimum:
        assert np.abs(counts - fair).max() < 1.0 + 1e-9


def test_members_follow_spot_load_in_the_order_of_lams():
    people = build_population(scenario(prosumers=135), sites(40.0, 20.0, 75.0))
    assert np.bincount(people.lam).tolist() == [40, 20, 75]
    assert (np.diff(people.lam) >= 0).all()
    assert people.id[0] == "p00001"
    assert len(set(people.id)) == 135


@pytest.mark.parametrize("per_lam", [0, 1, 3])
def test_live_prosumers_own_a_device_and_shed_nothing(per_lam):
    section = Scenario().population
    poor = replace(section.pv, share=0.0)
    people = build_population(scenario(per_lam=per_lam, pv=poor), sites(40.0, 20.0, 75.0))
    assert np.bincount(people.lam[people.live], minlength=3).tolist() == [per_lam] * 3
    assert ((people.pv_kwp > 0) | (people.battery_kwh > 0))[people.live].all()
    assert not people.flexible_fraction[people.live].any()
    assert people.flexible_fraction.any()


def test_owners_go_live_before_others_by_lot():
    lam = np.array([0, 0, 0, 1, 1])
    owner = np.array([False, True, True, False, False])
    lot = np.array([0.1, 0.9, 0.5, 0.7, 0.2])
    assert choose_live(lam, owner, 1, lot).tolist() == [False, False, True, False, True]
    assert choose_live(lam, owner, 9, lot).all()


def test_attributes_lie_in_the_ranges_of_the_scenario():
    section = Scenario().population
    people = build_population(scenario(prosumers=4000), sites(1.0, 1.0))
    pv, battery = people.pv_kwp[people.pv_kwp > 0], people.battery_kwh > 0
    assert abs(len(pv) / 4000 - section.pv.share) < 0.03
    assert section.pv.kwp_min <= pv.min() <= pv.max() <= section.pv.kwp_max
    assert np.allclose(people.battery_kw[battery], section.battery.kw_per_kwh * people.battery_kwh[battery])
    assert abs(np.median(people.annual_kwh) / section.annual_kwh_median - 1.0) < 0.04
    assert people.opinion.max() < section.outlook.opinions


def test_too_few_prosumers_for_the_feeder_is_said_with_the_number_needed():
    with pytest.raises(ScenarioError, match=r"population\.prosumers: 5 are too few for 3 .* give 6 or more"):
        build_population(scenario(prosumers=5), sites(1.0, 1.0, 1.0))
