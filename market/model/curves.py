"""Price-response curves: ragged sets of monotone piecewise-linear functions, power over price.

Both layers of the market are made of them: a prosumer's trade over its marginal value or over the local
price, a LAM's net purchase over the local or the wide-area price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.bisection import last_not_above, last_within
from market.model.curve_checks import check_curve

NARROWEST = 1e-200
"""Between prices nearer than this [$/kWh] no slope is formed, which would overflow: they count as a jump."""


@dataclass(frozen=True)
class Curves:
    """``n`` non-increasing piecewise-linear curves, their vertices one curve after the other.

    Outside its vertices a curve is constant (saturated). Two consecutive vertices at one price are a jump.

    Attributes
    ----------
    price
        Vertices' prices, ascending within a curve, ``(V,)`` [$/kWh].
    kw
        Power at the vertices, non-increasing within a curve, ``(V,)`` [kW], + bought.
    start
        Curve ``i`` owns vertices ``start[i]:start[i+1]``, at least one, ``(n+1,)``.
    """

    price: Floats
    kw: Floats
    start: Ints

    def __len__(self) -> int:
        return self.start.size - 1

    @property
    def highest_kw(self) -> Floats:
        """Power at very low prices, ``(n,)`` [kW]."""
        return self.kw[self.start[:-1]]

    @property
    def lowest_kw(self) -> Floats:
        """Power at very high prices, ``(n,)`` [kW]."""
        return self.kw[self.start[1:] - 1]


def from_points(points: Sequence[tuple[Floats, Floats]]) -> Curves:
    """Curves from one ``(price, kw)`` pair of arrays per curve.

    Parameters
    ----------
    points
        For each curve its prices [$/kWh], ascending, and powers [kW], non-increasing.

    Raises
    ------
    ValueError
        A curve is empty, not monotone or not finite; says which.
    """
    for i, (price, kw) in enumerate(points):
        try:
            check_curve(price, kw)
        except ValueError as error:
            raise ValueError(f"curve {i}: {error}") from None
    return join(
        [
            Curves(np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64), np.array([0, len(p)]))
            for p, q in points
        ]
    )


def join(pieces: Sequence[Curves]) -> Curves:
    """Curves of several sets as one set, in the order given."""
    if len(pieces) == 1:
        return pieces[0]
    sizes = np.concatenate([np.zeros(0, dtype=np.intp), *(np.diff(piece.start) for piece in pieces)])
    return Curves(
        np.concatenate([np.zeros(0), *(piece.price for piece in pieces)]),
        np.concatenate([np.zeros(0), *(piece.kw for piece in pieces)]),
        starts(sizes),
    )


def starts(count: Ints) -> Ints:
    """First index of each of ``n`` consecutive groups of these sizes, and the end of the last, ``(n+1,)``."""
    start = np.zeros(count.size + 1, dtype=np.intp)
    np.cumsum(count, out=start[1:])
    return start


def part(curves: Curves, begin: int, end: int) -> Curves:
    """The curves ``begin`` to ``end`` without copying them."""
    start = curves.start[begin : end + 1]
    inside = slice(start[0], start[-1])
    return Curves(curves.price[inside], curves.kw[inside], start - start[0])


def take(curves: Curves, index: Ints) -> Curves:
    """Curves at the indices ``index``, in that order; one may be taken several times."""
    count = np.diff(curves.start)[index]
    start = starts(count)
    vertex = np.arange(start[-1]) + np.repeat(curves.start[:-1][index] - start[:-1], count)
    return Curves(curves.price[vertex], curves.kw[vertex], start)


def respond(curves: Curves, price: Floats) -> Floats:
    """Power of each curve at its price; at a jump, the value just above the price.

    Parameters
    ----------
    curves
        ``n`` curves.
    price
        One price per curve, ``(n,)`` [$/kWh].

    Returns
    -------
    Floats
        Power, ``(n,)`` [kW].
    """
    here = last_not_above(curves.price, curves.start, price)
    return power_behind(curves, here, curves.start[1:] - 1, price)


def answer(curves: Curves, price: Floats) -> tuple[Floats, Floats]:
    """Power of each curve at its price, as `respond`, and how steeply it falls just above the price.

    Returns
    -------
    kw, slope
        Power [kW] and slope -dkw/dprice [kW per $/kWh], 0 outside a curve's vertices, ``(n,)`` each.
    """
    here = last_not_above(curves.price, curves.start, price)
    return answer_behind(curves, here, curves.start[1:] - 1, price)


def answer_of(curves: Curves, some: Ints, price: Floats) -> tuple[Floats, Floats]:
    """`answer` of the curves at some indices, ``(m,)`` each."""
    first, end = curves.start[some], curves.start[some + 1]
    return answer_behind(curves, last_within(curves.price, first, end - first, price), end - 1, price)


def answer_behind(curves: Curves, here: Ints, last: Ints, price: Floats) -> tuple[Floats, Floats]:
    """`answer` where each curve's last vertex not above the price is known; the first where there is none.

    Parameters
    ----------
    curves
        All curves.
    here, last
        That vertex and the curve's last one, of those that are asked, ``(m,)`` each.
    price
        Their prices, ``(m,)`` [$/kWh].
    """
    kw, width, fall_kw = _behind(curves, here, last, price)
    return kw, np.divide(fall_kw, width, out=np.zeros_like(width), where=width > NARROWEST)


def power_behind(curves: Curves, here: Ints, last: Ints, price: Floats) -> Floats:
    """Powers alone of `answer_behind`."""
    return _behind(curves, here, last, price)[0]


def _behind(curves: Curves, here: Ints, last: Ints, price: Floats) -> tuple[Floats, Floats, Floats]:
    """Powers, widths of the pieces on which the prices lie [$/kWh], and falls over these [kW]."""
    after = np.minimum(here + 1, last)
    low, from_kw = curves.price[here], curves.kw[here]
    width, ahead, fall_kw = curves.price[after] - low, price - low, from_kw - curves.kw[after]
    # A price below the first vertex has ahead < 0; at one above the last, after == here.
    outside = np.flatnonzero((width <= 0) | (ahead < 0))
    if outside.size:
        width[outside], ahead[outside], fall_kw[outside] = 1.0, 0.0, 0.0
    return from_kw - ahead / width * fall_kw, width, fall_kw


def respond_range(curves: Curves, price: Floats) -> tuple[Floats, Floats]:
    """Lowest and highest power of each curve at its price, ``(n,)`` each [kW]; they differ at jumps only."""
    low = respond(curves, price)
    mirrored = Curves(-curves.price[::-1], -curves.kw[::-1], curves.price.size - curves.start[::-1])
    high = -respond(mirrored, -np.asarray(price, dtype=np.float64)[::-1])[::-1]
    return low, high


def shift(
    curves: Curves, slope: Floats | float, fee: Floats | float = 0.0, centre: Floats | float = 0.0
) -> Curves:
    """Turn responses to a marginal value into responses to a price, by a strategic term and a fee.

    At marginal value nu and power q the price is ``nu - slope (q - centre) - fee sign(q)``. With ``k_i`` and
    ``delta_i`` this gives a prosumer's best response in its LAM, with ``K`` and ``Delta_i`` a LAM's in the
    WAM. A fee makes a dead band at zero power, ``2 fee`` wide.

    Parameters
    ----------
    curves
        ``n`` curves over the marginal value.
    slope
        Price slope that the party anticipates, scalar or ``(n,)``, >= 0 [$/kWh per kW].
    fee
        Fee on power bought or sold, scalar or ``(n,)``, >= 0 [$/kWh].
    centre
        Power at which the slope's term is zero, scalar or ``(n,)`` [kW]; used by proximal steps.

    Returns
    -------
    Curves
        ``n`` curves over the price.
    """
    count, n = np.diff(curves.start), len(curves)
    price = curves.kw - _spread(centre, count)
    price *= _spread(slope, count)
    np.subtract(curves.price, price, out=price)
    fee_of = np.broadcast_to(np.asarray(fee, dtype=np.float64), n)
    if not fee_of.any():
        return Curves(price, curves.kw, curves.start)
    fees = np.sign(curves.kw)
    fees *= _spread(fee, count)
    price -= fees
    crosses = dead_bands(curves, fee_of)
    if not crosses.size:
        return Curves(price, curves.kw, curves.start)
    offset = np.broadcast_to(np.asarray(slope, dtype=np.float64) * centre, n)[crosses]
    return _with_dead_bands(curves, price, crosses, offset, fee_of[crosses])


def dead_bands(curves: Curves, fee: Floats) -> Ints:
    """Curves that reach zero power, where ``shift`` with these fees ``(n,)`` gives them two vertices more."""
    return np.flatnonzero((fee > 0) & (curves.highest_kw >= 0) & (curves.lowest_kw <= 0))


def _spread(values: Floats | float, count: Ints) -> Floats | float:
    """Each curve's value for all of its ``count`` vertices; one value for all curves stays one."""
    return values if np.ndim(values) == 0 else np.repeat(values, count)


def _with_dead_bands(curves: Curves, shifted: Floats, some: Ints, offset: Floats, fee: Floats) -> Curves:
    """Shifted curves with two more vertices at zero power, between which a fee leaves no trade worth it.

    Parameters
    ----------
    curves, shifted
        ``n`` curves over the marginal value, and their vertices' prices after the shift, ``(V,)``.
    some
        Curves that get the two vertices, for they reach zero power, ascending, ``(m,)``.
    offset, fee
        What the slope's term adds at zero power of each, and its fee, ``(m,)`` [$/kWh].
    """
    start = curves.start
    positive = not_negative = _leading(curves.kw > 0, start)[some]
    if (curves.kw == 0).any():
        not_negative = _leading(curves.kw >= 0, start)[some]
    enter, leave = _zero_crossing(curves, some, positive, not_negative)
    more = np.zeros(len(curves), dtype=np.intp)
    more[some] = 2
    new_start = start + starts(more)
    first, last = new_start[some] + positive, new_start[some] + not_negative + 1
    is_old = np.ones(new_start[-1], dtype=bool)
    is_old[first] = is_old[last] = False
    place = np.flatnonzero(is_old)
    new_price, new_kw = np.empty(new_start[-1]), np.zeros(new_start[-1])
    new_price[place], new_kw[place] = shifted, curves.kw
    # Rounding of the centre's term must not push the dead band past its neighbours.
    lowest, highest = new_price[np.maximum(first - 1, 0)], new_price[np.minimum(last + 1, new_price.size - 1)]
    lowest[np.flatnonzero(positive == 0)] = -np.inf
    highest[np.flatnonzero(last + 1 == new_start[some + 1])] = np.inf
    new_price[first] = np.maximum(enter + offset - fee, lowest)
    new_price[last] = np.minimum(leave + offset + fee, highest)
    return Curves(new_price, new_kw, new_start)


def _leading(holds: Bools, start: Ints) -> Ints:
    """How many vertices of each of n curves hold, ``(n,)``: its first ones, for with one all before it do."""
    goes_on = np.zeros_like(holds)
    goes_on[:-1] = holds[1:]
    goes_on[start[1:] - 1] = False
    begins = np.flatnonzero(holds[start[:-1]])
    count = np.zeros(start.size - 1, dtype=np.intp)
    count[begins] = np.flatnonzero(holds > goes_on) + 1 - start[begins]
    return count


def _zero_crossing(curves: Curves, some: Ints, positive: Ints, not_negative: Ints) -> tuple[Floats, Floats]:
    """Marginal values at which the curves ``some`` reach and leave zero power.

    ``positive`` and ``not_negative`` count each one's vertices with power > 0 and >= 0.
    """
    first = curves.start[some]
    after = first + positive
    before = np.maximum(after - 1, first)
    low, high, from_kw = curves.price[before], curves.price[after], curves.kw[before]
    drop = from_kw - curves.kw[after]
    drop[drop <= 0] = np.inf
    enter = np.minimum(np.maximum(low + from_kw / drop * (high - low), low), high)
    leave = enter.copy()
    # Where vertices stand at zero power, these are the ends.
    zero = np.flatnonzero(not_negative > positive)
    enter[zero], leave[zero] = high[zero], curves.price[first[zero] + not_negative[zero] - 1]
    return enter, leave
