"""Stores that keep hardly anything of their energy from one interval to the next clear as all others."""

from dataclasses import replace

import numpy as np
import pytest

from market.horizon.clearing import clear_horizon
from market.horizon.proof import beyond_tolerance, certify_horizon
from market.horizon.stores import within_reach
from market.oracles.horizon import solve_horizon
from tests.market.horizon.objective import objective
from tests.market.horizon.town import town

QUARTER_HOURS = 96


def leaky(seed, T, kept):
    """A town of which every other store keeps a part of its energy over an interval."""
    case = town(seed, T=T)
    retention = np.where(np.arange(len(case.stores)) % 2 == seed % 2, kept, case.stores.retention)
    stores, _ = within_reach(replace(case.stores, retention=retention), case.hours)
    return replace(case, stores=stores)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kept", [0.5, 1e-40, 1e-174])
def test_what_little_is_kept_is_the_optimum_of_the_program(seed, kept):
    case = leaky(seed, 8, kept)
    outcome = clear_horizon(case)
    assert objective(case, outcome) == pytest.approx(solve_horizon(case).objective, rel=1e-7)
    assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kept", [0.02, np.exp(-25.0), 1e-60, 1e-300])
def test_it_is_proven_however_many_intervals_there_are(seed, kept):
    case = leaky(seed, QUARTER_HOURS, kept)
    outcome = clear_horizon(case)
    assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == []
    assert (outcome.energy_value[:, :-1] != 0).any()
