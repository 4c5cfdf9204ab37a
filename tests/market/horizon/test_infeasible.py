"""What no trades over a horizon can meet is named, with the amount."""

from dataclasses import replace

import numpy as np
import pytest

from market.errors import Infeasible
from market.horizon.clearing import clear_horizon
from market.horizon.infeasible import least_violation
from market.horizon.stores import within_reach
from market.model.case import Network
from tests.market.horizon.test_against_one_program import any_town
from tests.market.horizon.town import battery, town, with_more_stores

AS_TOLD = r"^interval \d+: network row v\d with its lower limit of [\d.]+ cannot be met: [\d.e-]+ row units"


def homes(seed):
    """A town of any shape many of whose owners have several stores."""
    case = with_more_stores(any_town(seed), seed)
    return replace(case, stores=within_reach(case.stores, case.hours)[0])


@pytest.mark.parametrize("seed", [13, 104, 147])
def test_a_limit_whose_price_would_rise_without_end_is_named(seed):
    with pytest.raises(Infeasible, match=AS_TOLD):
        clear_horizon(homes(seed))


def is_refused(case):
    """Whether the clearing says that limits cannot be met; else it finds an outcome."""
    try:
        clear_horizon(case)
    except Infeasible:
        return True
    return False


def test_a_violation_is_left_where_no_outcome_is_found_and_nowhere_else():
    cases = [of(seed) for seed in range(80, 110) for of in (any_town, homes)]
    refused = [is_refused(case) for case in cases]
    assert [least_violation(case) is not None for case in cases] == refused
    assert sum(refused) > 10


def a_vehicle(limit_kw):
    """A town whose first household's vehicle wants 30 kWh in four hours, behind a voltage row for so much."""
    case = town(0, T=6, lams=2, members=2)
    lower = np.zeros((1, 7))
    lower[0, 4] = 30.0
    vehicle = replace(
        battery(6, kwh=40.0, kw=11.0, initial=0.0), lower_kwh=lower, discharge_kw=np.zeros((1, 6))
    )
    matrix, one = np.array([[-1e-3, 0.0]]), np.ones(1)
    intervals = tuple(
        replace(each, network=Network(matrix, one, one - 1e-3 * kw, 1.1 * one, np.ones(1, bool), ("bus 7",)))
        for each, kw in zip(case.intervals, limit_kw, strict=True)
    )
    return replace(case, intervals=intervals, stores=vehicle)


@pytest.mark.parametrize(
    ("limit_kw", "worst", "more"),
    [
        ((9, 9, 3, 9, 9, 9), ("interval 2", "0.997"), "3 more over 4"),
        ((12, 2, 3, 12, 1, 1), ("interval 1", "0.998"), "1 more over 2"),
    ],
)
def test_the_limit_that_is_missed_most_is_named_with_the_number_of_others_and_who_needs_it(
    limit_kw, worst, more
):
    with pytest.raises(Infeasible) as refused:
        clear_horizon(a_vehicle(limit_kw))
    told = str(refused.value)
    where, limit = worst
    assert told.startswith(f"{where}: network row bus 7 with its lower limit of {limit} cannot be met: 0.00")
    assert f"and {more} intervals; " in told
    assert told.endswith(" kW of it p0's")
    assert " kW of charging cannot wait then" in told


def test_where_no_store_must_charge_none_is_named():
    case = a_vehicle([1.0] * 6)
    case = replace(case, stores=replace(case.stores, lower_kwh=np.zeros((1, 7))))
    with pytest.raises(Infeasible, match=r"^interval 2: .* and 3 more over 4 intervals$"):
        clear_horizon(case)
