"""The sections of live prosumers and their emulated devices."""

from typing import Annotated

from msgspec import Meta, Struct

from cosim.scenario.units import ONE, SECOND, Above, NotNegative


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
