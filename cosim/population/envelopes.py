"""Whether what hardware may be told has the size of that hardware: a mistaken unit is a factor of 1000."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cosim.population.live_stores import LiveStores
from cosim.population.members import Population
from cosim.population.placement import DevicePlacement, ExternalDevice

# Beyond its rating an envelope is doubtful from the first factor on, and not armed from the second on.
_FAR, _ABSURD = 2.0, 10.0
# Of chargers and loads whose rating nobody states: ten times what 32 A on three phases carry [kW].
_MOST_UNRATED_KW = 220.0
_MOST_WISH_KWH = 1000.0
# A ramp that crosses its envelope in less is none [s].
_LEAST_CROSSING_S = 0.1


@dataclass(frozen=True)
class EnvelopeDoubt:
    """What is likely not meant as it is written of a piece of hardware.

    ``line`` says it in words; ``forbids`` that the device must not be armed so.
    """

    line: str
    forbids: bool = False


def envelope_doubts(
    placement: DevicePlacement, people: Population, stores: LiveStores
) -> Iterator[EnvelopeDoubt]:
    """What is doubtful of each piece of hardware, beside what is known of its rating.

    Parameters
    ----------
    placement
        Where the hardware is, with its envelopes.
    people
        Owners, with the ratings of their PV and batteries.
    stores
        Their chargers and loads.
    """
    place = {name: k for k, name in enumerate(people.id)}
    for name, kinds in placement.external.items():
        for each in kinds.values():
            if each.is_real and each.kind != "meter":
                yield from _doubts(
                    each, f"{each.kind} of {name}", *_rating(each, place[name], people, stores)
                )


def _rating(each: ExternalDevice, k: int, people: Population, stores: LiveStores) -> tuple[float, str]:
    """Rating of a device [kW], 0 where nobody states it, and what states it."""
    if each.kind == "pv":
        return float(people.pv_kwp[k]), "pv_kwp"
    if each.kind == "battery":
        return float(people.battery_kw[k]), "battery_kw"
    if each.kind == "meter":
        return 0.0, ""
    return stores.rating_and_energy(each.kind, k)[0], "rating"


def _doubts(each: ExternalDevice, whose: str, rating_kw: float, states: str) -> Iterator[EnvelopeDoubt]:
    entry = each.entry
    largest = max(abs(entry.min_kw), abs(entry.max_kw), abs(entry.safe_kw))
    span = f"{whose}: its envelope, {each.envelope},"
    if rating_kw > 0.0 and largest > _FAR * rating_kw:
        yield EnvelopeDoubt(
            f"{span} is {largest / rating_kw:.3g} times its {states} of {rating_kw:,.4g} kW: "
            f"are these watts? Divide by 1000, or correct the {states}",
            entry.armed and largest > _ABSURD * rating_kw,
        )
    elif not rating_kw and largest > _MOST_UNRATED_KW:
        yield EnvelopeDoubt(
            f"{span} is beyond the {_MOST_UNRATED_KW:g} kW of any usual one: are these watts? Divide by 1000"
        )
    width = entry.max_kw - entry.min_kw
    if width and entry.ramp_kw_per_s * _LEAST_CROSSING_S > width:
        yield EnvelopeDoubt(
            f"{whose}: a ramp of {entry.ramp_kw_per_s:g} kW/s crosses its envelope in less than "
            f"{_LEAST_CROSSING_S:g} s: are these watts? Divide by 1000, or set it to 0 for any"
        )
    if entry.energy_kwh > _MOST_WISH_KWH:
        yield EnvelopeDoubt(
            f"{whose}: energy_kwh = {entry.energy_kwh:g} is more than any vehicle holds: are these Wh? "
            "Divide by 1000"
        )
