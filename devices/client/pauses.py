"""How long units that stay silent, and links on which nobody answers, are left alone."""

import time
from dataclasses import dataclass

_SILENT_IN_A_ROW = 3
_LONGEST_PAUSE_S = 60.0


@dataclass(slots=True)
class _Silence:
    """How often in a row a unit gave no answer, and until when it is left alone."""

    times: int = 0
    until_s: float = 0.0


class Pauses:
    """Pauses of one link and its units.

    Parameters
    ----------
    retry_after_s
        How long a silent unit or a dead link is left alone [s]; doubled for a unit with each further
        silence, up to a minute.
    """

    def __init__(self, retry_after_s: float) -> None:
        self._retry_after_s = retry_after_s
        self._link_until_s = 0.0
        self._silent_in_a_row = 0
        self._silences: dict[int, _Silence] = {}

    @property
    def is_link_paused(self) -> bool:
        """Whether the link is left alone now."""
        return time.monotonic() < self._link_until_s

    def is_unit_paused(self, unit: int) -> bool:
        """Whether a unit is left alone now."""
        return unit in self._silences and time.monotonic() < self._silences[unit].until_s

    def silent_times(self, unit: int) -> int:
        """How often in a row a unit gave no answer."""
        return self._silences[unit].times if unit in self._silences else 0

    def pause_link(self) -> None:
        """Leave the link alone for a while."""
        self._link_until_s = time.monotonic() + self._retry_after_s

    def answered(self, unit: int) -> None:
        """Note an answer of a unit, which ends its silence."""
        self._silent_in_a_row = 0
        self._silences.pop(unit, None)

    def let_through(self, unit: int) -> None:
        """End the pause of a unit; the next silence makes it longer all the same."""
        if unit in self._silences:
            self._silences[unit].until_s = 0.0

    def silent(self, unit: int) -> None:
        """Note a time-out of a unit; the link counts as dead where several units in a row fall silent."""
        silence = self._silences.setdefault(unit, _Silence())
        if silence.times == 0:
            self._silent_in_a_row += 1
        silence.times += 1
        pause_s = min(self._retry_after_s * 2.0 ** (silence.times - 1), _LONGEST_PAUSE_S)
        silence.until_s = time.monotonic() + pause_s
        if self._silent_in_a_row >= _SILENT_IN_A_ROW:
            self._silent_in_a_row = 0
            self.pause_link()
