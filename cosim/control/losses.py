"""What a clock makes of lost services: an interval begins again, the others stand in, or the run ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from cosim.control.presence import Presence
from cosim.control.recovery import Recovery
from cosim.control.waiting import WallClock
from sharegrid.errors import SharegridError

GATHERED_S = 0.3
"""Services of one process are lost together; so long they are gathered before anything is said [s]."""


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
    roles
        Services by the role that another process has.
    on_ripe
        Called when there is no use in waiting any longer.

    """

    def __init__(
        self,
        presence: Presence,
        recovery: Recovery | None,
        *,
        is_paced: bool,
        tell: Callable[[str], None],
        roles: Mapping[str, Collection[str]],
        on_ripe: Callable[[], None],
    ) -> None:
        self._presence = presence
        self._recovery = recovery
        self._is_paced = is_paced
        self._tell = tell
        self._roles = roles
        self._on_ripe = on_ripe
        self._told: set[tuple[str, str]] = set()
        self._gathering: asyncio.TimerHandle | None = None
        self._tick = -1
        self._beside: dict[str, None] = {}
        self._wall = WallClock()

    def __bool__(self) -> bool:
        """Whether anything was lost."""
        return bool(self._presence.lost or self._beside)

    @property
    def can_go_back(self) -> bool:
        """Whether an interval may begin again: time that is real does not."""
        recovery = self._recovery
        return recovery is not None and recovery.on_loss == "wait" and not self._is_paced

    @property
    def stands_in(self) -> bool:
        """Whether the others go on without whom the run has lost."""
        return not self.can_go_back and (self._recovery is None or self._recovery.on_loss != "end")

    @property
    def ends_step(self) -> bool:
        """Whether there is no use in waiting for the present step any longer."""
        if self._gathering is not None or self.stands_in:
            return False
        return bool(self) if self.can_go_back else bool(self._presence.lost)

    def close(self) -> None:
        """Say nothing more."""
        if self._gathering is not None:
            self._gathering.cancel()

    def gather(self) -> None:
        """Say what was lost, or act on it, once all that is lost with it is known."""
        if self._gathering is None:
            loop = asyncio.get_running_loop()
            self._gathering = loop.call_later(GATHERED_S, self._ripen)

    def _ripen(self) -> None:
        self._gathering = None
        if not self.can_go_back:
            self._say_who_is_gone()
        self._on_ripe()

    def forgive(self) -> None:
        """Forget what happened to those who are there, and to the broker: they have got what they missed."""
        self._presence.forgive()
        self._told.clear()
        self._beside.clear()
        self._wall.jumped_s()

    def note(self, what: str) -> None:
        """Note what struck all at once, as a lost broker does, and with it maybe every word of the others."""
        self._beside[what] = None

    def look(self, tick: int) -> None:
        """Say who was lost, or end the run or the interval.

        Raises
        ------
        GoBack
            The interval is to begin again.
        ServiceLost
            The run is to end.
        """
        self._tick = tick
        recovery = self._recovery
        if jumped_s := self._wall.jumped_s():
            self.note(f"this computer slept for {jumped_s:.0f} s, or its clock was set")
        if recovery is None or not self or self._gathering is not None:
            return
        if self.can_go_back:
            raise GoBack("; ".join([*self._in_words(self._presence.lost), *self._beside]))
        if recovery.on_loss == "end" and self._presence.lost:
            raise ServiceLost(
                f"{'; '.join(self._in_words(self._presence.lost))} at tick {tick}, and "
                'recovery.on_loss = "end": `run --resume` goes on with this run'
            )
        self._say_who_is_gone()
        for what in self._beside:
            self._tell(f"{what} at tick {tick}: gates may have closed early")
        self._beside.clear()

    def _say_who_is_gone(self) -> None:
        """Say it of each, once."""
        gone = {
            name: what
            for name, what in self._presence.lost.items()
            if name not in self._presence.online and (name, what) not in self._told
        }
        self._told.update(gone.items())
        for line in self._in_words(gone):
            what = "the others stand in" if self.stands_in else "the run ends"
            self._tell(f"{line} at tick {self._tick}: {what}")

    def _in_words(self, lost: Mapping[str, str]) -> list[str]:
        """What went wrong, in words."""
        by_what: dict[str, set[str]] = {}
        for name, what in lost.items():
            by_what.setdefault(what, set()).add(name)
        return [f"{self._named(names)} {what}" for what, names in sorted(by_what.items())]

    def _named(self, names: set[str]) -> str:
        """Names of services, behind that of their role where all of it are among them."""
        words, rest = [], set(names)
        for role, services in self._roles.items():
            if services and rest.issuperset(services):
                rest -= set(services)
                words.append(role if set(services) == {role} else f"{role} ({', '.join(sorted(services))})")
        return ", ".join([*words, *sorted(rest)])
