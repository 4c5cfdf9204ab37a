from pathlib import Path

import numpy as np
import pytest

from market.files.case_file import read_case
from market.model.response import supply_curves
from market.rounds import CurveResponse, negotiate
from market.rounds.trace import Trace, trace_csv
from market.solver.clearing import clear, member_curves

CASE = read_case(Path(__file__).parents[1] / "cases" / "rows-binding.json")


@pytest.fixture(scope="module")
def trace():
    trace = Trace(CASE)
    response = CurveResponse(member_curves(CASE, supply_curves(CASE.demand_kw, CASE.resources)))
    tally = negotiate(CASE, "plain", response, on_round=trace).tally
    assert len(trace.rows) == tally.lam
    return trace


def test_rounds_come_nearer_until_nothing_is_left(trace):
    first, last = trace.rows[0], trace.rows[-1]
    for name in ("cost_error", "price_error", "wam_price_error", "net_error_kw"):
        assert getattr(first, name) > 1e-3
        assert getattr(last, name) < 1e-5
    assert [row.round for row in trace.rows] == list(range(1, len(trace.rows) + 1))
    assert (np.diff([row.wam_round for row in trace.rows]) >= 0).all()
    assert all(row.mean_price_error <= row.price_error for row in trace.rows)


def test_an_exact_equilibrium_at_hand_is_not_sought_again(trace):
    exact = clear(CASE)
    given = Trace(CASE, exact)
    response = CurveResponse(member_curves(CASE, supply_curves(CASE.demand_kw, CASE.resources)))
    negotiate(CASE, "plain", response, on_round=given)
    assert given.rows == trace.rows


def test_the_table_of_text_holds_every_digit(trace):
    header, *lines = trace_csv(trace.rows).splitlines()
    assert header == ("round,wam_round,cost_error,price_error,mean_price_error,wam_price_error,net_error_kw")
    assert [float(line.split(",")[3]) for line in lines] == [row.price_error for row in trace.rows]
