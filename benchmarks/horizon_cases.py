"""A day of a region for the benchmarks: households over intervals, many with a battery or a vehicle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.cases import tree_rows
from market.horizon.case import HorizonCase
from market.horizon.stores import Stores
from market.model.arrays import Floats, Ints
from market.model.case import Case, Grid, Network, Resources, Tariff

BATTERIES, VEHICLES = 3400 / 11_250, 2000 / 11_250
"""Shares of the prosumers."""


def day(prosumers: int, lams: int, rows: int, intervals: int, seed: int) -> HorizonCase:
    """A day of households with load, PV and load that can be shed, over a radial feeder whose voltages bind.

    Parameters
    ----------
    prosumers, lams, rows, intervals
        Size of the case. The intervals divide one day.
    seed
        Of all random draws.
    """
    rng = np.random.default_rng(seed)
    hours = 24.0 / intervals
    clock = (np.arange(intervals) + 0.5) * hours
    lam_of = np.sort(np.concatenate([np.arange(lams), rng.integers(0, lams, prosumers - lams)]))
    shape = 0.5 + 0.25 * np.exp(-((clock - 7.5) ** 2) / 4) + 0.9 * np.exp(-((clock - 19) ** 2) / 6)
    demand = rng.uniform(0.2, 1.2, prosumers)[:, None] * shape * rng.uniform(0.6, 1.4, (prosumers, intervals))
    light = np.maximum(np.sin((clock - 6.0) / 12.0 * np.pi), 0.0) ** 1.5
    pv = np.flatnonzero(rng.random(prosumers) < 0.4)
    sun = rng.uniform(2.0, 6.0, pv.size)[:, None] * light
    sheds = np.flatnonzero(rng.random(prosumers) < 0.3)
    price = 0.16 + 0.05 * np.exp(-((clock - 8) ** 2) / 3) + 0.12 * np.exp(-((clock - 19.5) ** 2) / 5)
    price += 0.01 * rng.normal(size=intervals)
    net_kw = np.zeros((lams, intervals))
    np.add.at(net_kw, lam_of, demand)
    matrix, _ = tree_rows(rng, lams, min(rows, lams))
    drop = matrix @ net_kw
    network = Network(
        matrix,
        np.ones(len(matrix)),
        1.0 + 1.02 * drop.min(axis=1),
        1.0 - 0.8 * drop.min(axis=1),
        np.ones(len(matrix), dtype=bool),
        tuple(f"v{i}" for i in range(len(matrix))),
    )
    owner = np.concatenate([pv, sheds])
    return HorizonCase(
        intervals=tuple(
            Case(
                prosumer_id=tuple(f"p{j}" for j in range(prosumers)),
                lam_id=tuple(f"lam{i}" for i in range(lams)),
                lam_of=lam_of,
                demand_kw=demand[:, t],
                resources=Resources(
                    owner=owner,
                    min_kw=np.zeros(owner.size),
                    max_kw=np.concatenate([sun[:, t], 0.2 * demand[sheds, t]]),
                    cost_linear=np.concatenate([np.zeros(pv.size), np.full(sheds.size, 0.25)]),
                    cost_quadratic=np.concatenate([np.zeros(pv.size), np.full(sheds.size, 0.5)]),
                ),
                sensitivity=np.full(lams, 5.0),
                fee=np.full(lams, 0.002),
                wam_sensitivity=2000.0,
                wam_fee=np.full(lams, 0.002),
                balance=1.0 + 0.03 * np.arange(lams) / lams,
                offset_kw=20.0,
                network=network,
                grid=Grid(float(price[t]), float(price[t]) - 0.08, 1e6, 1e6),
                tariff=Tariff(0.40, 0.04),
            )
            for t in range(intervals)
        ),
        stores=_stores(rng, prosumers, clock, hours),
        hours=hours,
    )


def with_homes(case: HorizonCase, share: float, seed: int) -> HorizonCase:
    """The same stores in each LAM, but a share of those who own any have two or three of them, of any kinds.

    Parameters
    ----------
    case
        A case whose owners have one store each.
    share
        Part of the owners that have several.
    seed
        Of who they are.
    """
    rng = np.random.default_rng([seed, 1])
    owner = case.stores.owner.copy()
    lam_of = case.first.lam_of[owner]
    for lam in range(len(case.first.lam_id)):
        mine = rng.permutation(np.flatnonzero(lam_of == lam))
        for first, further in _in_homes(mine, share, rng):
            owner[further] = owner[first]
    return replace(case, stores=replace(case.stores, owner=owner))


def _in_homes(stores: Ints, share: float, rng: np.random.Generator) -> list[tuple[int, Ints]]:
    """First and further stores of members with several, so many that they are a share of all owners."""
    homes, at = [], 0
    for _ in range(round(share * stores.size / (1.0 + 1.5 * share))):
        more = int(rng.integers(1, 3))
        homes.append((int(stores[at]), stores[at + 1 : at + 1 + more]))
        at += 1 + more
    return homes


def _stores(rng: np.random.Generator, prosumers: int, clock: Floats, hours: float) -> Stores:
    """A battery or a vehicle for some of the prosumers."""
    kind = rng.permutation(prosumers) / prosumers
    owner = np.flatnonzero(kind < BATTERIES + VEHICLES)
    drives = kind[owner] < VEHICLES
    S, T = owner.size, clock.size
    size = np.where(drives, rng.uniform(35.0, 75.0, S), rng.uniform(4.0, 13.0, S))
    power = np.where(drives, rng.choice([3.7, 7.4, 11.0], S), 0.4 * size)
    leaves, returns = rng.uniform(6.0, 9.0, S), rng.uniform(15.0, 20.0, S)
    away = drives[:, None] & (clock > leaves[:, None]) & (clock < returns[:, None])
    charge = np.where(away, 0.0, power[:, None])
    gives = ~drives | (rng.random(S) < 0.25)
    end = (clock + 0.5 * hours)[None, :]
    lower = np.zeros((S, T + 1))
    going = drives[:, None] & (end <= leaves[:, None]) & (end + hours > leaves[:, None])
    lower[:, 1:][going] = 0.8 * np.repeat(size[:, None], T, axis=1)[going]
    back = drives[:, None] & (end >= returns[:, None]) & (end - hours < returns[:, None])
    initial = size * np.where(drives, rng.uniform(0.5, 0.8, S), rng.uniform(0.1, 0.6, S))
    used = rng.uniform(4.0, 15.0, S)[:, None]
    return Stores(
        owner=owner,
        initial_kwh=initial,
        lower_kwh=lower,
        upper_kwh=np.repeat(size[:, None], T + 1, axis=1),
        charge_kw=charge,
        discharge_kw=np.where(gives[:, None], charge, 0.0),
        charge_efficiency=np.full((S, T), 0.95),
        discharge_efficiency=np.full((S, T), 0.95),
        retention=np.where(drives, 1.0, 0.9998),
        drift_kwh=np.where(back, -used, 0.0),
        charge_wear=np.full(S, 0.005),
        discharge_wear=np.full(S, 0.005),
        end_value=np.full(S, 0.12),
    )
