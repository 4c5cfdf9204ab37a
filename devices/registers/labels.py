"""Repeated blocks of SunSpec models, told apart by what a device calls them: ``160.module[StCha].DCW``.

A hybrid inverter shows its PV strings and its battery as inputs of one model. Their order is the maker's own;
their labels say what they are.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache

from devices.errors import DeviceRefused, MalformedReply
from devices.registers.chain import Chain
from devices.registers.models import model, model_ids
from devices.registers.points import decode, word_count

_LABELLED = re.compile(r"(\d+)\.(\w+)\[(!?)([^\]]+)\]\.(\w+)")
_LABEL = "IDStr"

Labels = tuple[tuple[str, str], ...]
"""Names of repetitions, as ``160.module.3``, and their labels."""


@lru_cache(maxsize=10_000)
def prototype(name: str) -> str:
    """Point of the first repetition where a name chooses by label; any other name as it is."""
    found = _LABELLED.fullmatch(name)
    return f"{found[1]}.{found[2]}.1.{found[5]}" if found else name


def matching(name: str, labels: Labels) -> tuple[str, ...] | None:
    """Points that a name chooses by label, as ``[StCha]``, or ``[!StCha]`` for all others.

    ``None`` for a name that chooses none by label.
    """
    found = _LABELLED.fullmatch(name)
    if found is None:
        return None
    model_id, block, others, text, point = found.groups()
    return tuple(
        f"{repetition}.{point}"
        for repetition, label in labels
        if repetition.startswith(f"{model_id}.{block}.")
        and (text.casefold() in label.casefold()) != bool(others)
    )


async def read_labels(
    names: Iterable[str], chain: Chain, read: Callable[[int, int], Awaitable[list[int]]]
) -> Labels:
    """Labels of the models of a chain that some names choose by label.

    Parameters
    ----------
    names
        Names of points.
    chain
        Models of the device.
    read
        Reads ``count`` holding registers from an address.
    """
    wanted = {int(found[1]) for name in names if (found := _LABELLED.fullmatch(name))}
    labels: list[tuple[str, str]] = []
    for model_id, span in chain:
        block = model(model_id).block if model_id in wanted & model_ids() else None
        if block is None or _LABEL not in block.points:
            continue
        for number in range(1, (span.length - model(model_id).length) // block.length + 1):
            name = f"{block.name}.{number}"
            point = model(model_id).point(f"{name}.{_LABEL}")
            try:
                words = await read(span.address + point.at, word_count(point))
            except (DeviceRefused, MalformedReply):
                continue
            labels.append((f"{model_id}.{name}", str(decode(point, words))))
    return tuple(labels)
