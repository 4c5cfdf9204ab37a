"""The operators' parts, driven step by step."""

import numpy as np
import pytest

from market.errors import NotConverged
from market.model.case import Grid
from market.model.curves import answer, from_points, respond, shift
from market.rounds import Answers, LamLevel, WamLevel, drive, estimate_for, share_rest
from market.solver.wam import clear_wam

FORMS = ["plain", "slope"]
START = np.full(2, 0.1)

# The first LAM's members are flat at 2 kW between 0.05 and 0.2 $/kWh; the second's fall all the way.
MEMBERS = from_points(
    [
        (np.array([0.04, 0.05, 0.2, 0.21]), np.array([5.0, 2.0, 2.0, -3.0])),
        (np.array([0.0, 0.3]), np.array([6.0, -6.0])),
    ]
)


def level(form, slope=0.001, fee=0.002):
    estimate = estimate_for(form, np.full(2, 40.0), MEMBERS.lowest_kw, MEMBERS.highest_kw, START)
    return LamLevel(estimate, slope, np.full(2, fee))


class Ears:
    """Members who answer, and remember what they were asked."""

    def __init__(self, members=MEMBERS):
        self.members = members
        self.asked = []

    def __call__(self, question):
        self.asked.append((question.lam.tolist(), question.price.tolist()))
        price = START.copy()
        price[question.lam] = question.price
        kw, slope = answer(self.members, price)
        return Answers(kw[question.lam], slope[question.lam])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wam_price", [0.03, 0.1, 0.19, 0.25])
def test_lams_settle_at_what_their_members_would_buy_at_a_wide_area_price(form, wam_price):
    lams, price = level(form), np.full(2, wam_price)
    bid = drive(lams.find_bids(price), Ears())
    wanted = respond(shift(MEMBERS, 0.001, np.full(2, 0.002)), price)
    np.testing.assert_allclose(bid.kw, wanted, rtol=0, atol=1e-6)
    np.testing.assert_allclose(respond(MEMBERS, lams.record.price), wanted, rtol=0, atol=2e-6)


@pytest.mark.parametrize("form", FORMS)
def test_settled_lams_are_not_asked_again(form):
    lams, price = level(form), np.full(2, 0.1)
    drive(lams.find_bids(price), Ears())
    again = Ears()
    drive(lams.find_bids(price), again)
    drive(lams.find_prices(respond(shift(MEMBERS, 0.001, np.full(2, 0.002)), price), price), again)
    assert again.asked == []


@pytest.mark.parametrize("form", FORMS)
def test_a_flat_part_keeps_the_price_of_its_own_condition_though_the_net_is_off_by_rounding(form):
    """Half a milliwatt beside a flat part lies at its far end, where the price would be another's."""
    lams, price = level(form), np.full(2, 0.1)
    bid = drive(lams.find_bids(price), Ears())
    other = np.full(2, 0.1 + 1e-7)
    net_kw = bid.kw + np.array([5e-7, 0.0])
    drive(lams.find_prices(net_kw, other), Ears())
    assert lams.record.price[0] == pytest.approx(0.1 + 0.002 + 0.001 * 2.0, abs=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_lams_meet_whatever_was_cleared_for_them(form):
    lams, ears = level(form), Ears()
    net_kw = np.array([3.5, -4.0])
    drive(lams.find_prices(net_kw, START), ears)
    np.testing.assert_allclose(respond(MEMBERS, lams.record.price), net_kw, rtol=0, atol=2e-6)


@pytest.mark.parametrize("form", FORMS)
def test_lams_whose_members_change_begin_anew(form):
    lams = level(form)
    drive(lams.find_bids(START), Ears())
    gone = from_points([(np.zeros(1), np.array([1.0])), (np.array([0.0, 0.3]), np.array([6.0, -6.0]))])
    lams.begin_anew(np.array([0]), np.array([1.0]), np.array([1.0]))
    ears = Ears(gone)
    bid = drive(lams.find_bids(START), ears)
    assert bid.kw[0] == pytest.approx(1.0, abs=1e-9)
    assert all(0 in lam for lam, _ in ears.asked[:1])
    assert not any(lam == [1] for lam, _ in ears.asked)


def test_members_that_never_agree_are_given_up():
    rng = np.random.default_rng(1)

    def whim(question):
        return Answers(rng.uniform(-3, 3, question.lam.size), np.zeros(question.lam.size))

    with pytest.raises(NotConverged, match="20 iterations"):
        drive(level("slope").find_bids(START, rounds=20), whim)


@pytest.mark.parametrize("form", FORMS)
def test_a_lam_without_source_is_not_waited_for(form):
    """Whatever it answers, it trades nothing."""
    curves = shift(MEMBERS, 0.001, np.full(2, 0.002))
    wam = WamLevel(estimate_for(form, np.full(2, 100.0), curves.lowest_kw, curves.highest_kw, START), 2)

    def clear(believed):
        zero = from_points([(np.zeros(1), np.zeros(1))])
        served = from_points(
            [
                (zero.price, zero.kw),
                (believed.price[believed.start[1] :], believed.kw[believed.start[1] :]),
            ]
        )
        return clear_wam(served, None, Grid(0.25, 0.05, 1e4, 1e4), np.ones(2), 0.0)

    def answers(outcome):
        kw, slope = answer(curves, outcome.price)
        return Answers(kw, slope)

    outcome = drive(wam.agree(clear, [0], rounds=50), answers)
    assert outcome.net_kw[0] == 0.0
    assert outcome.net_kw[1] == pytest.approx(respond(curves, outcome.price)[1], abs=1e-6)


def test_the_rest_is_shared_by_the_room_that_members_have():
    group = np.array([0, 0, 1])
    low, high = np.array([-1.0, 0.0, 0.0]), np.array([3.0, 2.0, 1.0])
    shared = share_rest(np.array([1.0, 1.0, 0.5]), np.zeros(3), low, high, group, np.array([2.9, 0.25]))
    np.testing.assert_allclose(shared, [1.6, 1.3, 0.25])
    beyond = share_rest(np.array([1.0, 1.0, 0.5]), np.zeros(3), low, high, group, np.array([99.0, -99.0]))
    np.testing.assert_allclose(beyond, [3.0, 2.0, 0.0])


def test_the_rest_goes_to_members_whose_answers_fall_steeply_as_far_as_they_have_room():
    group = np.array([0, 0, 0, 1])
    low, high = np.zeros(4), np.array([5.0, 5.0, 1.1, 5.0])
    fall = np.array([3.0, 0.0, 1.0, 1e-300])
    shared = share_rest(np.ones(4), fall, low, high, group, np.array([3.2, 1.5]))
    np.testing.assert_allclose(shared, [1.15, 1.0, 1.05, 1.5])
    # The third has no more room than 0.1 kW; what it leaves goes by the room of all.
    shared = share_rest(np.ones(4), fall, low, high, group, np.array([3.8, 1.5]))
    assert shared[:3].sum() == pytest.approx(3.8)
    assert shared[2] == 1.1
