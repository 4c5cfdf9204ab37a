"""Proof that an outcome over a horizon is an equilibrium, from the case and what is claimed alone.

What a kWh is worth to a store prices its charging and discharging, which are then two more resources of its
prosumer: each interval is certified as any other (`market.analysis.certificate`). What is left to prove is
the energy: its balance, its bounds, and that its worth changes only where a bound says so. Both together
bound what each owner could gain by other plans of all its stores together, over all intervals at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from market.analysis.certificate import Announced, Certificate, certify
from market.analysis.measure import LAST_BITS, RELATIVE, Measure, Unit, beyond, power_tolerance
from market.analysis.tolerance import exceeds
from market.horizon.case import HorizonCase
from market.horizon.stores import Stores
from market.model.arrays import Floats
from market.model.case import Case, Resources


@dataclass(frozen=True)
class IntervalClaim:
    """What is claimed of one interval, as `market.analysis.certificate.certify` takes it."""

    trade_kw: Floats
    output_kw: Floats
    price: Floats
    net_kw: Floats
    grid_kw: float
    energy_price: float
    row_dual: Floats
    announced: Announced | None = None


@dataclass(frozen=True)
class HorizonClaim:
    """What is claimed of T intervals and S stores, with columns as `market.horizon.outcome` has them."""

    intervals: Sequence[IntervalClaim]
    power_kw: Floats
    state_kwh: Floats
    spilled_kwh: Floats
    energy_value: Floats


@dataclass(frozen=True)
class HorizonCertificate:
    """How far a claim over a horizon is from equilibrium: all zero at one.

    Attributes
    ----------
    intervals
        Each interval's certificate, with charging and discharging at their energy's worth.
    energy
        Misses of energy balances and bounds, one for each prosumer, its worst store's [kWh].
    values
        Changes of energy's worth that no bound explains, one for each prosumer, its worst store's [$/kWh].
    store_gains
        The most that each prosumer could gain by other plans of all its stores together and all its trades,
        over all intervals [$]; zero for those without a store.
    gap
        Primal minus dual value of the convex program over all intervals [$].
    """

    intervals: tuple[Certificate, ...]
    energy: Measure
    values: Measure
    store_gains: Measure
    gap: Measure

    @property
    def balance_kw(self) -> float:
        """Largest miss of a power balance or limit in any interval [kW]."""
        return max(each.balance_kw for each in self.intervals)

    @property
    def row_violation(self) -> float:
        """Largest violation of a network row in any interval [row units]."""
        return max(each.row_violation for each in self.intervals)

    @property
    def duality_gap(self) -> float:
        """The duality gap over all intervals [$]."""
        return float(self.gap.miss[0])

    @property
    def exploitability(self) -> float:
        """Most that any one party could gain by other bids, in one interval [$/h]."""
        return max(each.exploitability for each in self.intervals)

    @property
    def store_gain(self) -> float:
        """Most that any one owner of stores could gain by other plans [$]."""
        return float(self.store_gains.miss.max())

    @property
    def turnover(self) -> float:
        """Own costs and bills of all parties in all intervals, without sign [$/h]."""
        return sum(each.turnover for each in self.intervals)


def certify_horizon(case: HorizonCase, claim: HorizonClaim) -> HorizonCertificate:
    """Certificate of a claim, whoever found it.

    Parameters
    ----------
    case
        The case, with bounds that can be kept.
    claim
        What is claimed.
    """
    stores, hours = case.stores, case.hours
    intervals = tuple(
        certify(
            _priced(one, stores, claim.energy_value[:, t], t),
            said.trade_kw,
            np.concatenate(
                [said.output_kw, np.minimum(claim.power_kw[:, t], 0.0), np.maximum(claim.power_kw[:, t], 0.0)]
            ),
            said.price,
            said.net_kw,
            said.grid_kw,
            said.energy_price,
            said.row_dual,
            said.announced,
        )
        for t, (one, said) in enumerate(zip(case.intervals, claim.intervals, strict=True))
    )
    worth = _worth(stores, claim, hours)
    gains = hours * np.sum([each.prosumer_gains.miss for each in intervals], axis=0)
    tolerance = hours * np.sum([each.prosumer_gains.tolerance for each in intervals], axis=0)
    gap = hours * sum(each.duality_gap for each in intervals) + float(worth.idle.sum())
    whole = hours * sum(float(each.gap.tolerance[0]) for each in intervals) + float(worth.tolerance.sum())
    has = case.has_store
    return HorizonCertificate(
        intervals=intervals,
        energy=_energy(case, claim),
        values=_of_owners(case, worth.miss, worth.price_tolerance, "$/kWh"),
        store_gains=Measure(
            "prosumer",
            np.where(has, gains, 0.0) + _sums(case, worth.idle),
            np.where(has, tolerance, 0.0) + _sums(case, worth.tolerance),
            "$",
        ),
        gap=Measure("program", np.array([gap]), np.array([whole]), "$"),
    )


def beyond_tolerance(certificate: HorizonCertificate, case: HorizonCase) -> list[str]:
    """What of a certificate is beyond its tolerance, in words; empty for an equilibrium."""
    clauses = []
    for t, (each, one) in enumerate(zip(certificate.intervals, case.intervals, strict=True)):
        clauses += [f"interval {t}: {clause}" for clause in exceeds(each, one)]
    names = case.first.prosumer_id
    for what, measure in (
        ("a store's energy is missed by", certificate.energy),
        ("a store's energy changes its worth without reason by", certificate.values),
        ("a store's owner gains by another plan", certificate.store_gains),
        ("the duality gap over all intervals is", certificate.gap),
    ):
        if not max(measure.ratio, measure.drift) <= 1.0:
            worst = measure.worst
            whose = f"{names[worst]}; " if measure.of == "prosumer" else ""
            size, most = abs(measure.miss[worst]), measure.tolerance[worst]
            clauses.append(f"{what} {size:.3g} {measure.unit} ({whose}tolerance {most:.1g})")
    return clauses


def _priced(case: Case, stores: Stores, value: Floats, t: int) -> Case:
    """An interval's case in which charging and discharging are resources at what their energy is worth."""
    own, none = case.resources, np.zeros(len(stores))
    charging = value * stores.charge_efficiency[:, t] - stores.charge_wear
    discharging = value / stores.discharge_efficiency[:, t] + stores.discharge_wear
    return replace(
        case,
        resources=Resources(
            owner=np.concatenate([own.owner, stores.owner, stores.owner]),
            min_kw=np.concatenate([own.min_kw, -stores.charge_kw[:, t], none]),
            max_kw=np.concatenate([own.max_kw, none, stores.discharge_kw[:, t]]),
            cost_linear=np.concatenate([own.cost_linear, charging, discharging]),
            cost_quadratic=np.concatenate([own.cost_quadratic, none, none]),
        ),
    )


def _energy(case: HorizonCase, claim: HorizonClaim) -> Measure:
    """Misses of (8.1) and of the bounds (8.2), and energy that is spilled where it cannot be [kWh]."""
    stores, state = case.stores, claim.state_kwh
    before = stores.retention[:, None] * state[:, :-1]
    gained = stores.gained_kwh(claim.power_kw, case.hours)
    terms = np.abs(before) + np.abs(gained) + np.abs(stores.drift_kwh) + np.abs(claim.spilled_kwh)
    off = beyond(
        state[:, 1:] - before - gained - stores.drift_kwh + claim.spilled_kwh,
        LAST_BITS * (terms + _size(stores)[:, None]),
    )
    out = np.maximum(stores.lower_kwh - state, state - stores.upper_kwh)[:, 1:]
    wrong = np.maximum(-claim.spilled_kwh, np.where(np.isfinite(stores.least_value), 0.0, claim.spilled_kwh))
    first = np.abs(state[:, 0] - stores.initial_kwh)
    miss = np.maximum(np.abs(off), np.maximum(out, wrong)).max(axis=1, initial=0.0)
    return _of_owners(case, np.maximum(np.maximum(miss, first), 0.0), power_tolerance(_size(stores)), "kWh")


@dataclass(frozen=True)
class _Worth:
    """What S stores' values of energy miss [$/kWh], what bounds leave idle [$], and tolerances of both."""

    miss: Floats
    price_tolerance: Floats
    idle: Floats
    tolerance: Floats


def _worth(stores: Stores, claim: HorizonClaim, hours: float) -> _Worth:
    """How well changes of energy's worth agree with the bounds: a rise in value means empty, a fall full."""
    value, state = claim.energy_value, claim.state_kwh[:, 1:]
    behind = np.concatenate([stores.retention[:, None] * value[:, 1:], stores.end_value[:, None]], axis=1)
    size = np.abs(value) + np.abs(behind)
    kept = beyond(value - behind, LAST_BITS * size)
    slack = power_tolerance(_size(stores))[:, None]
    to_bound = np.where(kept > 0, state - stores.lower_kwh[:, 1:], stores.upper_kwh[:, 1:] - state)
    miss = np.where(to_bound > slack, np.abs(kept), 0.0)
    burns = np.isfinite(stores.least_value)
    above = np.where(burns, value, 0.0) - np.where(burns, stores.least_value, 0.0)
    cheaper = np.maximum(-above, 0.0)
    spills = np.where(claim.spilled_kwh > slack, np.maximum(above, 0.0), 0.0)
    idle = np.abs(kept) * np.maximum(to_bound, 0.0) + claim.spilled_kwh * np.maximum(above, 0.0)
    level = size.max(axis=1, initial=0.0)
    moved = np.abs(stores.gained_kwh(claim.power_kw, hours)).sum(axis=1) + _size(stores)
    worst = np.maximum(np.maximum(miss, cheaper), spills).max(axis=1, initial=0.0)
    return _Worth(worst, RELATIVE * level, idle.sum(axis=1), RELATIVE * level * moved)


def _size(stores: Stores) -> Floats:
    """Size of each store: the most energy that it may hold, ``(S,)`` [kWh]."""
    bounds = np.maximum(np.abs(stores.lower_kwh), np.abs(stores.upper_kwh))
    return np.asarray(np.maximum(bounds.max(axis=1, initial=0.0), np.abs(stores.initial_kwh)))


def _sums(case: HorizonCase, values: Floats) -> Floats:
    """Sums of values of stores over those of each prosumer, ``(N,)``."""
    sums = np.bincount(case.stores.owner, values, minlength=case.first.demand_kw.size)
    return np.asarray(sums, dtype=np.float64)


def _of_owners(case: HorizonCase, miss: Floats, tolerance: Floats, unit: Unit) -> Measure:
    """A measure of stores as one of their owners: of several stores, the one that is furthest beyond."""
    whose, n = case.stores.owner, case.first.demand_kw.size
    each = Measure("prosumer", miss, tolerance, unit)
    worst_last = np.argsort(each.parts, kind="stable")
    found, allowed = np.zeros(n), np.zeros(n)
    found[whose[worst_last]], allowed[whose[worst_last]] = miss[worst_last], tolerance[worst_last]
    return Measure("prosumer", found, allowed, unit)
