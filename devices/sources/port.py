"""A device without registers, as the gateway sees any device."""

import asyncio
from collections.abc import Iterable, Mapping

from broker.patience import LEAST_LOOK_S
from broker.wall_time import since_boot
from devices.endpoint import Endpoint
from devices.errors import DeviceTimeout, DeviceUnreachable, MalformedReply, MissingControl
from devices.limits import SetPointLimits, admissible_kw
from devices.ports import CONSTANT_S, Applied
from devices.registers.ratings import Ratings
from devices.registers.schema import QUANTITIES, REQUIRED
from devices.sources.commander import Commander
from devices.sources.feed import Document, Feed
from devices.sources.message_port import MessagePort
from devices.sources.payload import NotThere, filled, number_in, text_in
from devices.sources.schema import SourceProfile, Value

_RATINGS = ("rating_kw", "charge_kw", "discharge_kw", "capacity_kwh")


class SourcePort(MessagePort):
    """Port of one device (`devices.ports.InverterPort`).

    Parameters
    ----------
    endpoint
        Where it is.
    profile
        What it tells and obeys.
    feed
        Way there.
    """

    def __init__(self, endpoint: Endpoint, profile: SourceProfile, feed: Feed) -> None:
        super().__init__(endpoint)
        self._profile = profile
        self._feed = feed
        self._quantities = {n: v for n, v in profile.values.items() if n in QUANTITIES[profile.kind]}
        self._rated = Ratings.of(profile.constants)
        self._commander: Commander | None = None
        if profile.commands is not None:
            shows = profile.values.get(profile.commands.shows)
            self._commander = Commander(endpoint, profile.commands, shows, feed)

    async def ratings(self, fresh_s: float = CONSTANT_S) -> Ratings:  # noqa: ARG002  # told with all else
        """What it says that it can do, or what the profile says for it."""
        told = {name: value for name, value in self._quantities.items() if name in _RATINGS}
        found: dict[str, float | None] = dict(self._profile.constants)
        if told:
            documents = await self._feed.fetch(self._places(told.values()))
            for name, value in told.items():
                if (number := self._number(name, value, documents)) is not None:
                    found[name] = number
        self._rated = Ratings.of(found)
        return self._rated

    async def set_power(
        self, power_kw: float, valid_s: float, limits: SetPointLimits, fresh_s: float
    ) -> Applied:
        """See `devices.ports.InverterPort`."""
        commander = self._commanded()
        # A stop waits for nothing that the device has not told yet.
        ratings = self._rated if self._work.has_priority else await self.ratings(fresh_s)
        if commander.commands.unit == "%" and admissible_kw(limits, power_kw) != 0.0:
            self.trust.check(ratings, limits, str(self._endpoint))
        revert_s = await self._work.do(commander.set_power(power_kw, valid_s, limits, ratings))
        return Applied(power_kw, revert_s)

    async def release(self, fresh_s: float) -> None:  # noqa: ARG002  # nothing here grows old
        """See `devices.ports.InverterPort`."""
        await self._work.do(self._commanded().release())

    async def overwritten(self) -> list[str]:
        """See `devices.ports.InverterPort`; a device that shows no set-point is believed."""
        if self._commander is None:
            return []
        differs = await self._work.do(self._commander.differs(await self.ratings()))
        return [differs] if differs else []

    def forget(self) -> None:
        """See `devices.ports.InverterPort`."""
        if self._commander is not None:
            self._commander.sent_kw = None

    async def revert_point(self) -> str | None:
        """See `devices.ports.InverterPort`."""
        return "seconds" if self._commanded().commands.reverts else None

    async def holds_fallback(self) -> bool:
        """See `devices.ports.InverterPort`."""
        return False

    def _commanded(self) -> Commander:
        if self._commander is None:
            raise MissingControl(f"{self._endpoint} is only read by its profile; name one with commands")
        return self._commander

    async def _read(self) -> dict[str, float | None]:
        """Quantities that are new enough to count.

        Raises
        ------
        DeviceTimeout
            One that its kind has to tell is too old, or only kept by the broker.
        DeviceError
            There is no way to it, it says that it is away, or it sends something else.
        """
        profile = self._profile
        places = self._places(self._quantities.values())
        if profile.presence is not None:
            places.append(self._at(profile.presence.at))
        documents = await self._feed.fetch(places)
        if any(self._feed.stood_still_s(document.said_s) for document in documents.values()):
            # What came in meanwhile is about to be read.
            await asyncio.sleep(LEAST_LOOK_S)
            documents = await self._feed.fetch(places)
        self._assert_present(documents)
        now_s = since_boot()
        found: dict[str, float | None] = {**profile.constants, "age_s": 0.0}
        for name, value in self._quantities.items():
            document = documents.get(self._at(value.at))
            stale_s = value.stale_s or profile.stale_s
            if document is not None and not document.kept and now_s - document.said_s < stale_s:
                found[name] = self._number(name, value, documents)
                if name in REQUIRED[profile.kind]:
                    found["age_s"] = max(found["age_s"] or 0.0, now_s - document.said_s)
            elif name in REQUIRED[profile.kind]:
                stood_s = 0.0 if document is None else self._feed.stood_still_s(document.said_s)
                raise DeviceTimeout(f"{self._endpoint} {_silence(document, now_s, stood_s, name)}")
        return found

    def _assert_present(self, documents: Mapping[str, Document]) -> None:
        presence = self._profile.presence
        document = documents.get(self._at(presence.at)) if presence else None
        if presence is None or document is None:
            return
        try:
            said = str(text_in(document.body, presence.json)).strip()
        except ValueError:
            # Zigbee2MQTT says it in plain text, too, by its settings.
            said = document.body.decode(errors="replace").strip()
        if said.lower() != presence.online.lower():
            raise DeviceUnreachable(
                f"{self._endpoint} is away: {presence.at} says {said[:40]}; check its power"
            )

    def _number(self, name: str, value: Value, documents: Mapping[str, Document]) -> float | None:
        """Quantity in a document; ``None`` where it is not told."""
        place = self._at(value.at)
        if place not in documents:
            return None
        try:
            number = number_in(documents[place].body, value.json)
        except ValueError as error:
            if isinstance(error, NotThere) and name not in REQUIRED[self._profile.kind]:
                return None  # Devices of one kind do not all tell the same.
            raise MalformedReply(f"{self._endpoint}, {place}: {error}; check the profile") from None
        factor = value.factor(QUANTITIES[self._profile.kind][name]) or 1.0
        return None if number is None else factor * number

    def _places(self, values: Iterable[Value]) -> list[str]:
        return list(dict.fromkeys(self._at(value.at) for value in values))

    def _at(self, place: str) -> str:
        return filled(place, {"name": self._endpoint.name})


def _silence(document: Document | None, now_s: float, stood_s: float, quantity: str) -> str:
    if document is None:
        return f"has not told {quantity} yet; check its power"
    if document.kept:
        return f"has told {quantity} only before this gateway listened: the broker kept it; check its power"
    if stood_s:
        return f"has not told {quantity} anew since this process stood still for {stood_s:.0f} s; wait for it"
    return f"has not told {quantity} for {now_s - document.said_s:.0f} s; check its power"
