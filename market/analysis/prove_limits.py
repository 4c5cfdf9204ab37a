"""What limits of the feeder head and of rows must satisfy: kept, and without a price where idle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from market.analysis.claim import Claim, Pool
from market.analysis.measure import LAST_BITS, RELATIVE, Measure, beyond
from market.model.arrays import Floats
from market.model.case import Network
from market.model.limits import row_scale

ROUNDING = 1e-12
"""Part of a row's value that its sum may lose to rounding."""


def head_balance(claim: Claim) -> Measure:
    """Power at the feeder head against LAMs and losses, and against the grid's two limits [kW]."""
    case, grid = claim.case, claim.case.grid
    misses = np.array(
        [
            claim.grid_kw - case.grid_kw(claim.flow_kw),
            max(claim.grid_kw - grid.import_limit_kw, 0.0),
            max(-grid.export_limit_kw - claim.grid_kw, 0.0),
        ]
    )
    slack = np.full(misses.size, claim.head_slack_kw)
    return Measure("head", beyond(misses, _head_rounding(claim)), slack, "kW")


def energy_price(claim: Claim) -> Measure:
    """How far the energy price is from where the head's power lets it stand [$/kWh].

    It is the import price while power comes in, the export price while power goes out, anything between while
    neither does, and dearer or cheaper than that at a limit only.
    """
    grid, slack = claim.case.grid, claim.head_slack_kw + _head_rounding(claim)
    low, high = grid.export_price, grid.import_price
    if claim.grid_kw > slack:
        low = grid.import_price
    if claim.grid_kw < -slack:
        high = grid.export_price
    if claim.grid_kw >= grid.import_limit_kw - slack:
        high = np.inf
    if claim.grid_kw <= slack - grid.export_limit_kw:
        low = -np.inf
    pi = claim.energy_price
    size = max(abs(pi), abs(grid.import_price), abs(grid.export_price))
    miss = beyond(np.array([max(pi - high, 0.0) - max(low - pi, 0.0)]), LAST_BITS * size)
    return Measure("head", miss, np.array([RELATIVE * size]), "$/kWh")


def pool_balance(claim: Claim) -> Measure:
    """What is left over of shared energy, which balances among the LAMs [kW]."""
    miss = np.array([float(claim.net_kw.sum())])
    rounding = LAST_BITS * float(np.abs(claim.net_kw).sum())
    return Measure("head", beyond(miss, rounding), np.array([claim.head_slack_kw]), "kW")


def pool_price(claim: Claim, pool: Pool) -> Measure:
    """How far the price of shared energy is from between the utility's prices [$/kWh]."""
    tariff = claim.case.tariff
    size = max(abs(pool.price), claim.price_level)
    off = max(pool.price - tariff.retail, 0.0) - max(tariff.feed_in - pool.price, 0.0)
    return Measure("head", beyond(np.array([off]), LAST_BITS * size), np.array([RELATIVE * size]), "$/kWh")


def head_complementarity(claim: Claim) -> float:
    """Energy price beyond the grid's own times the distance to the limit that would allow it [$/h]."""
    grid, rounding = claim.case.grid, _head_rounding(claim)
    room = np.array([grid.import_limit_kw - claim.grid_kw, grid.export_limit_kw + claim.grid_kw])
    over = np.array([claim.energy_price - grid.import_price, grid.export_price - claim.energy_price])
    return float(np.abs(np.maximum(over, 0.0) * beyond(room, rounding)).max())


def _head_rounding(claim: Claim) -> float:
    """What rounding may make of the power at the feeder head [kW]."""
    drawn = float(np.abs(claim.case.balance) @ np.abs(claim.flow_kw))
    return LAST_BITS * (abs(claim.case.offset_kw) + abs(claim.grid_kw) + drawn)


@dataclass(frozen=True)
class Rows:
    """The m network rows of a claim: their values, prices and what these amount to."""

    claim: Claim
    network: Network

    @cached_property
    def value(self) -> Floats:
        """Values at what is claimed to flow to the LAMs, ``(m,)`` [row units]."""
        return np.asarray(self.network.base + self.network.matrix @ self.claim.flow_kw)

    @cached_property
    def rounding(self) -> Floats:
        """What rounding may make of the values, ``(m,)`` [row units]."""
        terms = np.abs(self.network.matrix) @ np.abs(self.claim.flow_kw)
        return np.asarray(ROUNDING * (np.abs(self.network.base) + terms))

    @cached_property
    def scale(self) -> Floats:
        """Row units per kW of each row's most sensitive LAM, ``(m,)``."""
        return row_scale(self.network)

    @cached_property
    def slack(self) -> Floats:
        """Distance to the limit that each row's price is about, zero without a price, ``(m,)`` [row units].

        A row without a price may be unlimited.
        """
        dual = self.claim.row_dual
        upper = np.where(dual > 0, self.network.upper - self.value, 0.0)
        return np.asarray(upper + np.where(dual < 0, self.value - self.network.lower, 0.0))

    @property
    def violation(self) -> float:
        """Largest violation [row units]."""
        return float(self._over.max(initial=0.0))

    @property
    def complementarity(self) -> float:
        """Largest price of a row times its slack [$/h]."""
        return float(np.abs(self.claim.row_dual * beyond(self.slack, self.rounding)).max(initial=0.0))

    @property
    def rent(self) -> float:
        """What priced limits contribute to the dual value, from each row's value at Q = 0 [$/h]."""
        dual, network = self.claim.row_dual, self.network
        limit = np.where(dual > 0, network.upper, np.where(dual < 0, network.lower, network.base))
        return float(dual @ (limit - network.base))

    @property
    def rent_rounding(self) -> float:
        """What rounding may make of the rent [$/h]."""
        return float(np.abs(self.claim.row_dual) @ self.rounding)

    def excess(self) -> Measure:
        """Violation of each row beyond its rounding, as power of its most sensitive LAM [kW]."""
        miss = np.maximum(self._over - self.rounding, 0.0) / self.scale
        return Measure("row", miss, np.full(miss.size, self.claim.head_slack_kw), "kW")

    def idle_price(self) -> Measure:
        """Price that each row makes at its most sensitive LAM although its limit does not bind [$/kWh]."""
        dual, sensitivity = self.claim.row_dual, np.abs(self.network.matrix)
        binds = np.abs(self.slack) <= self.claim.head_slack_kw * self.scale + self.rounding
        made = np.where(binds, 0.0, dual * self.scale)
        lam = np.argmax(sensitivity, axis=1) if sensitivity.size else np.zeros(0, dtype=np.intp)
        return Measure("row", made, RELATIVE * self.claim.lam_price_size[lam], "$/kWh")

    @cached_property
    def _over(self) -> Floats:
        """How far each row is beyond its limits, negative within, ``(m,)`` [row units]."""
        return np.maximum(self.value - self.network.upper, self.network.lower - self.value)


def rows_of(claim: Claim) -> Rows:
    """The rows of a claim's network; none where it has no network."""
    lams = claim.net_kw.size
    none = Network(np.zeros((0, lams)), np.zeros(0), np.zeros(0), np.zeros(0))
    return Rows(claim, claim.case.network or none)
