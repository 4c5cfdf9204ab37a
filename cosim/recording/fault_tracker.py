"""What became of injected faults: who noticed them, by which check, and what energy they made wrong.

Emulated devices tell for the record what really flowed. Energy is wrong where a prosumer was settled off
that. It was settled *silently* where nothing ever pointed at the fault, and *early* where that came later.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from broker.messages import Telemetry, TruthBatch, columns
from cosim.recording.interval_messages import IntervalMessages
from cosim.recording.settle import Interval
from devices.faults.fault import Fault

# Counters and power are rounded in registers; less than this is no wrong energy [kWh].
TOLERANCE_KWH = 0.01
# What a fault leaves behind may still be noticed for a while.
_AFTERMATH_TICKS = 4


@dataclass
class _Case:
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
        self.cases = [_Case(fault) for fault in faults]
        self.false_alarms = 0
        self._prosumers = prosumers
        self._by_prosumer: dict[str, list[_Case]] = defaultdict(list)
        self._off_kwh: dict[str, float] = defaultdict(float)
        for case in sorted(self.cases, key=lambda case: case.fault.first):
            self._by_prosumer[case.fault.prosumer].append(case)

    def note(
        self, tick: int, messages: IntervalMessages, interval: Interval, truth: TruthBatch | None
    ) -> None:
        """Take one interval in."""
        notices = notices_of(messages)
        for prosumer, checks in notices.items():
            self._take_notice(tick, prosumer, checks)
        if truth is None:
            return
        members = columns.unpack_index(truth.prosumer)
        true_kwh = columns.unpack(truth.energy_kwh, members.size)
        self._take_energy(tick, members, interval.metered_kwh[members] - true_kwh)

    def _take_notice(self, tick: int, prosumer: str, checks: Sequence[str]) -> None:
        struck = [
            case
            for case in self._by_prosumer.get(prosumer, ())
            if case.fault.first <= tick <= case.fault.last + _AFTERMATH_TICKS
        ]
        if not struck:
            self.false_alarms += 1
            return
        case = struck[-1]
        case.checks |= dict.fromkeys(checks)
        if case.noticed_tick is None:
            case.noticed_tick = tick

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
            "kind": [case.fault.kind for case in self.cases],
            "prosumer": [case.fault.prosumer for case in self.cases],
            "device": [case.fault.device for case in self.cases],
            "first": [case.fault.first for case in self.cases],
            "last": [case.fault.last for case in self.cases],
            "size": [case.fault.size for case in self.cases],
            "noticed": [case.noticed_tick for case in self.cases],
            "checks": [", ".join(case.checks) for case in self.cases],
            "wrong_kwh": [case.wrong_kwh for case in self.cases],
            "early_kwh": [case.early_kwh for case in self.cases],
            "silent_kwh": [case.silent_kwh for case in self.cases],
        }

    def summary(self) -> dict[str, Any]:
        """Figures of the run: what was injected, noticed, by which checks, and what energy was wrong."""
        kinds: dict[str, dict[str, Any]] = {}
        for case in self.cases:
            row = kinds.setdefault(case.fault.kind, {"injected": 0, "noticed": 0, "checks": Counter()})
            row["injected"] += 1
            row["noticed"] += case.noticed_tick is not None
            row["checks"].update(case.checks.keys())
        return {
            "injected": len(self.cases),
            "noticed": sum(case.noticed_tick is not None for case in self.cases),
            "by_kind": {kind: row | {"checks": dict(row["checks"])} for kind, row in sorted(kinds.items())},
            "false_alarms": self.false_alarms,
            "wrong_kwh": sum(case.wrong_kwh for case in self.cases),
            "early_kwh": sum(case.early_kwh for case in self.cases),
            "silent_kwh": sum(case.silent_kwh for case in self.cases),
            "left_kwh": sum(abs(self._off_kwh[name]) for name in self._by_prosumer),
        }


def notices_of(messages: IntervalMessages) -> dict[str, list[str]]:
    """What an interval's messages say against each live prosumer's devices, by prosumer."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for readings in (messages.measured, messages.metered_live):
        for name, reading in readings.items():
            found[name] |= dict.fromkeys([*reading.checks, *_no_answer(reading)])
    for name, told in messages.acknowledgements.items():
        if not told.ok:
            found[name]["acknowledgement"] = None
    return {name: list(checks) for name, checks in found.items() if checks}


def _no_answer(reading: Telemetry) -> list[str]:
    qualities = [reading.quality, *(state.quality for state in reading.devices)]
    return ["no answer"] if {"held", "missing"} & set(qualities) else []
