"""One SunSpec device as a client sees it: named points in and out, wherever its models lie."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from devices.endpoint import Endpoint
from devices.errors import IllegalAddress, MissingControl, ReadBackMismatch
from devices.modbus import Connection, merge_spans
from devices.profiles import MODEL_IDS, model
from devices.registers import Point, decode, encode, word_count
from devices.sunspec import Span, discover

MOST_READ = 125
_GAP = 40


class Command(msgspec.Struct, frozen=True):
    """Registers to write and to read back.

    Attributes
    ----------
    writes
        Points and values in the order in which they have to be written; those of one entry go out
        together where their registers touch.
    optional
        Points that a device may lack: they are verified unless they read as not implemented.
    renew
        Whether to write what the registers hold already, which starts revert times anew.
    """

    writes: list[dict[str, float]]
    optional: frozenset[str] = frozenset()
    renew: bool = True


class SunSpecUnit:
    """Client of one SunSpec device.

    Points are named ``model.point``, as ``103.W``. The chain of models is walked at the first contact, and
    again after the device refused an address, as it may after a change of firmware.
    """

    def __init__(self, connection: Connection, endpoint: Endpoint) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._chain: dict[int, Span] = {}
        self._sf: dict[str, int | None] = {}

    async def models(self) -> frozenset[int]:
        """Models that the device has and that we know; raises `DeviceError` where it cannot be asked."""
        if not self._chain:
            self._sf.clear()
            self._chain = await discover(self._read, str(self._endpoint))
        return frozenset(self._chain) & frozenset(MODEL_IDS)

    async def read(self, names: Iterable[str]) -> dict[str, float | None]:
        """Read numeric points, in as few requests as their places allow.

        Parameters
        ----------
        names
            Points, as ``103.W``.

        Returns
        -------
        dict
            Values in the points' units; ``None`` where the device lacks the model or says not implemented.

        Raises
        ------
        DeviceError
            The device cannot be read.
        """
        await self.models()
        values: dict[str, float | None] = dict.fromkeys(names)
        points = self._present(values)
        words = await self._fetch(points)
        for name, point in points.items():
            value = decode(point, words[name], self._scale(name, point))
            values[name] = None if isinstance(value, str) else value
        return values

    async def command(self, command: Command) -> None:
        """Write points and read them back; what holds already and needs no renewal is not written.

        Raises
        ------
        MissingControl
            The device lacks a point.
        ReadBackMismatch
            A point reads back otherwise than written; names it and both values.
        DeviceError
            The device cannot be reached, refuses, or a value does not fit its register.
        """
        await self.models()
        values = {name: value for batch in command.writes for name, value in batch.items()}
        points = self._present(values)
        for name in values:
            if name not in points:
                raise MissingControl(f"{self._endpoint} has no point {name}; check its profile and firmware")
        if any(_scale_name(name, point) not in self._sf for name, point in points.items() if point.sf):
            await self._fetch(points)
        words = {
            name: encode(point, values[name], self._scale(name, point) or 0) for name, point in points.items()
        }
        if not command.renew and await self._fetch(points) == words:
            return
        for batch in command.writes:
            for address, run in self._runs({name: words[name] for name in batch}):
                await self._write(address, run)
        back = await self._fetch(points)
        for name, point in points.items():
            lacking = name in command.optional and decode(point, back[name]) is None
            if back[name] != words[name] and not lacking:
                raise ReadBackMismatch(
                    f"{self._endpoint} shows {back[name]} in {name} after {words[name]} was written; "
                    "check that it allows remote control"
                )

    def _present(self, names: Iterable[str]) -> dict[str, Point]:
        """Those of the points that lie within the models the device has."""
        found = {}
        for name in names:
            model_id, _, point_name = name.partition(".")
            span = self._chain.get(int(model_id))
            point = model(int(model_id)).points[point_name]
            if span is not None and point.at + word_count(point) <= span.length + 2:
                found[name] = point
        return found

    def _scale(self, name: str, point: Point) -> int | None:
        return self._sf.get(_scale_name(name, point)) if isinstance(point.sf, str) else point.sf or 0

    async def _fetch(self, points: dict[str, Point]) -> dict[str, list[int]]:
        """Words of points; their scale factors are read too, unless they cannot have changed."""
        scales = self._present({_scale_name(name, p) for name, p in points.items() if isinstance(p.sf, str)})
        stale = {name: p for name, p in scales.items() if not (p.static and name in self._sf)}
        places = {name: (self._address(name, p), word_count(p)) for name, p in (points | stale).items()}
        cells: dict[int, int] = {}
        for first, last in merge_spans([(a, a + n) for a, n in places.values()], MOST_READ, _GAP):
            cells.update(enumerate(await self._read(first, last - first), start=first))
        words = {name: [cells[a + k] for k in range(n)] for name, (a, n) in places.items()}
        for name, point in stale.items():
            value = decode(point, words[name])
            self._sf[name] = int(value) if isinstance(value, int) else None
        return {name: words[name] for name in points}

    def _runs(self, words: Mapping[str, Sequence[int]]) -> list[tuple[int, list[int]]]:
        """Address and words of each run of registers that touch."""
        cells: dict[int, int] = {}
        for name, point in self._present(words).items():
            cells.update(enumerate(words[name], start=self._address(name, point)))
        addresses = sorted(cells)
        starts = addresses[:1] + [b for a, b in pairwise(addresses) if b != a + 1]
        ends = [*starts[1:], addresses[-1] + 1]
        return [(s, [cells[a] for a in addresses if s <= a < e]) for s, e in zip(starts, ends, strict=True)]

    def _address(self, name: str, point: Point) -> int:
        return self._chain[int(name.partition(".")[0])].address + point.at

    async def _read(self, address: int, count: int) -> list[int]:
        try:
            return await self._connection.read(self._endpoint.unit, address, count)
        except IllegalAddress:
            self._chain = {}
            raise

    async def _write(self, address: int, words: Sequence[int]) -> None:
        try:
            await self._connection.write(self._endpoint.unit, address, words)
        except IllegalAddress:
            self._chain = {}
            raise


def _scale_name(name: str, point: Point) -> str:
    return f"{name.partition('.')[0]}.{point.sf}"
