"""The prosumers of a run: who sits at which bus and owns what, drawn from the scenario's seed.

Each attribute has its own random stream, so that a change of one key leaves the other attributes as they
were.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.population.noise import generator
from cosim.scenario import ScenarioError
from cosim.scenario.arrays import Floats, Indices
from cosim.scenario.people import PopulationSection
from devices.physics.battery import exists

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LamSites:
    """Where local-area markets attach to the feeder, ``M`` of them.

    Attributes
    ----------
    names
        Name of each LAM, that of its bus.
    spot_kw
        Published spot load of the bus [kW], ``(M,)``.
    tan_phi
        Reactive over active power of its loads, ``(M,)``.
    """

    names: tuple[str, ...]
    spot_kw: Floats
    tan_phi: Floats


@dataclass(frozen=True, slots=True)
class Population:
    """All prosumers, ``(n,)`` each, in the order of their LAMs.

    Attributes
    ----------
    id
        Unique names.
    lam
        Index of each one's LAM.
    annual_kwh
        Annual consumption [kWh].
    time_shift_min
        How much later than the standard household [min].
    pv_kwp
        Rating of PV [kWp], 0 for none.
    orientation
        Index of the class of roof.
    battery_kwh, battery_kw, battery_efficiency
        Usable capacity [kWh], rating [kW], one-way efficiency; 0 kWh for none.
    soc_start
        State of charge at the first tick [0..1].
    flexible_fraction
        Part of the load that can be shed [0..1].
    flexible_cost_linear, flexible_cost_quadratic
        Cost of shedding [$/kWh], [$/kWh per kW].
    opinion
        Index of the price forecast that its owner believes.
    value_factor
        Factor of its owner on the value of stored energy.
    live
        Whether it has live devices behind Modbus and MQTT.
    profile
        Name of its columns in a user's table of profiles.
    name
        What people call it; any text.
    """

    id: tuple[str, ...]
    lam: Indices
    annual_kwh: Floats
    time_shift_min: Floats
    pv_kwp: Floats
    orientation: Indices
    battery_kwh: Floats
    battery_kw: Floats
    battery_efficiency: Floats
    soc_start: Floats
    flexible_fraction: Floats
    flexible_cost_linear: Floats
    flexible_cost_quadratic: Floats
    opinion: Indices
    value_factor: Floats
    live: Bools
    profile: tuple[str, ...]
    name: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of prosumers."""
        return len(self.id)

    @property
    def has_battery(self) -> Bools:
        """Who has a battery, ``(n,)``."""
        return exists(self.battery_kwh, self.battery_kw)


def apportion(total: int, weights: Floats, minimum: int) -> Indices:
    """Whole numbers in proportion to weights by largest remainder, none below a minimum.

    Places whose fair share is below the minimum stay at it; the others share the rest by weight.

    Parameters
    ----------
    total
        Sum to hand out, at least ``minimum * len(weights)``.
    weights
        Non-negative, ``(M,)``; equal shares if all are zero.
    minimum
        Least number at each place.

    Returns
    -------
    NDArray
        ``(M,)``, sum ``total``; equal remainders go to the earlier place.
    """
    weights = np.asarray(weights, dtype=np.float64)
    weights = weights / weights.max() if weights.max() > 0.0 else np.ones_like(weights)
    counts = np.full(len(weights), minimum, dtype=np.intp)
    free = np.ones(len(weights), dtype=np.bool_)
    while True:
        rest = total - minimum * int((~free).sum())
        share = rest * weights / max(float(weights[free].sum()), 1e-300)
        small = free & (share < minimum)
        if not small.any():
            break
        free &= ~small
    if not free.any():
        return counts
    counts[free] = np.floor(share[free]).astype(np.intp)
    order = np.argsort(-(share - np.floor(share)) + np.where(free, 0.0, 2.0), kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    return counts


def draw_population(section: PopulationSection, seed: int, per_lam: int | None, lams: LamSites) -> Population:
    """Synthetic prosumers.

    Parameters
    ----------
    section
        Shares and distributions.
    seed
        Of all draws.
    per_lam
        How many of each LAM are live; ``None`` for all of them, some with a meter alone.
    lams
        Where they live.

    Raises
    ------
    ScenarioError
        They are too few for the LAMs.
    """
    n, m = section.prosumers, len(lams.names)
    if n < m * section.minimum_per_lam:
        raise ScenarioError(
            f"population.prosumers: {n} are too few for {m} local-area markets of at least "
            f"{section.minimum_per_lam}; give {m * section.minimum_per_lam} or more"
        )
    lam = np.repeat(np.arange(m), apportion(n, lams.spot_kw, section.minimum_per_lam))

    def draw(name: str) -> np.random.Generator:
        return generator(seed, f"population.{name}")

    pv, battery, flexible = section.pv, section.battery, section.flexible
    owns_pv = draw("pv.owner").random(n) < pv.share
    share_battery = np.where(owns_pv, battery.share_with_pv, battery.share_without_pv)
    owns_battery = draw("battery.owner").random(n) < share_battery
    if per_lam is None:
        live = np.ones(n, dtype=np.bool_)
    else:
        live = choose_live(lam, owns_pv | owns_battery, per_lam, draw("live").random(n))
        # Those few need a device to command, also where chance gave their LAM none.
        owns_pv |= live & ~owns_battery
    weights = np.array([roof.weight for roof in pv.orientations])
    battery_kwh = np.where(
        owns_battery, draw("battery.kwh").uniform(battery.kwh_min, battery.kwh_max, n), 0.0
    )
    sheds = (draw("flexible.owner").random(n) < flexible.share) & ~live
    shifts = section.time_shift_min * np.clip(draw("shift").standard_normal(n), -3.0, 3.0)
    width = max(5, len(str(n)))
    ids = tuple(f"p{k:0{width}d}" for k in range(1, n + 1))
    return Population(
        id=ids,
        lam=lam,
        annual_kwh=section.annual_kwh_median
        * np.exp(section.annual_kwh_sigma * np.clip(draw("annual").standard_normal(n), -3.0, 3.0)),
        time_shift_min=shifts,
        pv_kwp=np.where(owns_pv, draw("pv.kwp").uniform(pv.kwp_min, pv.kwp_max, n), 0.0),
        orientation=draw("pv.roof").choice(len(weights), n, p=weights / weights.sum()).astype(np.intp),
        battery_kwh=battery_kwh,
        battery_kw=battery_kwh * battery.kw_per_kwh,
        battery_efficiency=np.full(n, battery.efficiency),
        soc_start=draw("battery.soc").uniform(battery.soc_start_min, battery.soc_start_max, n),
        flexible_fraction=np.where(sheds, flexible.load_fraction, 0.0),
        flexible_cost_linear=draw("flexible.cost").uniform(
            flexible.cost_linear_min, flexible.cost_linear_max, n
        ),
        flexible_cost_quadratic=np.full(n, flexible.cost_quadratic),
        opinion=draw_opinions(section, seed, n),
        value_factor=draw_value_factors(section, seed, n),
        live=live,
        profile=ids,
        name=ids,
    )


def draw_opinions(section: PopulationSection, seed: int, n: int) -> Indices:
    """Index of the price forecast that each of ``n`` owners believes."""
    return generator(seed, "population.opinion").integers(section.outlook.opinions, size=n).astype(np.intp)


def draw_value_factors(section: PopulationSection, seed: int, n: int) -> Floats:
    """Factor of each of ``n`` owners on the value of stored energy, about one and positive."""
    z = np.clip(generator(seed, "population.value").standard_normal(n), -3.0, 3.0)
    return np.maximum(1.0 + section.outlook.value_spread * z, 0.05)


def choose_live(lam: Indices, owner: Bools, per_lam: int, lot: Floats) -> Bools:
    """Members of each LAM that get live devices: by lot, those who own a device before those who do not.

    Parameters
    ----------
    lam
        LAM of each prosumer, ``(n,)``, any order.
    owner
        Who owns PV or a battery, ``(n,)``.
    per_lam
        How many of each LAM, or all of a smaller one.
    lot
        Lots drawn, ``(n,)``; the smallest win.

    Returns
    -------
    NDArray
        True for those chosen, ``(n,)``; not all of them need own a device.
    """
    order = np.lexsort((lot, ~owner, lam))
    sorted_lam = lam[order]
    first = np.searchsorted(sorted_lam, sorted_lam, side="left")
    live = np.zeros(len(lam), dtype=np.bool_)
    live[order[np.arange(len(lam)) - first < per_lam]] = True
    return live
