"""What members' last answers still miss of what was cleared for their LAM, and who takes it."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Floats, Ints


def share_rest(
    trade_kw: Floats, steepness: Floats, low_kw: Floats, high_kw: Floats, group: Ints, net_kw: Floats
) -> Floats:
    """Members' answers moved to what was cleared, as a price that moves a little would move them.

    What is missing is shared in proportion to how steeply their answers fall, so that no marginal value
    leaves the price by more than others'; what that leaves, by the room that each has left.

    Parameters
    ----------
    trade_kw
        Answers of n members, ``(n,)`` [kW].
    steepness
        How steeply each one's answers fall there, in a unit that members of one LAM share, ``(n,)`` >= 0.
    low_kw, high_kw
        Their ranges, ``(n,)`` [kW].
    group
        LAM of each member, ``(n,)``.
    net_kw
        What was cleared for each LAM, ``(M,)`` [kW].

    Returns
    -------
    Floats
        Awards ``(n,)`` [kW], as near to ``net_kw`` as the ranges allow.
    """
    moved = _moved(trade_kw, steepness, low_kw, high_kw, group, net_kw)
    return _moved(moved, None, low_kw, high_kw, group, net_kw)


def _moved(
    trade_kw: Floats, weight: Floats | None, low_kw: Floats, high_kw: Floats, group: Ints, net_kw: Floats
) -> Floats:
    """Trades moved within their ranges by parts of what is missing: by weights, or else by rooms."""
    lams = net_kw.size
    missing = (net_kw - np.bincount(group, trade_kw, minlength=lams))[group]
    room = np.where(missing > 0, high_kw, low_kw) - trade_kw
    weight = np.abs(room) if weight is None else weight
    whole = np.bincount(group, weight, minlength=lams)[group]
    part = np.divide(weight, whole, out=np.zeros_like(whole), where=whole > 0)
    return np.asarray(trade_kw + np.sign(room) * np.minimum(np.abs(missing) * part, np.abs(room)))
