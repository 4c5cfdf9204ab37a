"""How the registers of one unit are reached: what it refuses is asked for in another way from then on.

Some devices answer no long reads, some have holes in their maps where nothing may be read, and some know
only one of two functions that do the same.
"""

import time
from collections.abc import Collection, Mapping, Sequence

from devices.client.connection import Connection
from devices.client.frames import WRITE_COIL, WRITE_MANY, WRITE_ONE
from devices.errors import DeviceError, IllegalAddress, IllegalFunction, IllegalValue
from devices.registers.plan import Plan, Request
from devices.registers.point_map import Blocks, PointMap
from devices.registers.schema import Access

# Functions that do the same.
_OTHER_READ = {3: 4, 4: 3}
_OTHER_WRITE = {WRITE_ONE: WRITE_MANY, WRITE_MANY: WRITE_ONE}
_SHORT_READ = 16
# How long a hole is believed to be one [s]; a device that is asleep may refuse what it tells by day.
_BELIEVED_S = 900.0


class RegisterAccess:
    """Reads and writes points of one unit, in as few requests as it bears.

    Parameters
    ----------
    connection
        The link that the unit is on.
    unit
        Its id.
    access
        What its profile says of it.

    Attributes
    ----------
    absent
        Points that it refused to tell although they were asked for alone.
    """

    def __init__(self, connection: Connection, unit: int, access: Access) -> None:
        self.absent: set[str] = set()
        self._connection = connection
        self._unit = unit
        self._write_function: int = access.write_function
        self._read_functions: dict[int, int] = {}
        most = access.max_registers
        self._ways = (
            Blocks(most, access.max_gap),
            Blocks(most, 0),
            Blocks(min(most, _SHORT_READ), 0),
            Blocks(0, 0),
        )
        self._way = 0
        self._learned_s = 0.0

    async def fetch(
        self, points: PointMap, names: tuple[str, ...], constants: bool
    ) -> tuple[Plan, list[bytes]]:
        """Read points, in smaller and smaller blocks where the unit refuses larger ones.

        Parameters
        ----------
        points
            Where they stand.
        names
            Their names; those that are ``absent`` are left out.
        constants
            Whether to read scale factors that never change too.

        Raises
        ------
        DeviceError
            Nothing could be read, or no answer came; of what was refused, the last refusal.
        """
        if (self._way or self.absent) and time.monotonic() - self._learned_s > _BELIEVED_S:
            self.forget()
        while True:
            wanted = tuple(name for name in names if name not in self.absent) if self.absent else names
            plan = points.plan(wanted, constants, self._ways[self._way])
            replies, refused = await self._replies(plan)
            if not refused:
                return plan, replies
            if self._is_last:
                self._note_absent(plan, refused, wanted)
            else:
                self._narrow(points, plan, wanted, constants)

    async def write(
        self, points: PointMap, batch: Mapping[str, Sequence[int]], powers: Collection[str]
    ) -> None:
        """Write points together, in order of address; one by one where the unit knows no other function.

        Parameters
        ----------
        points
            Where they stand.
        batch
            Words of each.
        powers
            Those that carry a power: one by one they come first, so that nothing is enabled before.
        """
        coils = {name: words for name, words in batch.items() if points.places[name].point.type == "coil"}
        others = {name: words for name, words in batch.items() if name not in coils}
        for address, run in points.runs(others):
            try:
                await self._connection.write(self._unit, address, run, self._write_function)
            except IllegalFunction:
                other = _OTHER_WRITE[self._write_function]
                if other == WRITE_ONE and any(len(words) > 1 for words in others.values()):
                    # Between its words the register would hold a power that nobody has asked for.
                    raise
                self._write_function = other
                await self._write_in_turn(points, others, powers)
                break
        for address, run in points.runs(coils):
            await self._connection.write(self._unit, address, run, WRITE_COIL)

    def forget(self) -> None:
        """Ask again as the profile says."""
        self.absent.clear()
        self._way = 0

    @property
    def has_learned(self) -> bool:
        """Whether the unit is asked otherwise than its profile says."""
        return bool(self._way or self.absent or self._read_functions)

    @property
    def _is_last(self) -> bool:
        return self._way == len(self._ways) - 1

    async def _write_in_turn(
        self, points: PointMap, batch: Mapping[str, Sequence[int]], powers: Collection[str]
    ) -> None:
        for name in sorted(batch, key=lambda name: (name not in powers, points.places[name].address)):
            address = points.places[name].address
            await self._connection.write(self._unit, address, batch[name], self._write_function)

    async def _replies(self, plan: Plan) -> tuple[list[bytes], dict[int, DeviceError]]:
        """Replies, and what was refused by the index of its request; asked alone, the others go on."""
        replies: list[bytes] = []
        refused: dict[int, DeviceError] = {}
        for index, request in enumerate(plan.requests):
            try:
                replies.append(await self._read(request))
            except (IllegalAddress, IllegalValue) as error:
                refused[index] = error
                if not self._is_last:
                    break
        return replies, refused

    async def _read(self, request: Request) -> bytes:
        function = self._read_functions.get(request.function, request.function)
        try:
            return await self._connection.read(self._unit, request.address, request.count, function)
        except IllegalFunction:
            if function not in _OTHER_READ:
                raise
        other = _OTHER_READ[function]
        data = await self._connection.read(self._unit, request.address, request.count, other)
        self._read_functions[request.function] = other
        return data

    def _narrow(self, points: PointMap, plan: Plan, names: tuple[str, ...], constants: bool) -> None:
        """Go on to the next way that asks otherwise than this one."""
        self._learned_s = time.monotonic()
        while not self._is_last:
            self._way += 1
            if points.plan(names, constants, self._ways[self._way]).requests != plan.requests:
                return

    def _note_absent(self, plan: Plan, refused: Mapping[int, DeviceError], names: tuple[str, ...]) -> None:
        """Do without points that are refused alone; raise where that is not possible."""
        lost = {field.name for field in plan.fields if field.request in refused}
        needed = any(
            field.request in refused for field in (*plan.scales, *(each for each, _ in plan.headers))
        )
        if needed or lost >= set(names):
            self.forget()
            raise next(iter(refused.values()))
        self.absent |= lost
