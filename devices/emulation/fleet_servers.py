"""The Modbus TCP servers of a fleet, and the lines to them on which faults act."""

from collections.abc import Collection, Sequence

from devices.emulation.answers import Unit
from devices.emulation.prosumer import EmulatedProsumer
from devices.emulation.server import start_servers, stop_servers
from devices.emulation.tcp_server import TcpServer
from devices.endpoint import LiveProsumer, tcp
from devices.faults.proxy import FaultProxy

AT_ONCE = 64
"""Requests that a gateway may have under way at one of these servers."""

_MAKERS = {"ev": "sharegrid", "load": "sharegrid"}
"""Whose profile a device has that SunSpec has no models for."""


class FleetServers:
    """Servers that run, by what they serve; none before `start`."""

    def __init__(self) -> None:
        self._servers: list[TcpServer] = []
        self._lines: dict[str, FaultProxy] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    async def start(
        self,
        prosumers: Sequence[EmulatedProsumer],
        units: Sequence[Sequence[tuple[str, Unit]]],
        host: str,
        ports: Sequence[int],
        units_per_port: int,
        apart: Collection[str],
    ) -> dict[str, LiveProsumer]:
        """Serve prosumers; ``units`` are the devices of each with roles, the rest as in `Fleet.start`."""
        groups = [[unit for _, unit in group] for group in units]
        alone = {k for k, prosumer in enumerate(prosumers) if prosumer.id in apart}
        servers, places = await start_servers(groups, host, ports, units_per_port, alone)
        self._servers += servers
        live: dict[str, LiveProsumer] = {}
        for k, (prosumer, group, at) in enumerate(zip(prosumers, units, places, strict=True)):
            port = await self._line(prosumer.id, host, at[0][0]) if k in alone else at[0][0]
            numbers = {role: unit for (role, _), (_, unit) in zip(group, at, strict=True)}
            self._numbers |= {(prosumer.id, role): unit for role, unit in numbers.items()}
            found = {
                role: tcp(
                    host,
                    port,
                    unit,
                    prosumer.meter if role == "meter" else f"{_MAKERS.get(role, 'sunspec')}-{role}",
                    1 if k in alone else AT_ONCE,
                )
                for role, unit in numbers.items()
            }
            live[prosumer.id] = LiveProsumer(
                id=prosumer.id,
                meter=found["meter"],
                pv=found.get("pv"),
                battery=found.get("battery"),
                ev=found.get("ev"),
                load=found.get("load"),
                nominal_v=prosumer.nominal_v,
                battery_efficiency=prosumer.battery_efficiency,
            )
        return live

    async def stop(self) -> None:
        """Close all ports."""
        servers, self._servers = self._servers, []
        lines, self._lines = self._lines, {}
        for line in lines.values():
            await line.stop()
        await stop_servers(servers)

    def silence(self, prosumer: str, role: str, *, silent: bool) -> None:
        """Let one device, served apart, answer nothing, or answer again."""
        line, number = self._lines[prosumer], self._numbers[prosumer, role]
        (line.silent.add if silent else line.silent.discard)(number)

    def delay(self, prosumer: str, role: str, delay_s: float) -> None:
        """Let one device, served apart, answer late by some wall time [s]."""
        self._lines[prosumer].delay_s[self._numbers[prosumer, role]] = delay_s

    async def _line(self, prosumer: str, host: str, port: int) -> int:
        self._lines[prosumer] = FaultProxy(host, port)
        return await self._lines[prosumer].start()
