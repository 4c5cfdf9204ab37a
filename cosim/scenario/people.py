"""[population] of a scenario: the synthetic prosumers and what they own, as frozen structs.

Every key carries its type, range, unit, default and meaning; the other sections are in
`cosim.scenario.sections`.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cosim.scenario.extension import Extension
from cosim.scenario.people_stores import Appliance, Ev, HeatPump
from cosim.scenario.units import DEG, HOUR, KWH, KWP, MIN, ONE, USD_PER_KWH, Above, NotNegative, Share


class Orientation(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[population.pv.orientations]]: one class of roofs."""

    name: Annotated[str, Meta(min_length=1, description="Name of the class, used by prosumers' tables.")]
    azimuth_deg: Annotated[
        float,
        Meta(
            ge=0.0, lt=360.0, description="Direction that the modules face, clockwise from north.", extra=DEG
        ),
    ]
    tilt_deg: Annotated[float, Meta(ge=0.0, le=90.0, description="Tilt from the horizontal.", extra=DEG)]
    weight: Annotated[
        NotNegative,
        Meta(description="Share of the class among PV owners, relative to the others.", extra=ONE),
    ] = 1.0


ORIENTATIONS = (
    Orientation(name="south", azimuth_deg=180.0, tilt_deg=35.0, weight=0.45),
    Orientation(name="east", azimuth_deg=95.0, tilt_deg=30.0, weight=0.2),
    Orientation(name="west", azimuth_deg=265.0, tilt_deg=30.0, weight=0.2),
    Orientation(name="flat", azimuth_deg=180.0, tilt_deg=10.0, weight=0.15),
)


class Pv(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[population.pv]: rooftop photovoltaics."""

    share: Annotated[Share, Meta(description="Share of prosumers that own PV.", extra=ONE)] = 0.3
    kwp_min: Annotated[
        Above, Meta(description="Smallest system; sizes are uniform up to `kwp_max`.", extra=KWP)
    ] = 0.8
    kwp_max: Annotated[Above, Meta(description="Largest system.", extra=KWP)] = 4.0
    system_efficiency: Annotated[
        float,
        Meta(
            gt=0.0,
            le=1.0,
            description="Heat, soiling and wiring of the modules, without the inverter.",
            extra=ONE,
        ),
    ] = 0.88
    inverter_efficiency: Annotated[
        float, Meta(gt=0.0, le=1.0, description="Efficiency of the inverter.", extra=ONE)
    ] = 0.96
    forecast_error: Annotated[
        Share,
        Meta(
            description="Relative standard error of a prosumer's own PV forecast for an interval.", extra=ONE
        ),
    ] = 0.05
    orientations: Annotated[
        tuple[Orientation, ...], Meta(min_length=1, description="Classes of roofs, one sub-table each.")
    ] = ORIENTATIONS


class Battery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[population.battery]: home batteries."""

    share_with_pv: Annotated[Share, Meta(description="Share of PV owners that own a battery.", extra=ONE)] = (
        0.4
    )
    share_without_pv: Annotated[
        Share, Meta(description="Share of the others that own a battery.", extra=ONE)
    ] = 0.03
    kwh_min: Annotated[
        Above, Meta(description="Smallest usable capacity; sizes are uniform up to `kwh_max`.", extra=KWH)
    ] = 2.0
    kwh_max: Annotated[Above, Meta(description="Largest usable capacity.", extra=KWH)] = 8.0
    kw_per_kwh: Annotated[
        Above, Meta(description="Rating of the converter, both ways, per capacity.", extra={"unit": "kW/kWh"})
    ] = 0.4
    efficiency: Annotated[
        float,
        Meta(gt=0.5, le=1.0, description="One-way efficiency; the round trip is its square.", extra=ONE),
    ] = 0.95
    self_discharge: Annotated[
        float,
        Meta(
            ge=0.0,
            lt=1.0,
            description="Part of the stored energy that is lost in a day at rest.",
            extra=ONE,
        ),
    ] = 0.0
    soc_start_min: Annotated[
        Share,
        Meta(description="Lowest state of charge at the start; uniform up to `soc_start_max`.", extra=ONE),
    ] = 0.2
    soc_start_max: Annotated[Share, Meta(description="Highest state of charge at the start.", extra=ONE)] = (
        0.5
    )
    wear_price: Annotated[
        NotNegative,
        Meta(description="Cost of wear per kWh through the terminals, each way.", extra=USD_PER_KWH),
    ] = 0.01


class Flexible(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[population.flexible]: load that its owner sheds at a price."""

    share: Annotated[
        Share,
        Meta(
            description="Share of prosumers with flexible load; those with live devices have none.", extra=ONE
        ),
    ] = 0.25
    load_fraction: Annotated[
        Share, Meta(description="Part of the present load that can be shed.", extra=ONE)
    ] = 0.2
    cost_linear_min: Annotated[
        NotNegative,
        Meta(
            description="Lowest price at which shedding begins; uniform up to `cost_linear_max`.",
            extra=USD_PER_KWH,
        ),
    ] = 0.12
    cost_linear_max: Annotated[
        NotNegative, Meta(description="Highest price at which shedding begins.", extra=USD_PER_KWH)
    ] = 0.3
    cost_quadratic: Annotated[
        NotNegative,
        Meta(description="Rise of that price with the power shed.", extra={"unit": "$/kWh per kW"}),
    ] = 1.0


class Outlook(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[population.outlook]: the forecast from which batteries value what they store."""

    horizon_h: Annotated[
        float, Meta(ge=1.0, le=168.0, description="How far ahead owners look.", extra=HOUR)
    ] = 24.0
    prices: Annotated[
        Literal["linear", "cleared"],
        Meta(
            description="What the forecast is. linear: prices between the grid's, linear in the net load of "
            "a usual day. cleared: the feeder's net load, as well as `market.ahead` knows it, with all "
            "batteries as one store in a market at one node: owners know how much energy a price bears."
        ),
    ] = "linear"
    price_error: Annotated[
        Share,
        Meta(
            description="Relative standard error of the forecast, alike for owners of one opinion.", extra=ONE
        ),
    ] = 0.05
    opinions: Annotated[int, Meta(ge=1, le=256, description="How many different forecasts go round.")] = 16
    value_spread: Annotated[
        Share, Meta(description="Relative standard deviation of single owners' values about that.", extra=ONE)
    ] = 0.03


class VoltageDependence(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[population.voltage_dependence]: how prosumers' demand varies with the voltage; the rest does not."""

    constant_impedance: Annotated[
        Share, Meta(description="Share of the demand at 1 pu that goes with the voltage squared.", extra=ONE)
    ] = 0.0
    constant_current: Annotated[
        Share, Meta(description="Share of the demand at 1 pu that goes with the voltage.", extra=ONE)
    ] = 0.0

    @property
    def is_any(self) -> bool:
        """Whether demand varies at all."""
        return self.constant_impedance > 0.0 or self.constant_current > 0.0


class PopulationSection(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[population]: the synthetic prosumers, unless [tables] brings real ones."""

    prosumers: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Number of prosumers, spread over the buses by published spot load.",
        ),
    ] = 11_250
    minimum_per_lam: Annotated[
        int, Meta(ge=1, description="Fewest members of a local-area market; one alone has no equilibrium.")
    ] = 2
    annual_kwh_median: Annotated[Above, Meta(description="Median annual consumption.", extra=KWH)] = 2000.0
    annual_kwh_sigma: Annotated[
        float, Meta(ge=0.0, le=2.0, description="Standard deviation of its logarithm (lognormal).", extra=ONE)
    ] = 0.5
    time_shift_min: Annotated[
        float,
        Meta(ge=0.0, le=180.0, description="Standard deviation of households' habits in time.", extra=MIN),
    ] = 40.0
    noise: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.5,
            description="Standard deviation of the logarithm of load about its profile.",
            extra=ONE,
        ),
    ] = 0.4
    noise_memory_min: Annotated[
        int,
        Meta(ge=1, le=1440, description="Time over which the slow half of that noise changes.", extra=MIN),
    ] = 60
    forecast_error: Annotated[
        Share,
        Meta(description="Relative standard error of a prosumer's load forecast for an interval.", extra=ONE),
    ] = 0.1
    pv: Annotated[Pv, Meta(description="Rooftop photovoltaics.")] = Pv()
    battery: Annotated[Battery, Meta(description="Home batteries.")] = Battery()
    flexible: Annotated[Flexible, Meta(description="Flexible load.")] = Flexible()
    ev: Annotated[Ev, Meta(description="Vehicles.")] = Ev()
    heat_pump: Annotated[HeatPump, Meta(description="Heat pumps.")] = HeatPump()
    appliance: Annotated[Appliance, Meta(description="Appliances that can wait.")] = Appliance()
    voltage_dependence: Annotated[
        VoltageDependence, Meta(description="Demand by voltage, of prosumers without real meters.")
    ] = VoltageDependence()
    outlook: Annotated[Outlook, Meta(description="Owners' price forecast.")] = Outlook()
    forecast: Annotated[Extension, Meta(description="Forecast of load and PV.")] = Extension()
