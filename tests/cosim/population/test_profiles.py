from datetime import datetime
from functools import cache

import msgspec
import numpy as np
import pytest

from cosim.population.build import build_population
from cosim.population.household import household_shape
from cosim.population.members import LamSites
from cosim.population.prices import expected_prices, prices_at
from cosim.population.profiles import Profiles, build_profiles
from cosim.scenario import Scenario
from cosim.scenario.timeline import timeline_of

replace = msgspec.structs.replace
SITES = LamSites(("a", "b", "c"), np.array([40.0, 20.0, 75.0]), np.full(3, 0.5))


def scenario(
    start: str = "2024-06-21T00:00", intervals: int = 96, seed: int = 1, **population: object
) -> Scenario:
    default = Scenario()
    return replace(
        default,
        run=replace(default.run, start=datetime.fromisoformat(start), intervals=intervals, seed=seed),
        population=replace(default.population, **{"prosumers": 150, **population}),
    )


def profiles(chosen: Scenario) -> Profiles:
    return build_profiles(chosen, build_population(chosen, SITES), 3)


@cache
def summer_day() -> Profiles:
    return profiles(scenario())


def test_ticks_in_any_order_and_from_any_start_give_the_same_bits():
    day, afternoon = summer_day(), profiles(scenario("2024-06-21T12:00", 8))
    backwards = [day.sample(tick) for tick in (55, 50, 49, 48)]
    for actual, tick in zip(backwards, (55, 50, 49, 48), strict=True):
        other = afternoon.sample(tick - 48)
        assert np.array_equal(actual.load_kw, other.load_kw)
        assert np.array_equal(actual.pv_kw, day.sample(tick).pv_kw)
        assert np.allclose(actual.pv_kw, other.pv_kw, rtol=1e-12, atol=0.0)
        assert np.array_equal(day.forecast(tick).load_kw, afternoon.forecast(tick - 48).load_kw)


def test_seed_decides():
    one, other = summer_day(), profiles(scenario(seed=2))
    assert not np.array_equal(one.sample(50).load_kw, other.sample(50).load_kw)


def test_standard_household_uses_its_annual_energy():
    year = scenario("2023-01-01T00:00", 365 * 96).run
    timeline = timeline_of(year)
    shape = household_shape(timeline)
    wall_min = timeline.substep_epoch_min(0, timeline.intervals) + np.repeat(
        timeline.wall_offset_min(0, timeline.intervals), timeline.substeps
    )
    assert shape.at(wall_min).mean() * 8760.0 == pytest.approx(1.0, rel=2e-3)


def test_noise_and_shifted_habits_keep_the_energy():
    quiet = profiles(scenario(noise=0.0, time_shift_min=0.0))
    usual = np.mean([quiet.sample(tick).load_kw.sum(axis=1) for tick in range(96)])
    noisy = np.mean([summer_day().sample(tick).load_kw.sum(axis=1) for tick in range(96)])
    assert noisy == pytest.approx(usual, rel=0.02)


def test_load_follows_wall_time_over_the_clock_change():
    still = {"noise": 0.0, "time_shift_min": 0.0}
    spring = profiles(scenario("2024-03-31T00:00", 92, **still))
    by_wall = {f"{spring.timeline.local(t):%H:%M}": spring.sample(t).load_kw.sum() for t in range(92)}
    assert "02:30" not in by_wall
    peak = max(by_wall, key=lambda wall: by_wall[wall] if wall > "17:00" else 0.0)
    assert "18:30" <= peak <= "20:30"


def test_new_year_does_not_wrap_round():
    turn = profiles(scenario("2023-12-31T22:00", 16, noise=0.0, time_shift_min=60.0))
    load = np.array([turn.sample(tick).load_kw.mean(axis=0) for tick in range(16)])
    assert (np.abs(np.diff(load, axis=0)) < 0.35 * load[:-1]).all()


def test_sun_shines_by_day_and_never_above_the_rating():
    day = summer_day()
    assert not day.sample(4).pv_kw.any()
    noon = day.sample(52).pv_kw
    owns = day.population.pv_kwp > 0
    assert (noon[:, owns] > 0).all()
    assert not noon[:, ~owns].any()
    assert (noon <= day.population.pv_kwp).all()
    assert 0.4 < noon.sum(axis=1).mean() / day.population.pv_kwp.sum() < 0.95


def test_neighbours_share_their_clouds():
    day = summer_day()
    roof = (day.population.orientation == 0) & (day.population.pv_kwp > 0)
    lam, kwp = day.population.lam[roof], day.population.pv_kwp[roof]
    yields = np.concatenate([day.sample(tick).pv_kw[:, roof] / kwp for tick in range(40, 64)])
    assert np.ptp(yields[:, lam == 2], axis=1).max() < 1e-12
    assert np.ptp(yields, axis=1).max() > 0.01


def test_forecast_is_exact_without_errors_and_unbiased_with_them():
    chosen = scenario(forecast_error=0.0)
    chosen = replace(chosen, weather=replace(chosen.weather, forecast_error=0.0), population=replace(
        chosen.population, pv=replace(chosen.population.pv, forecast_error=0.0)))  # fmt: skip
    exact = profiles(chosen)
    assert np.array_equal(exact.forecast(50).load_kw, exact.sample(50).load_kw.mean(axis=0))
    assert np.array_equal(exact.forecast(50).pv_kw, exact.sample(50).pv_kw.mean(axis=0))
    day = summer_day()
    expected, actual = day.forecast(50), day.sample(50)
    error = expected.load_kw / actual.load_kw.mean(axis=0) - 1.0
    assert abs(error.mean()) < 0.03
    assert 0.07 < error.std() < 0.13
    assert (expected.pv_kw <= day.population.pv_kwp).all()


def test_year_long_run_keeps_only_curves_of_the_whole_feeder():
    # A quarter is enough to see that memory grows by the curves alone.
    long = profiles(scenario("2024-04-01T00:00", 96 * 91))
    kept = long.outlook.nbytes + long.source.clear_sky.nbytes + long.source.shape.kw_per_kwh.nbytes
    assert kept < 96 * 91 * 200
    assert long.sample(96 * 91 - 1).load_kw.shape == (3, 150)


def test_prices_go_by_local_hour():
    chosen = scenario("2024-03-31T00:00", 92)
    timeline = timeline_of(chosen.run)
    assert prices_at(chosen.market, timeline, 8).import_price == 0.10
    assert prices_at(chosen.market, timeline, 75).import_price == 0.20
    assert prices_at(chosen.market, timeline, 75).retail_price == 0.3


def test_expected_price_lies_between_export_and_import_price():
    chosen = scenario()
    wall_min = np.array([0.0, 12 * 60.0, 20 * 60.0])
    price = expected_prices(chosen.market, wall_min, np.array([0.0, -50.0, 100.0]))
    assert price == pytest.approx([0.08, 0.05 + 0.04 * 0.25, 0.20])


def test_opinions_about_an_instant_do_not_depend_on_when_one_asks():
    day = summer_day()
    assert np.array_equal(day.price_forecast(10)[:, 5:20], day.price_forecast(15)[:, :15])
    assert day.price_forecast(10, 7).shape == (16, 7)
