from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from cosim.population.sun import clear_sky_kw_per_kwp, cloud_factor, mean_cloud_factor
from cosim.scenario import Scenario

replace = msgspec.structs.replace
DAY = datetime(2024, 6, 21, tzinfo=UTC).timestamp() / 60.0 + np.arange(0.0, 1440.0, 15.0)


def test_roofs_see_the_sun_when_they_face_it():
    scenario = Scenario()
    power = clear_sky_kw_per_kwp(scenario.site, scenario.population.pv, DAY)
    south, east, west, flat = (power[:, k] for k in range(4))
    hour = (DAY - DAY[0]) / 60.0
    # The sun culminates at 11:30 UTC at this longitude.
    assert abs(hour[south.argmax()] - 11.5) <= 0.5
    assert hour[east.argmax()] < 10.5
    assert hour[west.argmax()] > 12.5
    assert 0.65 < south.max() < 0.9
    assert flat.sum() > east.sum()
    assert not power[hour < 3.0].any()


def test_polar_night_and_southern_winter_are_no_special_case():
    scenario = Scenario()
    site = replace(scenario.site, latitude_deg=-66.0)
    assert not clear_sky_kw_per_kwp(site, scenario.population.pv, DAY).max() > 0.5


def test_clouds_by_hand_without_spread():
    weather = replace(Scenario().weather, cloud_cover=0.5, cloud_sigma=0.0, local_sigma=0.0)
    expected = 1.0 - 0.75 * 0.5**3.4
    assert cloud_factor(weather, 1, DAY[:3], 2) == pytest.approx(np.full((3, 2), expected))
    assert mean_cloud_factor(weather) == pytest.approx(expected)


def test_clouds_stay_between_overcast_and_clear_and_meet_their_mean():
    weather = replace(Scenario().weather, cloud_sigma=0.4, cloud_memory_min=1)
    factor = np.concatenate([cloud_factor(weather, 1, DAY + 1440.0 * day, 3) for day in range(20)])
    assert factor.min() >= 0.25
    assert factor.max() <= 1.0
    assert factor.mean() == pytest.approx(mean_cloud_factor(weather), abs=0.02)
