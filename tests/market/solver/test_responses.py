from dataclasses import replace

import numpy as np
import pytest

from cosim.market_studies.cases import random_prosumers
from market.model.case import Resources
from market.solver import responses
from market.solver.clearing import clear


def market(seed, *, shuffled=False):
    """200 prosumers in 9 LAMs, one of which has no members, in the LAMs' order or in none."""
    rng = np.random.default_rng(seed)
    lam_of = np.sort(rng.choice([0, 1, 2, 3, 5, 6, 7, 8], 200))
    case = random_prosumers(rng, rng.permutation(lam_of) if shuffled else lam_of, 9)
    if shuffled:
        order = rng.permutation(case.resources.owner.size)
        case = replace(
            case, resources=Resources(*(column[order] for column in vars(case.resources).values()))
        )
    return case


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize(("block", "kept"), [(1, 10**6), (30, 10**6), (30, 0)])
def test_blocks_of_any_size_give_the_same_bits(monkeypatch, shuffled, block, kept):
    case = market(3, shuffled=shuffled)
    whole = clear(case)
    monkeypatch.setattr(responses, "BLOCK", block)
    monkeypatch.setattr(responses, "KEPT", kept)
    parts = clear(case)
    for name in ("trade_kw", "output_kw", "price", "social_cost"):
        assert np.array_equal(getattr(parts, name), getattr(whole, name)), name


def test_responses_serve_other_networks_and_prices():
    case = market(4)
    known = responses.Responses(case)
    cheap = replace(case, grid=replace(case.grid, import_price=0.1))
    again, anew = clear(cheap, known), clear(cheap)
    assert np.array_equal(again.trade_kw, anew.trade_kw)
    assert not np.array_equal(again.trade_kw, clear(case, known).trade_kw)
