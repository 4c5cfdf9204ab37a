"""What the map shows, as plain data; numbers keep their units, ``None`` is not known."""

from __future__ import annotations

import msgspec

Number = float | None
Numbers = list[Number]


class Panel(msgspec.Struct, kw_only=True):
    """Part of the view that changes as a whole."""


class MapLayout(Panel):
    """What of the map does not change: buses and segments, and of which bus and segment each value is.

    ``node_bus`` and ``branch_segment`` are -1 where the map has no such place.
    """

    bus: list[str]
    x: list[float]
    y: list[float]
    segments: list[tuple[int, int]]
    elements: list[str]
    source: int
    lam: list[str]
    lam_bus: list[int]
    members: list[int]
    nodes: list[str]
    node_bus: list[int]


class MapPanel(Panel):
    """The feeder as AC power flow has it: the worst voltage of each bus, the highest loading of each segment.

    ``side`` is -1 below, 1 above, 0 within its limits. ``positions`` tells where regulators, capacitors and
    switches stand.
    """

    tick: int = -1
    v_pu: Numbers = []
    side: list[int] = []
    node_v_pu: Numbers = []
    loading: Numbers = []
    positions: dict[str, str] = {}
    violations: list[str] = []
    unnamed: int = 0
    unserved: list[str] = []
    limits_pu: tuple[Number, Number] = (None, None)
    v_min_pu: Number = None
    v_max_pu: Number = None
    max_loading: Number = None
    losses_kw: Number = None
    source_kw: Number = None
