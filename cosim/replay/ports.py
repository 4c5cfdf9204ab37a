"""What a replay needs of others: a ledger to compare with, and whoever looks on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cosim.replay.account import Shown
from cosim.traffic.entries import Session


class Book(Protocol):
    """The ledger of a replay, beside that of the run."""

    def begin_epoch(self, epoch: int) -> None:
        """Take note that an epoch began."""

    def go_on_from(self, session: Session) -> None:
        """Take over what a session found booked and the replay has not."""

    def snapshots(self) -> Mapping[str, bytes]:
        """What every service remembers."""

    def is_booked(self, tick: int) -> bool:
        """Whether the run booked an interval."""

    def lacks(self, tick: int) -> bool:
        """Whether the run booked an interval, and the replay did not."""

    def difference(self, tick: int) -> str:
        """What was booked otherwise in an interval, in words; empty where nothing was."""


class Watcher(Protocol):
    """Who looks at each message as it is played, and may stop the replay."""

    def before_interval(self, tick: int) -> None:
        """An interval is over, and another begins, or the run ends."""

    def after_message(self, shown: Shown) -> None:
        """A message was played."""


class Stopped(Exception):
    """Whoever watches has seen enough."""
