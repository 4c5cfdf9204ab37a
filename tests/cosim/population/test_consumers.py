import pytest

from broker.messages import DeviceState
from cosim.population.consumers import consumer_offers
from cosim.population.resources import Kind


def charger(**changed):
    here = {"device": "ev", "p_kw": 0.0, "min_kw": -7.4, "max_kw": 0.0, "needs_kwh": 14.8, "left_s": 14_400.0}
    return DeviceState(**here | changed)


def offered(state, worth=0.0):
    return consumer_offers(
        [{}, {state.device: state}], [{}, {state.device: worth}], retail=0.30, feed_in=0.06
    )


def test_a_vehicle_is_worth_more_the_less_time_it_has():
    # 14.8 kWh at 7.4 kW take two of the four hours that are left.
    offers = offered(charger())
    assert (offers.owner, offers.kind, offers.min_kw, offers.max_kw) == ([1], [Kind.EV], [-7.4], [0.0])
    assert offers.worth == [pytest.approx(0.06 + 0.5 * (0.30 - 0.06))]
    assert offered(charger(left_s=7200.0)).worth == [pytest.approx(0.30)]
    assert offered(charger(left_s=600.0)).worth == [pytest.approx(0.30)]
    assert offered(charger(left_s=7200.0), worth=0.2).worth == [pytest.approx(0.2)]


def test_without_a_departure_it_takes_what_would_be_fed_in_and_without_a_wish_what_it_is_worth():
    assert offered(charger(left_s=None)).worth == [0.06]
    assert offered(charger(left_s=None, needs_kwh=None)).worth == [0.30]


def test_what_has_to_be_drawn_now_is_no_choice():
    offers = offered(charger(max_kw=-5.0))
    assert (offers.min_kw, offers.max_kw) == ([-7.4], [-5.0])


@pytest.mark.parametrize("changed", [{"obeys": False}, {"quality": "suspect"}, {"min_kw": None}])
def test_a_charger_that_cannot_be_counted_on_is_demand(changed):
    offers = offered(charger(p_kw=-3.7, **changed))
    assert offers.owner == []
    assert offers.demand_kw.tolist() == [0.0, 3.7]


def test_a_load_draws_up_to_its_rating_for_what_it_is_worth():
    offers = offered(charger(device="load", needs_kwh=None, left_s=None), worth=0.15)
    assert (offers.kind, offers.min_kw, offers.max_kw, offers.worth) == ([Kind.LOAD], [-7.4], [0.0], [0.15])


def test_who_has_neither_offers_nothing():
    offers = consumer_offers([{"ev": charger()}], [{}], retail=0.30, feed_in=0.06)
    assert offers.owner == []
    assert offers.demand_kw.tolist() == [0.0]
