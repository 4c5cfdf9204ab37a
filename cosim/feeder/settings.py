"""What a user sets of a feeder: voltage limits by class of node, and what happens to it when."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import NODEFAULT, Meta, Struct, ValidationError, convert
from msgspec.structs import fields

from sharegrid.expected import explained

_PU: dict[str, Any] = {"unit": "pu"}

LEAST_SOURCE_PU, MOST_SOURCE_PU = 0.5, 1.5
"""Between these a source's voltage can be set [pu]."""

EventKind = Literal[
    "line-outage",
    "line-repair",
    "switch-open",
    "switch-closed",
    "fault",
    "transformer-outage",
    "transformer-repair",
    "capacitor-off",
    "capacitor-on",
    "generator-outage",
    "generator-repair",
    "source-voltage",
    "source-restored",
    "regulator-stuck",
    "regulator-freed",
    "regulator-tap",
    "load-step",
]

END_OF: dict[EventKind, EventKind] = {
    "line-outage": "line-repair",
    "switch-open": "switch-closed",
    "switch-closed": "switch-open",
    "fault": "line-repair",
    "transformer-outage": "transformer-repair",
    "capacitor-off": "capacitor-on",
    "capacitor-on": "capacitor-off",
    "generator-outage": "generator-repair",
    "source-voltage": "source-restored",
    "regulator-stuck": "regulator-freed",
    "load-step": "load-step",
}
"""What ends an event that lasts for some minutes: a repair, a reclosing, the source as it was."""


class VoltageClass(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[feeder.voltage_classes]]: limits of nodes up to a base voltage, in place of the feeder's own."""

    name: Annotated[str, Meta(min_length=1, description="What the class is called, such as secondary.")]
    up_to_kv: Annotated[
        float,
        Meta(
            gt=0.0,
            description="The class holds nodes of this base voltage, phase to ground, and below, "
            "unless a lower class does.",
            extra={"unit": "kV"},
        ),
    ]
    min_pu: Annotated[float, Meta(gt=0.5, lt=1.0, description="Lower voltage limit.", extra=_PU)]
    max_pu: Annotated[float, Meta(gt=1.0, lt=1.5, description="Upper voltage limit.", extra=_PU)]


_MOST_STEP = 1e5
"""More of a load [kW, kvar] than any feeder carries: a wrong unit."""


class Event(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[events]]: what happens to the feeder at the opening of an interval."""

    at: Annotated[
        int | str,
        Meta(
            description="Number of the interval, from 0, or local time `HH:MM` of the run's first such "
            "moment, or local date and time `YYYY-MM-DDTHH:MM`; the interval that holds it."
        ),
    ]
    kind: Annotated[EventKind, Meta(description="What happens.")]
    element: Annotated[
        str,
        Meta(
            description="Line, switch, transformer, capacitor, generator or regulator, by its name in the "
            "feeder's description. A fault is cleared by opening the line that it names."
        ),
    ] = ""
    for_min: Annotated[
        float,
        Meta(
            ge=0.0,
            description="After this time it ends: what is out is repaired, a line that a fault opened is "
            "closed again, a load goes; with the first interval that begins then. 0 for never.",
            extra={"unit": "min"},
        ),
    ] = 0.0
    tap: Annotated[int, Meta(description="regulator-tap: the tap at which it is put.")] = 0
    pu: Annotated[
        float,
        Meta(
            gt=LEAST_SOURCE_PU,
            lt=MOST_SOURCE_PU,
            description="source-voltage: voltage of the source from then on.",
            extra=_PU,
        ),
    ] = 1.0
    lam: Annotated[str, Meta(description="load-step: LAM at whose bus the load is.")] = ""
    kw: Annotated[
        float,
        Meta(
            ge=-_MOST_STEP,
            le=_MOST_STEP,
            description="load-step: load outside the market from then on, in place of that of an earlier "
            "step at this LAM.",
            extra={"unit": "kW"},
        ),
    ] = 0.0
    kvar: Annotated[
        float,
        Meta(
            ge=-_MOST_STEP,
            le=_MOST_STEP,
            description="load-step: its reactive power.",
            extra={"unit": "kvar"},
        ),
    ] = 0.0


_NEEDS = {"load-step": "lam", "source-voltage": "pu", "source-restored": ""}
# Keys of events that one kind alone uses.
_ONLY_OF = {
    "pu": "source-voltage",
    "tap": "regulator-tap",
    "lam": "load-step",
    "kw": "load-step",
    "kvar": "load-step",
}
_DEFAULTS = {field.name: field.default for field in fields(Event) if field.default is not NODEFAULT}


def misfit(event: Event) -> tuple[str, str] | None:
    """Key of an event that does not go with its kind, and why, in words."""
    needed = _NEEDS.get(event.kind, "element")
    if needed in ("lam", "element") and not getattr(event, needed):
        return "kind", f"{event.kind} needs {needed}; name it"
    for name, kind in _ONLY_OF.items():
        if getattr(event, name) != _DEFAULTS[name] and event.kind != kind:
            return name, f"{event.kind} does not use it, {kind} does; leave it out"
    if event.element and needed != "element":
        return "element", f"{event.kind} does not use it; leave it out"
    if event.for_min and event.kind not in END_OF:
        return "for_min", f"{event.kind} lasts until another event; leave for_min out"
    return None


def event_of(fields: Mapping[str, Any]) -> Event:
    """Event that happens when it is asked for; raises ``ValueError`` with why these fields are none."""
    try:
        event = convert({"at": 0, **fields}, Event)
    except ValidationError as error:
        key, remedy = explained(error)
        raise ValueError(f"{key}: {remedy}" if key else remedy) from None
    if wrong := misfit(event):
        raise ValueError(f"{wrong[0]}: {wrong[1]}")
    return event
