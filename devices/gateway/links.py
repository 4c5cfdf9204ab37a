"""Ways to all devices of a gateway, one for each link, by what is spoken there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from devices.client.connection import Connection
from devices.client.modbus_port import ModbusPort
from devices.client.unit import Unit
from devices.counts import Counts
from devices.endpoint import Endpoint, Link
from devices.ports import InverterPort, MeterPort
from devices.registers.discovery import Chains
from devices.sources.feed import Feed
from devices.sources.feeds import open_feed
from devices.sources.port import SourcePort
from devices.sources.profiles import source_of

if TYPE_CHECKING:
    from devices.sources.ocpp.central import CentralSystem


class Links:
    """Links of one gateway, made as devices name them.

    Parameters
    ----------
    timeout_s
        How long to wait for a device [s].
    retry_after_s
        How long a silent unit or a dead link is left alone [s].
    profiles
        Folder of the user's profiles.
    """

    def __init__(self, timeout_s: float, retry_after_s: float, profiles: Path | None) -> None:
        self._timeout_s = timeout_s
        self._retry_after_s = retry_after_s
        self._profiles = profiles
        self._connections: dict[Link, Connection] = {}
        self._feeds: dict[Link, Feed] = {}
        self._centrals: dict[Link, CentralSystem] = {}
        self._chains = Chains()

    @property
    def counts(self) -> Counts:
        """Requests and errors over all links since the start."""
        total = Counts()
        for way in self._ways():
            total.add(way.counts)
        return total

    def meter(self, endpoint: Endpoint, *, real: bool) -> MeterPort:
        """Port of a device that is only read; ``real`` says that it is hardware."""
        return self._modbus(endpoint, real=real) if endpoint.link.is_modbus else self._source(endpoint)

    def inverter(self, endpoint: Endpoint, *, real: bool) -> InverterPort:
        """Port of a device that takes set-points; ``real`` says that it is hardware."""
        return self._modbus(endpoint, real=real) if endpoint.link.is_modbus else self._source(endpoint)

    async def open(self) -> None:
        """Listen where devices connect to; raises `DeviceError`."""
        for central in self._centrals.values():
            await central.open()

    async def close(self) -> None:
        """Close all links; a later request opens them again."""
        for way in self._ways():
            await way.close()

    def _charger(self, endpoint: Endpoint) -> InverterPort:
        # Gateways without chargers need no such server.
        from devices.sources.ocpp.central import CentralSystem
        from devices.sources.ocpp.port import OcppPort

        central = self._centrals.get(endpoint.link)
        if central is None:
            central = self._centrals[endpoint.link] = CentralSystem(endpoint.link)
        return OcppPort(endpoint, source_of(endpoint, self._profiles), central)

    def _ways(self) -> list[Connection | Feed | CentralSystem]:
        return [*self._connections.values(), *self._feeds.values(), *self._centrals.values()]

    def _source(self, endpoint: Endpoint) -> InverterPort:
        link = endpoint.link
        if link.scheme == "ocpp":
            return self._charger(endpoint)
        if link not in self._feeds:
            self._feeds[link] = open_feed(link, self._timeout_s, self._retry_after_s)
        return SourcePort(endpoint, source_of(endpoint, self._profiles), self._feeds[link])

    def _modbus(self, endpoint: Endpoint, *, real: bool) -> ModbusPort:
        link = endpoint.link
        if link not in self._connections:
            self._connections[link] = Connection(link, self._timeout_s, self._retry_after_s)
        unit = Unit(self._connections[link], endpoint, self._profiles, self._chains)
        self._connections[link].serve(unit.profile.modbus)
        return ModbusPort(unit, real=real)
