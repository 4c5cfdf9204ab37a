"""What a device profile says: how its registers are reached, which quantities they hold, what commands do.

A profile maps quantities that the gateway knows (in kW, kWh, V) to points, and set-points to the registers
that carry them out. Points stand at fixed addresses in the profile itself, or in SunSpec models.
"""

from functools import cached_property, lru_cache
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from devices.kinds import DeviceKind
from devices.registers.labels import prototype
from devices.registers.models import sunspec_point
from devices.registers.points import Point, WordOrder
from devices.registers.traits import Correction, Trait

Argument = Literal[
    "power",
    "percent of rating",
    "percent of charge",
    "percent of discharge",
    "discharge in percent of charge",
    "magnitude",
    "heartbeat",
    "revert",
    "fallback power",
    "fallback percent of rating",
    "fallback enable",
]
ARGUMENTS: frozenset[str] = frozenset(get_args(Argument))
Direction = Literal["charging", "discharging", "idle"]
Sum = tuple[tuple[str, int], ...]
"""Names of points and with which sign each is added."""

QUANTITIES: dict[DeviceKind, dict[str, str]] = {
    "meter": {
        "p_kw": "kW",
        "q_kvar": "kvar",
        "v_l1_v": "V",
        "v_l2_v": "V",
        "v_l3_v": "V",
        "import_kwh": "kWh",
        "export_kwh": "kWh",
        "import_kvarh": "kvarh",
        "export_kvarh": "kvarh",
    },
    "pv": {"p_kw": "kW", "rating_kw": "kW"},
    "battery": {
        "p_kw": "kW",
        "soc": "1",
        "capacity_kwh": "kWh",
        "rating_kw": "kW",
        "charge_kw": "kW",
        "discharge_kw": "kW",
    },
    "ev": {
        "p_kw": "kW",
        "rating_kw": "kW",
        "plugged": "1",
        "session_kwh": "kWh",
        "wanted_kwh": "kWh",
        "left_s": "1",
        "soc": "1",
    },
    "load": {
        "p_kw": "kW",
        "rating_kw": "kW",
        "session_kwh": "kWh",
        "wanted_kwh": "kWh",
        "left_s": "1",
        "soc": "1",
        "capacity_kwh": "kWh",
        "loss_kw": "kW",
    },
}
REQUIRED: dict[DeviceKind, tuple[str, ...]] = {
    "meter": ("p_kw", "import_kwh"),
    "pv": ("p_kw",),
    "battery": ("p_kw", "soc"),
    "ev": ("p_kw", "plugged"),
    "load": ("p_kw",),
}
_PREFIX = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6}
_BASES = ("W", "Wh", "var", "varh", "VA", "V", "A", "Hz")


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[modbus] of a profile: how the registers of a device are reached.

    Attributes
    ----------
    addressing
        ``fixed``, or ``sunspec`` where the chain of models has to be walked.
    read_function, write_function
        Modbus functions: 3 holding or 4 input registers; 16 several registers or 6 one at a time.
    max_registers
        Most registers that one read may ask for.
    max_gap
        Most registers nobody wants that are read together with their neighbours.
    order
        Which word of a longer number comes first, unless a point says otherwise.
    markers
        Whether one pattern of each type stands for not implemented, as in SunSpec.
    length
        Registers that an emulated device shows; 0 for as many as the points need.
    connect_delay_s
        Time that a device needs between the opening of a connection and the first request [s].
    pause_s
        Time that a device needs between an answer and the next request [s].
    keep_open
        Whether the connection stays open while nothing is asked; some devices serve one client alone.
    """

    addressing: Literal["fixed", "sunspec"] = "fixed"
    read_function: Literal[3, 4] = 3
    write_function: Literal[6, 16] = 16
    max_registers: Annotated[int, Meta(ge=1, le=125)] = 125
    max_gap: Annotated[int, Meta(ge=0, le=125)] = 40
    order: WordOrder = "high first"
    markers: bool = False
    length: Annotated[int, Meta(ge=0, le=65536)] = 0
    connect_delay_s: Annotated[float, Meta(ge=0.0, le=30.0)] = 0.0
    pause_s: Annotated[float, Meta(ge=0.0, le=5.0)] = 0.0
    keep_open: bool = True


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Registers that carry out one command, where a device has them.

    Attributes
    ----------
    writes
        Points and what to write, in the order in which they have to be written: a number, one of the
        point's ``names``, or an `Argument`. Those of one entry go out together where their registers touch.
    optional
        Points that a device may lack or not implement.
    renew
        Whether to write what the registers hold already, which starts revert times anew.
    when
        The direction of power that it is for; ``None`` for any.
    pause_s
        Time after each entry of ``writes``, for devices that take a while [s].
    reverts_after_s
        Seconds after which the device falls back by itself unless it is written to again, where no point
        holds this time.
    """

    writes: list[dict[str, float | str]]
    optional: tuple[str, ...] = ()
    renew: bool = True
    when: Direction | None = None
    pause_s: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.0
    reverts_after_s: Annotated[float, Meta(gt=0.0)] | None = None

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """Points without which a device cannot carry it out."""
        names = dict.fromkeys(name for batch in self.writes for name in batch)
        return tuple(name for name in names if name not in self.optional)

    @cached_property
    def revert(self) -> str | None:
        """Point that holds the revert time, if there is one."""
        return next((name for batch in self.writes for name, what in batch.items() if what == "revert"), None)

    def is_for(self, power_kw: float | None) -> bool:
        """Whether it may set this power; ``None`` stands for no power in particular."""
        if self.when is None or power_kw is None:
            return True
        return self.when == ("discharging" if power_kw > 0.0 else "charging" if power_kw < 0.0 else "idle")


class Commands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[commands]: recipes in order of preference; the first whose points a device has is used.

    ``set`` is a PV inverter's limit or a battery's power, ``release`` gives control back to the device.
    """

    set: tuple[Recipe, ...] = ()
    release: tuple[Recipe, ...] = ()


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a kind of device says and obeys.

    Attributes
    ----------
    title, source
        What it is, and where its map is from.
    kind
        ``meter``, ``pv`` or ``battery``.
    quantities
        Point of each quantity of `QUANTITIES`: a name, several joined by ``+`` or ``-`` for their sum, or a
        list of such in order of preference.
    required
        Quantities without which a reading is not good.
    points
        Points at fixed addresses, by name. SunSpec points are named ``model.point`` and need no entry; a
        SunSpec device may have points of its own beside them.
    corrections
        What SunSpec points do otherwise than defined.
    nth
        Which of several meters in a SunSpec chain it is, from 1.
    identify
        What tells such devices from others; all of it has to hold.
    needs
        What has to hold for a device to obey; looked at after every command.
    unconfirmed
        What of its commands fewer than two sources say; such a device is armed only with a key of its own.
    """

    title: str
    kind: DeviceKind
    source: str
    quantities: dict[str, str | tuple[str, ...]]
    modbus: Access = Access()
    required: tuple[str, ...] = ("p_kw",)
    points: dict[str, Point] = {}
    corrections: dict[str, Correction] = {}
    nth: Annotated[int, Meta(ge=1, le=99)] = 1
    identify: tuple[Trait, ...] = ()
    needs: tuple[Trait, ...] = ()
    unconfirmed: str = ""
    commands: Commands = Commands()

    @property
    def sunspec(self) -> bool:
        """Whether its points stand in SunSpec models."""
        return self.modbus.addressing == "sunspec"

    def point(self, name: str) -> Point:
        """Point by name; raises ``KeyError``."""
        if not self.sunspec or name in self.points:
            return self.points[name]
        point, correction = sunspec_point(prototype(name)), self.corrections.get(name)
        if correction is None:
            return point
        return msgspec.structs.replace(
            point,
            sign=correction.sign,
            scale=correction.scale,
            sf=point.sf if correction.sf is None else correction.sf,
            limits=correction.limits,
            tolerance=correction.tolerance,
        )

    def alternatives(self, quantity: str) -> tuple[Sum, ...]:
        """Sums of points that a quantity may be, in order of preference."""
        listed = self.quantities.get(quantity, ())
        texts = (listed,) if isinstance(listed, str) else listed
        return tuple(_sum_of(text) for text in texts)

    @property
    def quantity_points(self) -> tuple[str, ...]:
        """Names of all points that its quantities may be read from."""
        sums = (terms for quantity in self.quantities for terms in self.alternatives(quantity))
        return tuple(name for terms in sums for name, _ in terms)

    def expected(self, name: str, what: float | str) -> float | None:
        """Number that a number or a name of one stands for at a point; ``None`` where it is no such name."""
        return self.point(name).names.get(what) if isinstance(what, str) else float(what)


def _sum_of(text: str) -> Sum:
    """Terms of ``A + B - C``; a minus has space around it, because names may hold one."""
    signed = text.replace("+", " + ").split()
    signs = {"+": 1, "-": -1}
    return tuple(
        (name, signs.get(signed[k - 1], 1) if k else 1) for k, name in enumerate(signed) if name not in signs
    )


@lru_cache(maxsize=10_000)
def conversion(unit: str | None, wanted: str) -> float | None:
    """Factor from a point's unit to a quantity's, or ``None`` where they do not measure the same.

    Only the first word of a unit counts: ``% WMax`` is a percentage.
    """
    short = (unit or "1").split()[0]
    if wanted == "1":
        return {"1": 1.0, "%": 0.01}.get(short)
    ours, theirs = _prefixed(short), _prefixed(wanted)
    if ours is None or theirs is None or ours[1] != theirs[1]:
        return None
    return 1.0 if ours == theirs else ours[0] / theirs[0]


def _prefixed(unit: str) -> tuple[float, str] | None:
    for prefix, factor in _PREFIX.items():
        if unit.startswith(prefix) and unit.removeprefix(prefix) in _BASES:
            return factor, unit.removeprefix(prefix)
    return None
