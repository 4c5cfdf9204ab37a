"""Prosumers of the town with batteries, under prices that change from interval to interval."""

from dataclasses import replace

import numpy as np

from broker.messages import DeviceSetPoint
from market.horizon.stores import Stores
from market.model.case import Resources
from market.participants.horizon_bids import Prospect
from market.participants.prosumers.portfolio import Metered, Position
from market.participants.roster import HorizonRules, Terms
from tests.market.participants import world

INTERVALS = 6
"""What the prosumers know: nothing is expected of later intervals."""

SUN_KW = np.array([6.0, 9.0, 2.0, 0.0, 0.0, 0.0])
IMPORT_PRICE = np.array([0.12, 0.09, 0.11, 0.24, 0.20, 0.13])
KWH, KW, EFFICIENCY, WEAR, END_VALUE = 3.0, 4.0, 0.95, 0.005, 0.12
HAS_BATTERY = ~world.LIVE & ~world.SUN


def rules(horizon, bidding="curve"):
    def terms(tick):
        case = world.case(tick)
        return Terms(replace(case.grid, import_price=float(IMPORT_PRICE[tick % INTERVALS])), case.tariff)

    ahead = HorizonRules(horizon, world.DT_H, lambda tick, later: terms(tick + later))
    return replace(world.rules(bidding), terms=terms, horizon=ahead)


class Storing:
    """Portfolio whose forecasts come true: load, sun with two, batteries with those who have no devices."""

    def __init__(self, members):
        self.members = members
        self.sun = np.flatnonzero(world.SUN[members])
        self.owner, self.room_kwh, self.kw, self.efficiency, self.wear = self.batteries()
        self.kwh = np.full(self.owner.size, 1.0)

    def batteries(self):
        """Owner, capacity, power, efficiency and wear of each battery."""
        owner = np.flatnonzero(HAS_BATTERY[self.members])
        return owner, *(np.full(owner.size, value) for value in (KWH, KW, EFFICIENCY, WEAR))

    def prospect(self, tick, *telemetry_and_intervals):
        T = min(telemetry_and_intervals[-1], INTERVALS - tick)
        ticks, S = tick + np.arange(T), self.owner.size
        demand = np.stack([world.case(each).demand_kw[self.members] for each in ticks], axis=1)
        zero = np.zeros((S, T))
        power, efficiency = (np.tile(each[:, None], T) for each in (self.kw, self.efficiency))
        return Prospect(
            demand_kw=demand,
            owner=self.sun,
            max_kw=np.tile(SUN_KW[ticks], (self.sun.size, 1)),
            cost_linear=np.zeros(self.sun.size),
            cost_quadratic=np.zeros(self.sun.size),
            stores=Stores(
                owner=self.owner,
                initial_kwh=self.kwh,
                lower_kwh=np.zeros((S, T + 1)),
                upper_kwh=np.tile(self.room_kwh[:, None], T + 1),
                charge_kw=power,
                discharge_kw=power,
                charge_efficiency=efficiency,
                discharge_efficiency=efficiency,
                retention=np.ones(S),
                drift_kwh=zero,
                charge_wear=self.wear,
                discharge_wear=self.wear,
                end_value=np.full(S, END_VALUE),
            ),
            kind=("battery",) * S,
        )

    def position(self, tick, *telemetry_and_told):
        worth, planned_kw = telemetry_and_told[-2:]
        efficiency = self.efficiency
        worth = np.full(self.owner.size, 0.1) if worth is None else np.where(np.isinf(worth), 0.1, worth)
        none, room = np.zeros(self.owner.size), (self.room_kwh - self.kwh) / efficiency / world.DT_H
        stored = self.kwh * efficiency / world.DT_H
        demand = world.case(tick).demand_kw[self.members]
        return Position(
            demand_kw=demand,
            reactive_kvar=0.1 * demand,
            resources=Resources(
                owner=np.concatenate([self.sun, self.owner, self.owner]),
                min_kw=np.concatenate([np.zeros(self.sun.size), -np.minimum(self.kw, room), none]),
                max_kw=np.concatenate(
                    [np.full(self.sun.size, SUN_KW[tick]), none, np.minimum(self.kw, stored)]
                ),
                cost_linear=np.concatenate(
                    [np.zeros(self.sun.size), worth * efficiency - self.wear, worth / efficiency + self.wear]
                ),
                cost_quadratic=np.zeros(self.sun.size + 2 * self.owner.size),
            ),
            wanted_kw=None
            if planned_kw is None
            else np.concatenate(
                [np.full(self.sun.size, np.nan), np.minimum(planned_kw, 0.0), np.maximum(planned_kw, 0.0)]
            ),
        )

    def act(self, tick, output_kw):
        S, sun = self.owner.size, self.sun.size
        charge, discharge = output_kw[sun : sun + S], output_kw[sun + S :]
        self.kwh = self.kwh - world.DT_H * (self.efficiency * charge + discharge / self.efficiency)
        demand = world.case(tick).demand_kw[self.members]
        made = np.bincount(self.owner, charge + discharge, self.members.size)
        made += np.bincount(self.sun, output_kw[:sun], self.members.size)
        return Metered((demand - made) * world.DT_H, 0.1 * demand * world.DT_H)

    def set_points(self, output_kw):
        assert output_kw.size == 0, "live prosumers of the town have meters and nothing else"
        return [[DeviceSetPoint(device="battery", power_kw=0.0)] for _ in self.members]

    def snapshot(self):
        return {"kwh": self.kwh}

    def restore(self, values):
        self.kwh = values["kwh"]


class Crowded(Storing):
    """All who have no devices have a battery and work that is to be done by the last but one interval."""

    wanted = 2.5
    by = INTERVALS - 1

    def batteries(self):
        owner = np.repeat(np.flatnonzero(~world.LIVE[self.members]), 2)
        self.is_work = np.arange(owner.size) % 2 == 1
        of = self.is_work.astype(int)
        pair = ((KWH, 1.0 + self.wanted), (KW, KW), (EFFICIENCY, 1.0), (WEAR, 0.0))
        return owner, *(np.array(values)[of] for values in pair)

    def prospect(self, tick, *telemetry_and_intervals):
        made = super().prospect(tick, *telemetry_and_intervals)
        lower, give = made.stores.lower_kwh.copy(), made.stores.discharge_kw.copy()
        give[self.is_work] = 0.0
        lower[self.is_work, max(self.by - tick, 0)] = self.room_kwh[self.is_work]
        lower[:, 0] = 0.0
        return replace(made, stores=replace(made.stores, lower_kwh=lower, discharge_kw=give))

    def position(self, tick, *telemetry_and_told):
        made, S = super().position(tick, *telemetry_and_told), self.owner.size
        most = made.resources.max_kw.copy()
        most[-S:][self.is_work] = 0.0
        return replace(made, resources=replace(made.resources, max_kw=most))
