"""Whether a rating that hardware tells may be the whole of a share that is written to it.

A share of a rating is a power of its own at the device, whatever rating was told: a device that tells a tenth
of what it is obeys ten times what was meant. What is told is held against all else that is known.
"""

from __future__ import annotations

from devices.errors import UntrustedRating
from devices.limits import SetPointLimits
from devices.registers.ratings import Ratings, is_usable

_CHANGES = 1.25
"""A setting may be less by this factor from the plate, which stands in for it while a device sleeps."""

_OVERSIZED = 1.6
"""PV, and cells, are at most by this factor larger than the inverter that they stand behind."""

_EXCEEDS = 1.25
"""Power is at most by this factor beyond the rating, as of PV at the edge of a cloud."""


def rating_doubt(ratings: Ratings, rated_kw: float, shown_kw: float | None) -> str:
    """What speaks against the ratings that hardware tells, for people; empty where nothing does.

    Parameters
    ----------
    ratings
        What it tells.
    rated_kw
        What the scenario says of it [kW]; 0 for nothing.
    shown_kw
        Power that it shows [kW], + generates; ``None`` where it shows none.
    """
    told = _told(ratings)
    if not told:
        return ""
    if rated_kw > _OVERSIZED * min(told):
        return f"tells a rating of {min(told):g} kW, and the scenario has it for {rated_kw:g} kW: correct one"
    if shown_kw is not None and abs(shown_kw) > _EXCEEDS * max(told):
        return f"shows {shown_kw:g} kW, and tells a rating of {max(told):g} kW: correct its settings"
    return ""


class RatingTrust:
    """What one device has told of its ratings so far, and whether that may be gone by."""

    def __init__(self) -> None:
        self._first: tuple[float, ...] = ()
        self._shown_kw: tuple[float | None, float | None] = (None, None)

    def note(self, shown_kw: float | None) -> None:
        """Note the power that the device shows [kW]; once alone it may be a false reading."""
        self._shown_kw = self._shown_kw[1], shown_kw

    def check(self, ratings: Ratings, limits: SetPointLimits, where: str) -> None:
        """Refuse a share of ratings that something speaks against; ``where`` names the device.

        Raises
        ------
        UntrustedRating
            It does, and the device is hardware.
        """
        if found := self.doubt(ratings, limits):
            raise UntrustedRating(f"{where} {found}; until then it gets no power but 0")

    def doubt(self, ratings: Ratings, limits: SetPointLimits) -> str:
        """What speaks against its ratings, those among it that were told first; nothing where it is emulated.

        Parameters
        ----------
        ratings
            What it tells.
        limits
            Whether it is hardware, and what the scenario says of it.
        """
        if not limits.real:
            return ""
        before_kw, now_kw = self._shown_kw
        least_kw = None if before_kw is None or now_kw is None else min(abs(before_kw), abs(now_kw))
        if found := rating_doubt(ratings, limits.rated_kw, least_kw):
            return found
        told = _told(ratings)
        if not self._first:
            self._first = told
        for now, first in zip(sorted(told), sorted(self._first), strict=False):
            # With a larger one, the same share is of less power than before.
            if now < first / _CHANGES:
                return (
                    f"tells a rating of {now:g} kW, and told {first:g} kW when it was first commanded: "
                    "see to its settings, then start anew"
                )
        return ""


def _told(ratings: Ratings) -> tuple[float, ...]:
    """Powers among the ratings that can be the whole of a share [kW]."""
    every = (ratings.power_kw, ratings.charge_kw, ratings.discharge_kw)
    return tuple(each for each in every if is_usable(each))
