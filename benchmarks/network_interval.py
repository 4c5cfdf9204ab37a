"""An AC-confirmed interval between market and feeder on a network of any size, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from benchmarks.cases import seen_by_wam
from broker.messages import NetworkModel
from cosim.feeder.circuit import AcState
from cosim.feeder.dispatch import Answer, OperatingRules, Proposal
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.feeder.service import model_message
from market.model.arrays import Floats
from market.model.case import Case
from market.participants.roster import Terms
from market.participants.wam.clear_model import clear_model
from market.participants.wam.least_violation import Swinging, is_least_violation
from market.solver.lam_bids import GridBids
from market.solver.wam import LimitPrices

MEMBERS = 5
MOST_ROUNDS = 60
_INTERVAL_S = 900.0


def limits_of(state: AcState, feeder: Feeder) -> Limits:
    """Limits that the circuit's own loads keep."""
    rating_a = feeder.layout.rating_a
    loading = np.where(np.isfinite(rating_a), np.abs(state.current_a) / rating_a, 0.0)
    low, high = float(state.v_pu.min()), float(state.v_pu.max())
    return Limits(min(0.95, low - 0.005), max(1.05, high + 0.005), rating_a * np.maximum(1.0, 1.05 * loading))


def tight_limits(feeder: Feeder, case: Case, loose: Limits) -> Limits:
    """Voltage limits halfway between the own loads and a market without limits, so that they bind."""
    free = Limits(0.5, 1.5, np.full_like(loose.rating_a, np.inf))
    spot_kw, start = feeder.layout.spot_kw, feeder.positions()
    own = feeder.solve(spot_kw, spot_kw * feeder.layout.tan_phi)
    net_kw = confirmed_interval(feeder, case, operation_within(feeder, free, controls_act=False))["net_kw"]
    far = feeder.solve(net_kw, spot_kw * feeder.layout.tan_phi)
    feeder.put(start)
    low, high = float(own.v_pu.min()), float(own.v_pu.max())
    return Limits(
        low - max(0.5 * (low - float(far.v_pu.min())), 1e-3),
        high + max(0.5 * (float(far.v_pu.max()) - high), 1e-3),
        loose.rating_a,
    )


def operation_within(feeder: Feeder, limits: Limits, *, controls_act: bool) -> Operation:
    """The operation of a feeder, which lasts from interval to interval."""
    still = np.zeros(len(feeder.layout.lams))
    return Operation(OperatingRules(limits, _INTERVAL_S, still, controls_act=controls_act))


def confirmed_interval(
    feeder: Feeder,
    case: Case,
    operation: Operation,
    *,
    last_price: Floats | None = None,
    on_model: Callable[[NetworkModel], None] = lambda _: None,
) -> dict[str, Any]:
    """One interval between market and feeder, from bids to a confirmed outcome, and its models.

    It begins at what LAMs would buy at the last interval's prices ``(M,)``, or at the middle of the grid's.
    """
    layout = feeder.layout
    terms, still = Terms(case.grid, case.tariff), np.zeros(len(layout.lams))
    kvar = layout.spot_kw * layout.tan_phi
    decoder = msgspec.json.Decoder(NetworkModel)
    began, began_cpu = time.perf_counter(), time.process_time()
    bids = GridBids(seen_by_wam(case))
    start = np.full(len(layout.lams), terms.grid.middle_price) if last_price is None else last_price
    net_kw = bids.flows(start)
    answers: list[Answer] = []
    swinging = Swinging()
    largest, binding, rows = 0, 0, 0
    price, tick = last_price, 0 if last_price is None else 1
    prices: LimitPrices | None = None
    relaxed: Mapping[str, float] = {}
    while len(answers) < MOST_ROUNDS:
        proposal = Proposal(tick, len(answers), net_kw, kvar, still, bids.lowest_kw, bids.highest_kw)
        answers.append(operation.judge(feeder, proposal))
        # The operator of the wide-area market ends here as well, and flags what gave way.
        if answers[-1].confirmed or is_least_violation(relaxed, answers[-1].linear_error_pu):
            break
        assert answers[-1].model is not None
        told = model_message(answers[-1].model, [])
        on_model(told)
        wire = msgspec.json.encode(told)
        model = decoder.decode(wire)
        clearing = clear_model(bids, model, terms, prices)
        swinging.judged(answers[-1].linear_error_pu)
        if not answers[-1].unwatched and swinging.gains_nothing(net_kw, clearing, model, terms.grid):
            break
        net_kw, price = clearing.net_kw, clearing.price
        prices, relaxed = clearing.limit_prices, clearing.relaxed
        largest = max(largest, len(wire))
        rows, binding = len(clearing.row_dual), int(np.count_nonzero(clearing.row_dual))
    return {
        "interval [s]": time.process_time() - began_cpu,
        "interval by the clock [s]": time.perf_counter() - began,
        "rounds": f"{len(answers)}, {sum(answer.source_kw is not None for answer in answers)} with AC",
        "rows, binding": f"{rows:,}, {binding}",
        "model [MB]": largest / 2**20,
        "confirmed": answers[-1].confirmed,
        "relaxed": len(relaxed),
        "net_kw": net_kw,
        "price": price,
    }


def otherwise(rng: np.random.Generator, case: Case, part: float) -> Case:
    """The same households an interval later: what each draws and can do has changed by about such a part."""
    demand_kw = case.demand_kw * (1.0 + part * rng.standard_normal(len(case.demand_kw)))
    own, change = case.resources, 1.0 + part * rng.standard_normal(len(case.resources.owner))
    resources = replace(own, min_kw=own.min_kw * change, max_kw=own.max_kw * change)
    return replace(case, demand_kw=demand_kw, resources=resources)


def least_s(work: Callable[[], object], repeat: int) -> float:
    """Least time of the processor that something takes [s]."""
    times = []
    for _ in range(repeat):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)
