"""What an event does to a circuit, as OpenDSS commands, and what it is called."""

from collections.abc import Callable
from typing import NamedTuple

from cosim.feeder.circuit import FeederLayout
from cosim.feeder.settings import Event

Commands = tuple[str, ...]

OUTAGES = ("line-outage", "switch-open", "fault", "transformer-outage", "capacitor-off", "generator-outage")


class Change(NamedTuple):
    """Commands that stand for one thing until another change of it takes their place; in words."""

    of: str
    commands: Commands
    words: str


def change_of(
    event: Event,
    layout: FeederLayout,
    closing: Callable[[str], Commands],
    controls_of: Callable[[str], tuple[str, ...]],
) -> Change:
    """The change that an event is.

    Parameters
    ----------
    event
        One that changes the circuit.
    layout
        The feeder as it was at the start.
    closing
        Commands that close a line which its description has open.
    controls_of
        Full names of the controls that move an element.
    """
    name = event.element.lower()
    match event.kind:
        case "source-voltage":
            words = f"the source's voltage is {event.pu:g} pu"
            return Change("source", (f"edit vsource.source pu={event.pu!r}",), words)
        case "source-restored":
            return Change("source", (), "the source's voltage is what the feeder's file has it be")
        case "regulator-stuck":
            held = (f"edit regcontrol.{name} maxtapchange=0",)
            return Change(f"regcontrol.{name}", held, f"regulator {name} is stuck")
        case "regulator-freed":
            return Change(f"regcontrol.{name}", (), f"regulator {name} moves again")
        case "capacitor-on":
            what = f"capacitor.{name}"
            return Change(what, (f"edit {what} enabled=yes",), f"capacitor {name} is on")
        case _:
            what = full_name(event, layout)
            kind, _, own = what.partition(".")
            if event.kind in OUTAGES:
                out = (*(f"edit {each} enabled=no" for each in controls_of(what)), f"edit {what} enabled=no")
                return Change(what, out, f"{kind} {own} is {'off' if kind == 'capacitor' else 'out'}")
            return Change(what, closing(own) if kind == "line" else (), f"{kind} {own} is in service")


def full_name(event: Event, layout: FeederLayout) -> str:
    """The element that an event names, with its class, such as ``transformer.t1``."""
    return names_of(event, layout).get(event.element.lower(), event.element.lower())


def names_of(event: Event, layout: FeederLayout) -> dict[str, str]:
    """What an event of this kind may name on a feeder, each with the full name of its element."""
    if event.kind.startswith("regulator"):
        return {name.lower(): f"regcontrol.{name.lower()}" for name in layout.regulators}
    if event.kind.startswith("capacitor"):
        return {name: f"capacitor.{name}" for name in layout.capacitors}
    if event.kind.startswith("generator"):
        return {name: name for name in layout.generators} | {
            name.partition(".")[2]: name for name in reversed(layout.generators)
        }
    kinds = ("transformer", "autotrans") if event.kind.startswith("transformer") else ("line",)
    parts = (name.split(".") for name in layout.branches)
    return {each[1]: f"{each[0]}.{each[1]}" for each in parts if each[0] in kinds}
