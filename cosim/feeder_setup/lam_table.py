"""Where LAMs attach, from a user's CSV or Parquet file; and a feeder with LAMs there."""

import re

import numpy as np

from cosim.feeder.circuit import LamSite
from cosim.feeder.opendss import Feeder
from cosim.feeder.powerflow.opening import OpenCircuit
from cosim.feeder.reach import reaching
from cosim.scenario import Scenario
from cosim.scenario.table_file import TableFile, read_table
from sharegrid.text import closest

# Column: unit, meaning, what holds where it is left out.
COLUMNS = {
    "lam": ("text", "Unique name of the LAM; letters, digits and `_ . : -`.", "needed"),
    "bus": ("text", "Bus of the feeder.", "needed"),
    "phases": (
        "text",
        "Phases of a connection of its own, such as `1.2.3` or `ABC`; empty: the bus's loads.",
        "empty",
    ),
    "spot_kw": ("kW", "Size of a connection of its own, by which prosumers are spread over LAMs.", "10"),
    "spot_kvar": ("kvar", "Its kvar at that size: the power factor of its load.", "0"),
}
_OWN_SPOT_KW = 10.0
_OF_LINES = ("line-outage", "line-repair", "switch-open", "switch-closed", "fault")
_PHASES = {"1": 1, "2": 2, "3": 3, "a": 1, "b": 2, "c": 3}


def open_feeder(
    master: str,
    lams: str,
    opened: OpenCircuit | None = None,
    *,
    by_phase: bool = False,
    others_vary: bool = False,
) -> Feeder:
    """Feeder of a master file (empty: IEEE 123) with the LAMs of a table (empty: one at each load bus).

    ``opened`` is the same file where it is open already; ``by_phase`` makes one LAM for each phase that loads
    stand on; with ``others_vary`` loads outside the market vary with voltage.

    Raises
    ------
    ScenarioError, FeederError, PowerFlowError
        As `read_sites` and `Feeder`.
    """
    sites = read_sites(lams) if lams else None
    return Feeder(master or None, sites, opened=opened, by_phase=by_phase, others_vary=others_vary)


def feeder_of(scenario: Scenario) -> Feeder:
    """Feeder of a scenario, with its LAMs; raises as `open_feeder`."""
    own = scenario.feeder
    feeder = open_feeder(
        own.master,
        scenario.tables.lams,
        by_phase=own.lams_at == "phase",
        others_vary=own.other_loads == "as-described",
    )
    # Whatever happens to a line may end with it closed.
    lines = [event.element.lower() for event in scenario.events if event.kind in _OF_LINES]
    return reaching(feeder, lines)


def read_sites(path: str) -> tuple[LamSite, ...]:
    """LAM sites of a table with the columns `COLUMNS`.

    Raises
    ------
    ScenarioError
        One line that names file, column and row: a column unknown or missing, a cell that is empty or no
        number, a name that is used twice or does not suit a topic, phases that are none.
    """
    table = read_table(path, ("lam", "bus", "phases"))
    for name in table.columns:
        if name not in COLUMNS:
            hint = closest(name, list(COLUMNS)) or f"known are {', '.join(COLUMNS)}"
            raise table.refusal(f"unknown column; {hint}", name)
    for name in ("lam", "bus"):
        if name not in table.columns:
            raise table.refusal("the column is missing; add it", name)
    names = table.names("lam")
    buses = [bus.lower() for bus in table.text("bus")]
    phases = _phases(table, len(names))
    spot_kw = _numbers(table, "spot_kw", _OWN_SPOT_KW, len(names), low=1e-3)
    spot_kvar = _numbers(table, "spot_kvar", 0.0, len(names), low=-1e6)
    return tuple(
        LamSite(name, bus, own, float(kw), float(kvar))
        for name, bus, own, kw, kvar in zip(names, buses, phases, spot_kw, spot_kvar, strict=True)
    )


def _phases(table: TableFile, count: int) -> list[tuple[int, ...]]:
    if "phases" not in table.columns:
        return [()] * count
    empty = table.frame["phases"].isna()
    found = []
    for index, (cell, none) in enumerate(zip(table.frame["phases"], empty, strict=True)):
        # A spreadsheet that takes 1.2 for a number still writes it as 1.2.
        marks = [] if none else re.findall(r"[^\s.,;/-]", str(cell).lower())
        if any(mark not in _PHASES for mark in marks) or len(set(marks)) < len(marks):
            raise table.refusal(f"{cell!r} names no phases; write for example 1.2.3 or AB", "phases", index)
        found.append(tuple(sorted(_PHASES[mark] for mark in marks)))
    return found


def _numbers(table: TableFile, name: str, otherwise: float, count: int, low: float) -> np.ndarray:
    if name not in table.columns:
        return np.full(count, otherwise)
    given = np.flatnonzero(table.frame[name].notna())
    values = np.full(count, otherwise)
    values[given] = table.numbers(name, low, 1e6, given)
    return values
