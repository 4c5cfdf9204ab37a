"""Live prosumers as the market services see them: what telemetry says, and set-points for devices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from broker.messages import DeviceSetPoint, DeviceState, Telemetry
from broker.snapshot import Values, array_of, part
from cosim.population.ahead import as_seen, energy_values, expected, owners, prospect_of
from cosim.population.consumer_stores import Ahead, with_consumers
from cosim.population.consumers import KINDS, consumer_offers
from cosim.population.portfolios import CURTAILED_KW, Offers, ProfileCache, battery_plan, offers_of
from cosim.population.prices import prices_at
from cosim.population.resources import Kind, inventory_of
from cosim.population.voltage_response import VoltageResponse
from cosim.scenario.arrays import Floats, Indices
from cosim.scenario.checks import hourly
from market.model.case import Resources
from market.participants.horizon_bids import Prospect
from market.participants.prosumers.portfolio import Position


class TelemetryPortfolio:
    """Live prosumers (see `market.participants.prosumers.portfolio.LivePortfolio`).

    A device that does not answer or does not follow is not offered: its PV counts as inflexible generation at
    the forecast, its battery as idle. Reactive power is that of the load by its power factor or, with
    ``metered_reactive``, as the meter shows it, which holds what inverters give too. ``response`` says how
    demand follows the voltage. ``worth`` names the chargers and loads of prosumers, and what a kWh is worth
    to each (`cosim.population.consumers`).
    """

    def __init__(
        self,
        cache: ProfileCache,
        members: Indices,
        tan_phi: Floats,
        response: VoltageResponse,
        *,
        metered_reactive: bool = False,
        worth: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self.cache = cache
        self.members = members
        self.names = [cache.profiles.population.id[member] for member in members]
        self.tan_phi = tan_phi[members]
        self.response = response
        self.metered_reactive = metered_reactive
        self.worth = [(worth or {}).get(name, {}) for name in self.names]
        self.inventory = inventory_of(cache.profiles.population)
        self.soc = cache.profiles.population.soc_start.copy()
        self._stored: list[tuple[int, str]] = []

    def position(
        self,
        tick: int,
        telemetry: dict[str, Telemetry],
        worth: Floats | None = None,
        planned_kw: Floats | None = None,
    ) -> Position:
        """Expected position: load and sun by forecast, what devices can do by telemetry."""
        forecast = self.response.expected(self.cache.forecast(tick))
        states, profiles = self._seen(telemetry), self.cache.profiles
        batteries = owners(profiles, self.members).size
        value = None if worth is None else energy_values(profiles, self.members, worth[:batteries])
        offers = offers_of(profiles, self.inventory, self.members, tick, self.soc, forecast, value)
        demand_kw = forecast.load_kw[self.members].copy()
        # One by one, Python's own numbers are read several times as fast as an array's.
        limits = offers.resources.min_kw.tolist(), offers.resources.max_kw.tolist()
        ranges = []
        for kind, owner, low_kw, high_kw in zip(
            offers.kind.tolist(), offers.owner.tolist(), *limits, strict=True
        ):
            device = states[owner].get("pv" if kind == Kind.PV else "battery")
            if kind == Kind.PV and device is None:
                demand_kw[owner] -= high_kw
            ranges.append(_range(kind, device, low_kw, high_kw))
        low, high = np.array(ranges, dtype=np.float64).reshape(-1, 2).T.copy()
        resources = Resources(
            offers.owner, low, high, offers.resources.cost_linear, offers.resources.cost_quadratic
        )
        self.offers = Offers(offers.kind, offers.owner, resources)
        self.expected_pv_kw = self.offers.total(high, self.members.size, Kind.PV)
        if any(self.worth):
            told = () if worth is None else zip(self._stored, worth[batteries:].tolist(), strict=True)
            known = {whose: kwh for whose, kwh in told if np.isfinite(kwh)}
            demand_kw += self._add_consumers(tick, telemetry, known)
        reactive_kvar = self.tan_phi * forecast.load_kw[self.members]
        if self.metered_reactive:
            for place, name in enumerate(self.names):
                seen = telemetry.get(name)
                if seen is not None and seen.quality == "good" and seen.q_kvar is not None:
                    reactive_kvar[place] = seen.q_kvar
        wanted_kw = None if planned_kw is None else self._wanted(planned_kw, batteries)
        return Position(demand_kw, reactive_kvar, self.offers.resources, self.cache.notes(tick), wanted_kw)

    def _wanted(self, planned_kw: Floats, batteries: int) -> Floats:
        """What the plan over the horizon wants of each resource, ``(r,)`` [kW]."""
        plan = battery_plan(self.cache.profiles, self.members, planned_kw[:batteries])
        plan |= {kind: np.full(self.members.size, np.nan) for kind in KINDS.values()}
        for (owner, name), power_kw in zip(self._stored, planned_kw[batteries:].tolist(), strict=True):
            plan[KINDS[name]][owner] = power_kw
        return self.offers.planned(plan)

    def prospect(self, tick: int, telemetry: dict[str, Telemetry], intervals: int) -> Prospect:
        """What is expected from a tick on; energy, and which devices are counted on, by telemetry."""
        states, profiles = self._seen(telemetry), self.cache.profiles
        days = [self.response.expected(each) for each in expected(self.cache, tick, intervals)]
        prospect = as_seen(prospect_of(profiles, self.members, days, self.soc), states)
        if not any(self.worth):
            return prospect
        market = profiles.scenario.market
        prices = prices_at(market, profiles.timeline, tick)
        ahead = Ahead(
            intervals=prospect.intervals,
            hours=profiles.timeline.interval_h,
            price=float(np.mean(hourly(market.grid.import_price))),
            retail=prices.retail_price,
            feed_in=prices.feed_in_price,
        )
        prospect, self._stored = with_consumers(prospect, self._told(telemetry), self.worth, ahead)
        return prospect

    def _told(self, telemetry: dict[str, Telemetry]) -> list[dict[str, DeviceState]]:
        """States of each prosumer's devices, whether they can be counted on or not."""
        return [
            {state.device: state for state in telemetry[name].devices} if name in telemetry else {}
            for name in self.names
        ]

    def _seen(self, telemetry: dict[str, Telemetry]) -> list[dict[str, DeviceState]]:
        """States of each prosumer's devices that can be counted on; batteries' charge is kept."""
        states = [_by_device(telemetry.get(name)) for name in self.names]
        for member, devices in zip(self.members, states, strict=True):
            battery = devices.get("battery")
            if battery is not None and battery.soc is not None:
                self.soc[member] = battery.soc
        return states

    def _add_consumers(
        self, tick: int, telemetry: dict[str, Telemetry], told: Mapping[tuple[int, str], float]
    ) -> Floats:
        """Offer chargers and loads too; returns what draws without a command, ``(n,)`` [kW]."""
        profiles, offers = self.cache.profiles, self.offers
        prices = prices_at(profiles.scenario.market, profiles.timeline, tick)
        states = self._told(telemetry)
        more = consumer_offers(states, self.worth, prices.retail_price, prices.feed_in_price, told)
        owner = np.concatenate([offers.owner, np.array(more.owner, dtype=np.intp)])
        order = np.argsort(owner, kind="stable")
        old = offers.resources
        columns = [
            np.concatenate([column, new])[order]
            for column, new in (
                (old.min_kw, more.min_kw),
                (old.max_kw, more.max_kw),
                (old.cost_linear, more.worth),
                (old.cost_quadratic, [0.0] * len(more.owner)),
            )
        ]
        kind = np.concatenate([offers.kind, np.array(more.kind, dtype=np.int8)])[order]
        self.offers = Offers(kind, owner[order], Resources(owner[order], *columns))
        return more.demand_kw

    def set_points(self, output_kw: Floats) -> list[list[DeviceSetPoint]]:
        """Limit of PV, lifted where nothing is curtailed, power of batteries, limits of chargers and loads.

        Chargers and loads that are not offered get control back.
        """
        people, size = self.cache.profiles.population, self.members.size
        has_battery = people.has_battery
        pv_kw = self.offers.total(output_kw, size, Kind.PV)
        battery_kw = self.offers.total(output_kw, size, Kind.CHARGE, Kind.DISCHARGE)
        commands: list[list[DeviceSetPoint]] = []
        for place, member in enumerate(self.members):
            devices = []
            if people.pv_kwp[member] > 0.0:
                curtailed = pv_kw[place] < self.expected_pv_kw[place] - CURTAILED_KW
                limit_kw = float(pv_kw[place]) if curtailed else None
                devices.append(DeviceSetPoint(device="pv", power_kw=limit_kw))
            if has_battery[member]:
                devices.append(DeviceSetPoint(device="battery", power_kw=float(battery_kw[place])))
            devices += [self._limit(place, name, output_kw) for name in self.worth[place]]
            commands.append(devices)
        return commands

    def _limit(self, place: int, name: str, output_kw: Floats) -> DeviceSetPoint:
        offers = self.offers
        mine = (offers.owner == place) & (offers.kind == KINDS[name])
        power_kw = min(float(output_kw[mine].sum()), 0.0) if mine.any() else None
        return DeviceSetPoint(device="ev" if name == "ev" else "load", power_kw=power_kw)

    def snapshot(self) -> Values:
        """States of charge as last read, and the voltages that demand goes by."""
        return {"soc": self.soc, "response": self.response.snapshot()}

    def restore(self, values: Values) -> None:
        """Take states of charge for those last read, and go by the voltages of then."""
        self.soc = array_of(values, "soc", self.soc)
        self.response.restore(part(values, "response"))


def _by_device(telemetry: Telemetry | None) -> dict[str, DeviceState]:
    """States of the devices that can be counted on, by kind."""
    if telemetry is None:
        return {}
    return {
        state.device: state
        for state in telemetry.devices
        if state.quality in ("good", "held") and state.obeys
    }


def _range(kind: int, device: DeviceState | None, low_kw: float, high_kw: float) -> tuple[float, float]:
    """Limits of a resource of a kind that its device can keep; none where it does not answer."""
    if device is None:
        return 0.0, 0.0
    if kind == Kind.CHARGE and device.min_kw is not None:
        return max(low_kw, min(device.min_kw, 0.0)), high_kw
    if kind == Kind.DISCHARGE and device.max_kw is not None:
        return low_kw, min(high_kw, max(device.max_kw, 0.0))
    return low_kw, high_kw
