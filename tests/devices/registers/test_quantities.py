"""Which point a quantity is read from, for a client and for the device's own program alike."""

import pytest

from devices.registers.profiles import load_profile
from devices.registers.quantities import Term, first_values, point_names, terms_of
from devices.registers.ratings import Ratings, percent_of

POWER = Term("p_kw", (("power", 1),), 0.001)
PHASES = Term("p_kw", (("l1", 1), ("l2", 1), ("l3", 1)), 0.001)
NET = Term("p_kw", (("out", 1), ("in", -1)), 1.0)


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ({"power": 2000.0, "l1": 1.0}, {POWER: 2.0}),
        ({"power": None, "l1": 500.0, "l2": 250.0, "l3": None}, {PHASES: 0.75}),
        ({"power": 0.0, "l1": 500.0}, {POWER: 0.0}),
        ({"power": None, "l1": None}, {}),
        ({}, {}),
    ],
)
def test_the_first_term_that_tells_a_value_counts(read, expected):
    assert dict(first_values((POWER, PHASES), read)) == expected


@pytest.mark.parametrize(
    ("read", "expected"),
    [({"out": 3.0, "in": 1.0}, 2.0), ({"out": None, "in": 1.0}, -1.0), ({"out": None, "in": None}, None)],
)
def test_what_is_taken_off_counts_the_other_way(read, expected):
    assert NET.value(read) == expected


def test_terms_bring_points_to_the_unit_of_their_quantity():
    profile = load_profile("sunspec-pv")
    terms = terms_of(profile, ("p_kw", "rating_kw"))
    assert {term.quantity for term in terms} == {"p_kw", "rating_kw"}
    assert {term.factor for term in terms} == {1e-3}
    assert len(point_names((*terms, *terms))) == len({name for term in terms for name in term.names})


@pytest.mark.parametrize("told", [None, 0.0])
def test_a_battery_without_rates_of_its_own_has_those_of_its_inverter(told):
    quantities = {"rating_kw": 5.0, "charge_kw": told, "discharge_kw": 4.0}
    assert Ratings.of(quantities) == Ratings(5.0, 5.0, 4.0)
    assert Ratings.of({}) == Ratings(None)


def test_no_power_is_a_share_of_a_rating_that_is_not_told():
    assert percent_of(1.0, None) is None
    assert percent_of(1.0, 0.0) is None
    assert percent_of(0.0, None) == 0.0
    assert percent_of(1.0, 4.0) == 25.0
