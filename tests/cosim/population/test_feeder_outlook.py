"""What owners expect of the feeder as a whole, and that a scenario may let them go by it."""

import numpy as np
import pytest

from cosim.population.members import LamSites, draw_population
from cosim.population.profiles import build_profiles
from cosim.scenario import load_scenario

LAMS = LamSites(("a", "b"), np.array([1.0, 2.0]), np.array([0.3, 0.3]))


def made(prices="cleared", intervals=8, **changes):
    given = {"population.prosumers": 60, "population.outlook.prices": prices, **changes}
    scenario = load_scenario(None, start="2024-06-21T10:00:00", intervals=intervals, changes=given)
    population = draw_population(scenario.population, scenario.run.seed, 1, LAMS)
    return build_profiles(scenario, population, 2)


def totals(profiles, ticks):
    samples = [profiles.sample(tick) for tick in ticks]
    return np.array([(each.load_kw - each.pv_kw).mean(axis=0).sum() for each in samples])


def test_without_errors_it_is_what_will_be_the_weather_included():
    day, dark = made(), made(**{"weather.cloud_cover": 0.95})
    for profiles in (day, dark):
        low, high, net_kw = profiles.feeder.after(3, 20)
        assert net_kw == pytest.approx(totals(profiles, range(4, 24)))
        assert (low == 0.05).all()
        assert (high[:8] == [0.1] * 4 + [0.09] * 4).all()
    assert (dark.feeder.after(3, 20)[2] > day.feeder.after(3, 20)[2]).all()


def test_its_errors_are_those_of_the_market_over_a_horizon_and_grow_with_the_time_ahead():
    true = made().feeder.after(0, 96)
    off = made(**{"market.ahead.load_error": 0.2, "market.ahead.price_error": 0.1}).feeder.after(0, 96)
    factor = off[1] / true[1]
    assert off[0] / true[0] == pytest.approx(factor)
    assert np.abs(factor[:12] - 1.0).mean() < np.abs(factor[-48:] - 1.0).mean()
    assert np.abs(off[2] - true[2]).max() > 0.0


def test_behind_the_data_a_day_is_like_the_one_before_or_a_usual_one():
    profiles = made(intervals=120)
    feeder = profiles.feeder
    ends = feeder.source.ticks
    assert ends == 120 + 96
    object.__setattr__(
        feeder.source, "clear_sky", feeder.source.clear_sky[: 130 * profiles.timeline.substeps]
    )
    feeder._found.clear()
    assert feeder.after(119, 60)[2][11:] == pytest.approx(totals(profiles, range(131 - 96, 180 - 96)))
    short = made(intervals=4)
    source = short.feeder.source
    object.__setattr__(source, "clear_sky", source.clear_sky[: 6 * short.timeline.substeps])
    usual = short.feeder.usual_load_kw - short.feeder.usual_sun_kw
    assert short.feeder.after(3, 40)[2][2:] == pytest.approx(usual[6:44])


def test_energy_is_worth_less_where_batteries_have_filled_what_is_short():
    """A path of prices says nothing of how much they bear; the feeder's net load does."""
    few = {"population.battery.share_with_pv": 0.05, "population.battery.share_without_pv": 0.05}
    many = {"population.battery.share_with_pv": 1.0, "population.battery.share_without_pv": 1.0}

    def worth(prices, changes):
        profiles = made(prices, **changes, **{"population.outlook.value_spread": 0.0})
        return profiles.stored_energy_value(4, np.full(profiles.population.size, 0.9))[
            profiles.battery
        ].mean()

    assert worth("cleared", many) < 0.9 * worth("cleared", few)
    assert worth("linear", many) == pytest.approx(worth("linear", few), rel=0.05)


def test_all_else_stays():
    one, other = made("linear"), made("cleared")
    assert one.feeder is None
    assert (one.outlook == other.outlook).all()
    assert (one.sample(2).load_kw == other.sample(2).load_kw).all()
