"""Parts of a locational price (DLMP) by cause: what clearing, certificate, files and messages call them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from market.model.arrays import Floats


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
