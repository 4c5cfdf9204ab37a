"""Wild cases: small markets with everything at once that has ever been hard to clear, each told by a seed."""

import numpy as np

from market.model.case import Case, Grid, Network, Resources, Tariff
from market.model.rule import DemandFunctionBidding

COSTS = [0.0, 0.0, 0.05, 0.1, 0.15, 0.25]
"""Marginal costs that tie with each other and with the grid's prices [$/kWh]."""

FEES = [0.0, 0.0, 0.005, 0.01, 0.025, 0.1]


def wild_case(seed):
    """A case of 1 to 13 LAMs with jumps, dead bands, lone members, tight rows and limits."""
    rng = np.random.default_rng(seed)
    lams = int(rng.choice([1, 2, 3, 5, 8, 13]))
    members = rng.choice([1, 1, 2, 3, 6], size=lams) if rng.random() < 0.7 else np.ones(lams, dtype=int)
    n = int(members.sum())
    lam_of = rng.permutation(np.repeat(np.arange(lams), members))
    unit_kw = 10.0 ** rng.choice([-5.0, -2.0, 0.0, 0.0, 0.0, 0.0, 3.0])
    demand_kw = _powers(rng, n) * unit_kw
    resources = _resources(rng, n, unit_kw)
    if rng.random() < 0.1:
        # One party a million times as large as those beside it.
        demand_kw[int(rng.integers(n))] *= 1e6
    balance = np.ones(lams) if rng.random() < 0.3 else rng.uniform(0.84, 1.28, lams)
    sums = np.bincount(lam_of, demand_kw, minlength=lams)
    used = np.bincount(lam_of[resources.owner], _inside(rng, resources), minlength=lams)
    state_kw = sums - used
    offset_kw = float(rng.choice([0.0, rng.normal() * unit_kw]))
    return Case(
        prosumer_id=tuple(f"p{j}" for j in range(n)),
        lam_id=tuple(f"lam{i}" for i in range(lams)),
        lam_of=lam_of,
        demand_kw=demand_kw,
        resources=resources,
        sensitivity=np.full(lams, 10.0 ** rng.integers(-1, 4)) * max(unit_kw, 1e-3),
        fee=rng.choice(FEES, lams),
        wam_sensitivity=10.0 ** rng.integers(0, 4) * max(unit_kw, 1e-3),
        wam_fee=rng.choice(FEES, lams),
        balance=balance,
        offset_kw=offset_kw,
        network=_network(rng, state_kw, unit_kw) if rng.random() < 0.7 else None,
        grid=_grid(rng, offset_kw + float(balance @ state_kw)),
        tariff=Tariff(0.35, 0.0),
        rule=DemandFunctionBidding(str(rng.choice(["sharing", "sharing", "price-taking"]))),
    )


def _powers(rng, size):
    """Powers near one, some nothing and some round."""
    kind = rng.random(size)
    value = rng.uniform(-4.0, 4.0, size)
    return np.where(kind < 0.15, 0.0, np.where(kind < 0.4, np.round(value), value))


def _resources(rng, n, unit_kw):
    """PV, batteries and shedding, most of them without quadratic cost: they jump."""
    count = rng.choice([0, 1, 1, 2, 3], size=n)
    owner = np.repeat(np.arange(n), count)
    size = owner.size
    low = np.where(rng.random(size) < 0.5, 0.0, -rng.uniform(0.0, 3.0, size))
    high = np.where(rng.random(size) < 0.8, rng.uniform(0.0, 3.0, size), 0.0)
    curved = rng.random(size) < (0.0 if rng.random() < 0.5 else 0.6)
    quadratic = np.where(curved, 10.0 ** rng.uniform(-4.0, 1.0, size), 0.0) / unit_kw
    return Resources(owner, low * unit_kw, high * unit_kw, rng.choice(COSTS, size), quadratic)


def _inside(rng, resources):
    """Outputs somewhere in their ranges, often at an end."""
    part = rng.choice([0.0, 1.0, rng.random(), rng.random()], resources.owner.size)
    return resources.min_kw + part * (resources.max_kw - resources.min_kw)


def _network(rng, state_kw, unit_kw):
    """Rows that hold at net purchases ``state_kw`` and cut close to it, or hold it exactly."""
    rows = int(rng.integers(1, 8))
    matrix = rng.normal(size=(rows, state_kw.size)) * 1e-3 / unit_kw
    matrix *= rng.random(matrix.shape) < rng.choice([0.2, 0.6, 1.0])
    matrix *= 10.0 ** rng.choice([0.0, 0.0, -3.0, 3.0], (rows, 1))
    base = np.where(rng.random(rows) < 0.8, 1.0, 0.0)
    value = base + matrix @ state_kw
    room = np.abs(matrix).sum(axis=1) * unit_kw * rng.choice([0.0, 0.1, 0.5, 3.0], (2, rows))
    if rng.random() < 0.2:
        room[:] = 0.0
    return Network(
        matrix,
        base,
        value - room[0],
        value + room[1],
        voltage=rng.random(rows) < 0.5,
        name=tuple(f"r{i}" for i in range(rows)),
    )


def _grid(rng, needed_kw):
    """A grid that is far, near its limit, or away."""
    enough = 1e4 * max(abs(needed_kw), 1.0)
    kind = rng.random()
    if kind < 0.7:
        limits = (enough, enough)
    elif kind < 0.85:
        limits = (max(needed_kw, 0.0), enough) if rng.random() < 0.5 else (enough, max(-needed_kw, 0.0))
    else:
        limits = (max(needed_kw, 0.0), max(-needed_kw, 0.0))
    export = float(rng.choice([0.05, 0.05, 0.25, -0.1]))
    return Grid(0.25, export, *limits)
