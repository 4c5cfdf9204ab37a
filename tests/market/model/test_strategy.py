from dataclasses import replace

import numpy as np
import pytest

from market.model.case import Resources, Tariff
from market.model.curves import Curves, respond, shift
from market.model.response import supply_curves
from market.model.strategy import Truthful, View, bids_of

N = 3
SLOPE, FEE = np.array([0.01, 0.02, 0.03]), np.full(N, 0.002)
RATING = np.full(N, 20.0)
EVERYONE = np.ones(N, dtype=bool)


@pytest.fixture
def view():
    demand_kw = np.array([4.0, 2.0, 3.0])
    resources = Resources(
        owner=np.array([2, 0, 1, 2]),
        min_kw=np.array([0.0, -3.0, 0.0, -1.0]),
        max_kw=np.array([8.0, 3.0, 2.0, 1.0]),
        cost_linear=np.array([0.0, 0.08, 0.2, 0.1]),
        cost_quadratic=np.array([0.0, 0.02, 0.01, 0.02]),
    )
    return View(
        tick=0,
        prosumer=("ada", "ben", "cleo"),
        demand_kw=demand_kw,
        resources=resources,
        value=supply_curves(demand_kw, resources).curves,
        slope=SLOPE,
        fee=FEE,
        last_price=np.full(N, np.nan),
        last_kw=np.full(N, np.nan),
        tariff=Tariff(retail=0.3, feed_in=0.04),
    )


class Dearer:
    """Says that everything costs more than it does."""

    def bid(self, view):
        resources = view.resources
        return view.costing(replace(resources, cost_linear=resources.cost_linear + 0.05))


class Broken:
    """Works for all but one member."""

    def bid(self, view):
        if "ben" in view.prosumer:
            raise RuntimeError("no idea\nwhat ben wants")
        return Dearer().bid(view)


class Rising:
    """The first member's bid rises, the second's is not finite, the third's is beyond its rating."""

    def bid(self, view):
        price = np.array([0.1, 0.2, 0.1, 0.1])
        kw = np.array([1.0, 2.0, np.nan, 30.0])
        return Curves(price, kw, np.array([0, 2, 3, 4]))


class Alone:
    def bid(self, view):
        return Curves(np.zeros(1), np.zeros(1), np.array([0, 1]))


def at(curves, price):
    return respond(curves, np.full(len(curves), price))


def test_truth_is_the_best_response(view):
    bids = bids_of(Truthful(), view, EVERYONE, RATING)
    best = shift(view.value, SLOPE, FEE)
    for name in ("price", "kw", "start"):
        assert getattr(bids.curves, name).tobytes() == getattr(best, name).tobytes()


def test_only_those_who_follow_a_strategy_bid_by_it(view):
    bids = bids_of(Dearer(), view, np.array([True, False, True]), RATING)
    truth, dearer = Truthful().bid(view), Dearer().bid(view)
    for price in (0.05, 0.1, 0.2):
        expected = np.where([True, False, True], at(dearer, price), at(truth, price))
        assert at(bids.curves, price) == pytest.approx(expected)
    assert not bids.failed.any()
    assert (at(bids.curves, 0.1) != at(truth, 0.1)).any()


def test_a_part_of_the_view_is_what_its_members_see(view):
    part = view.only(np.array([0, 2]))
    whole = Dearer().bid(view)
    assert part.prosumer == ("ada", "cleo")
    assert at(Dearer().bid(part), 0.1) == pytest.approx(at(whole, 0.1)[[0, 2]])


def test_a_member_that_the_strategy_fails_tells_the_truth_and_no_other_does(view):
    bids = bids_of(Broken(), view, EVERYONE, RATING)
    assert bids.failed.tolist() == [False, True, False]
    assert bids.reason == "RuntimeError: no idea what ben wants"
    truth, dearer = Truthful().bid(view), Dearer().bid(view)
    assert at(bids.curves, 0.1) == pytest.approx(np.where(bids.failed, at(truth, 0.1), at(dearer, 0.1)))


def test_bids_that_are_no_bids_are_replaced_by_the_truth(view):
    bids = bids_of(Rising(), view, EVERYONE, RATING)
    assert bids.failed.all()
    assert "rises with the price" in bids.reason
    assert at(bids.curves, 0.1) == pytest.approx(at(Truthful().bid(view), 0.1))


def test_curves_for_another_number_of_members_are_no_answer(view):
    bids = bids_of(Alone(), view, EVERYONE, RATING)
    # Asked for all it fails; asked one by one it answers.
    assert not bids.failed.any()
    assert at(bids.curves, 0.1) == pytest.approx(np.zeros(N))
    assert "1 curves for 3 prosumers" in bids.reason
