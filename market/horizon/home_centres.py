"""What holds stores of one member to where they are, and how it moves: see `market.horizon.homes`."""

from __future__ import annotations

from market.horizon.compiled import compiled
from market.horizon.home_model import Homes
from market.horizon.homes import agree, begin_home, centre_rest, workspace_for
from market.horizon.replies import PlanColumns, PriceTerms, StoreColumns
from market.model.arrays import Ints

FIRMEST, LOOSEST = 0.1, 1e-4
"""Most and least slope that holds a power to its centre, as a part of the prices over all power of a home."""

EASIER = 0.1
"""What is left of it behind a home that settled in few steps; one that took many has it divided by this."""

FEW, MANY = 4, 10
"""Steps that are few and many."""


@compiled
def centre_homes(
    mine: Ints, homes: Homes, terms: PriceTerms, hours: float, stores: StoreColumns, plans: PlanColumns,
    least: float, until: float, rounds: int,
) -> float:  # fmt: skip
    """Move centres of some homes to their plans' powers, and again, until plans stay, at one path of prices.

    Each home has its own small slope, the less the fewer steps it takes: it then settles in some ten moves,
    where one slope for all waits for the worst.

    Parameters
    ----------
    mine, homes, terms, hours, stores, plans
        As `homes_reply` has them; plans are those that it made at these prices.
    least
        The least slope that is gone down to now, in terms of `FIRMEST`: over less than prices still move by,
        stores would jump between their limits with each step of theirs.
    until
        What centres may still change prices by [$/kWh].
    rounds
        How often a home's centres are moved at most.

    Returns
    -------
    float
        The most that the first move of a centre changes a price, zero where none moves [$/kWh].
    """
    T, most = terms.price.size, 0.0
    if mine.size == 0:
        return 0.0
    work = workspace_for(mine, homes, T)
    for h in mine:
        for k in range(rounds):
            moved = off_centre(h, homes, plans)
            if moved <= until:
                break
            if k == 0:
                most = max(most, moved)
            recentre(h, homes, plans)
            ease(h, homes, least)
            if k + 1 == rounds:
                break
            if k == 0:
                begin_home(h, homes, terms, stores, work)
            else:
                centre_rest(h, homes, work)
            agree(h, homes, terms, hours, stores, plans, work)
    return most


@compiled
def off_centre(h: int, homes: Homes, plans: PlanColumns) -> float:
    """The most that it changes a price to move a home's centres to its plans' powers [$/kWh]."""
    most = 0.0
    for k in range(homes.first[h], homes.first[h + 1]):
        s = homes.store[k]
        for t in range(homes.centre_kw.shape[1]):
            most = max(most, abs(plans.power_kw[s, t] - homes.centre_kw[s, t]))
    return float(homes.slope[h] * most)


@compiled
def recentre(h: int, homes: Homes, plans: PlanColumns) -> None:
    """Move a home's centres to its plans' powers."""
    for k in range(homes.first[h], homes.first[h + 1]):
        homes.centre_kw[homes.store[k]] = plans.power_kw[homes.store[k]]


@compiled
def ease(h: int, homes: Homes, least: float) -> None:
    """Hold a home that settled in few steps to its centres by less, one that did not by more."""
    slope, whole = homes.slope[h], homes.whole[h]
    if homes.effort[h] > MANY:
        homes.slope[h] = min(slope / EASIER, FIRMEST * whole)
    elif homes.effort[h] <= FEW:
        homes.slope[h] = max(EASIER * slope, min(slope, max(least, LOOSEST) * whole))
    homes.effort[h] = 0
