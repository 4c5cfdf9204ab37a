"""Inverters in the wide-area market: reactive set-points that hold voltage and save losses.

The inverters of a LAM stand in the clearing as one more variable, reactive power q between plus and minus
their capability L. Its price is the reactive DLMP ``w_q pi + R_q' eta``. Nobody is paid for it; what makes
set-points unique is a small cost of use, ``REST q^2 / 2 L``, and one of moving away from where they stand,
``MOVE (q - q0)^2 / 2 L``. The second one stands for the curvature of losses, which a linear model does not
have: without it, set-points would jump from end to end for the sake of losses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from market.model.arrays import Floats
from market.model.case import Grid, Network
from market.model.curves import Curves, join, respond
from market.solver.relaxation import clear_or_relax
from market.solver.wam import LimitPrices, WamClearing

REST = 1e-3
"""Price of a kvar more at full use [$/kvarh]."""

MOVE = 0.1
"""Price of a kvar more at a distance of the whole capability from where set-points stand [$/kvarh]."""


@dataclass(frozen=True)
class Inverters:
    """Inverters of M LAMs in a linear model with r rows.

    Attributes
    ----------
    limit_kvar
        Capability of each LAM's inverters, both ways, ``(M,)`` [kvar].
    present_kvar
        Where set-points stand, ``(M,)`` [kvar].
    balance
        Head power per kvar that they absorb, ``(M,)`` [kW/kvar].
    matrix
        Change of the rows per kvar that they absorb, ``(r, M)`` [row units per kvar].
    """

    limit_kvar: Floats
    present_kvar: Floats
    balance: Floats
    matrix: Floats

    def price(self, energy_price: float, row_dual: Floats) -> Floats:
        """Reactive DLMP: what a kvar absorbed costs the market, ``(M,)`` [$/kvarh]."""
        return np.asarray(self.balance * energy_price + row_dual @ self.matrix)

    def answer_kvar(self, price: Floats) -> Floats:
        """Set-points at reactive prices, ``(M,)`` [kvar], + absorbs."""
        return respond(self.curves(), price)

    def held(self, network: Network, offset_kw: float, kvar: Floats) -> tuple[Network, float]:
        """Rows and offset of the model over active power alone, with set-points held at ``kvar``."""
        held = replace(network, base=network.base + self.matrix @ kvar)
        return held, offset_kw + float(self.balance @ kvar)

    def curves(self) -> Curves:
        """What they absorb over their reactive prices, M curves [kvar over $/kvarh]."""
        limit = self.limit_kvar
        present = np.divide(self.present_kvar, limit, out=np.zeros(limit.size), where=limit > 0)
        price = MOVE * present[:, None] + (REST + MOVE) * np.array([-1.0, 1.0])
        ends = np.stack([limit, -limit], axis=1)
        return Curves(price.ravel(), ends.ravel(), 2 * np.arange(limit.size + 1))


def clear_with_inverters(
    curves: Curves,
    network: Network,
    grid: Grid,
    balance: Floats,
    offset_kw: float,
    inverters: Inverters,
    start: LimitPrices | None = None,
) -> WamClearing:
    """`market.solver.relaxation.clear_or_relax` with the inverters' set-points as further variables.

    Parameters
    ----------
    curves, network, grid, balance, offset_kw
        As for `market.solver.wam.clear_wam`; the network at set-points of zero.
    inverters
        What they can do, and what it does.
    start
        As for `clear_wam`.

    Returns
    -------
    WamClearing
        Over the M LAMs, with ``inverter_kvar`` and ``inverter_price``.

    Raises
    ------
    NotConverged
        As `clear_or_relax`.
    """
    lams = len(curves)
    outcome = clear_or_relax(*_widened(curves, network, grid, balance, inverters), offset_kw, start)
    return replace(
        outcome,
        net_kw=outcome.net_kw[:lams],
        flow_kw=outcome.flow_kw[:lams],
        charge=outcome.charge[:lams],
        price=outcome.price[:lams],
        parts=outcome.parts.of_first(lams),
        inverter_kvar=outcome.net_kw[lams:],
        inverter_price=outcome.price[lams:],
    )


def _widened(
    curves: Curves, network: Network, grid: Grid, balance: Floats, inverters: Inverters
) -> tuple[Curves, Network, Grid, Floats]:
    """Arguments of `clear_wam` over ``2 M`` variables: LAMs' net purchases, then their inverters' kvar."""
    return (
        join([curves, inverters.curves()]),
        replace(network, matrix=np.hstack([network.matrix, inverters.matrix])),
        grid,
        np.concatenate([balance, inverters.balance]),
    )
