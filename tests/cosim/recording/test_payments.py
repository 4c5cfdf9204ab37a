from dataclasses import replace

import numpy as np
import pytest

from broker.messages.audit import Rents
from cosim.recording.payments import negative_surplus, uplift_error
from cosim.results.booking import book_interval
from cosim.results.trades import GridTrade, LamTrades, ProsumerTrades

DT_H = 0.25
NOTHING = np.zeros(2)


def booking_of(scale, grid_kw=13.0):
    """Two LAMs buy 12 kW at 0.1 $/kWh, and the WAM draws more than that for losses and street lights."""
    trade_kw = scale * np.array([5.0, 7.0])
    return book_interval(
        DT_H,
        ProsumerTrades(
            lam=np.array([0, 1]),
            trade_kw=trade_kw,
            trade_price=np.full(2, 0.12),
            metered_kwh=trade_kw * DT_H,
            short_price=np.full(2, 0.3),
            long_price=np.full(2, 0.04),
        ),
        LamTrades(net_kw=trade_kw, wam_price=np.full(2, 0.1), alone=np.zeros(2, dtype=bool)),
        GridTrade(
            scheduled_kw=scale * grid_kw, actual_kw=scale * grid_kw, import_price=0.1, export_price=0.05
        ),
    )


def rents(scale, offset_kw=1.0):
    return Rents(fees=0.0, loss=-0.1 * offset_kw * scale * DT_H, voltage=0.0, congestion=0.0, limits=0.0)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 12345.678])
def test_an_uplift_that_the_rents_explain_is_right(scale):
    booking = booking_of(scale)
    assert booking.uplift_usd == pytest.approx(0.025 * scale, abs=1e-6)
    assert uplift_error(booking, rents(scale)) == 0.0


def test_no_uplift_is_right_where_the_surplus_is_positive():
    booking = booking_of(1.0, grid_kw=11.0)
    assert booking.uplift_usd == 0.0
    assert uplift_error(booking, rents(1.0, offset_kw=-1.0)) == 0.0


def test_an_uplift_that_nothing_explains_is_found():
    assert uplift_error(booking_of(1.0), rents(1.0, offset_kw=0.0)) == pytest.approx(0.025)
    assert uplift_error(booking_of(1.0, grid_kw=12.0), rents(1.0)) == pytest.approx(-0.025)
    # A few micro-dollars are not rounding either.
    assert uplift_error(booking_of(1.0), rents(1.0, offset_kw=1.0002)) == pytest.approx(-5e-6)


def test_a_lam_that_pays_for_its_members_trades_is_named():
    booking = booking_of(1.0)
    assert negative_surplus(booking, ("a", "b")) == []
    less = replace(booking, lam_surplus=np.array([0.3, -2e-6]))
    assert negative_surplus(less, ("a", "b")) == ["LAM b has a negative surplus of -0.000002 $"]
    assert negative_surplus(replace(booking, lam_surplus=np.array([-0.9e-6, 0.0])), ("a", "b")) == []
