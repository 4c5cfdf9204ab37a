"""The linear models of one interval: one for each position of the controls, with the limits it watches."""

from dataclasses import replace

from cosim.feeder.circuit import AcState, FeederLayout, Floats
from cosim.feeder.controls import Positions
from cosim.feeder.linear import Limits, Linearisation
from cosim.feeder.network_rows import network_rows
from cosim.feeder.rows import NetworkRows, join_rows
from cosim.feeder.watched import NOTHING, LimitWatch, Watched

MOST_SCREENINGS = 12
"""Clearings over one linear model, each with more of its limits, until AC power flow judges the dispatch."""


MOST_VALUES = 4_000_000
"""Most numbers of all rows together, so that a model fits into a message."""


class TickModels:
    """Linear models of an interval over M LAMs.

    A model that has all derivatives at hand holds all limits; of a large feeder it holds those that are
    watched.

    Parameters
    ----------
    layout, limits
        The feeder and its limits.

    Attributes
    ----------
    points
        The models, by where the controls stand.
    """

    def __init__(self, layout: FeederLayout, limits: Limits) -> None:
        self.points: dict[Positions, Linearisation] = {}
        self._limits = limits
        self._watch = LimitWatch(layout, limits)
        self._watched: dict[Positions, Watched] = {}
        self._near: dict[Positions, Watched] = {}
        self._screenings = 0

    def begin(self) -> None:
        """Forget the models of the last interval."""
        self.points, self._watched, self._near, self._screenings = {}, {}, {}, 0

    def screen(self, net_kw: Floats, net_kvar: Floats) -> int:
        """How many limits the models break at net powers ``(M,)`` without holding them; from now on they do.

        0 also where they have been asked very often, so that AC power flow has its say.
        """
        missed = 0
        for where, point in self.points.items():
            if not point.derivatives.is_whole:
                expected = point.predict(net_kw, net_kvar)
                missed += self._watch.missed(*expected, self._watched[where])
                self._watched[where] = self._watch.widened(*expected, self._watched[where])
        if not missed or self._screenings >= MOST_SCREENINGS:
            self._screenings = 0
            return 0
        self._screenings += 1
        return missed

    def see(self, where: Positions, state: AcState, net_kw: Floats, net_kvar: Floats) -> int:
        """Watch what a state is near to, which the models' net powers ``(M,)`` led to.

        Returns
        -------
        int
            How many limits it breaks that its model did not hold.
        """
        before, point = self._watched.get(where, NOTHING), self.points.get(where)
        seen = state.v_pu, state.current_a
        now, missed = self._watch.quality(state.phasors, self._watch.widened(*seen, before))
        self._watched[where] = now
        self._near[where] = self._watch.near(*seen, now)
        if point is None or point.derivatives.is_whole:
            return 0
        # What binds in the model may not be near in a state that the model misses.
        self._near[where] |= self._watch.near(*point.predict(net_kw, net_kvar), now)
        return missed + self._watch.missed(*seen, before)

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
            rows = network_rows(point, self._limits, low, high, watched)
            suffix = "" if where == start else f" after taps {place}"
            parts.append(replace(rows, name=tuple(f"{name}{suffix}" for name in rows.name)))
        return join_rows(parts), *in_order[0][1].balance_over(len(low))
