"""Puts planned faults into a fleet of emulated devices, interval by interval.

Faults act where gear fails: on the line, in what a client reads, in whether a command is followed, or in the
state itself. The physics of everything else goes on as before.
"""

from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker.snapshot import Values, array_of
from devices.emulation.answers import Unit
from devices.emulation.fleet import Fleet
from devices.faults.fault import Fault

Words = NDArray[np.uint16]
Change = Callable[[dict[str, float]], dict[str, float]]

_POWER = frozenset({"W", "var"})
_ENERGY = frozenset({"kWh", "kvarh", "Wh", "varh"})
# Import and export change places, and the quadrants of reactive energy with them.
_OTHER_WAY = (("import", "export"), ("Imp", "Exp"), ("ImpQ1", "ExpQ4"), ("ImpQ2", "ExpQ3"))


class Injector:
    """Faults of a fleet.

    Parameters
    ----------
    fleet
        Emulated devices.
    faults
        What goes wrong when.

    Raises
    ------
    ValueError
        A fault names a device that the fleet does not have.
    """

    def __init__(self, fleet: Fleet, faults: Sequence[Fault]) -> None:
        self.fleet = fleet
        self.faults = tuple(faults)
        self.active: set[Fault] = set()
        self._places = {p.id: k for k, p in enumerate(fleet.prosumers)}
        for fault in faults:
            if fault.prosumer not in self._places or fault.device not in fleet.roles(fault.prosumer):
                raise ValueError(
                    f"{fault.prosumer} has no emulated {fault.device} that could be {fault.kind}"
                )

    def begin(self, tick: int) -> None:
        """Faults as they are when interval ``tick`` opens; what strikes within it follows in `strike`."""
        wanted = {f for f in self.faults if f.during(tick) and f.kind not in ("spike", "reboot")}
        for fault in sorted(self.active - wanted, key=_order):
            self._turn(fault, on=False)
        for fault in sorted(wanted - self.active, key=_order):
            self._turn(fault, on=True)
        self.active = wanted

    def snapshot(self) -> Values:
        """Which faults are there, and the words that some of them hold fast."""
        return {str(self.faults.index(fault)): self._held_words(fault) for fault in self.active}

    def restore(self, values: Values) -> None:
        """Let the faults of a snapshot be there, and no others; before the fleet itself is restored.

        Raises
        ------
        ValueError
            It is of other faults.
        """
        for fault in sorted(self.active, key=_order):
            self._turn(fault, on=False)
        self.active = set()
        for number, held in values.items():
            if not (number.isdecimal() and int(number) < len(self.faults)):
                raise ValueError(f"the snapshot has a fault {number} that this run has not")
            fault = self.faults[int(number)]
            if held is not None:
                unit = self.fleet.unit(fault.prosumer, fault.device)
                unit.bank.words[unit.row] = array_of(values, number, unit.bank.words[unit.row])
            self._turn(fault, on=True)
            self.active.add(fault)

    def _held_words(self, fault: Fault) -> Words | None:
        unit = self.fleet.unit(fault.prosumer, fault.device)
        if fault.kind == "ignored":
            return unit.bank.obeyed[unit.row]
        if fault.kind == "stuck":
            return unit.bank.overlays[unit.row](unit.bank.words[unit.row])
        return None

    def strike(self, tick: int) -> None:
        """What strikes between command and reading of interval ``tick``: spikes and reboots."""
        for fault in self.faults:
            if fault.kind == "reboot" and fault.first == tick:
                self.fleet.reboot(fault.prosumer, fault.device)
            elif fault.kind == "spike" and fault.during(tick):
                self._turn(fault, on=True)
                self.active.add(fault)

    def _turn(self, fault: Fault, *, on: bool) -> None:
        unit, place = self.fleet.unit(fault.prosumer, fault.device), self._places[fault.prosumer]
        bank, row = unit.bank, unit.row
        match fault.kind:
            case "silent":
                self.fleet.servers.silence(fault.prosumer, fault.device, silent=on)
            case "slow":
                self.fleet.servers.delay(fault.prosumer, fault.device, fault.size if on else 0.0)
            case "exception":
                _put(bank.failing, row, int(fault.size), on=on)
            case "stuck":
                _put(bank.overlays, row, partial(_frozen, bank.words[row].copy()), on=on)
            case "spike" | "scale":
                change = partial(_times, fault.size)
                _put(bank.overlays, row, partial(_changed, unit, change), on=on)
            case "sign":
                _put(bank.overlays, row, partial(_changed, unit, _mirrored), on=on)
            case "clock":
                self.fleet.meters.clock[place] = fault.size if on else 1.0
            case "ignored":
                _put(bank.obeyed, row, bank.words[row].copy(), on=on)
            case "lost":
                (bank.losing_writes.add if on else bank.losing_writes.discard)(row)


def _order(fault: Fault) -> tuple[str, str, str, int]:
    return fault.kind, fault.prosumer, fault.device, fault.first


def _put(table: dict[int, Any], row: int, value: Any, *, on: bool) -> None:
    if on:
        table[row] = value
    else:
        table.pop(row, None)


def _frozen(kept: Words, _now: Words) -> Words:
    return kept


def _changed(unit: Unit, change: Change, now: Words) -> Words:
    """Words of a meter as they would be with other readings of power and energy."""
    bank, shown = unit.bank, now.copy()
    points = bank.layout.points
    readings = {
        name: bank.value(unit.row, name) for name, point in points.items() if point.unit in _POWER | _ENERGY
    }
    for name, value in change({name: v for name, v in readings.items() if not np.isnan(v)}).items():
        at = points[name].at
        words = bank.words_of(unit.row, name, value)
        shown[at : at + len(words)] = words
    return shown


def _times(factor: float, readings: dict[str, float]) -> dict[str, float]:
    return {name: factor * value for name, value in readings.items()}


def _mirrored(readings: dict[str, float]) -> dict[str, float]:
    """Readings of a meter that is wired the wrong way round."""
    turned = {}
    for name, value in readings.items():
        other = _opposite(name, readings)
        turned[name] = readings[other] if other else -value if _is_power(name) else value
    return turned


def _opposite(name: str, known: Container[str]) -> str | None:
    """Counter of the other direction."""
    for one, other in (*_OTHER_WAY, *((b, a) for a, b in _OTHER_WAY)):
        swapped = name.replace(one, other)
        if swapped != name and swapped in known:
            return swapped
    return None


def _is_power(name: str) -> bool:
    bare = name.rpartition(".")[2]
    return bare.startswith(("P", "Q", "W", "VAR")) and not bare.startswith("PF")
