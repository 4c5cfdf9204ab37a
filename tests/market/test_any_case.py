"""Whatever the case format can say ends certified, infeasible for a true reason, or not converged."""

import time
from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from market.files.case_file import decode_case
from market.files.result_file import solve_case
from tests.market.documents import documents

optimize = pytest.importorskip("scipy.optimize")

SECONDS = 2.0
"""Longest that a case this small may take, benchmarks and certificate included."""

RESOLUTION = 1e-8
"""Part of all power below which the linear program of the check cannot tell."""

DETERMINISTIC = settings(derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])


def limits_of(case):
    """Head and rows in kW of their most sensitive LAM: sensitivities, base, lower, upper, scale."""
    A, base = [case.balance], [case.offset_kw]
    lower, upper, scale = [-case.grid.export_limit_kw], [case.grid.import_limit_kw], [1.0]
    if case.network is not None:
        own = case.network
        for row, value, low, high in zip(own.matrix, own.base, own.lower, own.upper, strict=True):
            size = np.abs(row).max()
            if size < 1e-100:
                size = max(abs(value), min(abs(low), abs(high)))
            size = size if size > 1e-100 else 1.0
            A.append(row / size)
            base.append(value / size)
            lower.append(low / size)
            upper.append(high / size)
            scale.append(size)
    return [np.array(column) for column in (A, base, lower, upper, scale)]


def least_violation(case):
    """Least total violation of all limits [kW], and the size of all power, by an independent solver."""
    n, lams, resources = len(case.prosumer_id), len(case.lam_id), case.resources
    most, least = (
        np.bincount(resources.owner, each, minlength=n) for each in (resources.max_kw, resources.min_kw)
    )
    low, high = case.net_kw(case.demand_kw - most), case.net_kw(case.demand_kw - least)
    A, base, lower, upper, _ = limits_of(case)
    size = np.abs(A).max(axis=0) @ np.maximum(np.abs(low), np.abs(high)) + np.abs(base).max()
    size = max(float(size), 1e-100)
    # Variables are where each LAM is in its range, and how far each limit is missed, all near one.
    m, start = base.size, base + A @ low
    inside, beyond = A * (high - low) / size, np.eye(m)
    if not inside.any():
        # Nobody can move anything, which is no program at all.
        return float(np.maximum(np.maximum(start - upper, lower - start), 0.0).sum()), size
    found = optimize.linprog(
        np.concatenate([np.zeros(lams), np.ones(2 * m)]),
        A_ub=np.block([[inside, -beyond, 0.0 * beyond], [-inside, 0.0 * beyond, -beyond]]),
        b_ub=np.concatenate([upper - start, start - lower]) / size,
        bounds=[(0.0, 1.0)] * lams + [(0.0, None)] * (2 * m),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return found.fun * size, size


def claimed_kw(case, reason):
    """By how much a refusal says that its limit is missed [kW]."""
    what, _, rest = reason.partition(" cannot be met: ")
    amount = float(rest.split()[0])
    if what.startswith("network row "):
        amount /= limits_of(case)[-1][1 + case.network.name.index(what.split()[2])]
    return amount


def ended(document):
    """How a document ends, after every check that this ending must pass."""
    case = decode_case(msgspec.json.encode(document))
    began = time.process_time()
    result = solve_case(case)
    assert time.process_time() - began < SECONDS
    if result.status == "infeasible":
        missing, size = least_violation(case)
        claim = claimed_kw(case, result.reason)
        assert 0.0 < claim <= missing * (1.0 + 1e-3) + RESOLUTION * size, result.reason
    if result.status == "optimal":
        missing, size = least_violation(case)
        assert missing <= 1e-5 + RESOLUTION * size
        proof, figures = result.certificate, msgspec.json.encode(result)
        assert proof.balance_kw <= 1e-6
        # An encoder writes null for what is not a number; only indicators may be without a value.
        assert figures.count(b"null") == sum(
            value is None for value in [*msgspec.to_builtins(result.kpis).values(), result.optimum_cost]
        )
    return result.status


def tally(strategy, examples):
    """How many of a strategy's documents end in which way."""
    found = Counter()

    @settings(DETERMINISTIC, max_examples=examples)
    @given(strategy)
    def draw(document):
        found[ended(document)] += 1

    draw()
    return found


def test_a_case_of_ordinary_size_is_certified_or_infeasible():
    """Powers from a mW to a MW beside each other, and sensitivities over eight decades."""
    found = tally(documents(powers=(-1, 3), prices=(-2, 1), spread=5), 300)
    assert found["not_converged"] == 0
    assert found["infeasible"] > 30
    assert found["optimal"] > 150


def test_a_case_of_any_size_ends():
    """Everything in the format's range, where sums may lose more to rounding than a tolerance allows."""
    found = tally(documents(powers=(-7, 9), prices=(-6, 6), spread=9), 300)
    # Hypothesis varies a case that it has drawn, so what does not converge comes several at a time.
    assert found["not_converged"] <= 15
    assert found["infeasible"] > 30
    assert found["optimal"] > 150
