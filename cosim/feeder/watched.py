"""Which limits of a large feeder a clearing watches: those that a state is near to, or breaks.

The other limits have no rows in the linear model. A dispatch that breaks one of them is not confirmed, and
the next model watches it, too; so a confirmed clearing is that of all limits. Where a state breaks thousands,
those come first that the straight way there from the model's own state meets first, for a clearing that
knew them would have gone no farther; and neighbours are broken together, so that the first of each
neighbourhood stands for them.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cosim.feeder.circuit import Complexes, FeederError, FeederLayout, Floats
from cosim.feeder.linear import CURRENT_TOLERANCE_PCT, VOLTAGE_TOLERANCE_PU, Limits
from cosim.feeder.spread import places_of

Ints = NDArray[np.intp]

NEAR_PU = 0.0002
"""A voltage this near to its limit is watched [pu]. To forget one that will matter costs a screening and no
power flow; rows of all that are somewhat near cost more."""

NEAR_LOADING = 0.99
"""So is a current of this share of its rating."""

WORST, NEIGHBOURHOODS = 5, 15
"""Most voltages, and most currents, that one state adds: the nearest to their limits, and those of each of so
many neighbourhoods. Rows cost more than to ask again."""

THOROUGH = 4
"""So many times more where AC power flow breaks limits that had no rows: to ask that again costs most."""

CORNER = 1.0 / np.cos(np.pi / 12.0) - 1.0
"""By this part of its rating a current may be above it within the polygon of its rows."""

WITHIN_CORNER = CORNER + 1e-3
_STRAIGHT_ROWS = 3


@dataclass(frozen=True)
class Watched:
    """Limits that have rows.

    Attributes
    ----------
    nodes, branches
        Indices of voltages and of branches, ascending.
    turned
        Branches whose current may turn far from its present direction: those have all rows of the polygon.
    quality
        Places of limits on unbalance and neutrals, as in `PowerQualityLimits.shares`, ascending.
    """

    nodes: Ints
    branches: Ints
    turned: Ints
    quality: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.intp))

    def __or__(self, other: "Watched") -> "Watched":
        return Watched(
            np.union1d(self.nodes, other.nodes),
            np.union1d(self.branches, other.branches),
            np.union1d(self.turned, other.turned),
            np.union1d(self.quality, other.quality),
        )


_NONE = np.zeros(0, dtype=np.intp)
NOTHING = Watched(_NONE, _NONE, _NONE)


class LimitNames(NamedTuple):
    """Watched voltages and branches by name, and those of the branches that have all rows."""

    nodes: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    turned: tuple[str, ...] = ()

    @classmethod
    def of(cls, watched: Watched, layout: FeederLayout) -> "LimitNames":
        """The names of watched limits, those on unbalance and neutrals apart."""
        return cls(
            tuple(layout.nodes[node] for node in watched.nodes),
            tuple(layout.branches[branch] for branch in watched.branches),
            tuple(layout.branches[branch] for branch in watched.turned),
        )

    def on(self, layout: FeederLayout) -> Watched:
        """The limits on a feeder; raises ``FeederError`` where it has others."""
        places = [
            places_of(names, known)
            for names, known in zip(self, (layout.nodes, layout.branches, layout.branches), strict=True)
        ]
        if any((each < 0).any() for each in places):
            raise FeederError("the snapshot watches limits that this feeder does not have")
        return Watched(*(np.unique(each).astype(np.intp) for each in places))


class LimitWatch:
    """Finds the limits that are worth watching.

    Parameters
    ----------
    layout
        The feeder, n voltages and b branches.
    limits
        Its limits.
    """

    def __init__(self, layout: FeederLayout, limits: Limits) -> None:
        self._limits = limits
        rank = _along_the_feeder(layout)
        ends = {segment.element: segment.to_bus for segment in layout.segments}
        self._nodes = _order([name.partition(".")[::2] for name in layout.nodes], rank)
        self._branches = _order(
            [(ends.get(name.rpartition(".")[0], ""), name.rpartition(".")[2]) for name in layout.branches],
            rank,
        )

    def missed(self, v_pu: Floats, current_a: Complexes, watched: Watched) -> int:
        """How many limits voltages ``(n,)`` [pu] and currents ``(b,)`` [A] break that have no rows."""
        under, over, excess = self._limits.beyond(v_pu, current_a)
        nodes, branches, turned = (under > 0.0) | (over > 0.0), excess > 0.0, excess > CORNER
        nodes[watched.nodes] = branches[watched.branches] = turned[watched.turned] = False
        return int(np.count_nonzero(nodes) + np.count_nonzero(branches | turned))

    def quality(self, phasors: Complexes, watched: Watched) -> tuple[Watched, int]:
        """What is watched once unbalance and neutrals of a state were seen, given `AcState.phasors`.

        Where any of their limits is asked for.

        Returns
        -------
        tuple
                That, with the limits that they are near to; and how many are broken that had no rows.
        """
        limits = self._limits.power_quality
        shares = np.nan_to_num(limits.shares(phasors))
        shares[watched.quality] = 0.0
        new = _nearest(1.0 - shares, 1.0 - NEAR_LOADING, np.arange(len(shares)), THOROUGH)
        missed = np.setdiff1d(np.flatnonzero(limits.beyond(phasors)), watched.quality)
        return replace(watched, quality=np.union1d(watched.quality, new)), len(missed)

    def keeps(self, v_pu: Floats, current_a: Complexes, watched: Watched) -> bool:
        """Whether voltages ``(n,)`` [pu] and currents ``(b,)`` [A] keep the limits that have rows."""
        under, over, excess = self._limits.beyond(v_pu, current_a)
        beyond_pu = np.maximum(under, over)[watched.nodes]
        return not beyond_pu.any() and not (excess[watched.turned] > WITHIN_CORNER).any()

    def near(self, v_pu: Floats, current_a: Complexes, watched: Watched) -> Watched:
        """What a state ``(n,)`` [pu], ``(b,)`` [A] is near to, of all that is watched."""
        room_pu, loading = self._room(v_pu, current_a)
        branches = watched.branches[loading[watched.branches] > NEAR_LOADING]
        nodes = watched.nodes[room_pu[watched.nodes] < NEAR_PU]
        return Watched(nodes, branches, np.intersect1d(branches, watched.turned), watched.quality)

    def widened(
        self,
        v_pu: Floats,
        current_a: Complexes,
        watched: Watched,
        times: int = 1,
        start: tuple[Floats, Complexes] | None = None,
    ) -> Watched:
        """What is watched once a state was seen: more of what it is near to.

        Parameters
        ----------
        v_pu, current_a
            The state ``(n,)`` [pu], ``(b,)`` [A].
        watched
            What was watched before.
        times
            So many times the nearest few of each neighbourhood.
        start
            Voltages and currents of the state from which a model led there.
        """
        room_pu, loading = self._room(v_pu, current_a)
        turned = watched.branches[loading[watched.branches] > 1.0 + CORNER]
        room = 1.0 - loading
        if start is not None:
            room_pu = _on_the_way(room_pu, v_pu - start[0], VOLTAGE_TOLERANCE_PU)
            moved = np.abs(current_a - start[1]) / self._limits.rating_a
            room = _on_the_way(room, moved, CURRENT_TOLERANCE_PCT / 100.0)
        room_pu[watched.nodes] = np.inf
        room[watched.branches] = np.inf
        return watched | Watched(
            _nearest(room_pu, NEAR_PU, self._nodes, times),
            _nearest(room, 1.0 - NEAR_LOADING, self._branches, times),
            turned,
        )

    def nearest(self, v_pu: Floats, current_a: Complexes, watched: Watched, most_rows: int) -> Watched:
        """What is watched, without the limits that a state has most room to where they have too many rows."""
        most_rows -= 2 * _STRAIGHT_ROWS * len(watched.quality)
        rows = len(watched.nodes) + _STRAIGHT_ROWS * len(watched.branches)
        if rows + _STRAIGHT_ROWS * len(watched.turned) <= most_rows:
            return watched
        room_pu, loading = self._room(v_pu, current_a)
        half = most_rows // 2
        nodes = watched.nodes[np.argsort(room_pu[watched.nodes], kind="stable")[:half]]
        order = np.argsort(-loading[watched.branches], kind="stable")
        branches = np.sort(watched.branches[order[: half // (2 * _STRAIGHT_ROWS)]])
        return Watched(np.sort(nodes), branches, np.intersect1d(branches, watched.turned), watched.quality)

    def _room(self, v_pu: Floats, current_a: Complexes) -> tuple[Floats, Floats]:
        """How far voltages are from their limits ``(n,)`` [pu], and shares of ratings ``(b,)``."""
        limits = self._limits
        room_pu = np.minimum(v_pu - limits.voltage_min_pu, limits.voltage_max_pu - v_pu)
        loading = np.where(np.isfinite(limits.rating_a), limits.loading(current_a), 0.0)
        # What no source feeds has no voltage, and compares with nothing.
        return np.where(np.isnan(room_pu), np.inf, room_pu), loading


def _on_the_way(room: Floats, moved: Floats, least: float) -> Floats:
    """Room to limits; of broken ones the part of the way beyond them instead, negative.

    A way ``moved`` that is shorter than ``least`` counts as that long, so that what was broken before comes
    first.
    """
    return np.where(room < 0.0, room / np.maximum(np.abs(moved), least), room)


def _nearest(room: Floats, near: float, order: Ints, times: int) -> Ints:
    """Those with the least room, and that of each neighbourhood along an order, of all with little room."""
    among = order[room[order] < near]
    worst = among[np.argsort(room[among], kind="stable")[: times * WORST]]
    parts = np.array_split(among, min(times * NEIGHBOURHOODS, max(len(among), 1)))
    return np.union1d(worst, [part[np.argmin(room[part])] for part in parts if len(part)]).astype(np.intp)


def _order(places: list[tuple[str, str]], rank: dict[str, int]) -> Ints:
    """Indices sorted by phase and then along the feeder, given buses and phases."""
    number = {phase: at for at, phase in enumerate(sorted({phase for _, phase in places}))}
    phases = np.array([number[phase] for _, phase in places], dtype=np.intp)
    along = np.array([rank.get(bus, len(rank)) for bus, _ in places], dtype=np.intp)
    return np.lexsort((along, phases))


def _along_the_feeder(layout: FeederLayout) -> dict[str, int]:
    """Rank of each bus, such that buses behind each other follow each other."""
    at_ends = [bus for segment in layout.segments for bus in (segment.from_bus, segment.to_bus)]
    number = {bus: at for at, bus in enumerate(dict.fromkeys(at_ends))}
    ends = np.array([number[bus] for bus in at_ends], dtype=np.intp).reshape(-1, 2)
    graph = sparse.coo_array((np.ones(len(ends)), ends.T), shape=(len(number), len(number))).tocsr()
    _, island = sparse.csgraph.connected_components(graph, directed=False)
    roots = np.unique(island, return_index=True)[1]
    orders = [
        sparse.csgraph.depth_first_order(graph, root, directed=False, return_predecessors=False)
        for root in roots
    ]
    names, places = list(number), np.concatenate([*orders, np.zeros(0, dtype=np.intp)]).astype(np.intp)
    return {names[place]: at for at, place in enumerate(places.tolist())}
