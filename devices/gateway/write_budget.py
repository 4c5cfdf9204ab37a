"""How often a device may be written to in a day, since the memory behind its registers wears."""

import math
from collections.abc import Callable

_DAY_S = 86_400.0


class WriteBudget:
    """Writes to one device, counted over days that begin with the first write.

    What is counted is each time that a command goes out, whatever it is for. A budget that is spent keeps
    set-points and their renewals from a device, never a release or a stop.

    Parameters
    ----------
    now
        Clock [s].
    per_day
        Writes that set-points may use in a day; 0 for any number.
    """

    def __init__(self, now: Callable[[], float], per_day: int) -> None:
        self._now = now
        self._per_day = per_day
        self._count = 0
        self._began_s = -math.inf

    @property
    def used(self) -> int:
        """Writes since the day began."""
        return 0 if self._now() >= self._began_s + _DAY_S else self._count

    @property
    def age_s(self) -> float:
        """How long ago the day began [s]; infinity before the first write."""
        return self._now() - self._began_s

    @property
    def is_spent(self) -> bool:
        """Whether no set-point may be written before the day is over."""
        return bool(self._per_day) and self.used >= self._per_day

    def count(self) -> None:
        """Count one write."""
        if self._now() >= self._began_s + _DAY_S:
            self._count, self._began_s = 0, self._now()
        self._count += 1

    def recall(self, used: int, age_s: float) -> None:
        """Go on from so many writes in a day that began ``age_s`` seconds ago."""
        self._count, self._began_s = used, self._now() - age_s

    def __str__(self) -> str:
        """Return what becomes of a device whose budget is spent, for messages."""
        left_h = max(0.0, self._began_s + _DAY_S - self._now()) / 3600.0
        return (
            f"has had {self.used} of {self._per_day} writes of the day: released, and commanded again in "
            f"{left_h:.1f} h"
        )
