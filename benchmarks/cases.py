"""Cases of the size of a feeder, a city or a region, for the benchmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.market_studies.cases import around, random_prosumers, with_model
from market.model.arrays import Floats
from market.model.case import Case, Grid, Network, Resources, Tariff
from market.model.curves import Curves, respond
from market.solver.clearing import clear
from market.solver.responses import Responses


def households(rng: np.random.Generator, spot_kw: Floats, members: int) -> Case:
    """Households at noon, some in each LAM: a third have PV, others batteries or flexible load.

    Parameters
    ----------
    rng
        Source of all draws.
    spot_kw
        Load of each LAM, shared by its members, ``(M,)`` [kW].
    members
        Of each LAM.
    """
    lams = len(spot_kw)
    lam_of = np.arange(lams * members) // members
    # Together a little less than the loads of the circuit, which its limits are known to bear.
    load_kw = np.maximum(spot_kw, 0.1)[lam_of] / members * rng.uniform(0.8, 1.1, lam_of.size)
    parts = []
    for share, low, high, price, rise in (
        (0.33, 0.0, 2.0, (0.0, 0.0), 1e-3),  # PV
        (0.12, -0.5, 0.5, (0.08, 0.16), 0.02),  # batteries, both ways
        (0.25, 0.0, 0.3, (0.12, 0.30), 0.02),  # flexible load
    ):
        owner = np.flatnonzero(rng.random(lam_of.size) < share)
        kw = load_kw[owner] * rng.uniform(0.5, 1.5, owner.size)
        parts.append((owner, low * kw, high * kw, rng.uniform(*price, owner.size), rise / kw))
    return Case(
        prosumer_id=tuple(f"p{j}" for j in range(lam_of.size)),
        lam_id=tuple(f"lam{i}" for i in range(lams)),
        lam_of=lam_of,
        demand_kw=load_kw,
        resources=Resources(*(np.concatenate(column) for column in zip(*parts, strict=True))),
        sensitivity=np.full(lams, 5.0),
        fee=np.full(lams, 0.002),
        wam_sensitivity=2000.0,
        wam_fee=np.full(lams, 0.002),
        balance=np.ones(lams),
        offset_kw=0.0,
        network=None,
        grid=Grid(0.25, 0.05, 1e6, 1e6),
        tariff=Tariff(0.30, 0.04),
    )


def radial_case(prosumers: int, lams: int, rows: int, seed: int, tightness: float = 0.25) -> Case:
    """Random prosumers on a random radial feeder whose rows bind where sharing would run free.

    Parameters
    ----------
    prosumers, lams, rows
        Size of the case; rows are node voltages, then line currents, around the tree.
    seed
        Of all random draws.
    tightness
        Part of the move from the state without sharing to free sharing that rows cut off.
    """
    rng = np.random.default_rng(seed)
    lam_of = np.concatenate([np.arange(lams), np.sort(rng.integers(0, lams, prosumers - lams))])
    case = random_prosumers(rng, np.sort(lam_of), lams)
    matrix, is_voltage = tree_rows(rng, lams, rows)
    free = clear(case).wam.net_kw
    # Half-way between free sharing and equal prices lies a point that all rows leave room for.
    held = respond(seen_by_wam(case), np.full(lams, 0.15)) * 0.7
    value, safe = matrix @ free, matrix @ held
    slack = rng.uniform(-tightness, 1.0, rows) * np.abs(value - safe)
    upper = np.maximum(safe, value + slack) + 1e-9
    lower = np.minimum(safe, value - np.abs(slack)) - 1e-9
    return replace(case, network=Network(matrix, np.zeros(rows), lower, upper, is_voltage))


def tree_rows(rng: np.random.Generator, lams: int, rows: int) -> tuple[Floats, np.ndarray]:
    """Voltages and currents per kW along a random tree, ``(rows, lams)``, and which are voltages."""
    above = np.zeros((lams, lams))
    for i in range(lams):
        above[i, i] = 1.0
        if i:
            above[i] += above[int(rng.integers(max(0, i - 6), i))]
    shared = (above * rng.uniform(0.2, 1.0, lams)) @ above.T
    which = np.arange(rows) % (2 * lams)
    voltage = which < lams
    node = which % lams
    matrix = np.where(voltage[:, None], -1e-5 * shared[node], 0.15 * above.T[node])
    return matrix * rng.uniform(0.8, 1.2, (rows, lams)), voltage


def seen_by_wam(case: Case) -> Curves:
    """Net purchase of each LAM over its price, as the wide-area market sees it."""
    return Responses(case).seen(case.wam_slope, case.wam_fee)


def ieee123_case(feeder: Feeder, prosumers: int, seed: int) -> tuple[Case, Limits]:
    """Random prosumers on the IEEE 123-node feeder, every node's voltage and every line's current a row.

    Prosumers spread over the buses by their spot loads, at which the feeder is linearised.

    Parameters
    ----------
    feeder
        The feeder, as it comes with the project.
    prosumers
        Number of prosumers.
    seed
        Of all random draws.
    """
    layout = feeder.layout
    lams = len(layout.lams)
    rng = np.random.default_rng(seed)
    share = layout.spot_kw / layout.spot_kw.sum()
    drawn = rng.choice(lams, prosumers - 2 * lams, p=share)
    lam_of = np.sort(np.concatenate([np.arange(lams), np.arange(lams), drawn]))
    # A kilowatt of mean load for each would be three times what the feeder is built for.
    case = random_prosumers(rng, lam_of, lams, size_kw=float(layout.spot_kw.sum()) / prosumers)
    limits = Limits(0.95, 1.05, layout.rating_a)
    return with_model(case, limits, around(feeder, layout.spot_kw)), limits


def within_reach(case: Case) -> Case:
    """The case with only those network rows that some admissible trade can bring to a limit."""
    network = case.network
    if network is None:
        return case
    answers = seen_by_wam(case)
    value = network.base + network.matrix @ (0.5 * (answers.highest_kw + answers.lowest_kw))
    span = np.abs(network.matrix) @ (0.5 * (answers.highest_kw - answers.lowest_kw))
    some = (value + span > network.upper) | (value - span < network.lower)
    return replace(case, network=network.take(some))
