"""Columns of a run's tables: name, type, unit and meaning, in one place for writer, documents and readers.

``python -m scripts.make_results_doc`` writes them into docs/results.md, and a test compares. Every value may
be missing but the tick, which all tables have but the prosumers' and the faults': those are sums over the
run, written when it ends.
"""

from __future__ import annotations

from cosim.results.column import TICK as _TICK
from cosim.results.column import Column
from cosim.results.column import copied as copied
from cosim.results.feeder_columns import CONNECTIONS, CURRENTS, LIMITS, NODES, POSITIONS

INTERVALS = (
    _TICK,
    Column("time", "time", "UTC", "start of the interval"),
    Column("time_local", "text", "", "start of the interval on the feeder's clocks, ISO 8601 with offset"),
    Column(
        "status",
        "text",
        "",
        "`confirmed`, `unconfirmed` or `held` (nothing better than the last prices was found)",
    ),
    Column("flags", "integer", "", "number of things that went wrong; each is an event"),
    Column("rounds", "integer", "", "rounds of clearing and AC power flow", "outcome"),
    Column("wam_bid_rounds", "integer", "", "rounds of bids of LAMs into the WAM"),
    Column("lam_bid_rounds", "integer", "", "rounds of bids of members into LAMs, of the host with most"),
    Column("bid_messages", "integer", "", "announcements, bids and awards, each once for each party"),
    Column("bid_bytes", "integer", "B", "numbers in these, 8 bytes each"),
    Column("energy_price", "number", "$/kWh", "price at the feeder head", "outcome"),
    Column("import_price", "number", "$/kWh", "what the grid asks at the feeder head"),
    Column("export_price", "number", "$/kWh", "what the grid pays at the feeder head"),
    Column("retail_price", "number", "$/kWh", "the utility's tariff for buying"),
    Column("feed_in_price", "number", "$/kWh", "the utility's tariff for selling"),
    Column("grid_scheduled_kw", "number", "kW", "power at the feeder head as cleared, + import"),
    Column("grid_actual_kw", "number", "kW", "power at the feeder head as metered, + import"),
    Column("losses_kw", "number", "kW", "losses of the feeder", "state"),
    Column("v_min_pu", "number", "pu", "lowest node voltage"),
    Column("v_max_pu", "number", "pu", "highest node voltage"),
    Column("max_loading", "number", "", "highest current over rating"),
    Column(
        "unbalance_pct",
        "number",
        "%",
        "highest voltage unbalance of a three-phase bus, by `feeder.unbalance`",
        "state",
    ),
    Column("neutral_v", "number", "V", "highest voltage of a neutral conductor to earth, if any", "state"),
    Column(
        "linear_error_pu",
        "number",
        "pu",
        "largest difference of a voltage between linear model and AC",
        "outcome",
    ),
    Column("binding_rows", "integer", "", "limits of the network that bind in the clearing"),
    Column("violations", "integer", "", "limits that the AC solution of the interval breaks"),
    Column("tap_changes", "integer", "", "steps that regulators took in the interval", "state"),
    Column("capacitor_switchings", "integer", "", "capacitor steps switched in the interval", "state"),
    Column("under_pu_h", "number", "pu h", "voltage below the limits, over nodes and time", "state"),
    Column("over_pu_h", "number", "pu h", "voltage above the limits, over nodes and time", "state"),
    Column(
        "overload_kva_h", "number", "kVA h", "apparent power above ratings, over conductors and time", "state"
    ),
    Column("node_h", "number", "h", "time outside the voltage limits, summed over nodes", "state"),
    Column("grid_kvar", "number", "kvar", "reactive power at the feeder head, + import"),
    Column("unserved_lams", "integer", "", "LAMs that no source feeds"),
    Column("bought_kwh", "number", "kWh", "bought by prosumers, from whomever"),
    Column("made_kwh", "number", "kWh", "made by prosumers, gross, batteries' discharge included", "audit"),
    Column("traded_lam_kwh", "number", "kWh", "bought by members inside their own LAM"),
    Column("traded_wam_kwh", "number", "kWh", "bought by LAMs from other LAMs"),
    Column("imbalance_kwh", "number", "kWh", "sum over prosumers of |metered - allocated|"),
    Column("cost_market", "number", "$", "social cost of the market's outcome"),
    Column("cost_no_sharing", "number", "$", "social cost with every prosumer alone against the tariffs"),
    Column("cost_lam_only", "number", "$", "social cost with every LAM alone against the tariffs"),
    Column("cost_single_layer", "number", "$", "social cost with all in one market that ignores the network"),
    Column("cost_single_layer_network", "number", "$", "social cost with all in one market over the network"),
    Column("cost_optimum", "number", "$", "least social cost"),
    Column("violated_no_sharing", "integer", "", "network and grid limits that no sharing would violate"),
    Column("violated_lam_only", "integer", "", "network and grid limits that LAMs alone would violate"),
    Column("violated_single_layer", "integer", "", "network and grid limits that one market would violate"),
    Column(
        "efficiency",
        "number",
        "",
        "(no sharing - market) / (no sharing - optimum); missing where meaningless",
        "audit",
    ),
    Column("saving_usd", "number", "$", "what prosumers save against no sharing"),
    Column(
        "certified",
        "flag",
        "",
        "whether the outcome is an equilibrium by its certificate; missing where there is none to certify",
    ),
    Column(
        "duality_gap",
        "number",
        "$/h",
        "certificate: gap between cost and the bound that prices prove",
        "certificate",
    ),
    Column(
        "prosumer_gain",
        "number",
        "$/h",
        "certificate: the most a prosumer gains by another bid",
        "certificate",
    ),
    Column("lam_gain", "number", "$/h", "certificate: the most a LAM gains by another bid", "certificate"),
    Column(
        "balance_kw",
        "number",
        "kW",
        "certificate: largest miss of a balance or limit of power",
        "certificate",
    ),
    Column(
        "row_excess_kw",
        "number",
        "kW",
        "certificate: largest violation of a network row, as power",
        "certificate",
    ),
    Column(
        "complementarity",
        "number",
        "$/h",
        "certificate: largest price of a limit times its slack",
        "certificate",
    ),
    Column(
        "price_error",
        "number",
        "$/kWh",
        "certificate: largest miss of a price or part of a price",
        "certificate",
    ),
    Column("payment_error", "number", "$/h", "certificate: largest miss of a payment", "certificate"),
    Column("energy_usd", "number", "$", "prosumers to LAMs for traded energy, net", "booking"),
    Column("imbalance_usd", "number", "$", "prosumers to the imbalance account, net", "booking"),
    Column(
        "residual_usd",
        "number",
        "$",
        "imbalance account to the grid for actual minus scheduled power",
        "booking",
    ),
    Column("uplift_usd", "number", "$", "utility to the WAM where the WAM's surplus is negative", "booking"),
    Column("lam_surplus_usd", "number", "$", "what all LAMs keep", "booking"),
    Column("lam_fees_usd", "number", "$", "part of lam_surplus_usd: members' fees; the rest is strategic"),
    Column("wam_surplus_usd", "number", "$", "what the WAM keeps before uplift", "booking"),
    Column("wam_fees_usd", "number", "$", "part of wam_surplus_usd: LAMs' fees"),
    Column(
        "loss_rent_usd",
        "number",
        "$",
        "part of wam_surplus_usd: marginal losses beyond the cost of losses and of load outside the market",
    ),
    Column("voltage_rent_usd", "number", "$", "part of wam_surplus_usd: limits on any voltages that bind"),
    Column("congestion_rent_usd", "number", "$", "part of wam_surplus_usd: current limits that bind"),
    Column("limit_rent_usd", "number", "$", "part of wam_surplus_usd: the grid's limits where they bind"),
    Column("rounding_micro", "integer", "µ$", "balance of the rounding account", "booking"),
    Column("entries", "integer", "", "entries in the ledger", "booking"),
    Column("ledger_digest", "text", "", "link of the ledger's chain of hashes behind these entries"),
    Column("measure_s", "number", "s", "wall time of the step: devices are read"),
    Column("bid_s", "number", "s", "wall time of the step: prosumers bid, LAMs aggregate"),
    Column("clear_s", "number", "s", "wall time of the step: WAM, AC confirmation, LAMs"),
    Column("dispatch_s", "number", "s", "wall time of the step: set-points are written and read back"),
    Column("act_s", "number", "s", "wall time of the step: devices follow, the feeder answers"),
    Column("meter_s", "number", "s", "wall time of the step: meters are read"),
    Column("settle_s", "number", "s", "wall time of the step: ledger and tables"),
    Column("interval_s", "number", "s", "wall time of the whole interval"),
    Column("solve_s", "number", "s", "part of clear_s: the WAM's clearings"),
    Column("confirm_s", "number", "s", "part of clear_s: AC power flow and linear models"),
    Column("audit_s", "number", "s", "wall time of the audit, which runs beside act and meter"),
    Column("lag_s", "number", "s", "how late the interval opened against its deadline"),
)

LAMS = (
    _TICK,
    Column("lam", "text", "", "name of the LAM, which is its bus"),
    Column("net_kw", "number", "kW", "net purchase from the WAM"),
    Column("price", "number", "$/kWh", "local price, before the LAM's fee"),
    Column("wam_price", "number", "$/kWh", "price (DLMP) at the LAM, before the WAM's fee"),
    Column("energy", "number", "$/kWh", "part of wam_price: price at the feeder head", "outcome"),
    Column("loss", "number", "$/kWh", "part of wam_price: marginal losses", "outcome"),
    Column("voltage", "number", "$/kWh", "part of wam_price: limits on any voltages that bind", "outcome"),
    Column("congestion", "number", "$/kWh", "part of wam_price: current limits that bind", "outcome"),
    Column("metered_kw", "number", "kW", "mean metered net load of the members"),
    Column("v_pu", "number", "pu", "voltage at the LAM's connection, mean of its phases; 0 without source"),
    Column("kvar", "number", "kvar", "mean reactive power of members and their inverters, + import"),
    Column(
        "inverter_kvar", "number", "kvar", "reactive set-point that the WAM gave the inverters, + absorbs"
    ),
    Column("inverter_price", "number", "$/kvarh", "what a kvar absorbed at the LAM costs the WAM"),
    Column("alone", "flag", "", "whether the LAM cleared without the WAM"),
    Column("surplus_usd", "number", "$", "what the LAM keeps"),
    Column("saving_usd", "number", "$", "what its members save against no sharing"),
)

DLMP_PARTS = tuple(column.name for column in LAMS if column.source == "outcome")
ADDED_PARTS = DLMP_PARTS[1:]
"""Parts of a DLMP that come on top of the price at the feeder head."""

DEVICES = (
    _TICK,
    Column("prosumer", "text", "", "name of the live prosumer"),
    Column("phase", "text", "", "`measure` (before bidding) or `meter` (at the end of the interval)"),
    Column("p_kw", "number", "kW", "power at the connection point, + import", "telemetry"),
    Column("q_kvar", "number", "kvar", "reactive power at the connection point, + import", "telemetry"),
    Column("v_pu", "number", "pu", "voltage that the meter reads", "telemetry"),
    Column("import_kwh", "number", "kWh", "import register of the meter", "telemetry"),
    Column("export_kwh", "number", "kWh", "export register of the meter", "telemetry"),
    Column("pv_kw", "number", "kW", "power of the PV inverter, + generates"),
    Column("battery_kw", "number", "kW", "power of the battery, + discharges"),
    Column("soc", "number", "", "state of charge of the battery, 0 to 1"),
    Column("pv_writes", "integer", "", "writes to a real PV inverter since its day of writes began"),
    Column("battery_writes", "integer", "", "writes to a real battery since its day of writes began"),
    Column("ev_kw", "number", "kW", "power of the charger, - draws"),
    Column("load_kw", "number", "kW", "power of the flexible load, - draws"),
    Column("pv_limit_kw", "number", "kW", "set-point: the most the PV inverter may generate"),
    Column("battery_set_point_kw", "number", "kW", "set-point: power of the battery, + discharges"),
    Column("ev_limit_kw", "number", "kW", "set-point: the most that the charger may draw, 0 or less"),
    Column("load_limit_kw", "number", "kW", "set-point: the most that the load may draw, 0 or less"),
    Column(
        "quality",
        "text",
        "",
        "`good`, `suspect` (not plausible), `held` (last good reading) or `missing`",
        "telemetry",
    ),
    Column("acknowledged", "flag", "", "whether every written register read back as written"),
)

PROSUMERS = (
    Column("prosumer", "text", "", "name of the prosumer"),
    Column("name", "text", "", "what people call it"),
    Column("lam", "text", "", "name of its LAM"),
    Column("live", "flag", "", "whether it has devices of its own"),
    Column("bought_kwh", "number", "kWh", "bought in the market over the run"),
    Column("sold_kwh", "number", "kWh", "sold in the market over the run"),
    Column("saving_usd", "number", "$", "saved against no sharing, over the intervals with benchmarks"),
)

PAYMENTS = (
    _TICK,
    Column("prosumer", "text", "", "name of the prosumer"),
    Column("traded_kwh", "number", "kWh", "traded with its LAM, + bought"),
    Column("price", "number", "$/kWh", "what a buyer pays and a seller gets for it, fee included"),
    Column("metered_kwh", "number", "kWh", "net energy by its meter, + import"),
    Column("energy_usd", "number", "$", "paid for traded energy, + paid, as booked"),
    Column("imbalance_usd", "number", "$", "paid for metered minus traded energy, + paid, as booked"),
)

FAULTS = (
    Column("kind", "text", "", "what went wrong, as in docs/faults.md"),
    Column("prosumer", "text", "", "name of the prosumer"),
    Column("device", "text", "", "`meter`, `pv` or `battery`"),
    Column("first", "integer", "", "interval in which it began"),
    Column("last", "integer", "", "last interval in which it was there"),
    Column("size", "number", "", "seconds, code or factor, by kind"),
    Column("noticed", "integer", "", "interval in which it was first noticed; missing where it never was"),
    Column("checks", "text", "", "what noticed it, the first first"),
    Column("wrong_kwh", "number", "kWh", "energy settled off the true one, interval by interval"),
    Column("early_kwh", "number", "kWh", "of that, before it was first noticed"),
    Column("silent_kwh", "number", "kWh", "of that, never noticed"),
)

TABLES = {
    "intervals": INTERVALS,
    "lams": LAMS,
    "nodes": NODES,
    "limits": LIMITS,
    "currents": CURRENTS,
    "positions": POSITIONS,
    "connections": CONNECTIONS,
    "devices": DEVICES,
    "payments": PAYMENTS,
    "prosumers": PROSUMERS,
    "faults": FAULTS,
}
