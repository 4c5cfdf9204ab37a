"""Live prosumers as the view shows them: the latest reading, set-point and acknowledgement of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from broker.messages import Acknowledgement, DeviceStop, LiveProsumerFacts, RunFacts, SetPoint, Telemetry
from cosim.view.panels import MOST_DEVICES, DevicePanel, DeviceRow, LiveRow

_ORDER = {"missing": 0, "held": 1, "suspect": 2, "": 3, "good": 4}


class Devices:
    """The latest of every live prosumer.

    Parameters
    ----------
    facts
        The run's.
    """

    def __init__(self, facts: RunFacts) -> None:
        self._facts: Mapping[str, LiveProsumerFacts] = {each.prosumer: each for each in facts.live}
        self._lams = facts.lams
        self._rows: dict[str, LiveRow] = {name: self._row(name) for name in self._facts}

    def read(self, name: str, reading: Telemetry) -> None:
        """Take in what a live prosumer's meter and devices say."""
        row = self._of(name)
        row.quality, row.checks, row.read_at = reading.quality, reading.checks, reading.read_at
        row.p_kw, row.v_pu = reading.p_kw, reading.v_pu
        for state in reading.devices:
            device = _device(row, state.device)
            device.p_kw, device.soc, device.quality = state.p_kw, state.soc, state.quality
            device.obeys = state.obeys

    def command(self, name: str, set_point: SetPoint) -> None:
        """Take in what its devices are told."""
        row = self._of(name)
        row.acknowledged, row.detail = None, ""
        for each in set_point.devices:
            device = _device(row, each.device)
            device.set_kw, device.has_set_point = each.power_kw, True

    def acknowledge(self, name: str, answer: Acknowledgement) -> None:
        """Take in what was read back."""
        row = self._of(name)
        row.acknowledged, row.detail = answer.ok, answer.detail

    def stop(self, each: list[DeviceStop]) -> None:
        """Take in what became of each device at an emergency stop."""
        for answer in each:
            device = _device(self._of(answer.prosumer), answer.device)
            device.stop, device.stop_detail = answer.state, answer.detail

    def panel(self) -> DevicePanel:
        """Counts of all, and rows of those who need looking at first."""
        return device_panel(list(self._rows.values()))

    def find(self, text: str) -> list[LiveRow]:
        """Rows of those whose name, id or LAM holds a text, as many as are shown at once."""
        return find_rows(self._rows.values(), text)

    def _of(self, name: str) -> LiveRow:
        if name not in self._rows:
            self._rows[name] = self._row(name)
        return self._rows[name]

    def _row(self, name: str) -> LiveRow:
        facts = self._facts.get(name)
        if facts is None:
            return LiveRow(prosumer=name, name=name, lam="")
        devices = [DeviceRow(device=each.device, real=each.real, armed=each.armed) for each in facts.devices]
        lam = self._lams[facts.lam] if facts.lam < len(self._lams) else ""
        return LiveRow(prosumer=name, name=facts.name or name, lam=lam, devices=devices)


def device_panel(rows: list[LiveRow]) -> DevicePanel:
    """Panel of live prosumers; those who need looking at come first."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.quality] = counts.get(row.quality, 0) + 1
    ordered = sorted(rows, key=_trouble)
    return DevicePanel(total=len(rows), counts=counts, rows=ordered[:MOST_DEVICES])


def find_rows(rows: Iterable[LiveRow], text: str) -> list[LiveRow]:
    """Rows whose name, id or LAM holds a text, as many as are shown at once."""
    wanted = text.casefold()
    found = (row for row in rows if wanted in f"{row.prosumer}\n{row.name}\n{row.lam}".casefold())
    return list(islice(found, MOST_DEVICES))


def _trouble(row: LiveRow) -> tuple[bool, int, bool, str]:
    is_safe = all(device.stop != "not yet" for device in row.devices)
    return is_safe, _ORDER.get(row.quality, 3), row.acknowledged is not False, row.prosumer


def _device(row: LiveRow, kind: str) -> DeviceRow:
    for device in row.devices:
        if device.device == kind:
            return device
    row.devices.append(made := DeviceRow(device=kind))
    return made
