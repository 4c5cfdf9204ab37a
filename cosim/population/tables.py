"""A user's own prosumers in place of synthetic ones, from a CSV or Parquet file."""

from dataclasses import dataclass

import numpy as np

from cosim.population.members import (
    LamSites,
    Population,
    choose_live,
    draw_opinions,
    draw_value_factors,
)
from cosim.population.noise import generator
from cosim.scenario import Scenario
from cosim.scenario.arrays import Floats, Indices
from cosim.scenario.table_file import TableFile, read_table
from devices.physics.battery import exists
from sharegrid.text import closest


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the prosumers' table: its unit, range, meaning, and what holds where it is left out."""

    unit: str
    meaning: str
    otherwise: str
    low: float = 0.0
    high: float = 1e6


COLUMNS = {
    "id": Column("text", "Unique name; letters, digits and `_ . : -`.", "needed"),
    "name": Column("text", "What people call it; any text.", "its id"),
    "bus": Column("text", "Load bus of the feeder, the name of the local-area market.", "needed"),
    "phase": Column(
        "text",
        'Phase at its bus, such as `1`, or `1-2` between two, with `feeder.lams_at = "phase"`.',
        "drawn, by the size of the bus's loads on each",
    ),
    "annual_kwh": Column("kWh", "Annual consumption.", "needed", high=1e9),
    "time_shift_min": Column("min", "How much later than the standard household.", "0", -720.0, 720.0),
    "pv_kwp": Column("kWp", "Rating of PV.", "0"),
    "orientation": Column(
        "text", "Class of roof, a name of `population.pv.orientations`.", "the first class"
    ),
    "battery_kwh": Column("kWh", "Usable capacity of the battery.", "0"),
    "battery_kw": Column("kW", "Its rating, both ways.", "`population.battery.kw_per_kwh` times capacity"),
    "battery_efficiency": Column(
        "1", "Its one-way efficiency.", "`population.battery.efficiency`", low=0.5, high=1.0
    ),
    "soc_start": Column(
        "1", "Its state of charge at the start.", "`population.battery.soc_start_min`", high=1.0
    ),
    "flexible_fraction": Column("1", "Part of the load that can be shed.", "0", high=1.0),
    "flexible_cost_linear": Column(
        "$/kWh", "Price at which shedding begins.", "`population.flexible.cost_linear_min`"
    ),
    "flexible_cost_quadratic": Column(
        "$/kWh per kW", "Rise of that price with power.", "`population.flexible.cost_quadratic`"
    ),
    "live": Column(
        "true/false", "Whether it has live devices.", "`live.per_lam` owners of PV or a battery at each bus"
    ),
    "profile": Column("text", "Name of its columns in the table of profiles.", "its id"),
}
TEXTS = tuple(name for name, column in COLUMNS.items() if column.unit in ("text", "true/false"))
"""Columns whose cells are texts, whatever they look like."""


def read_prosumers(scenario: Scenario, lams: LamSites) -> Population:
    """Population of a user's table (columns: `COLUMNS`).

    Parameters
    ----------
    scenario
        Names the file and gives what its columns leave out.
    lams
        Attachment points on the feeder.

    Returns
    -------
    Population
        In the order of the LAMs, and of the file inside each.

    Raises
    ------
    ScenarioError
        One line that names file, column and row: a column unknown or missing, a cell empty or out of range, a
        name used twice, a bus that the feeder lacks or that no prosumer uses, a live prosumer without device
        or with flexible load.
    """
    table = read_table(
        scenario.tables.prosumers,
        tuple(name for name, column in COLUMNS.items() if column.unit in ("text", "true/false")),
        "prosumers",
    )
    for name in table.columns:
        if name not in COLUMNS:
            hint = closest(name, list(COLUMNS)) or f"known are {', '.join(COLUMNS)}"
            raise table.refusal(f"unknown column; {hint}", name)
    for name, column in COLUMNS.items():
        if column.otherwise == "needed" and name not in table.columns:
            raise table.refusal("the column is missing; add it", name)
    ids = table.names("id")
    n, section, seed = len(ids), scenario.population, scenario.run.seed
    if scenario.feeder.lams_at == "phase":
        lam = _lams_by_phase(table, lams, generator(seed, "population.phase").random(n))
    elif "phase" in table.columns:
        raise table.refusal('needs feeder.lams_at = "phase"; set it, or take the column out', "phase")
    else:
        lam = _lams(table, lams)

    def numbers(name: str, otherwise: float | Floats) -> Floats:
        column = COLUMNS[name]
        if name not in table.columns:
            return np.broadcast_to(np.asarray(otherwise, dtype=np.float64), (n,)).copy()
        return table.numbers(name, column.low, column.high)

    pv_kwp = numbers("pv_kwp", 0.0)
    battery_kwh = numbers("battery_kwh", 0.0)
    flexible = numbers("flexible_fraction", 0.0)
    battery_kw = numbers("battery_kw", battery_kwh * section.battery.kw_per_kwh)
    has_battery = exists(battery_kwh, battery_kw)
    for index in np.flatnonzero(~has_battery & ((battery_kwh > 0.0) | (battery_kw > 0.0))):
        lacks, has = ("battery_kw", "battery_kwh") if battery_kwh[index] else ("battery_kwh", "battery_kw")
        what = f"is 0 although {has} is above 0; give a battery both, or 0 for both where there is none"
        raise table.refusal(what, lacks, int(index))
    owner = (pv_kwp > 0.0) | has_battery
    if scenario.live.everyone:
        live = np.ones(n, dtype=np.bool_)
        flexible = np.zeros(n)
    elif "live" in table.columns:
        live = table.flags("live")
        for index in np.flatnonzero(live & ~owner):
            raise table.refusal(
                "has neither PV nor battery; give it one, or live = false", "live", int(index)
            )
        for index in np.flatnonzero(live & (flexible > 0.0)):
            what = "a live prosumer cannot have flexible load; set it to 0, or live = false"
            raise table.refusal(what, "flexible_fraction", int(index))
    else:
        lot = generator(seed, "population.live").random(n)
        live = choose_live(lam, owner, scenario.live.per_lam, lot) & owner
        flexible = np.where(live, 0.0, flexible)
    order = np.argsort(lam, kind="stable")
    profiles = table.text("profile") if "profile" in table.columns else ids
    names = table.text("name") if "name" in table.columns else ids
    return Population(
        id=tuple(ids[k] for k in order),
        lam=lam[order],
        annual_kwh=numbers("annual_kwh", 0.0)[order],
        time_shift_min=numbers("time_shift_min", 0.0)[order],
        pv_kwp=pv_kwp[order],
        orientation=_roofs(table, scenario, n)[order],
        battery_kwh=battery_kwh[order],
        battery_kw=battery_kw[order],
        battery_efficiency=numbers("battery_efficiency", section.battery.efficiency)[order],
        soc_start=numbers("soc_start", section.battery.soc_start_min)[order],
        flexible_fraction=flexible[order],
        flexible_cost_linear=numbers("flexible_cost_linear", section.flexible.cost_linear_min)[order],
        flexible_cost_quadratic=numbers("flexible_cost_quadratic", section.flexible.cost_quadratic)[order],
        opinion=draw_opinions(section, seed, n)[order],
        value_factor=draw_value_factors(section, seed, n)[order],
        live=live[order],
        profile=tuple(profiles[k] for k in order),
        name=tuple(names[k] for k in order),
    )


def _lams(table: TableFile, lams: LamSites) -> Indices:
    place = {name: index for index, name in enumerate(lams.names)}
    lam = []
    for index, bus in enumerate(table.text("bus")):
        if bus not in place:
            hint = closest(bus, list(lams.names)) or f"its load buses are {', '.join(lams.names[:8])}, ..."
            raise table.refusal(f"the feeder has no load at bus {bus!r}; {hint}", "bus", index)
        lam.append(place[bus])
    return _all_used(table, lams, lam)


def _lams_by_phase(table: TableFile, lams: LamSites, lot: Floats) -> Indices:
    """LAM of each prosumer on its phase; where the table names none, by lot and the size of the loads."""
    at_bus: dict[str, dict[str, int]] = {}
    for index, name in enumerate(lams.names):
        bus, _, phase = name.rpartition(".")
        at_bus.setdefault(bus, {})[phase] = index
    given = table.frame["phase"] if "phase" in table.columns else None
    lam = []
    for index, bus in enumerate(table.text("bus")):
        if bus not in at_bus:
            hint = closest(bus, list(at_bus)) or f"its load buses are {', '.join(list(at_bus)[:8])}, ..."
            raise table.refusal(f"the feeder has no load at bus {bus!r}; {hint}", "bus", index)
        mine = at_bus[bus]
        if given is None or given.isna().iloc[index]:
            sizes = np.cumsum([max(lams.spot_kw[place], 1e-9) for place in mine.values()])
            lam.append(list(mine.values())[int(np.searchsorted(sizes, lot[index] * sizes[-1]))])
            continue
        phase = str(given.iloc[index]).strip().removesuffix(".0")
        if phase not in mine:
            raise table.refusal(
                f"bus {bus!r} has loads on {', '.join(mine)}, not on {phase!r}", "phase", index
            )
        lam.append(mine[phase])
    return _all_used(table, lams, lam)


def _all_used(table: TableFile, lams: LamSites, lam: list[int]) -> Indices:
    counts = np.bincount(lam, minlength=len(lams.names))
    for empty in np.flatnonzero(counts == 0):
        raise table.refusal(f"no prosumer at load bus {lams.names[empty]!r}; add at least one", "bus")
    return np.array(lam, dtype=np.intp)


def _roofs(table: TableFile, scenario: Scenario, n: int) -> Indices:
    if "orientation" not in table.columns:
        return np.zeros(n, dtype=np.intp)
    classes = [roof.name for roof in scenario.population.pv.orientations]
    names = table.text("orientation")
    for index, name in enumerate(names):
        if name not in classes:
            hint = closest(name, classes) or f"give one of {', '.join(classes)}"
            raise table.refusal(f"unknown class of roof {name!r}; {hint}", "orientation", index)
    return np.array([classes.index(name) for name in names], dtype=np.intp)
