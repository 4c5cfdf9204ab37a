"""A device behind Modbus, as the gateway sees any device."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from devices.client.connection import Connection
from devices.client.quantities import Quantities
from devices.client.unit import Unit
from devices.endpoint import Endpoint
from devices.errors import (
    AnotherDevice,
    DeviceRefused,
    IncompleteReading,
    LayoutChanged,
    MissingControl,
    ReadBackMismatch,
)
from devices.limits import SetPointLimits, admissible_kw
from devices.ports import CONSTANT_S, Applied
from devices.registers.commands import Command, choose, release, set_power
from devices.registers.plan import Place, Plan
from devices.registers.point_map import SERIAL
from devices.registers.points import TIMES
from devices.registers.rating_trust import RatingTrust
from devices.registers.ratings import Ratings
from devices.registers.schema import QUANTITIES, Profile

_RATINGS = ("rating_kw", "charge_kw", "discharge_kw", "capacity_kwh")


class ModbusPort:
    """Port of one Modbus unit (`devices.ports.InverterPort`).

    Parameters
    ----------
    unit
        The device.
    real
        Whether it is hardware, which may tell more when it wakes up.

    Attributes
    ----------
    trust
        What speaks against its ratings.
    """

    def __init__(self, unit: Unit, *, real: bool = False) -> None:
        self.unit = unit
        self._real = real
        self._wanted = [q for q in QUANTITIES[unit.profile.kind] if q not in _RATINGS]
        self._required = [name for name in unit.profile.required if name in self._wanted]
        self._state = Quantities(unit, self._wanted)
        self._plate = self._new_plate()
        self._ratings: Ratings | None = None
        self.trust = RatingTrust()
        self._serial = ""
        self._identified = (-math.inf, 0)
        self._rated = (0.0, 0, 0)
        self._released: tuple[Mapping[str, Place], Command] | None = None
        # Not where an earlier gateway began: a device waits for another number than it was sent last.
        self._beat = int(time.time())

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return self.unit.endpoint

    @property
    def silent_times(self) -> int:
        """How often in a row it gave no answer."""
        return self.unit.silent_times

    async def state(self) -> Mapping[str, float | None]:
        """See `devices.ports.MeterPort`.

        Raises
        ------
        AnotherDevice
            Hardware tells another serial number than at first.
        IncompleteReading
            The device does not tell what its profile requires, as one that is asleep.
        """
        await self._check_identity_again()
        found = await self._state.read()
        self.trust.note(found.get("p_kw"))
        if lacking := self._lacking(found):
            raise IncompleteReading(
                f"{self.endpoint} does not tell {', '.join(lacking)}: asleep, or check its profile"
            )
        return found

    @property
    def together(self) -> Connection | None:
        """Where it may be read together with others; ``None`` where one is read after the other."""
        return self.unit.connection if self.unit.connection.bears_many else None

    def plain_plan(self) -> Plan | None:
        """Requests that bring its state in; ``None`` where more has to be asked for, or found out."""
        return self._state.plain_plan()

    def state_of(self, plan: Plan, replies: Sequence[bytes]) -> Mapping[str, float | None] | None:
        """Its state from the replies to `plain_plan`; ``None`` where that takes `state` to tell."""
        found = self._state.taken(plan, replies)
        if found is not None:
            self.trust.note(found.get("p_kw"))
        return None if found is None or self._lacking(found) else found

    def _lacking(self, found: Mapping[str, float | None]) -> list[str]:
        """Quantities that its profile requires and that it does not tell."""
        return [name for name in self._required if found.get(name) is None]

    @property
    def known_ratings(self) -> Ratings | None:
        """Ratings that need not be read again; ``None`` where they have to be."""
        return self._believed(CONSTANT_S)

    def _believed(self, fresh_s: float) -> Ratings | None:
        """Ratings that are no older [s], nor than the connection; ``None`` where there are none."""
        found, (at, walks, connects) = self._ratings, self._rated
        is_old = time.monotonic() - at >= fresh_s or (walks, connects) != (
            self.unit.walks,
            self.unit.connects,
        )
        return None if is_old or found is None or (self._real and not self._is_rated(found)) else found

    async def ratings(self, fresh_s: float = CONSTANT_S) -> Ratings:
        """Ratings, read again when they are older, after each reconnect and when the device was located anew.

        Parameters
        ----------
        fresh_s
            How old they may be [s].

        Raises
        ------
        DeviceError
            The device cannot be read.
        """
        found = self._believed(fresh_s)
        if found is None:
            # Hardware that wakes up may tell a better one of its points later than others.
            plate = await (self._new_plate() if self._real else self._plate).read(fresh_s)
            found = self._ratings = Ratings.of(plate)
            self._rated = time.monotonic(), self.unit.walks, self.unit.connects
        return found

    async def set_power(
        self, power_kw: float, valid_s: float, limits: SetPointLimits, fresh_s: float
    ) -> Applied:
        """See `devices.ports.InverterPort`."""
        send = partial(self._set_power, power_kw, valid_s, limits)
        try:
            return await send(fresh_s)
        except LayoutChanged:
            return await send(0.0)
        except MissingControl:
            # Another unit may have answered when its points were located.
            self.unit.locate_anew()
            return await send(0.0)

    async def rush_to_zero(self, limits: SetPointLimits) -> None:
        """See `devices.ports.InverterPort`: two looks at most come before it, at serial number and models."""
        places = self.unit.known_places
        if places is None or admissible_kw(limits, 0.0) != 0.0:
            return
        if self._serial and await self.unit.text_at_once(SERIAL) != self._serial:
            return
        self._beat += 1
        ratings, where = self._ratings or Ratings(None), str(self.endpoint)
        command = set_power(self.unit.profile, places, ratings, 0.0, 0.0, where, limits, self._beat)
        await self.unit.rush(command)

    async def release(self, fresh_s: float) -> None:
        """See `devices.ports.InverterPort`."""
        await self._check_identity()
        for fresh in (fresh_s, 0.0):
            try:
                await self.unit.command(self._release(await self.unit.places()), fresh)
            except (LayoutChanged, MissingControl) as error:
                if fresh == 0.0:
                    raise
                if isinstance(error, MissingControl):
                    self.unit.locate_anew()
            else:
                break
        self.unit.forget()

    def _release(self, has: Mapping[str, Place]) -> Command:
        """What gives control back to it while it has these points."""
        if self._released is None or self._released[0] is not has:
            self._released = has, release(self.unit.profile, has, str(self.endpoint))
        return self._released[1]

    async def overwritten(self) -> list[str]:
        """Points that hold other values than were left there; raises `DeviceError`."""
        return await self.unit.overwritten()

    def forget(self) -> None:
        """What was written is no longer expected to stand there."""
        self.unit.forget()

    async def revert_point(self) -> str | None:
        """Point of the time after which it falls back, where it has one that it implements."""
        has, profile = await self.unit.places(), self.unit.profile
        recipe = choose(profile.commands.set, has, str(self.endpoint))
        if recipe.reverts_after_s is not None:
            return f"timer of {recipe.reverts_after_s:g} s"
        name = recipe.revert
        if name is None or name not in has:
            return None
        return name if (await self.unit.read((name,))).get(name) is not None else None

    async def holds_for_good(self) -> bool:
        """Whether a set-point can be made to stay: some timers have no value for never."""
        profile = self.unit.profile
        recipe = choose(profile.commands.set, await self.unit.places(), str(self.endpoint))
        limits = profile.point(recipe.revert).limits if recipe.revert is not None else None
        return recipe.reverts_after_s is None and (limits is None or limits[0] <= 0.0)

    async def holds_fallback(self) -> bool:
        """Whether what it falls back to can be written to it; raises `DeviceError`."""
        recipe = choose(self.unit.profile.commands.set, await self.unit.places(), str(self.endpoint))
        named = tuple(n for batch in recipe.writes for n, what in batch.items() if what == "fallback enable")
        read = await self.unit.read(named) if named else {}
        return any(read.get(name) is not None for name in named)

    def begin_priority(self) -> None:
        """Let requests to this unit pass all others and every pause, until `end_priority`."""
        self.unit.begin_priority()

    def end_priority(self) -> None:
        """End what `begin_priority` began."""
        self.unit.end_priority()

    def _is_rated(self, ratings: Ratings) -> bool:
        """Whether a device tells what it can do; one that is asleep may not, and is asked again."""
        return (ratings.power_kw if self.unit.profile.kind == "pv" else ratings.charge_kw) is not None

    def _new_plate(self) -> Quantities:
        return Quantities(self.unit, _RATINGS)

    async def _check_identity_again(self) -> None:
        """Look who answers, before a reading: after each reconnect, and once a minute."""
        at_s, connects = self._identified
        if connects == self.unit.connects and time.monotonic() - at_s < CONSTANT_S:
            return
        with suppress(DeviceRefused):  # One that refuses to tell is believed as one that tells nothing.
            await self._check_identity()

    async def _check_identity(self) -> None:
        """Raise `AnotherDevice` where hardware tells another serial number than at first."""
        if not self._real or not self.unit.profile.sunspec:
            return
        told = await self.unit.text(SERIAL)
        self._serial = self._serial or told
        if told and told != self._serial:
            raise AnotherDevice(
                f"{self.endpoint} tells the serial number {told}, and told {self._serial} when it was first "
                f"{'read' if self.unit.profile.kind == 'meter' else 'commanded'}: "
                "see which device answers there; a new run takes it for what it is"
            )
        self._identified = time.monotonic(), self.unit.connects

    async def _check_needs(self) -> None:
        """Raise `ReadBackMismatch` where the device shows that it does not obey, with what it means."""
        needs, profile = self.unit.profile.needs, self.unit.profile
        read = await self.unit.read(tuple(need.point for need in needs)) if needs else {}
        for need in needs:
            if not need.fits(read.get(need.point), profile.point(need.point).names):
                raise ReadBackMismatch(f"{self.endpoint}: {need.reason}")

    async def _set_power(
        self, power_kw: float, valid_s: float, limits: SetPointLimits, fresh_s: float
    ) -> Applied:
        where, profile = str(self.endpoint), self.unit.profile
        await self._check_identity()
        ratings = await self.ratings(fresh_s)
        has = await self.unit.places()
        self._beat += 1
        command = set_power(profile, has, ratings, power_kw, valid_s, where, limits, self._beat)
        if command.is_share:
            self.trust.check(ratings, limits, where)
        shown = await self.unit.command(command, fresh_s)
        await self._check_needs()
        revert_s = _shown_revert_s(command, shown, profile)
        return Applied(power_kw, revert_s, math.isinf(revert_s) and not math.isinf(command.revert_s))


def _shown_revert_s(command: Command, shown: Mapping[str, float | None], profile: Profile) -> float:
    """Revert time that a device keeps to; infinity where it shows none, whatever was written.

    A device may turn "never" into a time of its own.
    """
    if command.revert_point is None or command.revert_point in command.unread:
        return command.revert_s
    unit = profile.point(command.revert_point).unit or "s"
    return (shown.get(command.revert_point) or math.inf) * TIMES[unit]
