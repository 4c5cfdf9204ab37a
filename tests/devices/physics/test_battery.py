import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.physics.battery import advance, limits_kw, retention

CELL = {
    "soc": st.floats(0.0, 1.0),
    "kwh": st.floats(0.1, 50.0),
    "kw": st.floats(0.0, 30.0),
    "efficiency": st.floats(0.5, 1.0),
    "dt_h": st.floats(1e-3, 1.0),
}


def test_limits_by_hand():
    charge, discharge = limits_kw([0.5, 0.0, 1.0, 0.9], [10, 10, 10, 0], [5, 5, 5, 0], [0.9] * 4, 0.25)
    assert charge.tolist() == [5.0, 5.0, 0.0, 0.0]
    assert discharge.tolist() == [5.0, 0.0, 5.0, 0.0]
    assert limits_kw(0.1, 10.0, 5.0, 0.9, 0.25)[1] == pytest.approx(0.1 * 10 * 0.9 / 0.25)


def test_step_by_hand():
    soc = advance([0.5, 0.5, 0.5], [3.6, -4.0, 1.0], [10, 10, 0], [0.9, 0.9, 0.9], 0.25)
    assert soc == pytest.approx([0.5 - 0.1, 0.5 + 0.09, 0.5])
    assert advance(0.98 * 0.5, -4.0, 10.0, 0.9, 0.25) == pytest.approx(0.49 + 0.09)
    assert limits_kw(0.5 * 0.1, 10.0, 5.0, 0.9, 0.25)[1] == pytest.approx(0.05 * 10 * 0.9 / 0.25)


def test_steps_of_a_day_lose_together_what_a_day_loses():
    assert retention(0.0, 0.25) == 1.0
    assert retention(0.03, 24.0) == pytest.approx(0.97)
    assert retention(0.03, 0.25) ** 96 == pytest.approx(0.97)


@given(**CELL, kept=st.floats(0.01, 1.0))
def test_power_at_a_limit_ends_within_the_battery(soc, kwh, kw, efficiency, dt_h, kept):
    charge, discharge = limits_kw(kept * soc, kwh, kw, efficiency, dt_h)
    assert 0.0 <= charge <= kw
    assert 0.0 <= discharge <= kw
    full = advance(kept * soc, -charge, kwh, efficiency, dt_h)
    empty = advance(kept * soc, discharge, kwh, efficiency, dt_h)
    assert empty <= kept * soc + 1e-12
    assert full >= kept * soc - 1e-12
    assert charge == pytest.approx(kw) or full == pytest.approx(1.0)
    assert discharge == pytest.approx(kw) or empty == pytest.approx(0.0, abs=1e-12)


@given(**CELL, share=st.floats(0.0, 1.0))
def test_round_trip_loses_the_square_of_the_efficiency(soc, kwh, kw, efficiency, dt_h, share):
    charge = share * float(limits_kw(soc, kwh, kw, efficiency, dt_h)[0])
    stored = advance(soc, -charge, kwh, efficiency, dt_h)
    back = advance(stored, charge * efficiency**2, kwh, efficiency, dt_h)
    assert back == pytest.approx(soc, abs=1e-9)


def test_columns_do_as_single_batteries_do():
    soc, kwh, kw = np.linspace(0, 1, 9), np.linspace(1, 9, 9), np.linspace(0.5, 4, 9)
    together = np.stack(limits_kw(soc, kwh, kw, 0.95, 0.25))
    alone = np.array([limits_kw(s, c, p, 0.95, 0.25) for s, c, p in zip(soc, kwh, kw, strict=True)]).T
    assert np.array_equal(together, alone)
