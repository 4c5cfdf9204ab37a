"""What a user sets of a feeder: voltage limits by class of node, and what happens to it when."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

_PU: dict[str, Any] = {"unit": "pu"}

EventKind = Literal[
    "line-outage",
    "line-repair",
    "switch-open",
    "switch-closed",
    "source-voltage",
    "regulator-stuck",
    "regulator-freed",
    "load-step",
]


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
        str, Meta(description="Line, switch or regulator, by its name in the feeder's description.")
    ] = ""
    pu: Annotated[
        float,
        Meta(gt=0.5, lt=1.5, description="source-voltage: voltage of the source from then on.", extra=_PU),
    ] = 1.0
    lam: Annotated[str, Meta(description="load-step: LAM at whose bus the load is.")] = ""
    kw: Annotated[
        float,
        Meta(
            description="load-step: load outside the market from then on, in place of that of an earlier "
            "step at this LAM.",
            extra={"unit": "kW"},
        ),
    ] = 0.0
    kvar: Annotated[float, Meta(description="load-step: its reactive power.", extra={"unit": "kvar"})] = 0.0
