"""Members of several kinds behind one port."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from market.model.arrays import Floats, Ints
from market.rounds.answers import Response


class Mixed:
    """Members whose responses come from several sources: ``Response`` of all of them.

    Parameters
    ----------
    parts
        Indices of members and what answers for them; together every index 0 to n-1 once.

    Raises
    ------
    ValueError
        An index is missing or taken twice.
    """

    def __init__(self, parts: Sequence[tuple[Ints, Response]]) -> None:
        self._parts = [(np.asarray(place, dtype=np.intp), response) for place, response in parts]
        places = np.concatenate([np.zeros(0, dtype=np.intp), *(place for place, _ in self._parts)])
        self._size = places.size
        if not np.array_equal(np.sort(places), np.arange(self._size)):
            raise ValueError("parts must take every member's index once; check them for gaps and repeats")

    @property
    def lowest_kw(self) -> Floats:
        """Least trades, ``(n,)`` [kW]."""
        return self._gather([response.lowest_kw for _, response in self._parts])

    @property
    def highest_kw(self) -> Floats:
        """Largest trades, ``(n,)`` [kW]."""
        return self._gather([response.highest_kw for _, response in self._parts])

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """Trades [kW] and slopes [kW per $/kWh] at one price per member, ``(n,)`` each."""
        answers = [response.at(price[place]) for place, response in self._parts]
        return self._gather([kw for kw, _ in answers]), self._gather([slope for _, slope in answers])

    def _gather(self, pieces: Sequence[Floats]) -> Floats:
        whole = np.zeros(self._size)
        for (place, _), piece in zip(self._parts, pieces, strict=True):
            whole[place] = piece
        return whole
