"""How long an AC-confirmed interval takes on networks of any size, and how that grows with their nodes.

    python -m benchmarks.networks MASTER... [--lams N] [--json FILE]

Each OpenDSS master file in a process of its own, with a LAM at each load bus (or at the first N) and five
households in each at noon: opening it, an AC power flow with everything read, one row of the linear model by
the adjoint method, beside all rows at once if asked for, and the interval as market and feeder have it: bids
added up, then clearings and judgements in turn until AC power flow confirms, each model through its message.
Limits are 0.95 to 1.05 pu and the ratings, wider where the circuit's own loads come near them. The first
interval begins as that of a run does, at the middle of the grid's prices; the next one, in which households
draw otherwise by some percent, at the first one's prices, as all others of a run do. The least of a few
repetitions, for others on the machine only add to it; time of the processor, and by the clock where said.
"""

from __future__ import annotations

import os

# Matrices here are small: threads of a BLAS on busy cores cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.cases import households, seen_by_wam
from broker.messages import NetworkModel
from cosim.control.memory import keep_freed_memory
from cosim.feeder.circuit import AcState, LamSite
from cosim.feeder.dispatch import Answer, OperatingRules, Proposal
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.feeder.service import model_message
from market.model.arrays import Floats
from market.model.case import Case
from market.participants.roster import Terms
from market.participants.wam.clear_model import clear_model
from market.participants.wam.least_violation import Swinging, is_least_violation
from market.solver.lam_bids import GridBids
from market.solver.wam import LimitPrices

MEMBERS = 5
MOST_ROUNDS = 60
_INTERVAL_S = 900.0
_LATER = 0.05
COLUMNS = {
    "nodes": "nodes",
    "LAMs": "LAMs",
    "opening [s]": "opening",
    "power flow [ms]": "AC [ms]",
    "a row [ms]": "a row [ms]",
    "all rows [s]": "all rows [s]",
    "interval [s]": "interval [s]",
    "interval by the clock [s]": "by clock [s]",
    "rounds": "rounds",
    "next interval [s]": "next [s]",
    "its rounds": "its rounds",
    "rows, binding": "rows, binding",
    "model [MB]": "model [MB]",
    "peak memory [MB]": "peak [MB]",
}


def limits_of(state: AcState, feeder: Feeder) -> Limits:
    """Limits that the circuit's own loads keep."""
    rating_a = feeder.layout.rating_a
    loading = np.where(np.isfinite(rating_a), np.abs(state.current_a) / rating_a, 0.0)
    low, high = float(state.v_pu.min()), float(state.v_pu.max())
    return Limits(min(0.95, low - 0.005), max(1.05, high + 0.005), rating_a * np.maximum(1.0, 1.05 * loading))


def tight_limits(feeder: Feeder, case: Case, loose: Limits) -> Limits:
    """Voltage limits halfway between the own loads and a market without limits, so that they bind."""
    free = Limits(0.5, 1.5, np.full_like(loose.rating_a, np.inf))
    spot_kw, start = feeder.layout.spot_kw, feeder.positions()
    own = feeder.solve(spot_kw, spot_kw * feeder.layout.tan_phi)
    net_kw = confirmed_interval(feeder, case, operation_within(feeder, free, controls_act=False))["net_kw"]
    far = feeder.solve(net_kw, spot_kw * feeder.layout.tan_phi)
    feeder.put(start)
    low, high = float(own.v_pu.min()), float(own.v_pu.max())
    return Limits(
        low - max(0.5 * (low - float(far.v_pu.min())), 1e-3),
        high + max(0.5 * (float(far.v_pu.max()) - high), 1e-3),
        loose.rating_a,
    )


def operation_within(feeder: Feeder, limits: Limits, *, controls_act: bool) -> Operation:
    """The operation of a feeder, which lasts from interval to interval."""
    still = np.zeros(len(feeder.layout.lams))
    return Operation(OperatingRules(limits, _INTERVAL_S, still, controls_act=controls_act))


def confirmed_interval(
    feeder: Feeder,
    case: Case,
    operation: Operation,
    *,
    last_price: Floats | None = None,
    on_model: Callable[[NetworkModel], None] = lambda _: None,
) -> dict[str, Any]:
    """One interval between market and feeder, from bids to a confirmed outcome, and its models.

    It begins at what LAMs would buy at the last interval's prices ``(M,)``, or at the middle of the grid's.
    """
    layout = feeder.layout
    terms, still = Terms(case.grid, case.tariff), np.zeros(len(layout.lams))
    kvar = layout.spot_kw * layout.tan_phi
    decoder = msgspec.json.Decoder(NetworkModel)
    began, began_cpu = time.perf_counter(), time.process_time()
    bids = GridBids(seen_by_wam(case))
    start = np.full(len(layout.lams), terms.grid.middle_price) if last_price is None else last_price
    net_kw = bids.flows(start)
    answers: list[Answer] = []
    swinging = Swinging()
    largest, binding, rows = 0, 0, 0
    price, tick = last_price, 0 if last_price is None else 1
    prices: LimitPrices | None = None
    relaxed: Mapping[str, float] = {}
    while len(answers) < MOST_ROUNDS:
        proposal = Proposal(tick, len(answers), net_kw, kvar, still, bids.lowest_kw, bids.highest_kw)
        answers.append(operation.judge(feeder, proposal))
        # The operator of the wide-area market ends here as well, and flags what gave way.
        if answers[-1].confirmed or is_least_violation(relaxed, answers[-1].linear_error_pu):
            break
        assert answers[-1].model is not None
        told = model_message(answers[-1].model, [])
        on_model(told)
        wire = msgspec.json.encode(told)
        model = decoder.decode(wire)
        clearing = clear_model(bids, model, terms, prices)
        swinging.judged(answers[-1].linear_error_pu)
        if not answers[-1].unwatched and swinging.gains_nothing(net_kw, clearing, model, terms.grid):
            break
        net_kw, price = clearing.net_kw, clearing.price
        prices, relaxed = clearing.limit_prices, clearing.relaxed
        largest = max(largest, len(wire))
        rows, binding = len(clearing.row_dual), int(np.count_nonzero(clearing.row_dual))
    return {
        "interval [s]": time.process_time() - began_cpu,
        "interval by the clock [s]": time.perf_counter() - began,
        "rounds": f"{len(answers)}, {sum(answer.source_kw is not None for answer in answers)} with AC",
        "rows, binding": f"{rows:,}, {binding}",
        "model [MB]": largest / 2**20,
        "confirmed": answers[-1].confirmed,
        "relaxed": len(relaxed),
        "net_kw": net_kw,
        "price": price,
    }


def measure(
    master: str, lams: int | None, repeat: int, size: float, *, controls_act: bool, dense: bool, tight: bool
) -> dict[str, Any]:
    """Figures of one circuit, in this process."""
    began = time.process_time()
    feeder = Feeder(master)
    opening_s = time.process_time() - began
    if lams is not None and lams < len(feeder.layout.lams):
        feeder = Feeder(master, [LamSite(bus, bus) for bus in feeder.layout.lam_bus[:lams]])
    layout = feeder.layout
    count, kvar = len(layout.lams), layout.spot_kw * layout.tan_phi
    shares = iter(np.random.default_rng(1).uniform(0.7, 1.0, (1000, count)))
    found: dict[str, Any] = {
        "nodes": len(layout.nodes),
        "LAMs": count,
        "opening [s]": opening_s,
        "power flow [ms]": 1e3 * least_s(lambda: feeder.solve(next(shares) * layout.spot_kw, kvar), 11),
    }
    case = households(np.random.default_rng(1), size * layout.spot_kw, MEMBERS)
    limits = limits_of(feeder.solve(layout.spot_kw, kvar), feeder)
    if tight:
        limits = tight_limits(feeder, case, limits)
    start = feeder.positions()
    operation = operation_within(feeder, limits, controls_act=controls_act)
    runs = []
    # The first interval finds out what lasts for a whole run.
    for _ in range(1 + repeat):
        feeder.put(start)
        runs.append(confirmed_interval(feeder, case, operation))
    del runs[0]
    found |= min(runs, key=lambda each: each["interval [s]"])
    del found["net_kw"]
    later, price = otherwise(np.random.default_rng(3), case, _LATER), found.pop("price")
    after = []
    for _ in range(repeat):
        feeder.put(start)
        after.append(confirmed_interval(feeder, later, operation, last_price=price))
    found["next interval [s]"] = min(each["interval [s]"] for each in after)
    found["its rounds"] = after[0]["rounds"]
    found["peak memory [MB]"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model = feeder.linearise(layout.spot_kw, kvar)
    if not model.derivatives.is_whole:
        some = np.random.default_rng(2).choice(len(layout.nodes), 41, replace=False)
        model.derivatives.volts(some[:1])
        found["a row [ms]"] = 1e3 * least_s(lambda: model.derivatives.volts(some[1:]), 1) / 40
    if dense:
        point = layout.spot_kw, kvar
        found["all rows [s]"] = least_s(lambda: feeder.linearise(*point, whole=True), 1)
    return found


def otherwise(rng: np.random.Generator, case: Case, part: float) -> Case:
    """The same households an interval later: what each draws and can do has changed by about such a part."""
    demand_kw = case.demand_kw * (1.0 + part * rng.standard_normal(len(case.demand_kw)))
    own, change = case.resources, 1.0 + part * rng.standard_normal(len(case.resources.owner))
    resources = replace(own, min_kw=own.min_kw * change, max_kw=own.max_kw * change)
    return replace(case, demand_kw=demand_kw, resources=resources)


def least_s(work: Callable[[], object], repeat: int) -> float:
    """Least time of the processor that something takes [s]."""
    times = []
    for _ in range(repeat):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def growth(figures: dict[str, dict[str, Any]], name: str) -> float:
    """Power of the number of nodes with which a figure grows, by least squares over all circuits."""
    nodes = np.log([each["nodes"] for each in figures.values()])
    return float(np.polyfit(nodes, np.log([each[name] for each in figures.values()]), 1)[0])


def show(figures: dict[str, dict[str, Any]]) -> None:
    """Print a table with a line for each circuit, and the growth."""
    table = Table("circuit", *COLUMNS.values())
    for name, each in figures.items():
        cells = [each.get(column, "") for column in COLUMNS]
        shown = [_text(cell) for cell in cells]
        table.add_row(name + _not_confirmed(each), *shown)
    Console(width=180).print(table)
    if len(figures) > 2:
        for name in ("power flow [ms]", "interval [s]", "next interval [s]"):
            print(f"{name.partition(' [')[0]}: grows with nodes to the power of {growth(figures, name):.2f}")


def _not_confirmed(each: dict[str, Any]) -> str:
    if each["confirmed"]:
        return ""
    return f" (no trade keeps {each['relaxed']} rows)" if each["relaxed"] else " (not confirmed)"


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if cell >= 100 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


@click.command()
@click.argument("masters", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--lams", type=click.IntRange(1), help="At most so many load buses have a LAM.")
@click.option("--repeat", default=3, show_default=True, type=click.IntRange(1), help="Of each interval.")
@click.option("--size", default=1.0, show_default=True, help="Of households, as a part of the own loads.")
@click.option("--controls", is_flag=True, help="Regulators and capacitors act on trial, as in a run.")
@click.option("--dense", is_flag=True, help="Also find all rows at once: memory of a gigabyte and more.")
@click.option("--tight", is_flag=True, help="Voltage limits that bind on every circuit.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Also write the figures here.")
@click.option("--alone", is_flag=True, hidden=True)
def main(
    masters: tuple[Path, ...],
    lams: int | None,
    repeat: int,
    size: float,
    controls: bool,
    dense: bool,
    tight: bool,
    file: Path | None,
    alone: bool,
) -> None:
    """Time circuits given by their master files."""
    keep_freed_memory()
    if alone:
        found = measure(str(masters[0]), lams, repeat, size, controls_act=controls, dense=dense, tight=tight)
        print(json.dumps(found))
        return
    options = [*(["--lams", str(lams)] if lams else []), "--repeat", str(repeat), "--size", str(size)]
    options += [*(["--controls"] if controls else []), *(["--dense"] if dense else [])]
    options += ["--tight"] if tight else []
    figures = {}
    for master in masters:
        command = [sys.executable, "-m", "benchmarks.networks", str(master), "--alone", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(f"{master}: no figures")
        else:
            figures[f"{master.parent.name}/{master.stem}"] = dict(json.loads(done.stdout))
    show(figures)
    if file is not None:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
