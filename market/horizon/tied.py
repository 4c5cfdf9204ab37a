"""One store's plan at prices that a small slope holds to a centre, with nothing else behind the meter."""

from __future__ import annotations

from market.horizon.compiled import inlined
from market.horizon.power import in_order
from market.horizon.replies import INSIDE, PlanColumns, Room, StoreColumns, energy_path
from market.model.arrays import Floats


@inlined
def tied_plan(
    s: int, price: Floats, slope: float, hours: float, stores: StoreColumns, plans: PlanColumns, room: Room
) -> float:
    """As `market.horizon.replies.plan_of`, of a store that trades at sloping prices and has nothing else."""
    T, kept, start, worth, gain = price.size, 1.0, room.start, room.worth, room.gain
    charge_wear, discharge_wear = stores.charge_wear[s], stores.discharge_wear[s]
    for t in range(T):
        kept *= stores.retention[s]
        here = found = start[t]
        charge_kw, discharge_kw = stores.charge_kw[s, t], stores.discharge_kw[s, t]
        if discharge_kw > 0.0:
            out = stores.out[s, t]
            worth[found] = out * (price[t] - slope * discharge_kw - discharge_wear)
            worth[found + 1] = out * (price[t] - discharge_wear)
            gain[found], gain[found + 1] = -discharge_kw / out, 0.0
            found += 2
        first = found
        if charge_kw > 0.0:
            into = stores.into[s, t]
            worth[found] = (price[t] + charge_wear) / into
            worth[found + 1] = (price[t] + slope * charge_kw + charge_wear) / into
            gain[found], gain[found + 1] = 0.0, charge_kw * into
            found += 2
        start[t + 1] = here + in_order(stores.least[s, t], worth, gain, here, first, found)
        for i in range(here, start[t + 1]):
            worth[i] *= kept
            gain[i] *= hours / kept
    end = energy_path(s, stores, plans, room)
    for t in range(T):
        scale = room.scale[t]
        gained = room.gained[t] * scale / hours
        if gained >= 0.0:
            most, factor, sign = stores.charge_kw[s, t], stores.into[s, t], -1.0
        else:
            most, factor, sign = stores.discharge_kw[s, t], 1.0 / stores.out[s, t], 1.0
        moved = min(abs(gained) / factor, most)
        plans.power_kw[s, t] = sign * moved
        room.fall[t] = room.pull[t] = 0.0
        if INSIDE * most < moved < (1.0 - INSIDE) * most:
            room.fall[t], room.pull[t] = 1.0 / slope, factor / (slope * scale)
            room.rise[t] /= hours
        else:
            room.rise[t] = 0.0
    return end
