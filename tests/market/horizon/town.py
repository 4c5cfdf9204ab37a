"""Small markets over a horizon, each told by a seed: households, some with a store of any kind."""

from dataclasses import replace

import numpy as np

from market.horizon.case import HorizonCase
from market.horizon.stores import Stores, joined_stores
from market.model.case import Case, Grid, Network, Resources, Tariff
from market.model.rule import DemandFunctionBidding


def battery(T, *, owner=0, kwh=4.0, kw=2.0, initial=1.0, efficiency=0.95, wear=0.01, end_value=0.0):
    """One battery over T intervals."""
    return Stores(
        owner=np.array([owner]),
        initial_kwh=np.array([initial]),
        lower_kwh=np.zeros((1, T + 1)),
        upper_kwh=np.full((1, T + 1), kwh),
        charge_kw=np.full((1, T), kw),
        discharge_kw=np.full((1, T), kw),
        charge_efficiency=np.full((1, T), efficiency),
        discharge_efficiency=np.full((1, T), efficiency),
        retention=np.ones(1),
        drift_kwh=np.zeros((1, T)),
        charge_wear=np.full(1, wear),
        discharge_wear=np.full(1, wear),
        end_value=np.full(1, end_value),
    )


def town(seed, *, T=6, lams=2, members=4, rows=0, stores=0.6, hours=1.0, conjecture="sharing"):
    """Households with load, PV, shedding and, some of them, a battery, vehicle, appliance or heated room."""
    rng = np.random.default_rng(seed)
    n = lams * members
    day = np.sin(np.linspace(0, 2 * np.pi, T, endpoint=False))
    demand = rng.uniform(0.5, 3.0, n)[:, None] * (1 + 0.3 * day) + 0.3 * rng.normal(size=(n, T))
    sun = np.maximum(-day, 0.0) * rng.uniform(0.5, 6.0, n)[:, None] * (rng.random(n) < 0.5)[:, None]
    shed, cost = rng.uniform(0.0, 0.8, n), rng.uniform(0.1, 0.4, n)
    price = 0.2 + 0.08 * day + 0.02 * rng.normal(size=T)
    matrix = -1e-3 * rng.uniform(0.5, 4.0, (rows, lams))
    fees = rng.choice([0.0, 0.002, 0.01], (2, lams))
    balance = 1 + 0.03 * rng.random(lams)
    reach = np.abs(matrix).sum(axis=1) * members
    return HorizonCase(
        intervals=tuple(
            Case(
                prosumer_id=tuple(f"p{j}" for j in range(n)),
                lam_id=tuple(f"lam{i}" for i in range(lams)),
                lam_of=np.arange(n) % lams,
                demand_kw=demand[:, t],
                resources=Resources(
                    owner=np.concatenate([np.arange(n), np.arange(n)]),
                    min_kw=np.zeros(2 * n),
                    max_kw=np.concatenate([sun[:, t], shed]),
                    cost_linear=np.concatenate([np.zeros(n), cost]),
                    cost_quadratic=np.concatenate([np.zeros(n), np.full(n, 0.05)]),
                ),
                sensitivity=np.full(lams, 10.0),
                fee=fees[0],
                wam_sensitivity=100.0,
                wam_fee=fees[1],
                balance=balance,
                offset_kw=0.2,
                network=Network(
                    matrix,
                    np.ones(rows),
                    1 - 2.0 * reach,
                    1 + 2.0 * reach,
                    np.ones(rows, bool),
                    tuple(f"v{r}" for r in range(rows)),
                )
                if rows
                else None,
                grid=Grid(float(price[t]) + 0.03, float(price[t]) - 0.05, 1e4, 1e4),
                tariff=Tariff(0.4, 0.0),
                rule=DemandFunctionBidding(conjecture),
            )
            for t in range(T)
        ),
        stores=some_stores(rng, n, T, stores, hours),
        hours=hours,
    )


def some_stores(rng, n, T, share, hours):
    """Stores of a share of n prosumers: batteries, vehicles, appliances and heated rooms by turns."""
    owner = np.flatnonzero(rng.random(n) < share)
    S = owner.size
    kind = np.arange(S) % 4
    size = rng.uniform(1.0, 5.0, S) * hours * T / 6
    power = rng.uniform(0.8, 3.0, S)
    lower, upper = np.zeros((S, T + 1)), np.repeat(size[:, None], T + 1, axis=1)
    charge, discharge = np.repeat(power[:, None], T, axis=1), np.repeat(power[:, None], T, axis=1)
    drift, retention = np.zeros((S, T)), np.ones(S)
    into, out = rng.uniform(0.85, 1.0, (2, S, 1)) * np.ones((2, S, T))
    initial, end_value = size * rng.uniform(0.1, 0.9, S), np.where(rng.random(S) < 0.5, 0.0, 0.15)
    for s in range(S):
        if kind[s] == 0:
            retention[s] = rng.choice([1.0, 0.98])
        if kind[s] == 1:
            arrive, leave = sorted(rng.choice(T + 1, 2, replace=False))
            away = (np.arange(T) < arrive) | (np.arange(T) >= leave)
            charge[s, away] = discharge[s, away] = 0.0
            discharge[s] *= rng.random() < 0.3
            most = initial[s] + power[s] * hours * 0.85 * (leave - arrive)
            lower[s, leave] = min(size[s], most) * rng.uniform(0.5, 1.0)
        if kind[s] == 2:
            discharge[s], into[s], initial[s], lower[s, -1] = 0.0, 1.0, 0.0, size[s] * 0.8
        if kind[s] == 3:
            discharge[s], into[s], retention[s] = 0.0, 3.0, 0.95
            drift[s] = -rng.uniform(0.0, 0.2, T) * size[s]
    return Stores(
        owner=owner,
        initial_kwh=initial,
        lower_kwh=lower,
        upper_kwh=upper,
        charge_kw=charge,
        discharge_kw=discharge,
        charge_efficiency=into,
        discharge_efficiency=out,
        retention=retention,
        drift_kwh=drift,
        charge_wear=rng.choice([0.0, 0.02], S),
        discharge_wear=rng.choice([0.0, 0.02], S),
        end_value=end_value,
    )


def with_more_stores(case, seed, times=2, share=0.6):
    """The case with stores of some prosumers once more, and again: many have two or three of any kind."""
    rng = np.random.default_rng([seed, 11])
    n, T, parts = case.first.demand_kw.size, len(case.intervals), [case.stores]
    for _ in range(times):
        more = some_stores(rng, n, T, share, case.hours)
        parts.append(replace(more, owner=rng.permutation(n)[more.owner]))
    return replace(case, stores=joined_stores(parts))


def planned_apart(case):
    """The case with a member of its own for each further store of somebody, and the price slopes of before.

    Returns
    -------
    case, owner
        The case, and whose each store really is.
    """
    owner, n = case.stores.owner.copy(), case.first.demand_kw.size
    more = np.setdiff1d(np.arange(owner.size), np.unique(owner, return_index=True)[1])
    lam_of = np.concatenate([case.first.lam_of, case.first.lam_of[owner[more]]])
    names = (*case.first.prosumer_id, *(f"further{k}" for k in range(more.size)))
    before, now = (
        np.bincount(lams, minlength=len(case.first.lam_id)) for lams in (case.first.lam_of, lam_of)
    )
    intervals = tuple(
        replace(
            one,
            prosumer_id=names,
            lam_of=lam_of,
            demand_kw=np.concatenate([one.demand_kw, np.zeros(more.size)]),
            sensitivity=one.sensitivity * (before - 1) / (now - 1),
        )
        for one in case.intervals
    )
    own = owner.copy()
    own[more] = n + np.arange(more.size)
    return replace(case, intervals=intervals, stores=replace(case.stores, owner=own)), owner
