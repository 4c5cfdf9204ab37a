"""Columns of the tables that tell what the market over a horizon found."""

from __future__ import annotations

from cosim.results.column import TICK, Column

OUTLOOK = (
    TICK,
    Column("ahead", "integer", "", "how many intervals after that one; 0 is the interval itself"),
    Column("lam", "text", "", "name of the local-area market"),
    Column("price", "number", "$/kWh", "local price that the clearing over the horizon has there"),
    Column("energy_price", "number", "$/kWh", "price at the feeder head: the energy part of the LAM's DLMP"),
    Column("loss", "number", "$/kWh", "part of the DLMP for marginal losses"),
    Column("voltage", "number", "$/kWh", "part of the DLMP for limits of voltages"),
    Column("congestion", "number", "$/kWh", "part of the DLMP for limits of currents"),
    Column("net_kw", "number", "kW", "net purchase of the LAM, + buys"),
    Column("grid_kw", "number", "kW", "power at the feeder head, the same for all LAMs, + import"),
    Column("stored_kwh", "number", "kWh", "energy in all stores at its beginning, the same for all LAMs"),
)

STORES = (
    TICK,
    Column("prosumer", "text", "", "id of the owner; one row for each of its stores"),
    Column("kind", "text", "", "battery, vehicle, heat pump or appliance"),
    Column("number", "integer", "", "which of its owner's stores of that kind, from 1"),
    Column(
        "state_kwh",
        "number",
        "kWh",
        "energy at the end of the interval, as the horizon's clearing has it before AC power flow; of a live "
        "vehicle or appliance what it then has drawn of what it still wanted at the beginning",
    ),
    Column("energy_value", "number", "$/kWh", "what a kWh more is worth to it there"),
    Column("store_gain", "number", "$", "certificate: most that its owner gains by another plan"),
)

HORIZONS = (
    TICK,
    Column("intervals", "integer", "", "intervals that were cleared at once; 0 where none were"),
    Column("stores", "integer", "", "batteries, vehicles and other stores that took part"),
    Column(
        "shortfall_kwh",
        "number",
        "kWh",
        "energy that stores miss of what could be had at first; what could not, `check` names",
    ),
    Column("certified", "flag", "", "whether the outcome is an equilibrium by its certificate"),
    Column("energy_kwh", "number", "kWh", "certificate: largest miss of a store's balance or bound"),
    Column("value_error", "number", "$/kWh", "certificate: largest change of energy's worth without reason"),
    Column("store_gain", "number", "$", "certificate: most that a store's owner gains by another plan"),
    Column("duality_gap", "number", "$", "certificate: gap between cost and the bound that prices prove"),
    Column("iterations", "integer", "", "Newton steps"),
    Column("seconds", "number", "s", "wall time of the clearing"),
    Column("note", "text", "", "what is not as it was asked for"),
)
