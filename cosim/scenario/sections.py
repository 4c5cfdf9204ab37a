"""The sections of a scenario as frozen structs: every key with its type, range, unit, default and meaning.

A key is declared here (or in `cosim.scenario.people`) and nowhere else; docs/scenario.md is generated
from that. Checks that need two keys at once live in `cosim.scenario.checks`.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from cosim.feeder.settings import VoltageClass
from cosim.scenario.extension import Extension
from cosim.scenario.units import DEG, KW, MIN, ONE, PU, SECOND, USD_PER_KWH, Above, Hourly, NotNegative, Share


class Run(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[run]: which span of time is simulated, and the seed of everything random."""

    start: Annotated[
        datetime,
        Meta(
            tz=False,
            description="Local date and time of the first interval, a multiple of `interval_min`.",
        ),
    ] = datetime(2024, 6, 21)  # noqa: DTZ001 - wall time in `time_zone`
    time_zone: Annotated[
        str,
        Meta(
            description="IANA name of the site's time zone. Loads and prices follow its wall time, "
            "so a day can have 92 or 100 intervals.",
        ),
    ] = "Europe/Berlin"
    interval_min: Annotated[
        Literal[5, 10, 15, 20, 30, 60],
        Meta(description="Length of a market interval.", extra=MIN),
    ] = 15
    intervals: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="How many intervals to run; 0 means until the end of the first local day.",
        ),
    ] = 96
    substeps: Annotated[
        int,
        Meta(ge=1, le=60, description="Steps per interval at which loads, sunshine and devices move."),
    ] = 3
    seed: Annotated[
        int,
        Meta(ge=0, description="Seed of every random draw: the same scenario and seed give the same bits."),
    ] = 1


class FeederSection(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[feeder]: the network and the limits that the market must respect."""

    master: Annotated[
        str,
        Meta(
            description="OpenDSS master file, relative to the scenario file; empty means the shipped "
            "IEEE 123-node feeder. Local-area markets attach to its load buses, or as `tables.lams` says.",
        ),
    ] = ""
    regulators: Annotated[
        Literal["held", "free"],
        Meta(
            description="Whether voltage regulators and switched capacitors hold, or act in every interval "
            "after their delays, one step at a time."
        ),
    ] = "free"
    voltage_min_pu: Annotated[
        float, Meta(gt=0.5, lt=1.0, description="Lower voltage limit at every node.", extra=PU)
    ] = 0.95
    voltage_max_pu: Annotated[
        float, Meta(gt=1.0, lt=1.5, description="Upper voltage limit at every node.", extra=PU)
    ] = 1.05
    voltage_classes: Annotated[
        tuple[VoltageClass, ...],
        Meta(description="Other voltage limits for classes of nodes, one sub-table each."),
    ] = ()
    current_limits: Annotated[
        bool, Meta(description="Whether line and transformer ratings limit the market.")
    ] = True
    rating: Annotated[
        Literal["normal", "emergency"],
        Meta(
            description="Which ratings limit the market; where the feeder's description states no emergency "
            "rating, the normal one holds."
        ),
    ] = "normal"
    rating_factor: Annotated[
        Above, Meta(description="Factor on every line and transformer rating.", extra=ONE)
    ] = 1.0
    confirm_rounds: Annotated[
        int,
        Meta(
            ge=1,
            le=50,
            description="Bound on the rounds of clearing and AC power flow that may confirm a dispatch; "
            "after that the interval is flagged.",
        ),
    ] = 4
    reactive: Annotated[
        Literal["unity", "volt-var", "market"],
        Meta(
            description="What the inverters of prosumers without hardware do: no reactive power; volt-var "
            "droop; or reactive set-points of the wide-area market."
        ),
    ] = "unity"
    inverter_kvar_share: Annotated[
        Share,
        Meta(
            description="Reactive capability of inverters, both ways and at any active power, over their "
            "rated power; 0.44 is IEEE 1547 category B.",
            extra=ONE,
        ),
    ] = 0.44
    volt_var_pu: Annotated[
        tuple[float, float, float, float],
        Meta(
            description="Voltages V1 to V4 of the volt-var droop: full injection up to the first, none "
            "between the second and the third, full absorption from the fourth. Category B by default.",
            extra=PU,
        ),
    ] = (0.92, 0.98, 1.02, 1.08)


class Site(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[site]: where the sun is seen from."""

    name: Annotated[str, Meta(min_length=1, description="Name of the site, for reports.")] = (
        "Freiburg, Germany"
    )
    latitude_deg: Annotated[
        float, Meta(ge=-66.0, le=66.0, description="Latitude, north positive.", extra=DEG)
    ] = 48.0
    longitude_deg: Annotated[
        float, Meta(ge=-180.0, le=180.0, description="Longitude, east positive.", extra=DEG)
    ] = 7.85
    altitude_m: Annotated[
        float, Meta(ge=-430.0, le=6000.0, description="Height above sea level.", extra={"unit": "m"})
    ] = 278.0


class Weather(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[weather]: clouds that drift over the feeder, with a part of their own over each bus."""

    cloud_cover: Annotated[Share, Meta(description="Mean cloud cover.", extra=ONE)] = 0.3
    cloud_sigma: Annotated[
        Share, Meta(description="Standard deviation over the whole feeder.", extra=ONE)
    ] = 0.2
    cloud_memory_min: Annotated[
        int, Meta(ge=1, le=2880, description="Time over which that changes.", extra=MIN)
    ] = 90
    local_sigma: Annotated[
        Share, Meta(description="Standard deviation of each bus about the feeder.", extra=ONE)
    ] = 0.1
    local_memory_min: Annotated[
        int, Meta(ge=1, le=2880, description="Time over which that changes.", extra=MIN)
    ] = 15
    forecast_error: Annotated[
        Share,
        Meta(description="Relative standard error of PV forecasts that all prosumers share.", extra=ONE),
    ] = 0.03


class GridPrices(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[market.grid]: what the upstream grid sells and buys at the feeder head."""

    import_price: Annotated[
        Hourly, Meta(description="Price of imports; one number, or 24 by local hour.", extra=USD_PER_KWH)
    ] = (
        0.11, 0.10, 0.10, 0.10, 0.10, 0.11, 0.13, 0.15, 0.14, 0.12, 0.11, 0.10,
        0.09, 0.09, 0.09, 0.10, 0.12, 0.15, 0.18, 0.20, 0.20, 0.18, 0.15, 0.12,
    )  # fmt: skip
    export_price: Annotated[
        Hourly,
        Meta(description="Price paid for exports; one number, or 24 by local hour.", extra=USD_PER_KWH),
    ] = 0.05
    import_limit_kw: Annotated[NotNegative, Meta(description="Largest import.", extra=KW)] = 6000.0
    export_limit_kw: Annotated[NotNegative, Meta(description="Largest export.", extra=KW)] = 6000.0


class Tariff(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[market.tariff]: the utility outside the market: fallback, no-sharing benchmark and imbalance."""

    retail_price: Annotated[
        Hourly,
        Meta(description="Price of buying from the utility; at least the import price.", extra=USD_PER_KWH),
    ] = 0.3
    feed_in_price: Annotated[
        Hourly,
        Meta(description="Price of selling to the utility; at most the export price.", extra=USD_PER_KWH),
    ] = 0.04


class MarketSection(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[market]: the rules of both layers."""

    bidding: Annotated[
        Literal["curve", "slope", "plain"],
        Meta(
            description="Form of the bids in both layers. curve: the whole price response, one round. "
            "slope and plain: prices are announced and answered in rounds until all agree, with the answer's "
            "slope or without it; the outcome is the same.",
        ),
    ] = "curve"
    lam_sensitivity: Annotated[
        Above, Meta(description="Slope a of members' demand functions.", extra={"unit": "kW per $/kWh"})
    ] = 5.0
    lam_fee: Annotated[
        NotNegative, Meta(description="Fee of the local-area market on each trade.", extra=USD_PER_KWH)
    ] = 0.002
    wam_sensitivity: Annotated[
        Above, Meta(description="Slope A of the LAMs' demand functions.", extra={"unit": "kW per $/kWh"})
    ] = 2000.0
    wam_fee: Annotated[
        NotNegative, Meta(description="Fee of the wide-area market on each LAM's trade.", extra=USD_PER_KWH)
    ] = 0.002
    network: Annotated[
        bool,
        Meta(
            description="Whether limits of the feeder enter the clearing; without them the market trades as "
            "if lines and voltages had none, and AC power flow shows what that does."
        ),
    ] = True
    conjecture: Annotated[
        Literal["sharing", "price-taking"],
        Meta(description="Whether a LAM reckons with its own effect on the price, or takes it as given."),
    ] = "sharing"
    strategy: Annotated[Extension, Meta(description="How prosumers bid.")] = Extension()
    grid: Annotated[GridPrices, Meta(description="The upstream grid.")] = GridPrices()
    tariff: Annotated[Tariff, Meta(description="The utility's tariffs.")] = Tariff()


class Emulation(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[live.emulation]: parameters of emulated devices."""

    ramp_percent_per_s: Annotated[
        Above, Meta(description="Ramp of inverters and batteries, of the rating.", extra={"unit": "%/s"})
    ] = 10.0
    nominal_voltage_v: Annotated[
        Above, Meta(description="Voltage that a meter shows at 1 pu, phase to neutral.", extra={"unit": "V"})
    ] = 230.0
    volt_var: Annotated[
        bool,
        Meta(description="Whether PV inverters set reactive power by voltage (IEEE 1547, category B)."),
    ] = False
    volt_watt: Annotated[
        bool, Meta(description="Whether PV inverters give way to high voltage (IEEE 1547, category B).")
    ] = False
    trips: Annotated[
        bool,
        Meta(
            description="Whether PV inverters leave the grid at abnormal voltage or frequency and come back "
            "as IEEE 1547 says (category III)."
        ),
    ] = True
    meter_class_percent: Annotated[
        NotNegative, Meta(description="Accuracy class of meters, of the reading.", extra={"unit": "%"})
    ] = 0.0
    meter_noise_percent: Annotated[
        NotNegative,
        Meta(
            description="Standard deviation of what meters show of power and voltage, of the reading.",
            extra={"unit": "%"},
        ),
    ] = 0.0
    counter_start_kwh: Annotated[
        NotNegative,
        Meta(
            description="What import counters show at the start; export counters show half of it.",
            extra={"unit": "kWh"},
        ),
    ] = 0.0


class Live(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[live]: prosumers with devices behind Modbus and MQTT; the others are computed."""

    per_lam: Annotated[int, Meta(ge=0, description="Prosumers of each LAM that have live devices.")] = 1
    everyone: Annotated[
        bool,
        Meta(
            description="Whether all prosumers are live, whatever `per_lam` says; who owns neither PV nor "
            "battery then has a meter alone."
        ),
    ] = False
    command_validity_intervals: Annotated[
        Above,
        Meta(description="After this many intervals without a new set-point a device falls back.", extra=ONE),
    ] = 2.0
    modbus_port: Annotated[
        int,
        Meta(ge=0, le=65_500, description="First TCP port of emulated devices; 0 takes free ones."),
    ] = 0
    poll_timeout_s: Annotated[
        Above, Meta(description="Wall time after which a device counts as silent.", extra=SECOND)
    ] = 2.0
    poll_limit_s: Annotated[
        Above,
        Meta(description="Wall time for one poll; a device not reached by then is silent.", extra=SECOND),
    ] = 30.0
    profiles: Annotated[
        str,
        Meta(description="Folder of device profiles of your own, relative to the scenario file."),
    ] = ""
    hold_intervals: Annotated[
        int, Meta(ge=0, description="Intervals for which a silent device's last reading is held.")
    ] = 2
    home_assistant: Annotated[
        bool, Meta(description="Whether live devices are announced to Home Assistant on the run's broker.")
    ] = False
    emulation: Annotated[Emulation, Meta(description="Emulated devices.")] = Emulation()


class Tables(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[tables]: users' own data in place of synthetic ones."""

    lams: Annotated[
        str,
        Meta(
            description="CSV or Parquet file of local-area markets and their buses (docs/feeder.md), "
            "relative to the scenario file; empty: one at each load bus of the feeder."
        ),
    ] = ""
    prosumers: Annotated[
        str,
        Meta(description="CSV or Parquet file of prosumers, relative to the scenario file; empty for none."),
    ] = ""
    profiles: Annotated[
        str,
        Meta(description="CSV or Parquet file of load and PV in time, likewise; empty for none."),
    ] = ""


class BrokerSection(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[broker]: the message bus."""

    use: Annotated[
        str,
        Meta(
            pattern="^(auto|embedded|mosquitto|mqtt://.+)$",
            description="auto (Mosquitto if installed, else embedded), "
            "embedded, mosquitto, or the address of a running one, mqtt://host:port.",
        ),
    ] = "auto"
    port: Annotated[
        int,
        Meta(ge=0, le=65_535, description="TCP port of a broker of our own; 0 takes a free one."),
    ] = 0
