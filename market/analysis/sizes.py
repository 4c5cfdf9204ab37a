"""How large parties are, by which they are judged: from the case alone, whatever is claimed of it."""

from __future__ import annotations

import numpy as np

from market.analysis.measure import power_tolerance
from market.model.arrays import Floats
from market.model.case import Case


def member_kw(case: Case) -> Floats:
    """Size of each prosumer: its demand and what its resources can do, ``(n,)`` [kW]."""
    resources = case.resources
    reach = np.maximum(np.abs(resources.min_kw), np.abs(resources.max_kw))
    own = np.bincount(resources.owner, reach, minlength=case.demand_kw.size)
    return np.asarray(np.abs(case.demand_kw) + own)


def head_kw(case: Case, lam_kw: Floats) -> float:
    """Size of the power at the feeder head, of LAMs' sizes ``(M,)`` [kW]."""
    return abs(case.offset_kw) + float(np.abs(case.balance) @ lam_kw)


def head_slack_kw(case: Case, lam_kw: Floats) -> float:
    """Tolerance of powers of all LAMs together, and of rows, of LAMs' sizes ``(M,)`` [kW]."""
    return float(power_tolerance(np.array(head_kw(case, lam_kw) + lam_kw.sum())))
