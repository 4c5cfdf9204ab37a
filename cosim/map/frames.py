"""The map of many intervals in few bytes: whole numbers, each as what it differs from the interval before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Series = dict[str, Any]


def differences(frames: Iterable[Sequence[float | None]], digits: int) -> Series:
    """Values by interval as differences, which compress to a fraction.

    Parameters
    ----------
    frames
        Values of each interval, in one order; an interval without any has an empty list.
    digits
        Decimal digits that are kept.

    Returns
    -------
    dict
        ``digits``, and ``steps`` by interval; what is missing stays missing and is skipped.
    """
    last: dict[int, int] = {}
    steps: list[list[int | None]] = []
    for values in frames:
        row: list[int | None] = []
        for at, value in enumerate(values):
            if value is None:
                row.append(None)
                continue
            whole = round(value * 10**digits)
            row.append(whole - last.get(at, 0))
            last[at] = whole
        steps.append(row)
    return {"digits": digits, "steps": steps}
