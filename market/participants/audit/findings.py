"""What an auditor finds of one interval: the certificate, the WAM's rents, benchmarks and savings.

Pure functions from messages of the interval to figures. The certificate judges the market as it was bid, in
which a member that did not bid is inflexible at its allocation. Benchmarks start from the state in which the
market run began the interval (market.md, section 4), and are given only where every prosumer bid.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from broker.messages import WamOutcome
from market.analysis.certificate import Announced, Certificate, Pool, certify
from market.analysis.indicators import prosumer_savings
from market.analysis.measure import STATED
from market.analysis.reference import Benchmark, Name, efficiency, references
from market.analysis.settlement import (
    Settlement,
    UtilityTrades,
    WamSurplus,
    settle,
    surplus_miss,
    utility_trades,
    wam_surplus,
)
from market.analysis.tolerance import exceeds
from market.model.arrays import Bools, Floats
from market.model.case import Case
from market.model.response import supply_curves
from market.participants.audit.interval_case import (
    AuditedMessages,
    as_bid,
    as_cleared,
    case_of,
    cleared_by,
    members_without_bid,
    row_indices,
)
from market.participants.lam_outcomes import Allocations, read_lam_outcomes
from market.participants.network_model import dlmp_of, inverters_of
from market.participants.roster import Roster, Rules, Terms
from market.solver.reactive import Inverters

REACTIVE = 1e-5
"""How far a reactive set-point may be off its best reply, as a part of its inverters' capability."""


@dataclass(frozen=True)
class Findings:
    """What an audit found; money is per hour.

    Attributes
    ----------
    certificate, beyond
        Figures of the proof, and those of them or of the identity (4.5) beyond tolerance, in words.
    rents
        Where the WAM's surplus comes from; ``is_voltage`` says which rows are voltages.
    market_cost, benchmarks
        Social cost of the market's outcome, and benchmarks by name; empty where a comparison means nothing.
    made_kw
        What prosumers generate, gross, as docs/kpis.md counts it.
    efficiency
        As `market.analysis.reference.efficiency`.
    saving
        What each prosumer saves against no sharing, ``(n,)`` [$/h]; empty where benchmarks are.
    notes
        Why something is left out, in words.
    """

    certificate: Certificate
    beyond: list[str]
    rents: WamSurplus
    is_voltage: Bools
    market_cost: float | None = None
    made_kw: float | None = None
    benchmarks: dict[Name, Benchmark] = field(default_factory=dict)
    efficiency: float | None = None
    saving: Floats = field(default_factory=lambda: np.zeros(0))
    notes: list[str] = field(default_factory=list)


def examine(roster: Roster, rules: Rules, terms: Terms, messages: AuditedMessages) -> Findings:
    """Audit of one interval.

    Raises
    ------
    Unauditable
        The interval has no equilibrium: prices were held, LAMs cleared alone, or a message is missing.
    """
    outcome, model = cleared_by(roster, messages)
    truth, output_kw = case_of(roster, rules, terms, model, messages.positions)
    truth = as_cleared(truth, model, outcome)
    allocation = read_lam_outcomes(roster, terms.tariff, messages.lam_outcomes.values())
    inflexible = members_without_bid(roster, messages.lam_outcomes.values())
    inflexible |= np.isin(roster.lam, outcome.unserved)
    network = truth.network
    assert network is not None
    row_dual = np.zeros(network.base.size)
    row_dual[row_indices(network.name, outcome.row_name)] = outcome.row_dual
    net_kw = np.array(outcome.net_kw)
    settled = _settled(truth, allocation, outcome)
    bid, bid_output_kw = as_bid(truth, output_kw, allocation.drawn_kw, inflexible)
    certificate = certify(
        bid,
        allocation.trade_kw,
        bid_output_kw,
        allocation.price,
        net_kw,
        outcome.grid_kw,
        outcome.energy_price,
        row_dual,
        Announced(
            wam_price=np.array(outcome.price),
            parts=dlmp_of(outcome),
            payment=allocation.payment_per_h,
            uplift=settled.uplift,
        ),
        _pool_of(truth, allocation, outcome),
    )
    rents = wam_surplus(
        net_kw,
        truth.wam_fee,
        outcome.energy_price,
        row_dual,
        network,
        truth.grid,
        truth.offset_kw,
        has_utility=truth.rule.has_utility,
    )
    beyond = exceeds(certificate, bid) + _surplus_errors(settled, rents, certificate.turnover)
    beyond += reactive_errors(inverters_of(model), outcome, row_dual)
    findings = Findings(certificate, beyond, rents, network.is_voltage)
    if inflexible.any():
        return replace(findings, notes=["no benchmarks: some did not take part in the clearing"])
    utility = _utility_of(truth, allocation, outcome)
    return _with_benchmarks(findings, truth, output_kw, allocation, outcome.grid_kw, utility)


def _settled(case: Case, allocation: Allocations, outcome: WamOutcome) -> Settlement:
    """Payments at the announced prices, which are those that the ledger books."""
    return settle(
        case.lam_of,
        allocation.trade_kw,
        allocation.price,
        case.fee,
        np.array(outcome.price),
        case.wam_fee,
        np.array(outcome.net_kw),
        case.grid,
        outcome.grid_kw,
        _utility_of(case, allocation, outcome),
    )


def _utility_of(case: Case, allocation: Allocations, outcome: WamOutcome) -> UtilityTrades | None:
    """What members were allocated of their utility, and what it is charged."""
    return utility_trades(case, allocation.utility_kw, allocation.charge, outcome.energy_price)


def _pool_of(case: Case, allocation: Allocations, outcome: WamOutcome) -> Pool | None:
    """What was announced of the utility and of shared energy, where members have one."""
    if not case.rule.has_utility:
        return None
    charge = outcome.charge[0] if outcome.charge else 0.0
    return Pool(allocation.utility_kw, outcome.price[0] - charge)


def _surplus_errors(settled: Settlement, rents: WamSurplus, turnover: float) -> list[str]:
    """Where the WAM's surplus is not the sum of its causes, the identity (4.5): by how much, in words."""
    miss = surplus_miss(settled.wam_surplus, rents, turnover)
    if miss.ratio <= 1.0:
        return []
    return [f"the WAM's surplus is {miss.miss[0]:.3g} $/h off the sum of its causes"]


def reactive_errors(inverters: Inverters | None, outcome: WamOutcome, row_dual: Floats) -> list[str]:
    """Errors of reactive prices, which follow from the other prices, and of set-points at them, in words.

    Each LAM's inverters are judged by their own price and capability.

    Parameters
    ----------
    inverters
        What M LAMs' inverters could do; None where the market sets none.
    outcome
        What was announced of them.
    row_dual
        Prices of the m rows of the linear model, ``(m,)`` [$/h per row unit].
    """
    if inverters is None:
        return []
    price = inverters.price(outcome.energy_price, row_dual)
    # A clearing makes the price of the energy price and of what the balance differs from one.
    size = (np.abs(inverters.balance) + 1.0) * abs(outcome.energy_price)
    size += np.abs(row_dual) @ np.abs(inverters.matrix)
    off, limit = np.abs(np.array(outcome.inverter_price) - price), STATED * size
    found = []
    if not (off <= limit).all():
        found.append(f"a reactive price is {off[~(off <= limit)].max():.3g} $/kvarh off")
    off = np.abs(np.array(outcome.inverter_kvar) - inverters.answer_kvar(price))
    limit = REACTIVE * inverters.limit_kvar
    if not (off <= limit).all():
        found.append(f"a reactive set-point is {off[~(off <= limit)].max():.3g} kvar off its best reply")
    return found


def _with_benchmarks(
    findings: Findings,
    case: Case,
    output_kw: Floats,
    allocation: Allocations,
    grid_kw: float,
    utility: UtilityTrades | None,
) -> Findings:
    """Findings with benchmarks, and with what each prosumer saves against no sharing."""
    supply = supply_curves(case.demand_kw, case.resources)
    benchmarks, notes = references(case, supply)
    apart, best = benchmarks["no_sharing"], benchmarks.get("optimum")
    market_cost = case.resource_cost(output_kw) + case.grid.cost(grid_kw)
    return replace(
        findings,
        market_cost=market_cost,
        benchmarks=benchmarks,
        efficiency=None if best is None else efficiency(apart, market_cost, best),
        made_kw=float(np.maximum(output_kw, 0.0).sum() + np.maximum(-case.demand_kw, 0.0).sum()),
        saving=prosumer_savings(case, allocation.trade_kw, output_kw, allocation.price, apart, utility),
        notes=notes,
    )
