"""Where a search over a horizon begins: what is known of intervals like those to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from market.model.arrays import Floats
from market.solver.clearing import Outcome
from market.solver.wam import LimitPrices


@dataclass(frozen=True)
class Near:
    """Prices and net purchases near those of one interval.

    Attributes
    ----------
    price
        Local prices, ``(M,)`` [$/kWh].
    net_kw
        Net purchases of the LAMs, ``(M,)`` [kW].
    limit_prices
        Prices of the limits that bind; ``None`` where they are not known.
    """

    price: Floats
    net_kw: Floats
    limit_prices: LimitPrices | None

    @classmethod
    def of(cls, outcome: Outcome) -> Near:
        """What an outcome tells of intervals like its own."""
        return cls(outcome.price, outcome.wam.net_kw, outcome.wam.limit_prices)


def later(outcomes: Sequence[Outcome]) -> tuple[Near, ...]:
    """Starts of the next horizon's intervals: this one's an interval later, the last one twice."""
    near = tuple(Near.of(outcome) for outcome in outcomes)
    return (*near[1:], near[-1])
