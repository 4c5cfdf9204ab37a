"""What came of a clearing over a horizon, and how it is told on the bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from broker.messages import HorizonProof, columns
from broker.messages.fields import StoreKind
from market.horizon.case import HorizonCase
from market.horizon.outcome import HorizonOutcome
from market.horizon.proof import HorizonCertificate, beyond_tolerance, certify_horizon
from market.horizon.stores import missing_kwh
from market.model.arrays import Floats, Ints

ROUNDED = 1e-12
"""What is told of a horizon counts as none below so many kW, kWh, $/kWh or $."""
MOST_BEYOND = 20
"""So many clauses of a certificate that does not hold are told."""


@dataclass(frozen=True)
class Cleared:
    """What came of a clearing over a horizon.

    Attributes
    ----------
    tick
        The interval with which it begins.
    kind
        What each store is, ``(S,)``.
    out
        Prosumers who have no horizon, ``(k,)``.
    notes
        What is not as it was asked for.
    """

    tick: int
    case: HorizonCase
    kind: tuple[StoreKind, ...]
    outcome: HorizonOutcome
    out: Ints
    notes: list[str]

    @property
    def worth(self) -> Floats:
        """What a kWh more is worth at the end of the first interval, ``(S,)``; infinite without a horizon."""
        return np.where(np.isin(self.case.stores.owner, self.out), np.inf, self.outcome.energy_value[:, 0])

    @property
    def power_kw(self) -> Floats:
        """Power of each store in the first interval, + discharges, ``(S,)`` [kW]."""
        return _from_zero(self.outcome.power_kw[:, 0])


def certified(cleared: Cleared) -> tuple[HorizonCertificate, list[str]]:
    """Certificate of a clearing, and what of it is beyond its tolerance."""
    certificate = certify_horizon(cleared.case, cleared.outcome.claim(cleared.case))
    return certificate, beyond_tolerance(certificate, cleared.case)


def outlook_fields(cleared: Cleared, proof: HorizonCertificate, beyond: list[str]) -> dict[str, Any]:
    """Fields of the outlook that tell a clearing, and what of its certificate is beyond the tolerance."""
    outcome = cleared.outcome
    wam = [one.wam for one in outcome.intervals]
    by_lam = {
        "loss": [each.parts.loss for each in wam],
        "voltage": [each.parts.voltage for each in wam],
        "congestion": [each.parts.congestion for each in wam],
        "price": [one.price for one in outcome.intervals],
        "net_kw": [each.net_kw for each in wam],
    }
    return {
        "ahead": len(wam),
        "energy_price": [each.energy_price for each in wam],
        "grid_kw": [each.grid_kw for each in wam],
        **{name: columns.pack(_from_zero(np.stack(values, axis=1))) for name, values in by_lam.items()},
        "store": columns.pack_index(cleared.case.stores.owner),
        "store_kind": list(cleared.kind),
        "state_kwh": columns.pack(_from_zero(outcome.state_kwh[:, 1])),
        "energy_value": columns.pack(_from_zero(outcome.energy_value[:, 0])),
        "store_gain": columns.pack(_from_zero(proof.store_gains.miss[cleared.case.stores.owner])),
        "stored_kwh": columns.column_list(outcome.state_kwh.sum(axis=0)),
        "shortfall_kwh": missing_kwh(outcome.shortfall_kwh),
        "notes": cleared.notes,
        "iterations": outcome.iterations,
        "seconds": outcome.seconds,
        "proof": _figures(proof),
        "beyond": beyond[:MOST_BEYOND],
    }


def empty_outlook_fields(note: str) -> dict[str, Any]:
    """Fields of the outlook where there is none."""
    by_lam = ("price", "loss", "voltage", "congestion", "net_kw")
    by_store = ("store", "state_kwh", "energy_value", "store_gain")
    nothing: dict[str, Any] = dict.fromkeys(by_lam + by_store, b"")
    zero = dict.fromkeys(("ahead", "iterations"), 0) | {"shortfall_kwh": 0.0, "seconds": 0.0}
    lists: dict[str, Any] = {
        "energy_price": [],
        "grid_kw": [],
        "stored_kwh": [],
        "store_kind": [],
        "beyond": [],
    }
    return {**nothing, **zero, **lists, "proof": None, "notes": [note]}


def _figures(proof: HorizonCertificate) -> HorizonProof:
    figures = {
        "energy_kwh": proof.energy.largest,
        "value_error": proof.values.largest,
        "store_gain": proof.store_gain,
        "duality_gap": proof.duality_gap,
    }
    return HorizonProof(**{name: float(_from_zero(np.array(value))) for name, value in figures.items()})


def _from_zero(values: Floats) -> Floats:
    """Values of which those are zero that differ from it by no more than sums of as many lose."""
    return np.where(np.abs(values) <= ROUNDED, 0.0, values)
