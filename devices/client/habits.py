"""What a link has to be spared: pauses that devices need, and connections that they do not keep."""

from typing import Self

import msgspec

from devices.endpoint import Link
from devices.registers.schema import Access

# Silence between two frames on a serial line: three and a half characters of eleven bits, or so long.
_SILENT_CHARACTERS = 3.5
_BITS_OF_A_CHARACTER = 11
_LEAST_SILENCE_S = 0.00175


class Habits(msgspec.Struct, frozen=True):
    """How requests follow one another on one link.

    Attributes
    ----------
    connect_delay_s
        Time between the opening of a connection and the first request [s].
    pause_s
        Least time between a reply and the next request [s].
    keeps_open
        Whether the connection stays open while nothing is asked.
    """

    connect_delay_s: float = 0.0
    pause_s: float = 0.0
    keeps_open: bool = True

    @classmethod
    def of(cls, link: Link) -> Self:
        """What a link needs by itself."""
        if link.scheme != "rtu":
            return cls()
        silence_s = _SILENT_CHARACTERS * _BITS_OF_A_CHARACTER / link.baud
        return cls(pause_s=max(_LEAST_SILENCE_S, silence_s))

    def with_device(self, access: Access) -> Self:
        """What a link needs with one more device on it."""
        return type(self)(
            max(self.connect_delay_s, access.connect_delay_s),
            max(self.pause_s, access.pause_s),
            self.keeps_open and access.keep_open,
        )
