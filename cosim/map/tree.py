"""A drawing of a feeder whose buses have no coordinates: from its head to the right, branch below branch."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence


def tree_places(segments: Sequence[tuple[str, str]], source: str) -> dict[str, tuple[float, float]]:
    """Places of the buses that segments connect, in steps: how far from the source, and in which line.

    Parameters
    ----------
    segments
        Buses at both ends of each.
    source
        Bus of the feeder head; parts that it does not reach begin at a bus of their own.

    Returns
    -------
    dict
        Place by bus. The longest way goes straight on, others branch off below it.
    """
    beside: dict[str, list[str]] = defaultdict(list)
    for one, other in segments:
        beside[one].append(other)
        beside[other].append(one)
    places: dict[str, tuple[float, float]] = {}
    line = 0.0
    for root in dict.fromkeys([source, *beside]):
        if root in beside and root not in places:
            line = _place(root, beside, places, line)
    return places


def _place(
    root: str, beside: dict[str, list[str]], places: dict[str, tuple[float, float]], first: float
) -> float:
    """Place what one bus reaches, from a line on; the line behind it."""
    order, behind, distance = [root], defaultdict[str, list[str]](list), {root: 0}
    waiting = deque([root])
    while waiting:
        bus = waiting.popleft()
        for other in beside[bus]:
            if other not in distance:
                distance[other] = distance[bus] + 1
                behind[bus].append(other)
                order.append(other)
                waiting.append(other)
    reach = dict(distance)
    for bus in reversed(order):
        reach[bus] = max([distance[bus], *(reach[each] for each in behind[bus])])
    line, lines = first, {}
    for bus in _downwards(root, behind, reach):
        if not behind[bus]:
            lines[bus], line = line, line + 1.0
    for bus in reversed(order):
        if behind[bus]:
            lines[bus] = lines[sorted(behind[bus], key=reach.__getitem__)[-1]]
    places.update({bus: (float(distance[bus]), -lines[bus]) for bus in order})
    return line


def _downwards(root: str, behind: dict[str, list[str]], reach: dict[str, int]) -> list[str]:
    """Buses as one meets them going down each way to its end, the longest first."""
    found, waiting = [], [root]
    while waiting:
        bus = waiting.pop()
        found.append(bus)
        waiting += sorted(behind[bus], key=reach.__getitem__)
    return found
