"""The case of a clearing over a horizon: today's case in each interval, and the stores that couple them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from market.analysis.sizes import member_kw
from market.errors import CaseError
from market.horizon.stores import Stores, place_of
from market.model.arrays import Bools, Floats
from market.model.case import Case


@dataclass(frozen=True)
class HorizonCase:
    """T intervals of one market with N prosumers in M LAMs, and S stores of theirs.

    Attributes
    ----------
    intervals
        Each interval's case without the stores: demand, resources, network and prices. Prosumers and LAMs are
        the same in all of them, in the same order.
    stores
        What couples the intervals.
    hours
        Length of an interval [h].
    """

    intervals: tuple[Case, ...]
    stores: Stores
    hours: float

    @property
    def first(self) -> Case:
        """The first interval's case, for what all have in common."""
        return self.intervals[0]

    @property
    def has_store(self) -> Bools:
        """Prosumers with a store, ``(N,)``."""
        has = np.zeros(self.first.demand_kw.size, dtype=bool)
        has[self.stores.owner] = True
        return has

    @cached_property
    def lam_kw(self) -> Floats:
        """Size of each LAM: demand, and what resources and stores can do, ``(M, T)`` [kW]."""
        power, lam_of = self.stores.charge_kw + self.stores.discharge_kw, self.first.lam_of[self.stores.owner]
        found = np.stack([one.net_kw(member_kw(one)) for one in self.intervals], axis=1)
        np.add.at(found, lam_of, power)
        return found

    def demand_kw(self) -> Floats:
        """Inflexible net demand, ``(N, T)`` [kW]."""
        return np.stack([case.demand_kw for case in self.intervals], axis=1)


def check(case: HorizonCase) -> None:
    """Refuse a case that contradicts itself.

    Energy that cannot be charged in time is no contradiction: `market.horizon.stores.within_reach` tells it.

    Raises
    ------
    CaseError
        Names the table, the store or interval, and the remedy.
    """
    first, stores, T = case.first, case.stores, len(case.intervals)
    if not case.hours > 0:
        raise CaseError(f"hours: {case.hours} is not positive; give the length of an interval")
    for t, other in enumerate(case.intervals[1:], 1):
        if other.prosumer_id != first.prosumer_id or other.lam_id != first.lam_id:
            raise CaseError(f"intervals[{t}]: other prosumers or LAMs than in the first; give the same ones")
        if (other.lam_of != first.lam_of).any():
            raise CaseError(f"intervals[{t}]: a prosumer changes its LAM; keep it within a horizon")
    if any(one.rule.has_utility for one in case.intervals):
        raise CaseError("rule: bids of quantities have no horizon; choose demand-function bidding")
    if stores.intervals != T:
        raise CaseError(f"stores: {stores.intervals} intervals where the case has {T}; give as many of both")
    _check_owners(case)
    for store, what in first_faults(stores).items():
        number, several = place_of(stores.owner, store)
        which = f"store {number}" if several else "store"
        raise CaseError(f"{which} of {first.prosumer_id[int(stores.owner[store])]}: {what}")


def first_faults(stores: Stores) -> dict[int, str]:
    """What is wrong with each faulty store, and the remedy, in words."""
    found: dict[int, str] = {}
    for what, wrong, remedy in _faults(stores):
        for place in np.argwhere(wrong):
            at = "" if place.size == 1 else f" at {int(place[1])}"
            found.setdefault(int(place[0]), f"{what}{at}; {remedy}")
    return found


def _check_owners(case: HorizonCase) -> None:
    owner = case.stores.owner
    if not owner.size:
        return
    if owner.min() < 0 or owner.max() >= case.first.demand_kw.size:
        raise CaseError("stores.owner: not a prosumer of the case; give its position")


def _faults(stores: Stores) -> list[tuple[str, Bools, str]]:
    """What may be wrong with stores: in words, where it is, and what to do."""
    columns = {key: value for key, value in vars(stores).items() if key != "owner"}
    no_number = "give a finite number"
    faults = [(f"{key} is not finite", ~np.isfinite(value), no_number) for key, value in columns.items()]
    both = (stores.charge_kw > 0) & (stores.discharge_kw > 0)
    gain = both & (stores.charge_efficiency * stores.discharge_efficiency > 1.0 + 1e-12)
    slack = 1e-9 * (1.0 + np.abs(stores.upper_kwh[:, 0]))
    below = stores.initial_kwh < stores.lower_kwh[:, 0] - slack
    above = stores.initial_kwh > stores.upper_kwh[:, 0] + slack
    return [
        *faults,
        ("charge_kw is negative", stores.charge_kw < 0, "give the most that it may charge"),
        ("discharge_kw is negative", stores.discharge_kw < 0, "give the most that it may discharge"),
        ("charge_efficiency is not positive", ~(stores.charge_efficiency > 0), "give a part above 0"),
        ("discharge_efficiency is not positive", ~(stores.discharge_efficiency > 0), "give a part above 0"),
        ("gains energy by charging and discharging", gain, "lower an efficiency"),
        (
            "retention is not within 0 and 1",
            ~((stores.retention > 0) & (stores.retention <= 1)),
            "give what is left",
        ),
        ("wear is negative", (stores.charge_wear < 0) | (stores.discharge_wear < 0), "give a cost"),
        ("lower_kwh is above upper_kwh", stores.lower_kwh > stores.upper_kwh, "swap or correct them"),
        ("initial_kwh is outside its bounds", below | above, "begin within lower_kwh and upper_kwh"),
    ]
