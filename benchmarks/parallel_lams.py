"""LAMs of one very large population in parallel: workers hold members, and only sums meet at the WAM.

    python -m benchmarks.parallel_lams [--prosumers N] [--jobs N] [--scheduler tcp://HOST:PORT]

Quantity bidding without limits of the network. Each worker builds some LAMs and keeps their curves; the WAM
announces a price of shared energy, hears how much all LAMs of a part buy and how steeply that falls, and
narrows the price until shared energy balances. Prints wall and processor time, bytes and rounds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time

import click
import numpy as np
from distributed import Client, LocalCluster

from cosim.market_studies.cases import by_quantity, communities
from market.model.curves import Curves, respond
from market.model.pieces import fall
from market.model.response import supply_curves
from market.solver.clearing import pool_members

MEMBERS, SPAN = 1000, 0.08
PART_LAMS = 50
"""LAMs in a part: 50,000 prosumers, some 100 MB while they are built."""

BALANCED_KW = 1e-6
"""Per prosumer, at which shared energy counts as balanced."""

ROUNDS = 100


def build(seed: int) -> tuple[Curves, float, int]:
    """Curves of a part's LAMs over the price of shared energy, what building them took, and their bytes."""
    began = time.process_time()
    case = by_quantity(communities(seed, PART_LAMS, MEMBERS), SPAN)
    members = pool_members(case, supply_curves(case.demand_kw, case.resources))
    curves = members.charged(np.zeros(members.lams)).over_pool_price()
    return curves, time.process_time() - began, curves.price.nbytes + curves.kw.nbytes


def size(part: tuple[Curves, float, int]) -> tuple[float, int]:
    """Processor time and bytes of a part."""
    return part[1:]


def answer(part: tuple[Curves, float, int], price: float) -> tuple[float, float]:
    """What a part's LAMs buy at a price [kW], and how steeply that falls [kW per $/kWh]."""
    curves = part[0]
    kw = respond(curves, np.full(len(curves), price))
    # The slope guides the search and decides nothing: that of the last vertex not above the price.
    below = np.where(curves.price <= price, np.arange(curves.price.size), 0)
    last = np.maximum.reduceat(below, curves.start[:-1])
    inside = last >= curves.start[:-1]
    return float(kw.sum()), float(fall(curves)[last[inside]].sum())


def balance(
    client: Client, parts: list[object], low: float, high: float, wide_kw: float
) -> tuple[float, int]:
    """Price at which shared energy balances, and the rounds that it took."""
    price = 0.5 * (low + high)
    for number in range(1, ROUNDS + 1):
        answers = client.gather(client.map(answer, parts, price=price, pure=False))
        kw, slope = (sum(column) for column in zip(*answers, strict=True))
        if abs(kw) <= wide_kw or high - low < 1e-15:
            return price, number
        low, high = (price, high) if kw > 0 else (low, price)
        newton = price + kw / slope if slope > 0 else low
        price = newton if low < newton < high else 0.5 * (low + high)
    return price, ROUNDS


@click.command(help=__doc__)
@click.option("--prosumers", default=10_000_000, help="In LAMs of 1,000.")
@click.option("--jobs", default=2, help="Local processes.")
@click.option("--scheduler", help="Of a cluster in place of local processes.")
def main(prosumers: int, jobs: int, scheduler: str | None) -> None:
    """Print one line."""
    cluster = scheduler or LocalCluster(
        n_workers=jobs, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )
    with Client(cluster) as client:
        count = max(prosumers // (PART_LAMS * MEMBERS), 1)
        began = time.perf_counter()
        parts = client.map(build, range(count))
        sizes = client.gather(client.map(size, parts))
        built = time.perf_counter() - began
        people = count * PART_LAMS * MEMBERS
        price, rounds = balance(client, parts, 0.06, 0.30, BALANCED_KW * people)
        whole = time.perf_counter() - began
    worked = sum(each for each, _ in sizes)
    held = sum(each for _, each in sizes)
    print(
        f"{people:,} prosumers in {count * PART_LAMS:,} LAMs, {count} parts, {jobs} jobs: "
        f"built in {built:.1f} s ({worked:.1f} s of processor, {1e6 * worked / people:.1f} us a prosumer), "
        f"{held / 1e6:.0f} MB of curves ({held / people:.0f} bytes a prosumer) stay with workers; "
        f"balanced at {price:.6f} $/kWh in {rounds} rounds, {whole - built:.1f} s, "
        f"{rounds * count * 2 * 8:,} bytes of numbers; {whole:.1f} s in all"
    )


if __name__ == "__main__":
    main()
