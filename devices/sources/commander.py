"""Set-points to a device without registers: sent within the envelope, carried out once it confirms them."""

import asyncio
import math
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress

from broker import patience
from broker.wall_time import since_boot
from devices.endpoint import Endpoint
from devices.errors import DeviceFailure, DeviceTimeout, MalformedReply, ReadBackMismatch
from devices.limits import SetPointLimits
from devices.registers.ratings import Ratings, is_usable
from devices.sources.feed import Document, Feed
from devices.sources.payload import filled, kw_of, number_in, text_in, within
from devices.sources.schema import Answer, Commands, Sent, Value

# How long a message with a time of its own may be on its way [s].
_EXPIRES_S = 30.0
# How far what a device shows may be from what it was sent: this share of the rating, or one of its steps.
_TOLERANCE = 0.01
# How long a device may take to show what it was sent [s].
_SHOWS_WITHIN_S = 5.0
_LOOK_AGAIN_S = 0.05


class Commander:
    """Commands to one device.

    Parameters
    ----------
    endpoint
        Where it is.
    commands
        What it obeys.
    shows
        Where it shows its set-point, if it does.
    feed
        Way there.

    Attributes
    ----------
    sent_kw
        What it was sent and should still show [kW]; ``None`` for nothing.
    """

    def __init__(self, endpoint: Endpoint, commands: Commands, shows: Value | None, feed: Feed) -> None:
        self.commands = commands
        self.sent_kw: float | None = None
        self._endpoint = endpoint
        self._shows = shows
        self._feed = feed

    async def set_power(
        self, power_kw: float, valid_s: float, limits: SetPointLimits, ratings: Ratings
    ) -> float:
        """Send a set-point and see it confirmed; parameters as in `devices.ports.InverterPort.set_power`.

        Returns
        -------
        float
            Seconds after which the device falls back by itself; infinity where it never does.

        Raises
        ------
        ReadBackMismatch
            It shows something else than it was sent, or something outside the envelope.
        DeviceError
            It cannot be reached, refuses, or does not confirm.
        """
        commands = self.commands
        number = within(power_kw, commands, limits, ratings)
        reverts = commands.reverts and valid_s > 0.0
        seconds = math.ceil(valid_s) if reverts else 0
        began_s = since_boot()
        await self._send_all(commands.set, f"{number.normalize():f}", seconds)
        self.sent_kw = kw_of(float(number), commands, ratings)
        if self._shows is not None:
            await self._see(self.sent_kw, began_s, limits, ratings)
        return float(seconds) if reverts else math.inf

    async def release(self) -> None:
        """Give control back; raises `DeviceError`."""
        await self._send_all(self.commands.release, "", 0)
        self.sent_kw = None

    async def differs(self, ratings: Ratings) -> str:
        """What it shows in place of what it was sent; empty where it shows nothing else."""
        if self.sent_kw is None or self._shows is None:
            return ""
        document = await self._shown(None)
        shown_kw = None if document is None else self._kw_in(document, ratings)
        if shown_kw is None or abs(shown_kw - self.sent_kw) <= self._tolerance_kw(ratings):
            return ""
        return f"{self.commands.shows} shows {shown_kw:g} kW where {self.sent_kw:g} kW was sent"

    async def _send_all(self, messages: Sequence[Sent], value: str, seconds: int) -> None:
        answer = self.commands.answer
        confirmed_at = [each.at for each in (answer, self._shows) if each is not None]
        await self._feed.listen([self._at(place) for place in confirmed_at])
        for sent in messages:
            name = secrets.token_hex(8)
            values = {
                "name": self._endpoint.name,
                "value": value,
                "seconds": str(seconds),
                "expires": f"{time.time() + _EXPIRES_S:.3f}",
                "id": name,
            }
            since_s = since_boot()
            await self._feed.send(filled(sent.at, values), filled(sent.text, values), sent.method)
            if answer is not None:
                await self._hear(answer, name, since_s)

    async def _hear(self, answer: Answer, name: str, since_s: float) -> None:
        """Wait for the answer to one message."""
        with suppress(TimeoutError):
            async with patience.within(_SHOWS_WITHIN_S):
                if await self._heard(answer, name, since_s):
                    return
        raise DeviceTimeout(f"{self._endpoint} did not answer to a set-point; check that it obeys some")

    async def _heard(self, answer: Answer, name: str, since_s: float) -> bool:
        """Whether one message was answered; raises `DeviceError` where it is refused."""
        place = self._at(answer.at)
        while True:
            document = (await self._feed.fetch([place], since_s)).get(place)
            if document is None or document.kept or document.at_s < since_s:
                return False
            since_s = math.nextafter(document.at_s, math.inf)
            try:
                if text_in(document.body, answer.id) != name:
                    continue
                if text_in(document.body, answer.ok) is True:
                    return True
                detail = text_in(document.body, answer.detail) if answer.detail else "no reason given"
            except ValueError as error:
                raise MalformedReply(f"{self._endpoint}, {place}: {error}; check the profile") from None
            raise DeviceFailure(f"{self._endpoint} refuses the set-point: {detail}")

    async def _see(self, sent_kw: float, began_s: float, limits: SetPointLimits, ratings: Ratings) -> None:
        """Wait until the device shows what it was sent."""
        tolerance_kw = self._tolerance_kw(ratings)
        shown_kw, since_s = None, began_s
        with suppress(TimeoutError):
            async with patience.within(_SHOWS_WITHIN_S):
                while (document := await self._shown(since_s)) is not None:
                    shown_kw = self._kw_in(document, ratings)
                    # What was sent lies within the envelope; what the device makes of it has to do so, too.
                    is_inside = shown_kw is not None and limits.min_kw <= shown_kw <= limits.max_kw
                    if shown_kw is not None and is_inside and abs(shown_kw - sent_kw) <= tolerance_kw:
                        return
                    since_s = math.nextafter(document.at_s, math.inf)
                    await asyncio.sleep(_LOOK_AGAIN_S)
        if shown_kw is None:
            raise DeviceTimeout(f"{self._endpoint} does not show the set-point that it was sent; check it")
        raise ReadBackMismatch(
            f"{self._endpoint} shows {shown_kw:g} kW after {sent_kw:g} kW was sent; "
            "check that it allows remote control"
        )

    async def _shown(self, since_s: float | None) -> Document | None:
        """What the device says of its set-point, since a time where one is given."""
        assert self._shows is not None
        place = self._at(self._shows.at)
        document = (await self._feed.fetch([place], since_s)).get(place)
        if document is None or document.kept or (since_s is not None and document.at_s < since_s):
            return None
        return document

    def _kw_in(self, document: Document, ratings: Ratings) -> float | None:
        """Set-point in what the device says [kW]; ``None`` where it shows none."""
        assert self._shows is not None
        try:
            number = number_in(document.body, self._shows.json)
        except ValueError as error:
            raise MalformedReply(f"{self._endpoint}: {error}; check the profile") from None
        if number is None:
            return None
        return kw_of(number * self._shows.scale * self._shows.sign, self.commands, ratings)

    def _tolerance_kw(self, ratings: Ratings) -> float:
        if not is_usable(ratings.power_kw):
            # Without a rating a percentage can only be 0, which is shown as it is.
            return (
                0.0 if self.commands.unit == "%" else abs(kw_of(self.commands.step, self.commands, ratings))
            )
        step_kw = abs(kw_of(self.commands.step, self.commands, ratings))
        return max(step_kw, _TOLERANCE * ratings.power_kw)

    def _at(self, place: str) -> str:
        return filled(place, {"name": self._endpoint.name})
