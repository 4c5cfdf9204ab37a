"""[[devices]]: meters and inverters outside the run, in place of those that it emulates."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cosim.scenario.units import KW, KWH, SECOND, USD_PER_KWH, NotNegative
from sharegrid.expected import form


class DeviceEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[devices]]: one device of a live prosumer that is outside the run (see docs/devices.md)."""

    prosumer: Annotated[str, Meta(min_length=1, description="Whose device it is; a prosumer that is live.")]
    profile: Annotated[
        str,
        Meta(min_length=1, description="What it speaks: a shipped profile or one in `live.profiles`."),
    ]
    connect: Annotated[
        str,
        Meta(
            min_length=1,
            description="Where it is: `tcp://HOST:PORT/UNIT`, `rtu+tcp://HOST:PORT/UNIT`, "
            "`rtu:///dev/ttyUSB0/UNIT?baud=9600&parity=N&stop=1`, `mqtt://[USER:PASSWORD@]HOST:PORT/NAME`, "
            "`http://[USER:PASSWORD@]HOST:PORT` or, where a charger connects to, "
            "`ocpp://[:PASSWORD@]HOST:PORT/NAME`.",
        ),
    ]
    clock: Annotated[
        Literal["real", "run"],
        Meta(
            description="`real` is hardware, or anything else that lives in real time; `run` an emulator "
            "that follows the run's clock (`sharegrid serve emulators`)."
        ),
    ] = "real"
    armed: Annotated[
        bool, Meta(description="Whether it may be commanded, in a run that is started with `--arm`.")
    ] = False
    accept_unconfirmed: Annotated[
        bool,
        Meta(
            description="Whether it may be armed although its profile says that some of its commands rest on "
            "a single source; try it by hand before."
        ),
    ] = False
    min_kw: Annotated[
        float, Meta(description="Smallest set-point, + generates; a battery's charging limit.", extra=KW)
    ] = 0.0
    max_kw: Annotated[float, Meta(description="Largest set-point.", extra=KW)] = 0.0
    ramp_kw_per_s: Annotated[
        NotNegative, Meta(description="Largest change of the set-point; 0 for any.", extra={"unit": "kW/s"})
    ] = 0.0
    write_interval_s: Annotated[
        NotNegative, Meta(description="Least time between two commands.", extra=SECOND)
    ] = 1.0
    writes_per_day: Annotated[
        int,
        Meta(
            ge=0,
            description="Writes that set-points may use in a day, for devices whose memory wears; 0 for any "
            "number. Where they are spent, the device is released and left alone until the day is over.",
        ),
    ] = 0
    revert_s: Annotated[
        NotNegative,
        Meta(
            description="Longest time after which it falls back by itself when nobody renews its set-point; "
            "0 for as long as the set-point is valid.",
            extra=SECOND,
        ),
    ] = 600.0
    safe_kw: Annotated[float, Meta(description="What an emergency stop sets.", extra=KW)] = 0.0
    energy_kwh: Annotated[
        NotNegative,
        Meta(
            description="Of a charger: what a vehicle wants each time that it comes, where it does not say "
            "itself; 0 for as much as it takes.",
            extra=KWH,
        ),
    ] = 0.0
    departs: Annotated[
        str,
        Meta(
            pattern=form(r"^(([01][0-9]|2[0-3]):[0-5][0-9])?$", 'a time of day as HH:MM, such as "17:30"'),
            description="Of a charger: when its vehicle leaves, as `HH:MM` of the local day, where it does "
            "not say itself; empty where nobody knows.",
        ),
    ] = ""
    worth: Annotated[
        NotNegative,
        Meta(
            description="Of a charger or load: what a kWh is worth to its owner at most; 0 for the retail "
            "price.",
            extra=USD_PER_KWH,
        ),
    ] = 0.0
