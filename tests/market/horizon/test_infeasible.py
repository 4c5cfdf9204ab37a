"""What no trades over a horizon can meet is named, with the amount."""

from dataclasses import replace

import pytest

from market.errors import Infeasible
from market.horizon.clearing import clear_horizon
from market.horizon.infeasible import least_violation
from market.horizon.stores import within_reach
from tests.market.horizon.test_against_one_program import any_town
from tests.market.horizon.town import with_more_stores

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
