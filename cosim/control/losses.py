"""What a clock makes of lost services: an interval begins again, the others stand in, or the run ends."""

from __future__ import annotations

from collections.abc import Callable

from cosim.control.presence import Presence
from cosim.control.recovery import Recovery
from sharegrid.errors import SharegridError


class ServiceLost(SharegridError):
    """A run that cannot go on without a service that it lost."""


class GoBack(Exception):
    """The present interval has to begin again; the text says why."""


class Losses:
    """What was lost since it was last forgiven: services, and the broker.

    Parameters
    ----------
    presence
        Who is there.
    recovery
        What to do where a service is lost; without it the others stand in.
    is_paced
        Whether time is real, so that no interval may begin again.
    tell
        Says something to the user, and flags it.

    Attributes
    ----------
    broker_was_away
        Whether the clock itself lost the broker, and with it maybe every word of the others.
    """

    def __init__(
        self, presence: Presence, recovery: Recovery | None, *, is_paced: bool, tell: Callable[[str], None]
    ) -> None:
        self.broker_was_away = False
        self._presence = presence
        self._recovery = recovery
        self._is_paced = is_paced
        self._tell = tell
        self._told: set[tuple[str, str]] = set()

    def __bool__(self) -> bool:
        """Whether anything was lost."""
        return bool(self._presence.lost or self.broker_was_away)

    @property
    def can_go_back(self) -> bool:
        """Whether an interval may begin again: time that is real does not."""
        recovery = self._recovery
        return recovery is not None and recovery.on_loss == "wait" and not self._is_paced

    @property
    def must_go_back(self) -> bool:
        """Whether there is no use in waiting any longer."""
        return bool(self) and self.can_go_back

    def forgive(self) -> None:
        """Forget what happened to those who are there, and to the broker: they have got what they missed."""
        self._presence.forgive()
        self._told.clear()
        self.broker_was_away = False

    def look(self, tick: int) -> None:
        """Say who was lost, or end the run or the interval.

        Raises
        ------
        GoBack
            The interval is to begin again.
        ServiceLost
            The run is to end.
        """
        recovery = self._recovery
        if recovery is None or not self:
            return
        if self.can_go_back:
            raise GoBack("; ".join(self._in_words()))
        if recovery.on_loss == "end" and self._presence.lost:
            raise ServiceLost(
                f'{"; ".join(self._in_words())} at tick {tick}, and recovery.on_loss = "end": '
                "`run --resume` goes on with this run"
            )
        for name, what in self._presence.lost.items():
            if name not in self._presence.online and (name, what) not in self._told:
                self._told.add((name, what))
                self._tell(f"{name} {what} at tick {tick}: the others stand in")
        self.broker_was_away = False

    def _in_words(self) -> list[str]:
        """What went wrong, in words."""
        by_what: dict[str, list[str]] = {}
        for name, what in sorted(self._presence.lost.items()):
            by_what.setdefault(what, []).append(name)
        lines = [f"{', '.join(names)} {what}" for what, names in by_what.items()]
        return [*lines, *(["the broker was away"] if self.broker_was_away else [])]
