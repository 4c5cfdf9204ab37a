"""What became of injected faults: who noticed them, by which check, and what energy they made wrong.

Emulated devices publish for the record what really flowed. Energy is wrong where a prosumer was settled off
that. It was settled *silently* where nothing ever pointed at the fault, and *early* where that came later.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from broker.messages import Telemetry, columns
from broker.snapshot import Values, typed
from cosim.recording.interval import Interval
from cosim.recording.interval_messages import IntervalMessages
from cosim.results.run_figures import FaultFigures, FaultKind
from devices.faults.fault import Fault

# Counters and power are rounded in registers; less than this is no wrong energy [kWh].
TOLERANCE_KWH = 0.01
# What a fault leaves behind may still be noticed for a while.
_LATE_NOTICE_TICKS = 4


@dataclass
class _TrackedFault:
    """One fault and what became of it."""

    fault: Fault
    noticed_tick: int | None = None
    checks: dict[str, None] = field(default_factory=dict)
    wrong_kwh: float = 0.0
    early_kwh: float = 0.0

    @property
    def silent_kwh(self) -> float:
        """Wrong energy that nobody noticed to the end [kWh]."""
        return self.early_kwh if self.noticed_tick is None else 0.0


class FaultTracker:
    """Follows the faults of a run.

    Parameters
    ----------
    faults
        What was injected.
    prosumers
        Names of all prosumers, in order.
    """

    def __init__(self, faults: Sequence[Fault], prosumers: Sequence[str]) -> None:
        self.tracked = [_TrackedFault(fault) for fault in faults]
        self.false_alarms = 0
        self._prosumers = prosumers
        self._by_prosumer: dict[str, list[_TrackedFault]] = defaultdict(list)
        self._off_kwh: dict[str, float] = defaultdict(float)
        for each in sorted(self.tracked, key=lambda each: each.fault.first):
            self._by_prosumer[each.fault.prosumer].append(each)

    def snapshot(self) -> Values:
        """What became of each fault so far."""
        return {
            "tracked": [
                (each.noticed_tick, list(each.checks), each.wrong_kwh, each.early_kwh)
                for each in self.tracked
            ],
            "false_alarms": self.false_alarms,
            "off_kwh": dict(self._off_kwh),
        }

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is of other faults."""
        tracked = typed(values, "tracked", list[tuple[int | None, list[str], float, float]])
        if len(tracked) != len(self.tracked):
            raise ValueError("the snapshot is of other faults")
        for each, (noticed, checks, wrong_kwh, early_kwh) in zip(self.tracked, tracked, strict=True):
            each.noticed_tick, each.checks = noticed, dict.fromkeys(checks)
            each.wrong_kwh, each.early_kwh = wrong_kwh, early_kwh
        self.false_alarms = typed(values, "false_alarms", int)
        self._off_kwh = defaultdict(float, typed(values, "off_kwh", dict[str, float]))

    def note(self, tick: int, messages: IntervalMessages, interval: Interval) -> None:
        """Take one interval in."""
        notices = notices_of(messages)
        for prosumer, checks in notices.items():
            self._take_notice(tick, prosumer, checks)
        truth = messages.truth
        if truth is None:
            return
        members = columns.unpack_index(truth.prosumer)
        true_kwh = columns.unpack(truth.energy_kwh, members.size)
        self._take_energy(tick, members, interval.metered_kwh[members] - true_kwh)

    def _take_notice(self, tick: int, prosumer: str, checks: Sequence[str]) -> None:
        affected = [
            each
            for each in self._by_prosumer.get(prosumer, ())
            if each.fault.first <= tick <= each.fault.last + _LATE_NOTICE_TICKS
        ]
        if not affected:
            self.false_alarms += 1
            return
        each = affected[-1]
        each.checks |= dict.fromkeys(checks)
        if each.noticed_tick is None:
            each.noticed_tick = tick

    def _take_energy(
        self, tick: int, members: npt.NDArray[np.intp], off_kwh: npt.NDArray[np.float64]
    ) -> None:
        for member, off in zip(members, off_kwh.tolist(), strict=True):
            prosumer = self._prosumers[member]
            before = self._off_kwh[prosumer]
            self._off_kwh[prosumer] += off
            begun = [c for c in self._by_prosumer.get(prosumer, ()) if c.fault.first <= tick]
            # What makes good for earlier wrong energy is not wrong.
            if not begun or abs(off) <= TOLERANCE_KWH or abs(before + off) <= abs(before):
                continue
            begun[-1].wrong_kwh += abs(off)
            if begun[-1].noticed_tick is None:
                begun[-1].early_kwh += abs(off)

    def table(self) -> dict[str, list[Any]]:
        """One row per fault."""
        return {
            "kind": [each.fault.kind for each in self.tracked],
            "prosumer": [each.fault.prosumer for each in self.tracked],
            "device": [each.fault.device for each in self.tracked],
            "first": [each.fault.first for each in self.tracked],
            "last": [each.fault.last for each in self.tracked],
            "size": [each.fault.size for each in self.tracked],
            "noticed": [each.noticed_tick for each in self.tracked],
            "checks": [", ".join(each.checks) for each in self.tracked],
            "wrong_kwh": [each.wrong_kwh for each in self.tracked],
            "early_kwh": [each.early_kwh for each in self.tracked],
            "silent_kwh": [each.silent_kwh for each in self.tracked],
        }

    def figures(self) -> FaultFigures:
        """Figures of the run: what was injected, noticed, by which checks, and what energy was wrong."""
        by_kind: dict[str, list[_TrackedFault]] = defaultdict(list)
        for each in self.tracked:
            by_kind[each.fault.kind].append(each)
        return FaultFigures(
            injected=len(self.tracked),
            noticed=sum(each.noticed_tick is not None for each in self.tracked),
            by_kind={kind: _kind_figures(by_kind[kind]) for kind in sorted(by_kind)},
            false_alarms=self.false_alarms,
            wrong_kwh=sum(each.wrong_kwh for each in self.tracked),
            early_kwh=sum(each.early_kwh for each in self.tracked),
            silent_kwh=sum(each.silent_kwh for each in self.tracked),
            left_kwh=sum(abs(self._off_kwh[name]) for name in self._by_prosumer),
        )


def _kind_figures(tracked: Sequence[_TrackedFault]) -> FaultKind:
    return FaultKind(
        injected=len(tracked),
        noticed=sum(each.noticed_tick is not None for each in tracked),
        checks=dict(Counter(check for each in tracked for check in each.checks)),
    )


def notices_of(messages: IntervalMessages) -> dict[str, list[str]]:
    """What an interval's messages say against each live prosumer's devices, by prosumer."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for readings in (messages.measured, messages.metered_live):
        for name, reading in readings.items():
            found[name] |= dict.fromkeys([*reading.checks, *_no_answer(reading)])
    for name, answer in messages.acknowledgements.items():
        if not answer.ok:
            found[name]["acknowledgement"] = None
    return {name: list(checks) for name, checks in found.items() if checks}


def _no_answer(reading: Telemetry) -> list[str]:
    qualities = [reading.quality, *(state.quality for state in reading.devices)]
    return ["no answer"] if {"held", "missing"} & set(qualities) else []
