"""An outcome as it is claimed to be an equilibrium: quantities, prices, and announced payments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from market.analysis import sizes
from market.analysis.measure import LAST_BITS, power_tolerance
from market.model.arrays import Bools, Floats
from market.model.case import Case
from market.model.dlmp import DlmpParts


@dataclass(frozen=True)
class Announced:
    """What is announced to the parties beside quantities, and must follow from these: DLMPs and payments.

    Attributes
    ----------
    wam_price
        Locational prices mu_i, ``(M,)`` [$/kWh].
    parts
        Their parts by cause.
    payment
        What each prosumer pays its LAM, ``(n,)`` [$/h].
    uplift
        What the utility is charged to cover a negative surplus of the WAM [$/h]; None where nothing is
        announced.
    """

    wam_price: Floats
    parts: DlmpParts
    payment: Floats
    uplift: float | None = None


@dataclass(frozen=True)
class Pool:
    """What is claimed beside where members have a utility: of it, and of the pool of shared energy.

    Attributes
    ----------
    utility_kw
        What each prosumer buys of the utility, ``(n,)`` [kW].
    price
        Price of shared energy [$/kWh].
    """

    utility_kw: Floats
    price: float


@dataclass(frozen=True)
class Claim:
    """An outcome of a case with n prosumers, r resources, M LAMs and m network rows.

    Attributes
    ----------
    case
        The case.
    trade_kw, output_kw
        Trades ``(n,)`` and resource outputs ``(r,)`` [kW].
    price
        Local prices lambda_i, ``(M,)`` [$/kWh].
    net_kw, grid_kw
        LAMs' net purchases ``(M,)`` and head power [kW].
    energy_price, row_dual
        Price pi [$/kWh] and rows' prices eta_up - eta_low, ``(m,)``.
    pool
        None where the rule has no utility.
    """

    case: Case
    trade_kw: Floats
    output_kw: Floats
    price: Floats
    net_kw: Floats
    grid_kw: float
    energy_price: float
    row_dual: Floats
    pool: Pool | None = None

    @cached_property
    def utility_kw(self) -> Floats:
        """What each prosumer buys of the utility, ``(n,)`` [kW]."""
        return np.zeros(self.trade_kw.size) if self.pool is None else self.pool.utility_kw

    @cached_property
    def flow_kw(self) -> Floats:
        """What flows to each LAM, ``(M,)`` [kW]."""
        return self.net_kw if self.pool is None else self.net_kw + self.case.net_kw(self.utility_kw)

    @cached_property
    def head_price(self) -> float:
        """What the energy price is beyond the grid's own, at a limit of the feeder head [$/kWh]."""
        return self.case.grid.limit_price(self.energy_price)

    @cached_property
    def charge(self) -> Floats:
        """Charge for what flows to each LAM, ``(M,)`` [$/kWh]; zero where the grid sells to LAMs."""
        return np.zeros(self.net_kw.size) if self.pool is None else self.wam_price - self.pool.price

    @cached_property
    def loss_charge(self) -> Floats:
        """The part of it that pays the utility for losses, ``(M,)`` [$/kWh]."""
        if self.pool is None:
            return np.zeros(self.net_kw.size)
        return np.asarray((self.case.balance - 1.0) * (self.energy_price - self.head_price))

    @cached_property
    def utility_prices(self) -> tuple[Floats, Floats] | None:
        """What a kWh of the utility brings and costs each prosumer, charges included, ``(n,)`` [$/kWh]."""
        if self.pool is None:
            return None
        return self.case.tariff.with_charge(self.charge[self.case.lam_of])

    @cached_property
    def utility_cost(self) -> Floats:
        """What each prosumer's trade with the utility costs it, charges included, ``(n,)`` [$/h]."""
        if self.utility_prices is None:
            return np.zeros(self.trade_kw.size)
        low, high = self.utility_prices
        return np.where(self.utility_kw > 0, high, low) * self.utility_kw

    @cached_property
    def local_price(self) -> Floats:
        """Price of each prosumer's LAM, ``(n,)`` [$/kWh]."""
        return self.price[self.case.lam_of]

    @cached_property
    def fee(self) -> Floats:
        """Fee of each prosumer's LAM, ``(n,)`` [$/kWh]."""
        return self.case.fee[self.case.lam_of]

    @cached_property
    def slope(self) -> Floats:
        """Price slope k_i that each prosumer reckons with, ``(n,)`` [$/kWh per kW]."""
        return self.case.slope[self.case.lam_of]

    @cached_property
    def member_kw(self) -> Floats:
        """Size of each prosumer, ``(n,)`` [kW]."""
        return sizes.member_kw(self.case)

    @cached_property
    def lam_kw(self) -> Floats:
        """Size of each LAM: its members' sizes, ``(M,)`` [kW]."""
        return self.case.net_kw(self.member_kw)

    @cached_property
    def member_slack_kw(self) -> Floats:
        """Tolerance of each prosumer's powers, ``(n,)`` [kW]."""
        return power_tolerance(self.member_kw)

    @cached_property
    def lam_slack_kw(self) -> Floats:
        """Tolerance of each LAM's powers, ``(M,)`` [kW]."""
        return power_tolerance(self.lam_kw)

    @cached_property
    def head_slack_kw(self) -> float:
        """Tolerance of powers of all LAMs together, and of rows [kW]."""
        return sizes.head_slack_kw(self.case, self.lam_kw)

    @cached_property
    def resource_cost(self) -> Floats:
        """Cost of each prosumer's resources, ``(n,)`` [$/h]."""
        resources = self.case.resources
        cost = resources.cost(self.output_kw)
        return np.asarray(np.bincount(resources.owner, cost, minlength=self.trade_kw.size), dtype=float)

    @cached_property
    def bill(self) -> Floats:
        """What each prosumer owes its LAM, lambda q + delta |q| + r u, ``(n,)`` [$/h]."""
        traded = self.local_price * self.trade_kw + self.fee * np.abs(self.trade_kw)
        return np.asarray(traded + self.charge[self.case.lam_of] * self.utility_kw)

    @cached_property
    def total_bill(self) -> Floats:
        """What each prosumer owes its LAM and the utility, ``(n,)`` [$/h]."""
        traded = self.local_price * self.trade_kw + self.fee * np.abs(self.trade_kw)
        return np.asarray(traded + self.utility_cost)

    @cached_property
    def member_turnover(self) -> Floats:
        """Own costs and bill of each prosumer, every term without sign, ``(n,)`` [$/h]."""
        resources, x = self.case.resources, self.output_kw
        terms = np.abs(resources.cost_linear * x) + 0.5 * resources.cost_quadratic * x**2
        own = np.bincount(resources.owner, terms, minlength=self.trade_kw.size)
        traded = (np.abs(self.local_price) + self.fee) * np.abs(self.trade_kw)
        return np.asarray(own + traded + np.abs(self.utility_cost))

    @cached_property
    def member_price_size(self) -> Floats:
        """Size of the prices that each prosumer reckons with, ``(n,)`` [$/kWh]."""
        own = np.abs(self.local_price) + self.fee + self.slope * np.abs(self.trade_kw)
        return np.asarray(self.price_level + own)

    @cached_property
    def parts(self) -> DlmpParts:
        """Parts of the locational prices (3.9)."""
        case, pool = self.case, self.pool
        energy = np.full(
            case.balance.size, self.energy_price if pool is None else pool.price + self.head_price
        )
        loss = (case.balance - 1.0) * self.energy_price
        network = case.network
        if network is None:
            return DlmpParts(energy, loss, np.zeros_like(energy), np.zeros_like(energy))
        is_voltage = self.is_voltage
        voltage = np.where(is_voltage, self.row_dual, 0.0) @ network.matrix
        congestion = np.where(is_voltage, 0.0, self.row_dual) @ network.matrix
        return DlmpParts(energy, loss, voltage, congestion)

    @cached_property
    def part_sizes(self) -> DlmpParts:
        """Sums of the terms without sign that make each part, ``(M,)`` each [$/kWh]."""
        case, network = self.case, self.case.network
        pool_price = 0.0 if self.pool is None else abs(self.pool.price)
        energy = np.full(case.balance.size, abs(self.energy_price) + pool_price)
        loss = (np.abs(case.balance) + 1.0) * abs(self.energy_price)
        if network is None:
            return DlmpParts(energy, loss, np.zeros_like(energy), np.zeros_like(energy))
        is_voltage = self.is_voltage
        sensitivity, dual = np.abs(network.matrix), np.abs(self.row_dual)
        voltage = np.where(is_voltage, dual, 0.0) @ sensitivity
        congestion = np.where(is_voltage, 0.0, dual) @ sensitivity
        return DlmpParts(energy, loss, voltage, congestion)

    @cached_property
    def is_voltage(self) -> Bools:
        """Whether each row is a voltage, ``(m,)``."""
        network = self.case.network
        if network is None or network.voltage is None:
            return np.zeros(self.row_dual.size, dtype=bool)
        return network.voltage

    @cached_property
    def wam_price(self) -> Floats:
        """Locational prices mu_i that energy price and rows' prices make (3.9), ``(M,)`` [$/kWh]."""
        return self.parts.price

    @cached_property
    def lam_price_size(self) -> Floats:
        """Size of the prices that each LAM reckons with, ``(M,)`` [$/kWh]."""
        own = self.case.wam_fee + self.case.wam_slope * np.abs(self.net_kw)
        return np.asarray(self.price_level + self.part_sizes.price + own)

    @property
    def price_level(self) -> float:
        """Size of the prices outside: the grid's, and the utility's where the rule has one [$/kWh]."""
        grid, tariff = self.case.grid, self.case.tariff
        if self.pool is None:
            return grid.price_size
        return max(grid.price_size, abs(tariff.retail), abs(tariff.feed_in))

    @cached_property
    def price_rounding(self) -> Floats:
        """What rounding may make of each LAM's prices, ``(M,)`` [$/kWh].

        Prices are sums; and power that is known to its last bits only moves them.
        """
        return LAST_BITS * (self.lam_price_size + self.case.slope * self.lam_kw)

    @cached_property
    def is_idle(self) -> Bools:
        """Whether each LAM's net purchase is none, ``(M,)``."""
        return np.abs(self.net_kw) <= self.lam_slack_kw

    @cached_property
    def multiplier(self) -> Floats:
        """Local price that each LAM's condition (3.3) asks for, ``(M,)`` [$/kWh].

        Where the LAM trades nothing it is a range, of which the point nearest the local price counts.
        """
        case = self.case
        expected = self.wam_price + case.wam_slope * self.net_kw
        inside = np.clip(self.price, expected - case.wam_fee, expected + case.wam_fee)
        return np.where(self.is_idle, inside, expected + case.wam_fee * np.sign(self.net_kw))
