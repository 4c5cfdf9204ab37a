"""What a circuit has and the loop does not honour, by name."""

from collections.abc import Iterable, Sequence

from cosim.feeder.api import OpenDss
from cosim.feeder.powerflow.described import objects
from cosim.feeder.powerflow.engine import is_enabled
from cosim.feeder.powerflow.generation import KINDS, HeldGeneration
from sharegrid.text import some_of

# Elements that may stay as they are: they carry, feed, measure, or act in our own time.
_HONOURED = {
    "vsource", "line", "transformer", "autotrans", "capacitor", "reactor", "load",
    "generator", "pvsystem", "storage",
    "regcontrol", "capcontrol", "energymeter", "monitor", "sensor",
}  # fmt: skip
_IDLE = {
    "invcontrol", "expcontrol", "storagecontroller", "gendispatcher", "espvlcontrol", "upfccontrol",
    "swtcontrol", "relay", "recloser", "fuse",
}  # fmt: skip
_PROTECTION = ("relay", "recloser", "fuse")
_SHAPES = ("Daily", "Yearly", "Duty")
_NAMED = 5


def notes_on(dss: OpenDss, generation: Sequence[HeldGeneration]) -> tuple[str, ...]:
    """Sentences on what a circuit loses in the loop; empty where it loses nothing.

    Parameters
    ----------
    dss
        Context with a circuit as described.
    generation
        What `generation_as_loads` found in it.
    """
    notes = []
    for kind in KINDS:
        held = [each for each in generation if each.name.startswith(f"{kind}.")]
        if not held:
            continue
        kw = sum(each.kw for each in held)
        power = f"{'deliver' if kw < 0 else 'draw'} ({abs(kw):,.1f} kW together)"
        notes.append(
            f"{listed(kind, (each.name for each in held))}: no prosumer, so it keeps what the file's own "
            f"solution has it {power}, without shapes, controls or state of charge"
        )
    for kind, names in _others(dss).items():
        for name, element in _opened(dss, kind).items():
            notes.append(f"{element} stays open: {kind}.{name} opened it in the file's own solution")
        if kind in _IDLE:
            notes.append(f"{listed(kind, names)}: it does not act")
        else:
            notes.append(f"{listed(kind, names)}: it stays as it is, with a will of its own")
    shaped = _shaped(dss, "load")
    if shaped:
        notes.append(f"{listed('load', shaped)}: load shapes are not followed; prosumers' profiles are")
    shaped = _shaped(dss, "vsource")
    if shaped:
        notes.append(f"{listed('vsource', shaped)}: its shape is not followed; its voltage stays")
    return tuple(notes)


def _opened(dss: OpenDss, kind: str) -> dict[str, str]:
    """Protection of a kind that has opened something, ``{name: element}``."""
    found: dict[str, str] = {}
    for each in objects(dss, kind) if kind in _PROTECTION else ():
        element = each.get("SwitchedObj", each.get("MonitoredObj", "")).lower()
        if element and is_enabled(dss, f"{kind}.{each['Name']}") and is_enabled(dss, element):
            phases = range(1, dss.CktElement.NumPhases() + 1)
            terminal = int(each.get("SwitchedTerm", each.get("MonitoredTerm", 1)))
            if any(dss.CktElement.IsOpen(terminal, phase) for phase in phases):
                found[each["Name"].lower()] = element
    return found


def _shaped(dss: OpenDss, kind: str) -> list[str]:
    return [each["Name"].lower() for each in objects(dss, kind) if any(key in each for key in _SHAPES)]


def listed(kind: str, names: Iterable[str], *, whole: bool = False) -> str:
    """Such as ``3 pvsystems (a, b, c)``; the first five by name, what stands before a dot left out."""
    found = [str(name) if whole else name.rpartition(".")[2] for name in names]
    return f"{len(found)} {kind}{'s' if len(found) > 1 else ''} ({some_of(found, _NAMED)})"


def _others(dss: OpenDss) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for full_name in dss.Circuit.AllElementNames():
        kind, _, name = full_name.lower().partition(".")
        if kind not in _HONOURED and is_enabled(dss, full_name):
            found.setdefault(kind, []).append(name)
    return found
