"""The case of one clearing as arrays: prosumers, resources, LAMs, network rows and prices."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.rule import GENERALISED_DEMAND, BiddingRule

NOTHING_KW = 1e-6
"""Power at the feeder head that counts as none where its price is asked for."""


@dataclass(frozen=True)
class Resources:
    """Flexible resources: output x in [min_kw, max_kw] at cost 1/2 cost_quadratic x^2 + cost_linear x [$/h].

    Attributes
    ----------
    owner
        Index of the prosumer that owns each, ``(r,)``.
    min_kw, max_kw
        Limits of the output, + generates, discharges or sheds load, ``(r,)`` [kW].
    cost_linear, cost_quadratic
        Cost coefficients, ``(r,)`` [$/kWh], [$/kWh per kW], the second >= 0.
    """

    owner: Ints
    min_kw: Floats
    max_kw: Floats
    cost_linear: Floats
    cost_quadratic: Floats

    def cost(self, output_kw: Floats) -> Floats:
        """Cost of each resource's output, ``(r,)`` [$/h]."""
        cost = np.asarray(0.5 * self.cost_quadratic * output_kw)
        cost += self.cost_linear
        cost *= output_kw
        return cost


def joined_resources(*parts: Resources) -> Resources:
    """Resources one after the other, whose owners count the same prosumers."""
    names = [each.name for each in fields(Resources)]
    return Resources(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


@dataclass(frozen=True)
class Grid:
    """The grid at the feeder head: prices [$/kWh], export_price <= import_price, and limits >= 0 [kW]."""

    import_price: float
    export_price: float
    import_limit_kw: float
    export_limit_kw: float

    @property
    def middle_price(self) -> float:
        """Price halfway between import and export [$/kWh]."""
        return 0.5 * (self.import_price + self.export_price)

    @property
    def price_size(self) -> float:
        """Size of both prices [$/kWh]: a price near zero is still a difference of such ones."""
        return max(abs(self.import_price), abs(self.export_price))

    def marginal_price(self, grid_kw: float) -> float:
        """What the last kWh costs or brings; the middle price where next to nothing is drawn."""
        if abs(grid_kw) <= NOTHING_KW:
            return self.middle_price
        return self.import_price if grid_kw > 0 else self.export_price

    def limit_price(self, energy_price: float) -> float:
        """What an energy price is beyond the grid's own, as at its limits: + for imports, - for exports."""
        return max(energy_price - self.import_price, 0.0) - max(self.export_price - energy_price, 0.0)

    def cost(self, grid_kw: float) -> float:
        """Cost of drawing a power from the grid [$/h], negative for an export that is paid."""
        return self.import_price * grid_kw if grid_kw > 0 else self.export_price * grid_kw


@dataclass(frozen=True)
class Network:
    """Linearised network rows ``lower <= base + matrix Q <= upper`` over the LAMs' net purchases.

    Attributes
    ----------
    matrix
        Derivatives, ``(r, M)`` [row units per kW].
    base, lower, upper
        Values at Q = 0 and their limits, ``(r,)`` [row units: pu, A or % of rating].
    voltage
        Rows that are voltages; the others count as congestion, ``(r,)``. None: all are congestion.
    name
        Names for messages; numbers when left out.
    """

    matrix: Floats
    base: Floats
    lower: Floats
    upper: Floats
    voltage: Bools | None = None
    name: tuple[str, ...] = field(default=())

    def row_name(self, row: int) -> str:
        """Name of a row for messages."""
        return self.name[row] if self.name else str(row)

    def take(self, rows: Bools) -> Network:
        """The rows that are meant, ``(r,)``, without names."""
        voltage = None if self.voltage is None else self.voltage[rows]
        return Network(self.matrix[rows], self.base[rows], self.lower[rows], self.upper[rows], voltage)

    @property
    def is_voltage(self) -> Bools:
        """Rows that are voltages, ``(r,)``."""
        return np.zeros(self.base.size, dtype=bool) if self.voltage is None else self.voltage


@dataclass(frozen=True)
class Tariff:
    """Utility's prices outside the market, retail for buying >= feed-in for selling [$/kWh]."""

    retail: float
    feed_in: float

    @property
    def middle(self) -> float:
        """Price halfway between retail and feed-in [$/kWh]."""
        return 0.5 * (self.retail + self.feed_in)

    @property
    def half_spread(self) -> float:
        """How far both prices are from the middle [$/kWh]."""
        return 0.5 * (self.retail - self.feed_in)

    def with_charge(self, charge: Floats) -> tuple[Floats, Floats]:
        """What a kWh sold to the utility brings and a bought one costs, charges included [$/kWh]."""
        return self.feed_in + charge, self.retail + charge

    def bill(self, power_kw: Floats) -> Floats:
        """What powers bought of the utility cost, same shape [$/h]; sold ones are negative."""
        return np.asarray(np.where(power_kw > 0, self.retail, self.feed_in) * power_kw)


@dataclass(frozen=True)
class Case:
    """Everything that one clearing needs: n prosumers with r resources in M LAMs.

    Attributes
    ----------
    prosumer_id, lam_id
        Names, n and M of them.
    lam_of
        LAM of each prosumer: indices into ``lam_id``, in any order, ``(n,)``.
    demand_kw
        Inflexible net demand, ``(n,)`` [kW].
    resources
        Flexible resources, r of them.
    sensitivity, fee
        Local market: sensitivity a_i > 0 [kW per $/kWh] and fee delta_i >= 0 [$/kWh], ``(M,)`` each.
    wam_sensitivity, wam_fee
        Wide-area market: sensitivity A > 0 [kW per $/kWh] and fees Delta_i >= 0, ``(M,)`` [$/kWh].
    balance, offset_kw
        Head power is ``offset_kw + balance @ net_kw`` [kW]; balance ``(M,)``.
    network
        Linearised rows, or None.
    grid, tariff
        Wholesale prices and limits at the feeder head; the utility's prices.
    rule
        The game that members and LAMs play.
    """

    prosumer_id: tuple[str, ...]
    lam_id: tuple[str, ...]
    lam_of: Ints
    demand_kw: Floats
    resources: Resources
    sensitivity: Floats
    fee: Floats
    wam_sensitivity: float
    wam_fee: Floats
    balance: Floats
    offset_kw: float
    network: Network | None
    grid: Grid
    tariff: Tariff
    rule: BiddingRule = GENERALISED_DEMAND

    @cached_property
    def members(self) -> Ints:
        """Number of prosumers in each LAM N_i, ``(M,)``."""
        return np.asarray(np.bincount(self.lam_of, minlength=len(self.lam_id)), dtype=np.intp)

    @cached_property
    def slope(self) -> Floats:
        """Price slope k_i that members anticipate, ``(M,)`` [$/kWh per kW]."""
        return self.rule.member_slope(self)

    @cached_property
    def wam_slope(self) -> Floats:
        """Slope K_i by which a LAM's local price differs from its locational one, ``(M,)`` [$/kWh per kW]."""
        return self.rule.lam_slope(self)

    def net_kw(self, trade_kw: Floats) -> Floats:
        """Sum of the members' trades per LAM, ``(M,)`` [kW]."""
        return np.asarray(np.bincount(self.lam_of, trade_kw, minlength=len(self.lam_id)), dtype=np.float64)

    def grid_kw(self, net_kw: Floats) -> float:
        """Power at the feeder head for the powers that LAMs draw, ``(M,)`` [kW]."""
        return self.offset_kw + float(self.balance @ net_kw)

    def utility_kw(self, trade_kw: Floats, output_kw: Floats) -> Floats:
        """What trades and outputs leave to each prosumer's utility, + bought, ``(n,)`` [kW].

        Zero where the rule has no utility: there trades and outputs make the whole balance.
        """
        if not self.rule.has_utility:
            return np.zeros(trade_kw.size)
        made_kw = np.bincount(self.resources.owner, output_kw, minlength=trade_kw.size)
        return np.asarray(self.demand_kw - made_kw - trade_kw)

    def resource_cost(self, output_kw: Floats) -> float:
        """Cost of all resources' outputs [$/h]."""
        return float(self.resources.cost(output_kw).sum())
