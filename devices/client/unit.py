"""One Modbus unit as a client sees it: named points in and out, wherever they stand."""

from pathlib import Path

from devices.client.connection import Connection
from devices.endpoint import Endpoint
from devices.errors import IllegalAddress, MissingControl, ReadBackMismatch
from devices.registers.commands import Command
from devices.registers.point_map import Plan, PointMap, point_map
from devices.registers.points import decode_bytes, encode
from devices.registers.profiles import load_profile
from devices.registers.sunspec import Chain, Chains


class Unit:
    """Client of one device.

    The chain of a SunSpec device is walked at the first contact, and again after the device refused an
    address, as it may after a change of firmware.

    Parameters
    ----------
    connection
        The link that the device is on.
    endpoint
        Its unit id and the name of its profile.
    folder
        Where profiles of the user's are looked for.
    chains
        What other units of this gateway showed.

    Attributes
    ----------
    profile, folder
        What it speaks, and where that may lie.
    walks
        How often its points were located.
    """

    def __init__(
        self,
        connection: Connection,
        endpoint: Endpoint,
        folder: Path | None = None,
        chains: Chains | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.profile = load_profile(endpoint.profile, folder)
        self.walks = 0
        self._connection = connection
        self.folder = folder
        self._chains = chains or Chains()
        self._map: PointMap | None = None
        self._sf: dict[str, int | None] = {}

    async def map(self) -> PointMap:
        """Where its points stand; raises `DeviceError` where it cannot be asked."""
        if self._map is None:
            self._sf.clear()
            self.walks += 1
            chain: Chain = ()
            if self.profile.sunspec:
                chain = await self._chains.find(self.endpoint.profile, self._words, str(self.endpoint))
            self._map = point_map(self.endpoint.profile, self.folder, chain)
        return self._map

    async def read(self, names: tuple[str, ...]) -> dict[str, float | None]:
        """Read numeric points, in as few requests as their places allow.

        Parameters
        ----------
        names
            Points of the profile.

        Returns
        -------
        dict
            Values in the points' units; ``None`` where the device says not implemented. What it lacks
            is left out.

        Raises
        ------
        DeviceError
            The device cannot be read.
        """
        plan = await self._planned(names)
        return plan.decode(await self._fetch(plan), self._sf)

    async def command(self, command: Command) -> None:
        """Write points and read them back; what holds already and needs no renewal is not written.

        Raises
        ------
        ReadBackMismatch
            A point reads back otherwise than written; names it and both values.
        DeviceError
            The device cannot be reached, refuses, or a value does not fit its register.
        """
        places = (await self.map()).places
        values = {name: value for batch in command.writes for name, value in batch.items()}
        if missing := values.keys() - places.keys():
            raise MissingControl(f"{self.endpoint} has no point {min(missing)}; check its profile")
        names = tuple(values)
        if any(places[name].scale is not None and places[name].scale not in self._sf for name in names):
            await self.read(names)
        words = {name: encode(places[name].point, value, self._scale(name)) for name, value in values.items()}
        wanted = {name: b"".join(word.to_bytes(2, "big") for word in words[name]) for name in names}
        if not command.renew and await self._raw(names) == wanted:
            return
        for batch in command.writes:
            for address, run in (await self.map()).runs({name: words[name] for name in batch}):
                await self._write(address, run)
        back = await self._raw(names)
        for name in names:
            lacking = name in command.optional and decode_bytes(places[name].point, back[name]) is None
            if back[name] != wanted[name] and not lacking:
                raise ReadBackMismatch(
                    f"{self.endpoint} shows {back[name].hex(' ', 2)} in {name} after "
                    f"{wanted[name].hex(' ', 2)} was written; check that it allows remote control"
                )

    async def _planned(self, names: tuple[str, ...]) -> Plan:
        points = await self.map()
        plan = points.plan(names)
        if all(field.name in self._sf for field in plan.scales):
            return points.plan(names, constants=False)
        return plan

    async def _raw(self, names: tuple[str, ...]) -> dict[str, bytes]:
        plan = await self._planned(names)
        return plan.words(await self._fetch(plan))

    def _scale(self, name: str) -> int:
        assert self._map is not None
        place = self._map.places[name]
        return self._sf.get(place.scale) or 0 if place.scale is not None else int(place.point.sf or 0)

    async def _fetch(self, plan: Plan) -> list[bytes]:
        unit, read = self.endpoint.unit, self._connection.read
        try:
            return [await read(unit, r.address, r.count, r.function) for r in plan.requests]
        except IllegalAddress:
            self._map = None
            raise

    async def _words(self, address: int, count: int) -> list[int]:
        data = await self._connection.read(self.endpoint.unit, address, count)
        return [int.from_bytes(data[k : k + 2], "big") for k in range(0, len(data), 2)]

    async def _write(self, address: int, words: list[int]) -> None:
        function = self.profile.modbus.write_function
        try:
            await self._connection.write(self.endpoint.unit, address, words, function)
        except IllegalAddress:
            self._map = None
            raise
