"""What a run takes from a federation: names and units, and what may be believed of the values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from msgspec import structs

from broker.messages import BoundaryValues
from cosim.feeder.settings import LEAST_SOURCE_PU, MOST_SOURCE_PU
from market.model.case import Grid
from sharegrid.text import closest

SOURCE = "source_pu"
LOADS = {"load_kw": "kW", "load_kvar": "kVAR"}
PRICES = ("import_price", "export_price")
_MOST_KW, _MOST_PRICE = 1e6, 1e3


def keys(lams: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Key and unit of every input: ``source_pu``, prices, and ``load_kw/LAM`` and ``load_kvar/LAM``."""
    yield SOURCE, "pu"
    for name in PRICES:
        yield name, "$/kWh"
    for name, unit in LOADS.items():
        for lam in lams:
            yield f"{name}/{lam}", unit


def parse_takes(texts: Sequence[str], lams: Sequence[str]) -> dict[str, str]:
    """Publication by key of the input that takes it, from ``KEY=PUBLICATION``.

    Raises
    ------
    ValueError
        In one line: no ``=``, a key that is none, or twice the same.
    """
    known, found = [key for key, _ in keys(lams)], dict[str, str]()
    for text in texts:
        key, has_both, publication = (part.strip() for part in text.partition("="))
        if not has_both or not publication:
            raise ValueError(f"{text}: write KEY=PUBLICATION, such as {SOURCE}=transmission/v_pu")
        if key not in known:
            hint = (
                closest(key, known)
                or f"inputs are {SOURCE}, {', '.join(PRICES)}, load_kw/LAM and load_kvar/LAM"
            )
            raise ValueError(f"{text}: no input {key!r}; {hint}")
        if key in found:
            raise ValueError(f"{text}: {key} takes {found[key]} already; leave one of them out")
        found[key] = publication
    return found


class Inputs:
    """What others have told so far, and what of it was refused.

    Parameters
    ----------
    lams
        Names of the LAMs.
    """

    def __init__(self, lams: Sequence[str]) -> None:
        self._lams = lams
        self._values: dict[str, float] = {}

    def take(self, told: Mapping[str, float]) -> list[str]:
        """Take new values in; why some were refused, in words. What was told before then stands."""
        refused = []
        for key, value in told.items():
            if wrong := _wrong(key, value):
                refused.append(
                    f"{key} = {value:g} of the federation refused: {wrong}; the value before stands"
                )
            else:
                self._values[key] = value
        return refused

    def boundary(self, grid: Grid) -> tuple[BoundaryValues | None, list[str]]:
        """What stands outside by all that was told, ``None`` where nothing was; and what of it is refused.

        Prices with which the ``grid`` would pay more than it asks leave the scenario's in force.
        """
        if not self._values:
            return None, []
        kw, kvar = (self._loads(name) for name in LOADS)
        told = BoundaryValues(source_pu=self._values.get(SOURCE), load_kw=kw, load_kvar=kvar)
        bought, sold = (self._values.get(name) for name in PRICES)
        asks, pays = (
            getattr(grid, name) if price is None else price
            for name, price in zip(PRICES, (bought, sold), strict=True)
        )
        if pays > asks:
            wrong = f"prices of the federation refused: the grid would ask {asks:g} and pay {pays:g} $/kWh"
            return told, [f"{wrong}; the scenario's stand"]
        return structs.replace(told, import_price=bought, export_price=sold), []

    def _loads(self, name: str) -> list[float]:
        found = [self._values.get(f"{name}/{lam}", 0.0) for lam in self._lams]
        return found if any(found) else []


def _wrong(key: str, value: float) -> str:
    if not math.isfinite(value):
        return "it is no number"
    if key == SOURCE and not LEAST_SOURCE_PU < value < MOST_SOURCE_PU:
        return f"a source has {LEAST_SOURCE_PU:g} to {MOST_SOURCE_PU:g} pu"
    most = _MOST_PRICE if key in PRICES else _MOST_KW
    if key != SOURCE and abs(value) > most:
        return f"it is beyond {most:,.0f}"
    return ""
