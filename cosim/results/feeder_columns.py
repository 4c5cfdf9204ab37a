"""Columns of the tables that tell what the feeder did, and from which it can be solved again."""

from __future__ import annotations

from cosim.results.column import TICK, Column

NODES = (
    TICK,
    Column(
        "node",
        "text",
        "",
        "bus and phase, like 47.1, to ground; 83.1-4 to the neutral 4, 76.1-2 between phases",
    ),
    Column("v_pu", "number", "pu", "voltage of the AC solution of what was metered"),
)

LIMITS = (
    TICK,
    Column("row", "text", "", "the limit that binds in the clearing: node, or what else with a direction"),
    Column("kind", "text", "", "`voltage`, `congestion`, `unbalance` or `neutral`"),
    Column("limit", "number", "pu, % or V", "the limit: a voltage, part of a conductor's rating, unbalance"),
    Column("value", "number", "pu, % or V", "what the linear model has it come to"),
    Column("price", "number", "$/h per pu, % or V", "shadow price; positive at an upper limit"),
)

CURRENTS = (
    TICK,
    Column("branch", "text", "", "conductor of a line or of a transformer's winding, like line.l115.1"),
    Column(
        "current_a", "number", "A", "current with which the interval ends, where above half of the rating"
    ),
    Column("loading", "number", "", "current over the rating that is in force"),
)

POSITIONS = (
    TICK,
    Column("device", "text", "", "`regulator.NAME`, `capacitor.NAME`, `switch.NAME`; or `command`"),
    Column(
        "position",
        "text",
        "",
        "where it stands as the interval ends: tap, steps (1 for on), `open` or `closed`; or an OpenDSS "
        "command that changed the circuit since the file",
    ),
)

CONNECTIONS = (
    TICK,
    Column("lam", "text", "", "name of the LAM; missing where the load is outside the market"),
    Column("at", "text", "", "bus and phase like 47.1, to ground, or two of its conductors like 76.1-2"),
    Column("cleared_kw", "number", "kW", "active power as cleared, + drawn, load steps included"),
    Column("cleared_kvar", "number", "kvar", "reactive power as cleared, + drawn"),
    Column("metered_kw", "number", "kW", "active power as metered, + drawn, load steps included"),
    Column("metered_kvar", "number", "kvar", "reactive power as metered, inverters included, + drawn"),
)
