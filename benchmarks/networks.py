"""How long an AC-confirmed interval takes on networks of any size, and how that grows with their nodes.

    python -m benchmarks.networks MASTER... [--turns N] [--lams N] [--json FILE]

Each OpenDSS master file in a process of its own, with a LAM at each load bus (or at the first N) and five
households in each at noon: opening it, an AC power flow with everything read, one row of the linear model by
the adjoint method, beside all rows at once if asked for, and the interval as market and feeder have it: bids
added up, then clearings and judgements in turn until AC power flow confirms, each model through its message.
Limits are 0.95 to 1.05 pu and the ratings, wider where the circuit's own loads come near them. The first
interval begins as that of a run does, at the middle of the grid's prices; the next one, in which households
draw otherwise by some percent, at the first one's prices, as all others of a run do.

Once all are open, circuits are measured in turns, one at a time, so that each meets the machine in all its
moods. Figures are the least of all turns, for others on the machine only add to them; time of the processor,
and by the clock where said. Growth is told with its standard error, and without one of the circuits.
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
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.cases import households
from benchmarks.growth import growth
from benchmarks.network_interval import (
    MEMBERS,
    confirmed_interval,
    least_s,
    limits_of,
    operation_within,
    otherwise,
    tight_limits,
)
from cosim.control.memory import keep_freed_memory
from cosim.feeder.circuit import LamSite
from cosim.feeder.opendss import Feeder

_LATER = 0.05
_POWER_FLOWS = 5
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
_GROWING = ("power flow [ms]", "interval [s]", "next interval [s]")
_FEWEST = 4


class Circuit:
    """One circuit, measured in this process.

    Parameters
    ----------
    master
        Its master file.
    lams
        At most so many LAMs.
    size
        Of households, as a part of the own loads.
    controls_act, tight
        Whether controls act on trial, and whether limits bind.
    """

    def __init__(
        self, master: str, lams: int | None, size: float, *, controls_act: bool, tight: bool
    ) -> None:
        began = time.process_time()
        feeder = Feeder(master)
        self.opening_s = time.process_time() - began
        if lams is not None and lams < len(feeder.layout.lams):
            feeder = Feeder(master, [LamSite(bus, bus) for bus in feeder.layout.lam_bus[:lams]])
        self._feeder, layout = feeder, feeder.layout
        self._point = layout.spot_kw, layout.spot_kw * layout.tan_phi
        self._case = households(np.random.default_rng(1), size * layout.spot_kw, MEMBERS)
        self._later = otherwise(np.random.default_rng(3), self._case, _LATER)
        limits = limits_of(feeder.solve(*self._point), feeder)
        if tight:
            limits = tight_limits(feeder, self._case, limits)
        self._start = feeder.positions()
        # Each carries the limits that its last interval ended at: a first one must know of none.
        self._beginning, self._going_on = (
            operation_within(feeder, limits, controls_act=controls_act) for _ in range(2)
        )
        # The first interval finds out what lasts for a whole run.
        confirmed_interval(feeder, self._case, self._beginning)
        feeder.put(self._start)
        self._price = confirmed_interval(feeder, self._case, self._going_on)["price"]

    def turn(self, repeat: int) -> dict[str, Any]:
        """Figures of a turn: a few power flows, and each interval so many times."""
        feeder, (spot_kw, kvar) = self._feeder, self._point
        rng = np.random.default_rng(2)
        shares = iter(rng.uniform(0.7, 1.0, (_POWER_FLOWS * repeat, len(spot_kw))))
        power_flow_s = least_s(lambda: feeder.solve(next(shares) * spot_kw, kvar), _POWER_FLOWS * repeat)
        first = []
        for _ in range(repeat):
            feeder.put(self._start)
            first.append(confirmed_interval(feeder, self._case, self._beginning))
        found = {"power flow [ms]": 1e3 * power_flow_s} | min(first, key=lambda each: each["interval [s]"])
        del found["net_kw"], found["price"]
        after = []
        for _ in range(repeat):
            feeder.put(self._start)
            after.append(confirmed_interval(feeder, self._later, self._going_on, last_price=self._price))
        found["next interval [s]"] = min(each["interval [s]"] for each in after)
        found["its rounds"] = after[0]["rounds"]
        return found

    def last(self, *, dense: bool) -> dict[str, Any]:
        """Figures that need no turns."""
        layout = self._feeder.layout
        found: dict[str, Any] = {
            "nodes": len(layout.nodes),
            "LAMs": len(layout.lams),
            "opening [s]": self.opening_s,
            "peak memory [MB]": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        model = self._feeder.linearise(*self._point)
        if not model.derivatives.is_whole:
            some = np.random.default_rng(2).choice(len(layout.nodes), 41, replace=False)
            model.derivatives.volts(some[:1])
            found["a row [ms]"] = 1e3 * least_s(lambda: model.derivatives.volts(some[1:]), 1) / 40
        if dense:
            found["all rows [s]"] = least_s(lambda: self._feeder.linearise(*self._point, whole=True), 1)
        return found


def serve(circuit: Circuit, repeat: int, *, dense: bool) -> None:
    """Measure a turn for each line that comes in, and say what was found in a line."""
    print("open", flush=True)
    for _ in sys.stdin:
        print(json.dumps(circuit.turn(repeat)), flush=True)
    print(json.dumps(circuit.last(dense=dense)), flush=True)


class Measured:
    """A circuit that is measured by a process of its own."""

    def __init__(self, master: Path, options: list[str]) -> None:
        self.name = f"{master.parent.name}/{master.stem}"
        command = [sys.executable, "-m", "benchmarks.networks", str(master), "--alone", *options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._turns: list[dict[str, Any]] = []
        # One after the other, so that none is in another's way.
        assert self._process.stdout is not None
        self.is_open = self._process.stdout.readline() == "open\n"

    def turn(self) -> None:
        """Let it measure once more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("turn\n")
        self._process.stdin.flush()
        self._turns.append(json.loads(self._process.stdout.readline()))

    def figures(self) -> dict[str, Any]:
        """The least of all turns, and what is asked for once; ends its process."""
        last, _ = self._process.communicate()
        best = min(self._turns, key=lambda each: each["interval [s]"])
        least = {name: min(each[name] for each in self._turns) for name in _GROWING}
        return best | least | json.loads(last)


def show(figures: dict[str, dict[str, Any]]) -> None:
    """Print a table with a line for each circuit, and the growth."""
    table = Table("circuit", *COLUMNS.values())
    for name, each in figures.items():
        cells = [each.get(column, "") for column in COLUMNS]
        shown = [_text(cell) for cell in cells]
        table.add_row(name + _not_confirmed(each), *shown)
    Console(width=180).print(table)
    if len(figures) >= _FEWEST:
        nodes = [each["nodes"] for each in figures.values()]
        for name in _GROWING:
            power = growth(nodes, [each[name] for each in figures.values()])
            print(f"{name.partition(' [')[0]}: grows with nodes to the power of {power}")


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
@click.option("--turns", default=5, show_default=True, type=click.IntRange(1), help="Over all circuits.")
@click.option("--repeat", default=3, show_default=True, type=click.IntRange(1), help="In each turn.")
@click.option("--lams", type=click.IntRange(1), help="At most so many load buses have a LAM.")
@click.option("--size", default=1.0, show_default=True, help="Of households, as a part of the own loads.")
@click.option("--controls", is_flag=True, help="Regulators and capacitors act on trial, as in a run.")
@click.option("--dense", is_flag=True, help="Also find all rows at once: memory of a gigabyte and more.")
@click.option("--tight", is_flag=True, help="Voltage limits that bind on every circuit.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Also write the figures here.")
@click.option("--alone", is_flag=True, hidden=True)
def main(
    masters: tuple[Path, ...],
    turns: int,
    repeat: int,
    lams: int | None,
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
        circuit = Circuit(str(masters[0]), lams, size, controls_act=controls, tight=tight)
        serve(circuit, repeat, dense=dense)
        return
    options = [*(["--lams", str(lams)] if lams else []), "--repeat", str(repeat), "--size", str(size)]
    options += [*(["--controls"] if controls else []), *(["--dense"] if dense else [])]
    options += ["--tight"] if tight else []
    measured = [Measured(master, options) for master in masters]
    for each in measured:
        if not each.is_open:
            print(f"{each.name}: no figures")
    measured = [each for each in measured if each.is_open]
    for _ in range(turns):
        for each in measured:
            each.turn()
    figures = {each.name: each.figures() for each in measured}
    show(figures)
    if file is not None:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
