"""A charger as the gateway sees any device: what it draws counts as negative power."""

import asyncio
import math
import time

from broker.patience import LEAST_LOOK_S
from broker.wall_time import since_boot
from devices.endpoint import Endpoint
from devices.errors import DeviceError, DeviceTimeout, DeviceUnreachable, RangeError, ReadBackMismatch
from devices.limits import SetPointLimits
from devices.ports import CONSTANT_S, Applied
from devices.registers.ratings import Ratings
from devices.sources.message_port import MessagePort
from devices.sources.ocpp.central import CentralSystem
from devices.sources.ocpp.session import Limit, Session
from devices.sources.payload import within
from devices.sources.schema import Commands, Sent, SourceProfile

_EDGE, _SET_POINT = 9101, 9102
# In whole watts drawn, as a charger is told them.
_WATTS = Commands(unit="W", sign=-1, step=1.0, set=(Sent(at="-"),), release=(Sent(at="-"),))
_TOLERANCE_W = 1.0


class OcppPort(MessagePort):
    """Port of one connector of a charger (`devices.ports.InverterPort`).

    A set-point is a charging profile above another one for good that holds the envelope's edge, so that a
    charger whose set-point ends by itself stays within the envelope. One without duration ends with its
    transaction alone.

    Parameters
    ----------
    endpoint
        Where it connects to, and its name: ``NAME`` or ``NAME/CONNECTOR``.
    profile
        What the charger does not tell.
    central
        Where it connects to.
    """

    def __init__(self, endpoint: Endpoint, profile: SourceProfile, central: CentralSystem) -> None:
        super().__init__(endpoint)
        self._profile = profile
        self._central = central
        name, _, connector = endpoint.name.partition("/")
        self._name, self._connector = name, int(connector or 1)
        self._charger = central.expect(name, self._connector, endpoint.secret)
        self._sent_w: float | None = None
        self._introduced: Session | None = None
        self._edge_w: float | None = None
        self._edged: Session | None = None
        self._told: Session | None = None

    async def ratings(self, fresh_s: float = CONSTANT_S) -> Ratings:  # noqa: ARG002  # chargers tell none
        """What the profile says for it."""
        return Ratings.of(self._profile.constants)

    async def set_power(
        self, power_kw: float, valid_s: float, limits: SetPointLimits, fresh_s: float
    ) -> Applied:
        """See `devices.ports.InverterPort`."""
        watts = float(within(power_kw, _WATTS, limits, await self.ratings(fresh_s)))
        if watts < 0.0:
            raise RangeError(f"{self._endpoint} cannot give {power_kw:g} kW; send 0 or less")
        seconds = max(int(valid_s), 1) if valid_s > 0.0 else None
        await self._work.do(self._limit(watts, seconds, limits))
        return Applied(power_kw) if seconds is None else Applied(power_kw, float(seconds))

    async def release(self, fresh_s: float) -> None:  # noqa: ARG002  # nothing here grows old
        """See `devices.ports.InverterPort`."""
        session = await self._session()
        for number in (_SET_POINT, _EDGE):
            self._central.counts.writes += 1
            await self._work.do(session.clear_limit(number))
        self._edge_w = self._edged = None
        self.forget()

    async def overwritten(self) -> list[str]:
        """See `devices.ports.InverterPort`; a charger that shows no schedule is believed."""
        if self._sent_w is None:
            return []
        session = await self._session()
        if session is not self._told:
            return ["it has connected anew, and may have forgotten what it was sent"]
        shown_w = await self._work.do(session.shown_w(self._connector))
        if shown_w is None or abs(shown_w - self._sent_w) <= _TOLERANCE_W:
            return []
        return [f"its schedule shows {shown_w:g} W where {self._sent_w:g} W was sent"]

    def forget(self) -> None:
        """See `devices.ports.InverterPort`."""
        self._sent_w = None

    async def revert_point(self) -> str | None:
        """See `devices.ports.InverterPort`."""
        await self._session()
        return "chargingSchedule.duration"

    async def holds_fallback(self) -> bool:
        """See `devices.ports.InverterPort`: the profile below the set-point holds the envelope's edge."""
        return True

    async def _session(self) -> Session:
        await self._central.open()
        session = self._central.sessions.get(self._name)
        if session is not None:
            return session
        stranger = self._central.stranger
        hint = (
            f"{stranger} has, and is not in the scenario" if stranger else "check the address in its settings"
        )
        raise self._counted(
            DeviceUnreachable(f"charger {self._name} has not connected to {self._central.link}; {hint}")
        )

    async def _read(self) -> dict[str, float | None]:
        """Power, whether a vehicle is there, and what it wants.

        Raises
        ------
        DeviceError
            It is not connected, has told nothing yet, or charges without saying at which power.
        """
        session, charger = await self._session(), self._charger
        self._central.counts.reads += 1
        if self._introduced is not session:
            # Connected anew, it tells no more than what changes.
            await session.ask_for_state(self._connector)
            if self._edge_w is not None:
                await self._hold_edge(session)
            self._introduced = session
        if charger.is_plugged is None:
            raise self._counted(DeviceTimeout(f"{self._endpoint} has not told its status yet; wait for it"))
        if charger.is_charging and self._central.stood_still_s(charger.power_at_s):
            # What came in meanwhile is about to be read.
            await asyncio.sleep(LEAST_LOOK_S)
        age_s = since_boot() - charger.power_at_s
        # One that draws although it says that it does not is believed in its power.
        shows = charger.shows_power and (charger.is_charging or age_s < self._profile.stale_s)
        power_kw = charger.power_kw if shows else 0.0
        if power_kw is None or (charger.is_charging and age_s >= self._profile.stale_s):
            if stood_s := self._central.stood_still_s(charger.power_at_s):
                raise self._counted(
                    DeviceTimeout(
                        f"{self._endpoint} has not told its power anew since this process stood still for "
                        f"{stood_s:.0f} s; wait for it"
                    )
                )
            raise self._counted(
                DeviceTimeout(
                    f"{self._endpoint} charges without telling its power; let it send Power.Active.Import "
                    f"more often than every {self._profile.stale_s:g} s"
                )
            )
        left_s = None if charger.departs_at is None else max(charger.departs_at - time.time(), 0.0)
        return {
            "p_kw": 0.0 - power_kw,
            "plugged": float(charger.is_plugged),
            "session_kwh": charger.session_kwh,
            "counter_kwh": charger.energy_kwh,
            "wanted_kwh": charger.wanted_kwh,
            "left_s": left_s,
            "soc": charger.soc,
            "age_s": age_s if shows else 0.0,
        }

    async def _limit(self, watts: float, seconds: int | None, limits: SetPointLimits) -> None:
        session = await self._session()
        if seconds is not None and math.isfinite(limits.min_kw):
            # What is sent for good needs nothing below it, and a stop no second request.
            edge_w = max(-1000.0 * limits.min_kw, 0.0)
            if (session, edge_w) != (self._edged, self._edge_w):
                self._edge_w = edge_w
                await self._hold_edge(session)
        self._central.counts.writes += 1
        await session.set_limit(self._connector, Limit(_SET_POINT, 1, watts, seconds))
        self._sent_w, self._told = watts, session
        shown_w = await session.shown_w(self._connector)
        if shown_w is not None and abs(shown_w - watts) > _TOLERANCE_W:
            raise self._counted(
                ReadBackMismatch(
                    f"{self._endpoint} goes by {shown_w:g} W after {watts:g} W was sent; "
                    "remove other charging profiles, and check its clock"
                )
            )

    async def _hold_edge(self, session: Session) -> None:
        """Install the envelope's edge below all set-points."""
        assert self._edge_w is not None
        self._central.counts.writes += 1
        await session.set_limit(self._connector, Limit(_EDGE, 0, self._edge_w, None))
        self._edged = session

    def _counted(self, error: DeviceError) -> DeviceError:
        self._central.counts.note(error)
        return error
