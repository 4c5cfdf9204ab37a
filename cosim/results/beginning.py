"""What is known of a run when it begins, kept in its directory for readers of one that has no end."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cosim.results.errors import translated
from cosim.results.names import BEGINNING
from cosim.results.run_figures import Provenance
from sharegrid.decoding import decode_json


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is before its first interval.

    Attributes
    ----------
    run_id, feeder
        Names.
    prosumers, lams, live_devices, planned
        Numbers of prosumers, LAMs, live devices, and intervals to run.
    interval_h
        Length of an interval [h].
    bidding
        Form of the bids.
    voltage_limits_pu
        Lowest lower and highest upper limit of any node [pu].
    nodes
        Number of nodes whose voltages count.
    origin
        What ``provenance`` gives.
    pace
        Simulated seconds per wall second; ``None`` where nothing paces the run.
    scenario_file
        Path of the scenario that it was started from; empty for the default one.
    """

    run_id: str
    feeder: str
    prosumers: int
    lams: int
    live_devices: int
    planned: int
    interval_h: float
    bidding: str
    voltage_limits_pu: tuple[float, float]
    nodes: int
    origin: Provenance
    pace: float | None = None
    scenario_file: str = ""


def read_beginning(directory: Path) -> Beginning | None:
    """Beginning of the run in a directory; ``None`` where an older sharegrid made it, which kept none."""
    path = directory / BEGINNING
    if not path.exists():
        return None
    with translated(path):
        return decode_json(path.read_bytes(), Beginning)


def write_beginning(beginning: Beginning) -> bytes:
    """JSON of a beginning, indented for people."""
    return msgspec.json.format(msgspec.json.encode(beginning), indent=2) + b"\n"
