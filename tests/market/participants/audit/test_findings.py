from types import SimpleNamespace

import numpy as np
import pytest

from market.participants.audit.findings import reactive_errors
from market.solver.reactive import Inverters

SMALL_AND_LARGE = np.array([1e-3, 500.0])
INVERTERS = Inverters(
    limit_kvar=SMALL_AND_LARGE,
    present_kvar=np.zeros(2),
    balance=np.array([0.01, -0.02]),
    matrix=np.array([[1e-4, 2e-4]]),
)
ENERGY_PRICE, ROW_DUAL = 0.1, np.array([3.0])


def told(kvar_off=0.0, price_off=0.0):
    """What an outcome says, with the first LAM's small inverters off by so much."""
    price = INVERTERS.price(ENERGY_PRICE, ROW_DUAL)
    kvar = INVERTERS.answer_kvar(price)
    first = np.array([1.0, 0.0])
    return SimpleNamespace(
        energy_price=ENERGY_PRICE,
        inverter_price=(price + price_off * first).tolist(),
        inverter_kvar=(kvar + kvar_off * first).tolist(),
    )


def test_best_replies_are_found_right():
    assert reactive_errors(INVERTERS, told(), ROW_DUAL) == []
    assert reactive_errors(None, told(), ROW_DUAL) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kvar_off": 0.01 * SMALL_AND_LARGE[0]}, "a reactive set-point is 1e-05 kvar off its best reply"),
        ({"kvar_off": np.nan}, "a reactive set-point is nan kvar off"),
        ({"price_off": 1e-8}, "a reactive price is 1e-08 $/kvarh off"),
    ],
)
def test_small_inverters_are_not_judged_by_large_ones(wrong, words):
    (found,) = reactive_errors(INVERTERS, told(**wrong), ROW_DUAL)
    assert words in found
