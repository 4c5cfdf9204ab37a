"""The sections of a scenario as frozen structs: every key with its type, range, unit, default and meaning.

A key is declared here, in `cosim.scenario.market_section`, `cosim.scenario.live_section` or
`cosim.scenario.people`, and nowhere else; docs/scenario.md is generated from that. Checks that need two keys
at once live in `cosim.scenario.checks`.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from cosim.feeder.settings import VoltageClass
from cosim.scenario.units import DEG, MIN, ONE, PU, SECOND, Above, NotNegative, Share
from sharegrid.expected import form


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
    payments: Annotated[
        bool,
        Meta(
            description="Whether results hold what every prosumer traded, metered and paid in each interval."
        ),
    ] = True


class FeederSection(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[feeder]: the network and the limits that the market must respect."""

    master: Annotated[
        str,
        Meta(
            description="OpenDSS master file, relative to the scenario file; empty means the shipped "
            "IEEE 123-node feeder. Local-area markets attach to its load buses, or as `tables.lams` says.",
        ),
    ] = ""
    lams_at: Annotated[
        Literal["bus", "phase"],
        Meta(
            description="Whether there is one local-area market at each bus with loads, or one on each of "
            "its phases that loads stand on, such as `47.1`, or `76.1-2` between two: then customers of one "
            "phase bid, are metered, and are limited by the voltage of their phase."
        ),
    ] = "bus"
    other_loads: Annotated[
        Literal["constant-power", "as-described"],
        Meta(
            description="What loads outside the market draw, those of buses without LAM: constant power at "
            "any voltage, or power that varies with the voltage as the feeder's file says (ZIP and others, "
            "models 2 to 5 and 8 of OpenDSS)."
        ),
    ] = "constant-power"
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
    unbalance_max_pct: Annotated[
        NotNegative,
        Meta(
            description="Largest voltage unbalance at a bus of three phases, a limit of the market as those "
            "on voltages are. 0 for no limit.",
            extra={"unit": "%"},
        ),
    ] = 0.0
    unbalance: Annotated[
        Literal["vuf", "ieee"],
        Meta(
            description="What unbalance means: negative over positive sequence (IEC 61000-4-30), or the "
            "largest deviation of a magnitude from their mean (IEEE 141)."
        ),
    ] = "vuf"
    neutral_max_v: Annotated[
        NotNegative,
        Meta(
            description="Largest voltage between a neutral conductor and earth; as `unbalance_max_pct`.",
            extra={"unit": "V"},
        ),
    ] = 0.0
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
    vehicles: Annotated[
        str,
        Meta(
            description="CSV or Parquet file of vehicles' stays, likewise; their owners have these in place "
            "of a vehicle by `population.ev`. Empty for none."
        ),
    ] = ""


class RecoverySection(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[recovery]: what a run does where a process of it is lost."""

    on_loss: Annotated[
        Literal["wait", "stand-in", "end"],
        Meta(
            description="`wait`: the run waits for the lost process, and the interval begins again, as if "
            "nothing had been; in real time, which cannot begin again, as `stand-in`. `stand-in`: the others "
            "go on, with flags. `end`: the run ends, and `run --resume` goes on with it."
        ),
    ] = "wait"
    patience_s: Annotated[
        Above,
        Meta(description="How long to wait for a lost process before the run ends.", extra=SECOND),
    ] = 120.0


class AlarmSection(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[alarms]: who is told of what somebody should look at; on the bus `alarm` tells it in any case."""

    webhook: Annotated[
        str,
        Meta(
            description="Web address (http or https) that gets each alarm by POST as JSON; "
            "`SHAREGRID_WEBHOOK` of the environment comes before it. In the run "
            "directory what stands behind its host is masked."
        ),
    ] = ""
    least: Annotated[
        Literal["note", "warning", "alarm"],
        Meta(
            description="The least that is passed on: `alarm` (a device or service is lost, power "
            "beyond an envelope, an emergency stop), `warning` (all flags), or `note` (events of the feeder "
            "too)."
        ),
    ] = "alarm"


class BrokerSection(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[broker]: the message bus."""

    use: Annotated[
        str,
        Meta(
            pattern=form(
                "^(auto|embedded|mosquitto|mqtts?://.+)$",
                '"auto", "embedded", "mosquitto" or an address such as "mqtt://host:1883"',
            ),
            description="auto (Mosquitto if installed, else embedded), embedded, mosquitto, or the address "
            "of a running one, mqtt://host:port or mqtts://host:port?credentials=DIR.",
        ),
    ] = "auto"
    port: Annotated[
        int,
        Meta(ge=0, le=65_535, description="TCP port of a broker of our own; 0 takes a free one."),
    ] = 0
    bundle_from: Annotated[
        int,
        Meta(
            ge=0,
            description="From so many messages on that a service sends at once, those whose topics differ in "
            "the last level alone go in few packets, which nobody hears who listens to single topics; 0 "
            "sends each by itself, as secured runs and those with `live.home_assistant` do.",
        ),
    ] = 1000
