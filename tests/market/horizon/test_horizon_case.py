"""Cases over a horizon that contradict themselves are refused in one line."""

from dataclasses import replace

import numpy as np
import pytest

from market.errors import CaseError
from market.horizon.case import HorizonCase, check
from market.horizon.stores import joined_stores
from market.model.rule import QuantityBidding
from tests.market.horizon.town import battery, town


@pytest.fixture
def case():
    return town(1, T=4, stores=0.0)


def with_battery(case, **columns):
    return HorizonCase(case.intervals, replace(battery(4), **columns), case.hours)


def test_a_sound_case_passes(case):
    check(with_battery(case))
    check(town(3, T=5))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"initial_kwh": np.array([9.0])}, "store of p0: initial_kwh is outside its bounds; begin within"),
        ({"charge_kw": -np.ones((1, 4))}, "store of p0: charge_kw is negative at 0; give the most"),
        ({"lower_kwh": np.array([[0, 0, 0, 5.0, 0]])}, "store of p0: lower_kwh is above upper_kwh at 3"),
        ({"retention": np.array([1.2])}, "store of p0: retention is not within 0 and 1"),
        ({"drift_kwh": np.array([[0, np.nan, 0, 0]])}, "store of p0: drift_kwh is not finite at 1"),
        ({"charge_efficiency": np.full((1, 4), 1.2)}, "store of p0: gains energy by charging and disch"),
        ({"owner": np.array([8])}, "stores.owner: not a prosumer of the case"),
    ],
)
def test_wrong_columns_of_a_store_are_named(case, columns, says):
    with pytest.raises(CaseError, match=says):
        check(with_battery(case, **columns))


def test_of_several_stores_of_one_member_the_faulty_one_is_named(case):
    stores = joined_stores(
        [battery(4), battery(4, owner=1), replace(battery(4), initial_kwh=np.array([9.0]))]
    )
    with pytest.raises(CaseError, match="store 2 of p0: initial_kwh is outside its bounds"):
        check(HorizonCase(case.intervals, stores, case.hours))


def test_lengths_and_lams_must_agree(case):
    with pytest.raises(CaseError, match="stores: 3 intervals where the case has 4"):
        check(HorizonCase(case.intervals, battery(3), 1.0))
    other = replace(case.first, lam_of=case.first.lam_of[::-1])
    with pytest.raises(CaseError, match=r"intervals\[1\]: a prosumer changes its LAM"):
        check(HorizonCase((case.first, other, *case.intervals[2:]), battery(4), 1.0))
    quantity = replace(case.first, rule=QuantityBidding(np.ones(2)))
    with pytest.raises(CaseError, match="bids of quantities have no horizon"):
        check(HorizonCase((quantity, *case.intervals[1:]), battery(4), 1.0))
    with pytest.raises(CaseError, match="hours: 0 is not positive"):
        check(HorizonCase(case.intervals, battery(4), 0))
