"""Sunshine: clear-sky power of each class of roofs, and the clouds that pass over the feeder.

Clear sky after Ineichen and Perez, as in pvlib; clouds reduce it after Kasten and Czeplak (Solar Energy 24,
1980): global irradiance under cover N is ``1 - 0.75 N^3.4`` of that under a clear sky.
"""

import numpy as np
from numpy.typing import NDArray

from cosim.population.noise import smooth_normal
from cosim.scenario.people import Pv
from cosim.scenario.sections import Site, Weather


def clear_sky_kw_per_kwp(site: Site, pv: Pv, epoch_min: NDArray[np.float64]) -> NDArray[np.float64]:
    """AC power of each class of roofs under a clear sky.

    Parameters
    ----------
    site
        Where.
    pv
        Classes of roofs and efficiencies.
    epoch_min
        Instants [min since 1970 UTC], ``(t,)``.

    Returns
    -------
    NDArray
        Power [kW per kWp], ``(t, classes)``, at most the inverter's rating of 1 kW per kWp.
    """
    import pandas as pd
    from pvlib.irradiance import get_total_irradiance
    from pvlib.location import Location

    times = pd.DatetimeIndex(np.round(epoch_min * 60.0).astype("datetime64[s]")).tz_localize("UTC")
    location = Location(site.latitude_deg, site.longitude_deg, "UTC", site.altitude_m)
    sun = location.get_solarposition(times)
    sky = location.get_clearsky(times, model="ineichen", solar_position=sun)
    efficiency = pv.system_efficiency * pv.inverter_efficiency
    classes = []
    for roof in pv.orientations:
        plane = get_total_irradiance(
            roof.tilt_deg,
            roof.azimuth_deg,
            sun["apparent_zenith"],
            sun["azimuth"],
            sky["dni"],
            sky["ghi"],
            sky["dhi"],
        )
        irradiance = np.nan_to_num(plane["poa_global"].to_numpy(dtype=np.float64), nan=0.0)
        classes.append(np.clip(irradiance / 1000.0 * efficiency, 0.0, 1.0))
    return np.stack(classes, axis=1)


def cloud_factor(
    weather: Weather, seed: int, epoch_min: NDArray[np.float64], sites: int
) -> NDArray[np.float64]:
    """What clouds leave of clear-sky power at each bus.

    Parameters
    ----------
    weather
        Mean cover, and spread and memory of its common and local parts.
    seed
        Seed of the scenario.
    epoch_min
        Instants [min since 1970 UTC], ``(t,)``, close to each other.
    sites
        Number of buses.

    Returns
    -------
    NDArray
        Factor in [0.25, 1], ``(t, sites)``.
    """
    common = smooth_normal(seed, "clouds.common", epoch_min, weather.cloud_memory_min, 1)
    local = smooth_normal(seed, "clouds.local", epoch_min, weather.local_memory_min, sites)
    cover = np.clip(
        weather.cloud_cover + weather.cloud_sigma * common + weather.local_sigma * local, 0.0, 1.0
    )
    return np.asarray(1.0 - 0.75 * cover**3.4, dtype=np.float64)


def mean_cloud_factor(weather: Weather) -> float:
    """What clouds leave on average: the mean over 101 quantiles of normally distributed cover."""
    from statistics import NormalDist

    sigma = float(np.hypot(weather.cloud_sigma, weather.local_sigma))
    z = np.array([NormalDist().inv_cdf((k + 0.5) / 101) for k in range(101)])
    return float(np.mean(1.0 - 0.75 * np.clip(weather.cloud_cover + sigma * z, 0.0, 1.0) ** 3.4))
