"""What of a run no table holds, from the services that know it: at its beginning, and at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from cosim.control.pacing import Lag, Pacing
from cosim.recording.run_counts import RunCounts
from cosim.results.beginning import Beginning
from cosim.results.ledger import Ledger
from cosim.results.provenance import provenance
from cosim.results.summarising import RunRecord
from cosim.results.unfinished import lag_of
from cosim.world.world import World

if TYPE_CHECKING:
    import pandas as pd


def beginning_of(
    world: World, *, run_id: str, broker: str, pacing: Pacing, scenario_file: str = ""
) -> Beginning:
    """What is known of a run before its first interval.

    Parameters
    ----------
    world
        The run's world.
    run_id, broker
        Names of the run and of the broker that carries its messages.
    pacing
        How it follows wall time.
    scenario_file
        Path of the scenario that it was started from.
    """
    live = world.population.live
    devices = (world.population.pv_kwp[live] > 0).sum() + world.population.has_battery[live].sum()
    return Beginning(
        run_id=run_id,
        feeder=world.layout.name,
        prosumers=world.population.size,
        lams=len(world.roster.lams),
        live_devices=int(devices),
        planned=world.timeline.intervals,
        interval_h=world.timeline.interval_h,
        bidding=world.rules.bidding,
        voltage_limits_pu=(
            float(np.min(world.limits.voltage_min_pu)),
            float(np.max(world.limits.voltage_max_pu)),
        ),
        nodes=len(world.layout.nodes),
        origin=provenance(
            seed=world.scenario.run.seed, broker=broker, world=world.digest, inputs=world.inputs
        ),
        pace=pacing.factor,
        scenario_file=scenario_file,
    )


def record_of(
    beginning: Beginning,
    counts: RunCounts,
    ledger: Ledger,
    intervals: pd.DataFrame,
    *,
    first: int,
    lag: Lag,
    total_s: float,
) -> RunRecord:
    """What a run's tables do not hold once it is over.

    Parameters
    ----------
    beginning, counts, ledger
        How the run began, what its recorder counted, and where payments went.
    intervals
        Table of all its intervals.
    first
        The first of them that this process ran; before that others did.
    lag
        How far the clock of this process fell behind.
    total_s
        Wall time of this process [s]; of those before the time of their intervals counts.
    """
    before = lag_of(earlier := intervals[intervals["tick"] < first], beginning)
    return RunRecord(
        **msgspec.structs.asdict(beginning),
        entries=ledger.entries(),
        sum_micro=ledger.sum_micro(),
        traffic=counts.traffic.totals,
        stops=counts.stops,
        written_s=counts.written_s,
        shown_s=counts.shown_s,
        total_s=total_s + float(earlier["interval_s"].sum()),
        lag=Lag(worst_s=max(lag.worst_s, before.worst_s), overruns=lag.overruns + before.overruns),
        faults=counts.faults,
    )
