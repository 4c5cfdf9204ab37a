"""What a profile of a device without registers says: where its values stand, and what it is sent.

Values are named as quantities of the gateway are (`devices.registers.schema.QUANTITIES`). Text between braces
is filled in: ``{name}`` is the device's name in its address.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from devices.kinds import DeviceKind
from devices.registers.schema import conversion

Seconds = Annotated[float, Meta(gt=0.0, le=86_400.0)]
Text = Annotated[str, Meta(min_length=1)]


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one number stands.

    Attributes
    ----------
    at
        Topic on the broker, or path on the web server.
    json
        Where it stands in a JSON text: keys joined by dots, places of a list as numbers; empty where the text
        is the number.
    unit, scale, sign
        Its unit, what it is multiplied with to be in that unit, and -1 to turn its sign.
    stale_s
        Age from which it no longer counts [s], where it differs from the profile's.
    """

    at: Text
    json: str = ""
    unit: str | None = None
    scale: Annotated[float, Meta(gt=0.0)] = 1.0
    sign: Literal[1, -1] = 1
    stale_s: Seconds | None = None

    def factor(self, wanted: str) -> float | None:
        """What turns the number into a quantity's unit; ``None`` where it does not measure the same."""
        factor = conversion(self.unit, wanted)
        return None if factor is None else self.sign * self.scale * factor


class Presence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a device, or what speaks for it, says that it is there; said once and kept by the broker."""

    at: Text
    online: Text
    json: str = ""


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message to a device: topic or path, text, and the HTTP method."""

    at: Text
    text: str = ""
    method: Literal["GET", "POST", "PUT"] = "POST"


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a device says what became of a message with an ``{id}``; places in its JSON."""

    at: Text
    id: Text = "id"
    ok: Text = "ok"
    detail: str = "detail"


class Commands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a device is commanded, and how it shows that it obeyed.

    Attributes
    ----------
    unit, sign, step
        What ``{value}`` is in: W, kW or % of the rating; -1 where the device counts the other way; the steps
        that the device knows.
    set, release
        Messages that carry ``{value}``, and those that give control back. They may hold ``{id}``,
        ``{seconds}`` of validity (0: for good) and ``{expires}``, when the message is void [s since epoch].
    reverts
        Whether it falls back by itself after ``{seconds}``.
    shows
        Name among `SourceProfile.values` of what shows the set-point.
    answer
        Where it answers. One of ``shows`` and ``answer`` is needed: what nobody confirms is not carried out.
    """

    unit: Literal["W", "kW", "%"]
    set: Annotated[tuple[Sent, ...], Meta(min_length=1)]
    release: Annotated[tuple[Sent, ...], Meta(min_length=1)]
    sign: Literal[1, -1] = 1
    step: Annotated[float, Meta(gt=0.0)] = 0.001
    reverts: bool = False
    shows: str = ""
    answer: Answer | None = None


class SourceProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a kind of device without registers tells and obeys.

    Attributes
    ----------
    title, source
        What it is, and where its messages are described.
    kind
        ``meter``, ``pv``, ``battery``, ``ev`` or ``load``.
    over
        ``mqtt`` or ``http``; ``ocpp``, which says itself where its values stand and how it is commanded.
    values
        Quantities, and what `Commands.shows` names.
    constants
        Quantities that the device does not tell: ``rating_kw``, or ``export_kwh`` of 0 where nothing is fed
        in.
    stale_s
        Age from which what it said no longer counts [s].
    presence
        Where it says whether it is there.
    """

    title: str
    kind: DeviceKind
    source: str
    over: Literal["mqtt", "http", "ocpp"]
    values: dict[str, Value] = {}
    constants: dict[str, float] = {}
    stale_s: Seconds = 60.0
    presence: Presence | None = None
    commands: Commands | None = None

    @property
    def needs_name(self) -> bool:
        """Whether places hold the device's name."""
        return any("{name}" in value.at for value in self.values.values())

    @property
    def obeys(self) -> bool:
        """Whether a device of this kind can be commanded."""
        return self.over == "ocpp" or self.commands is not None
