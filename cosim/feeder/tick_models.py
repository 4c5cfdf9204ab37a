"""The linear models of one interval: one for each position of the controls, with the limits it watches."""

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cosim.feeder.circuit import AcState, FeederLayout, Floats
from cosim.feeder.controls import Positions
from cosim.feeder.linear import Limits, Linearisation
from cosim.feeder.network_rows import network_rows
from cosim.feeder.rows import NetworkRows, join_rows
from cosim.feeder.watched import NOTHING, THOROUGH, WITHIN_CORNER, LimitWatch, Watched
from sharegrid.tolerances import LESS_ERROR

MOST_SCREENINGS = 12
"""Clearings over one linear model, each with more of its limits, until AC power flow judges the dispatch."""

MOST_VALUES = 4_000_000
"""Most numbers of all rows together, so that a model fits into a message."""


class Screening(NamedTuple):
    """What linear models say of powers before AC power flow is asked.

    ``missed`` limits are broken that the models did not hold. It is enough where there are none, where the
    powers break limits that the models do hold, for then no trade keeps them as the models have it, and
    after many screenings.
    """

    missed: int
    is_enough: bool


class TickModels:
    """Linear models of an interval over M LAMs.

    A model that has all derivatives at hand holds all limits; of a large feeder it holds those that are
    watched.

    Parameters
    ----------
    layout, limits
        The feeder and its limits.
    carried
        Limits that the last interval ended at.

    Attributes
    ----------
    points
        The models, by where the controls stand.
    """

    def __init__(self, layout: FeederLayout, limits: Limits, carried: Watched = NOTHING) -> None:
        self.points: dict[Positions, Linearisation] = {}
        self._limits = limits
        self._watch = LimitWatch(layout, limits)
        self._watched: dict[Positions, Watched] = {}
        self._near: dict[Positions, Watched] = {}
        self._errors: dict[Positions, float] = {}
        self._swinging: set[Positions] = set()
        self._tick = -1
        self._carried = carried
        self._reached: dict[Positions, Watched] = {}
        # Where limits without rows were broken, those forgotten would be broken again.
        self._keep = self._forgot = False
        self._screenings = 0

    def begin(self, tick: int) -> None:
        """Forget the models of the last interval, but for the limits that it ended at.

        An interval that begins again knows what it knew the first time.
        """
        if tick != self._tick:
            self._tick, self._carried = tick, self.carried()
        self._reached = {}
        self.points, self._watched, self._near = {}, {}, {}
        self._errors, self._swinging = {}, set()
        self._keep, self._forgot, self._screenings = False, False, 0

    def carried(self) -> Watched:
        """Limits that the interval's last states are near to: those of the next one are often the same."""
        carried = NOTHING if self._reached else self._carried
        for reached in self._reached.values():
            carried = carried | reached
        return carried

    def screen(self, net_kw: Floats, net_kvar: Floats) -> Screening:
        """Hold net powers ``(M,)`` against the limits that the models do not hold; from now on they do."""
        missed, are_kept = 0, True
        for where, point in self.points.items():
            if not point.derivatives.is_whole:
                expected = point.predict(net_kw, net_kvar)
                are_kept &= self._watch.keeps(*expected, self._watched[where])
                missed += self._watch.missed(*expected, self._watched[where])
                self._watched[where] = self._watch.widened(
                    *expected, self._watched[where], start=(point.v_pu, point.current_a)
                )
        is_enough = not missed or not are_kept or self._screenings >= MOST_SCREENINGS
        self._screenings = 0 if is_enough else self._screenings + 1
        return Screening(missed, is_enough)

    def see(self, where: Positions, state: AcState | Linearisation, net_kw: Floats, net_kvar: Floats) -> int:
        """Watch what a state, or a model's point, is near to, which the models' net powers ``(M,)`` led to.

        Returns
        -------
        int
            How many limits it breaks that its model did not hold.
        """
        before, point = self._watched.get(where, self._carried), self.points.get(where)
        seen, is_whole = (state.v_pu, state.current_a), point is None or point.derivatives.is_whole
        missed = 0 if is_whole else self._watch.missed(*seen, before)
        start, thorough = None, missed > 0
        if point is not None:
            start = point.v_pu, point.current_a
            # Where no trade keeps what is watched, all are broken somehow, and more of them tell little.
            thorough &= self._watch.keeps(*point.predict(net_kw, net_kvar), before)
        now = self._watch.widened(*seen, before, THOROUGH if thorough else 1, start)
        if self._limits.power_quality.is_asked:
            now, missed_quality = self._watch.quality(state.phasors, now)
            missed += 0 if is_whole else missed_quality
        self._keep |= missed > 0
        near = self._watch.near(*seen, now)
        if point is None:
            near = near | self._carried
        elif not is_whole:
            # What binds in the model may not be near in a state that the model misses.
            near = near | self._watch.near(*point.predict(net_kw, net_kvar), now)
            self._reached[where] = replace(near, quality=NOTHING.quality)
        self._watched[where], self._near[where] = now, now if self._keep else near
        return missed

    def forget_unmet(self, met: Collection[Positions], net_kw: Floats, net_kvar: Floats) -> bool:
        """Forget, once in an interval, limits of other positions of the controls that stand in the way.

        Where net powers ``(M,)`` are confirmed and break limits of a position all the same, it is one that
        they do not bring about: another dispatch did, and no trade keeps limits of both.

        Parameters
        ----------
        met
            Positions that the powers bring about.

        Returns
        -------
        bool
            Whether any model was forgotten.
        """
        if self._forgot:
            return False
        for where in self.points.keys() - set(met):
            under, over, excess = self._limits.beyond(*self.points[where].predict(net_kw, net_kvar))
            if under.any() or over.any() or (excess > WITHIN_CORNER).any():
                del self.points[where]
                self._forgot = True
        return self._forgot

    def swings(self, where: Positions, error_pu: float | None) -> bool:
        """Whether a model's error [pu] was ever not much less than that of the model before it."""
        if error_pu is None:
            return False
        if error_pu > LESS_ERROR * self._errors.get(where, np.inf):
            self._swinging.add(where)
        self._errors[where] = error_pu
        return where in self._swinging

    def renew(self, where: Positions, point: Linearisation) -> None:
        """Take a new model, which watches what is near: to compute rows costs more than to ask again."""
        self.points[where] = point
        self._watched[where] = self._near[where]

    def rows(self, start: Positions, low: Floats, high: Floats) -> tuple[NetworkRows, Floats, float]:
        """Rows of all models over a box of powers, and weights and offset of the head power.

        Parameters
        ----------
        start
            Where the controls stand, which decides over the head power.
        low, high
            As in `network_rows`.
        """
        parts = []
        in_order = sorted(self.points.items(), key=lambda each: each[0] != start)
        for place, (where, point) in enumerate(in_order):
            watched = None
            if not point.derivatives.is_whole:
                most_rows = MOST_VALUES // (len(low) * len(in_order))
                watched = self._watch.nearest(point.v_pu, point.current_a, self._watched[where], most_rows)
                self._watched[where] = watched
                point.derivatives.find(watched.nodes, watched.branches)
            rows = network_rows(point, self._limits, low, high, watched)
            suffix = "" if where == start else f" after taps {place}"
            parts.append(replace(rows, name=tuple(f"{name}{suffix}" for name in rows.name)))
        return join_rows(parts), *in_order[0][1].balance_over(len(low))
