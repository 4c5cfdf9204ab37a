"""One Modbus unit as a client sees it: named points in and out, wherever they stand."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from devices.client.connection import Connection
from devices.client.read_back import corrected, differing
from devices.client.register_access import RegisterAccess
from devices.endpoint import Endpoint
from devices.errors import IllegalAddress, LayoutChanged, MissingControl, ReadBackMismatch
from devices.ports import CONSTANT_S
from devices.registers.chain import Chain
from devices.registers.commands import Command, command_words
from devices.registers.discovery import Chains, Search, expect_meter
from devices.registers.labels import Labels, read_labels
from devices.registers.plan import Place, Plan
from devices.registers.point_map import PointMap, point_map
from devices.registers.points import TIMES, decode_bytes, word_count
from devices.registers.profiles import load_profile

_ATTEMPTS = 2


class Unit:
    """Client of one device.

    The chain of a SunSpec device is walked at the first contact, and again after the device refused an
    address or showed another header, as it may after a change of firmware.

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
    connection
        The link that it is on.
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
        self.connection = connection
        self.folder = folder
        self._chains = chains or Chains()
        self._search = Search()
        self._access = RegisterAccess(connection, endpoint.unit, self.profile.modbus)
        self._map: PointMap | None = None
        self._scale_factors: dict[str, int | None] = {}
        self._scales_read: dict[str, tuple[float, int]] = {}
        self._written: dict[str, bytes] = {}

    @property
    def connects(self) -> int:
        """How often the connection was made; constants may be others after each time."""
        return self.connection.connects

    @property
    def silent_times(self) -> int:
        """How often in a row it gave no answer."""
        return self.connection.silent(self.endpoint.unit)

    def begin_priority(self) -> None:
        """Let requests to this unit pass all others and every pause, until `end_priority`."""
        self.connection.begin_priority(self.endpoint.unit)

    def end_priority(self) -> None:
        """End what `begin_priority` began."""
        self.connection.end_priority(self.endpoint.unit)

    async def map(self) -> PointMap:
        """Where its points stand; raises `DeviceError` where it cannot be asked."""
        if self._map is None:
            self._scale_factors.clear()
            self._scales_read.clear()
            self._written.clear()
            self._access.forget()
            self.walks += 1
            chain: Chain = ()
            labels: Labels = ()
            if self.profile.sunspec:
                where, search = str(self.endpoint), self._search
                chain = await self._chains.find(self.endpoint.profile, self._searched, where, search)
                if self.profile.kind == "meter":
                    expect_meter(chain, self.profile.nth, where)
                labels = await read_labels(self.profile.quantity_points, chain, self._words)
            self._map = point_map(self.endpoint.profile, self.folder, chain, labels)
        return self._map

    def locate_anew(self) -> None:
        """Locate its points again before it is asked next: what was found there cannot be its own."""
        self._map = None

    async def places(self) -> Mapping[str, Place]:
        """Points that it has and tells, by name; raises `DeviceError` where it cannot be asked."""
        found, absent = (await self.map()).places, self._access.absent
        return {name: found[name] for name in found if name not in absent} if absent else found

    async def read(self, names: tuple[str, ...], fresh_s: float = CONSTANT_S) -> dict[str, float | None]:
        """Read numeric points, in as few requests as their places allow.

        Parameters
        ----------
        names
            Points of the profile.
        fresh_s
            How old scale factors may be that do not change while the device runs [s].

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
        plan, replies = await self._replies(names, fresh_s)
        return self._decoded(plan, replies)

    async def text(self, name: str) -> str:
        """Text of a point; empty where it has none, or tells none. Raises `DeviceError`."""
        if name not in await self.places():
            return ""
        plan, replies = await self._replies((name,), CONSTANT_S)
        data = plan.words(replies).get(name, b"")
        return str(decode_bytes((await self.map()).places[name].point, data)).strip()

    def plain_plan(self, names: tuple[str, ...]) -> Plan | None:
        """How `read` would ask for points; ``None`` where it would have to find out or ask for more first."""
        if self._map is None or self._access.has_learned:
            return None
        scales, plan = self._map.plain_plan(names)
        return plan if all(self._is_known(field.name, CONSTANT_S) for field in scales) else None

    def taken(self, plan: Plan, replies: Sequence[bytes]) -> dict[str, float | None] | None:
        """What `read` returns, of the replies to a plan; ``None`` where its models stand elsewhere now."""
        return None if plan.moved(replies) else self._decoded(plan, replies)

    async def command(self, command: Command, fresh_s: float = CONSTANT_S) -> dict[str, float | None]:
        """Write points and read them back; what holds already and needs no renewal is not written.

        A device may round what it is sent. Where that brings a power beyond its bounds, it is written once
        more by so much less.

        Parameters
        ----------
        command
            What to write.
        fresh_s
            How old scale factors may be [s]; 0 reads them before anything is written.

        Returns
        -------
        dict
            What the device shows of the points that were written.

        Raises
        ------
        ReadBackMismatch
            A point reads back otherwise than written; names it and both values.
        LayoutChanged
            The points stand elsewhere than when the command was made; nothing was written.
        DeviceError
            The device cannot be reached, refuses, or a value does not fit its register.
        """
        places = await self.places()
        walks = self.walks
        if missing := command.values.keys() - places.keys():
            raise MissingControl(f"{self.endpoint} has no point {min(missing)}; check its profile")
        names = command.read
        if not command.renew or any(not self._is_known(places[name].scale, fresh_s) for name in names):
            plan, replies = await self._replies(names, fresh_s)
            self._check_layout(names, walks)
            shown = self._decoded(plan, replies)
            if not command.renew and plan.words(replies) == _joined(self._words_of(command, places), names):
                return shown
        for left in reversed(range(_ATTEMPTS)):
            words = self._words_of(command, places)
            await self._write_all(command, words)
            plan, replies = await self._replies(names, fresh_s)
            self._check_layout(names, walks)
            shown, back = self._decoded(plan, replies), plan.words(replies)
            wanted = _joined(words, names)
            if _joined(self._words_of(command, places), names) != wanted:
                # The device changed a scale factor meanwhile, so that these words are of another power.
                if left:
                    continue
                raise ReadBackMismatch(
                    f"{self.endpoint} changes its scale factors while it is written to; update its firmware"
                )
            lacking = {n for n in command.optional if n in back and _is_absent(places[n], back[n])}
            wrong = differing(command, {n: places[n].point for n in names}, shown, back, wanted, lacking)
            if wrong:
                raise ReadBackMismatch(
                    f"{self.endpoint} shows {back[wrong].hex(' ', 2)} in {wrong} after "
                    f"{wanted[wrong].hex(' ', 2)} was written; check that it allows remote control"
                )
            again = corrected(command, shown)
            if again is None:
                self._remember(back, places, command.unverified)
                return shown
            command = again
            if not left:
                break
        raise ReadBackMismatch(
            f"{self.endpoint} rounds what is written to a power beyond its envelope; widen it"
        )

    @property
    def known_places(self) -> Mapping[str, Place] | None:
        """Points that it had and told when it was last asked; ``None`` where nobody knows."""
        if self._map is None:
            return None
        return {name: at for name, at in self._map.places.items() if name not in self._access.absent}

    async def text_at_once(self, name: str) -> str:
        """Text of a point where it stood last, in one request; empty where it has none."""
        place = (self.known_places or {}).get(name)
        if place is None:
            return ""
        data = await self.connection.read(self.endpoint.unit, place.address, word_count(place.point))
        return str(decode_bytes(place.point, data)).strip()

    async def rush(self, command: Command) -> None:
        """Write what of a command no device may lack, where its models still stand; nothing is read back.

        Powers other than 0 are not written so: scale factors may be others by now. Raises `DeviceError`.
        """
        points, places = self._map, self.known_places
        needed = [batch for batch in command.writes if not command.optional.issuperset(batch)]
        names = tuple(name for batch in needed for name in batch)
        if points is None or places is None or any(command.values[n] for n in command.bounds if n in names):
            return
        for place, header in points.headers(names):
            if await self.connection.read(self.endpoint.unit, place.address, len(header) // 2) != header:
                return
        await self._write_all(
            command,
            [w for w, b in zip(self._words_of(command, places), command.writes, strict=True) if b in needed],
        )

    def _check_layout(self, names: tuple[str, ...], walks: int) -> None:
        """Raise `LayoutChanged` where a command no longer fits what the device shows."""
        if self.walks != walks or not self._access.absent.isdisjoint(names):
            raise LayoutChanged(f"{self.endpoint} shows other points than before; ask again")

    async def overwritten(self) -> list[str]:
        """Points that hold other values than `command` left there; raises `DeviceError`."""
        if not self._written:
            return []
        plan, replies = await self._replies(tuple(self._written), CONSTANT_S)
        back = plan.words(replies)
        return [
            f"{name} shows {back[name].hex(' ', 2)} where {was.hex(' ', 2)} was written"
            for name, was in self._written.items()
            if name in back and back[name] != was
        ]

    def forget(self) -> None:
        """What was written is no longer expected to stand there."""
        self._written.clear()

    def _remember(self, back: dict[str, bytes], places: Mapping[str, Place], varying: frozenset[str]) -> None:
        """Note what the device shows after a command, but for times, which may run, and what varies."""
        steady = {name: data for name, data in back.items() if places[name].point.unit not in TIMES}
        self._written.update({name: data for name, data in steady.items() if name not in varying})

    def _words_of(self, command: Command, places: Mapping[str, Place]) -> list[dict[str, list[int]]]:
        def scale_factor(name: str) -> int | None:
            place = places[name]
            return int(place.point.sf or 0) if place.scale is None else self._scale_factors.get(place.scale)

        points = {name: places[name].point for name in command.values}
        return command_words(command, points, scale_factor, str(self.endpoint))

    async def _write_all(self, command: Command, words: list[dict[str, list[int]]]) -> None:
        for batch in words:
            try:
                await self._access.write(await self.map(), batch, command.tolerance)
            except IllegalAddress:
                self._map = None
                raise
            if command.pause_s:
                await asyncio.sleep(command.pause_s)

    async def _replies(self, names: tuple[str, ...], fresh_s: float) -> tuple[Plan, list[bytes]]:
        """Replies of a plan whose models stand where they stood, or were located anew just now."""
        model: str | None = None
        for is_last in (False, True):
            points = await self.map()
            scales = points.plan(names).scales
            constants = not all(self._is_known(field.name, fresh_s) for field in scales)
            try:
                plan, replies = await self._access.fetch(points, names, constants)
            except IllegalAddress:
                self._map = None
                # SunSpec models may have moved, so that their old places are refused.
                if is_last or not self.profile.sunspec:
                    raise
                continue
            model = plan.moved(replies)
            if model is None:
                return plan, replies
            self._map = None
        raise LayoutChanged(f"{self.endpoint} moves its SunSpec {model} about; see that nobody restarts it")

    def _decoded(self, plan: Plan, replies: Sequence[bytes]) -> dict[str, float | None]:
        values = plan.decode(replies, self._scale_factors)
        if plan.scales:
            read = time.monotonic(), self.connects
            self._scales_read.update({field.name: read for field in plan.scales})
        return values

    def _is_known(self, scale: str | None, fresh_s: float) -> bool:
        """Whether a scale factor needs no reading; one that is not told may be, once the device is awake."""
        if scale is None:
            return True
        if self._scale_factors.get(scale) is None:
            return False
        at, connects = self._scales_read.get(scale, (0.0, -1))
        return connects == self.connects and time.monotonic() - at < fresh_s

    async def _words(self, address: int, count: int) -> list[int]:
        data = await self.connection.read(self.endpoint.unit, address, count)
        return [int.from_bytes(data[k : k + 2], "big") for k in range(0, len(data), 2)]

    async def _searched(self, address: int, count: int) -> list[int]:
        """Registers at a place where the device may well be silent, which tells nothing of the next place."""
        if not self._search.ends_with_silence():
            self.connection.let_through(self.endpoint.unit)
        return await self._words(address, count)


def _joined(words: list[dict[str, list[int]]], names: tuple[str, ...]) -> dict[str, bytes]:
    """Bytes of some points as the last write of each leaves them."""
    last = {name: each for batch in words for name, each in batch.items()}
    return {name: b"".join(word.to_bytes(2, "big") for word in last[name]) for name in names}


def _is_absent(place: Place, data: bytes) -> bool:
    return decode_bytes(place.point, data) is None
