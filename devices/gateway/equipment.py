"""The devices of a group of prosumers: what commands each, what reads it, and in which queue it is polled."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial

from broker.messages import CommandedDevice
from devices.client.drivers import Inverter
from devices.endpoint import Endpoint, Link, LiveProsumer
from devices.gateway.actuator import Actuator
from devices.gateway.hardware_record import HardwareRecord
from devices.gateway.links import Links
from devices.gateway.poll_items import (
    Note,
    PollItem,
    PollResult,
    check_written,
    note_battery,
    note_meter,
    note_pv,
    poll_ev,
    poll_inverter,
    poll_load,
    poll_meter,
)
from devices.limits import SetPointLimits
from devices.ports import MeterPort


class Equipment:
    """Meters, actuators and poll queues of the prosumers added to it.

    Parameters
    ----------
    links
        Ways to the devices.
    interval_s
        For how long a battery must be able to hold the power it offers [s].
    now
        Clock of ramps and validity [s].
    record
        Where what must not be forgotten of hardware is kept, if anywhere.

    Attributes
    ----------
    queues
        What is polled on each link.
    devices
        Actuators of each prosumer.
    meters
        Port of each prosumer's meter.
    """

    def __init__(
        self, links: Links, interval_s: float, now: Callable[[], float], record: HardwareRecord | None = None
    ) -> None:
        self.queues: defaultdict[Link, list[PollItem]] = defaultdict(list)
        self.devices: dict[str, dict[CommandedDevice, Actuator]] = {}
        self.meters: dict[str, MeterPort] = {}
        self._links = links
        self._interval_s = interval_s
        self._now = now
        self._record = record

    def add(self, prosumer: LiveProsumer) -> None:
        """Take a prosumer's devices in."""
        devices = self.devices[prosumer.id] = {}
        meter = self.meters[prosumer.id] = self._links.meter(prosumer.meter, real=prosumer.real_meter)
        note: Note = partial(note_meter, prosumer.id)
        read = partial(poll_meter, meter, note)
        self.queues[meter.endpoint.link].append(
            PollItem(prosumer.id, meter, is_meter=True, read=read, insists=prosumer.real_meter, note=note)
        )
        if prosumer.pv is not None:
            pv = self._inverter(prosumer.pv, "pv", prosumer.pv_limits)
            devices["pv"] = self._actuator(pv, "pv", prosumer.id)
            note = partial(note_pv, prosumer.id)
            self._enqueue(prosumer.id, pv.port, partial(poll_inverter, pv.port, note), note)
        if prosumer.battery is not None:
            battery = self._inverter(prosumer.battery, "battery", prosumer.battery_limits)
            devices["battery"] = self._actuator(battery, "battery", prosumer.id)
            note = partial(note_battery, prosumer.id, prosumer.battery_efficiency, self._interval_s)
            self._enqueue(prosumer.id, battery.port, partial(poll_inverter, battery.port, note), note)
        if prosumer.ev is not None:
            charger = self._inverter(prosumer.ev, "ev", prosumer.ev_limits)
            devices["ev"] = self._actuator(charger, "ev", prosumer.id)
            read_ev = partial(poll_ev, prosumer.id, charger, prosumer.session, self._interval_s)
            self._enqueue(prosumer.id, charger.port, read_ev)
        if prosumer.load is not None:
            load = self._inverter(prosumer.load, "load", prosumer.load_limits)
            devices["load"] = self._actuator(load, "load", prosumer.id)
            self._enqueue(prosumer.id, load.port, partial(poll_load, prosumer.id, load, self._interval_s))
        for actuator in devices.values():
            if actuator.limits.real and actuator.limits.armed:
                self._enqueue(prosumer.id, actuator.inverter.port, partial(check_written, actuator))

    def _inverter(self, endpoint: Endpoint, device: CommandedDevice, limits: SetPointLimits) -> Inverter:
        return Inverter(self._links.inverter(endpoint, real=limits.real), device, limits)

    def _actuator(self, inverter: Inverter, device: CommandedDevice, prosumer: str) -> Actuator:
        return Actuator(inverter, device, self._now, prosumer, self._record)

    def _enqueue(
        self,
        prosumer: str,
        port: MeterPort,
        read: Callable[[PollResult], Awaitable[None]],
        note: Note | None = None,
    ) -> None:
        self.queues[port.endpoint.link].append(PollItem(prosumer, port, is_meter=False, read=read, note=note))
