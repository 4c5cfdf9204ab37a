"""Parts of a locational price (DLMP) by cause: what clearing, certificate, files and messages call them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from market.model.arrays import Floats
from market.model.case import Network


@dataclass(frozen=True)
class DlmpParts:
    """Parts of the locational prices of M LAMs (market.md, (3.9)), ``(M,)`` each [$/kWh].

    Attributes
    ----------
    energy
        Price at the feeder head.
    loss
        Marginal losses.
    voltage, congestion
        Voltage limits and current limits that bind.
    """

    energy: Floats
    loss: Floats
    voltage: Floats
    congestion: Floats

    @property
    def each(self) -> tuple[Floats, Floats, Floats, Floats]:
        """The parts in the order of their names."""
        return self.energy, self.loss, self.voltage, self.congestion

    @property
    def price(self) -> Floats:
        """The locational price: the sum of the parts."""
        return self.energy + self.loss + self.voltage + self.congestion

    def of_first(self, lams: int) -> DlmpParts:
        """Parts of the first LAMs alone."""
        return DlmpParts(*(part[:lams] for part in self.each))


DLMP_PARTS: tuple[str, ...] = tuple(part.name for part in fields(DlmpParts))
"""Names of the parts, in their order."""


def dlmp_parts(network: Network, balance: Floats, energy_price: float, row_dual: Floats) -> DlmpParts:
    """Locational prices by cause.

    Parameters
    ----------
    network
        The m rows.
    balance
        Head power per kW of each LAM's net purchase, w, ``(M,)``.
    energy_price, row_dual
        Price pi at the feeder head [$/kWh] and rows' prices eta_up - eta_low, ``(m,)``.
    """
    is_voltage = np.zeros(row_dual.size, dtype=bool) if network.voltage is None else network.voltage
    energy = np.full(balance.size, energy_price)
    loss = (balance - 1.0) * energy_price
    voltage = np.where(is_voltage, row_dual, 0.0) @ network.matrix
    congestion = np.where(is_voltage, 0.0, row_dual) @ network.matrix
    return DlmpParts(energy, loss, voltage, congestion)
