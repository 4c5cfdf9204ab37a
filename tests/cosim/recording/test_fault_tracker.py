"""The account of injected faults: noticed by whom, and which energy was wrong, early or silent."""

from dataclasses import dataclass

import numpy as np
import pytest

from broker.messages import Acknowledgement, DeviceState, Telemetry, TruthBatch, columns
from cosim.recording.fault_tracker import FaultTracker, notices_of
from cosim.recording.interval_messages import IntervalMessages
from cosim.results.run_figures import FaultKind
from devices.faults.fault import Fault

NAMES = ("a", "b", "c")


def interval_messages(**changes):
    """Messages of an interval, of which faults are judged by few."""
    nothing = {"outcome": None, "lam_outcomes": {}, "metered": {}, "metered_live": {}, "state": None}
    return IntervalMessages(tick=0, **(nothing | changes))


@dataclass
class Metered:
    """The part of an interval that faults are judged by."""

    metered_kwh: np.ndarray


def head(tick=0):
    return {"run": "r", "tick": tick, "sender": "g", "seq": 0}


def telemetry(quality="good", checks=(), devices=()):
    return Telemetry(
        **head(),
        phase="meter",
        p_kw=1.0,
        q_kvar=0.0,
        v_pu=1.0,
        import_kwh=1.0,
        export_kwh=0.0,
        quality=quality,
        checks=list(checks),
        devices=list(devices),
    )


def truth(*kwh):
    return TruthBatch(
        **head(), prosumer=columns.pack_index(np.arange(3)), energy_kwh=columns.pack(np.array(kwh))
    )


def fault(prosumer, first, last, kind="sign"):
    return Fault(kind=kind, prosumer=prosumer, device="meter", first=first, last=last)


def note(tracker, tick, metered, true=(1.0, 1.0, 1.0), **messages):
    tracker.note(tick, interval_messages(truth=truth(*true), **messages), Metered(np.array(metered)))


def test_everything_that_points_at_a_prosumer_counts():
    messages = interval_messages(
        measured={"a": telemetry(checks=["balance"]), "b": telemetry("held")},
        metered_live={
            "a": telemetry(checks=["counter", "balance"]),
            "c": telemetry(
                devices=[DeviceState(device="pv", p_kw=None, min_kw=None, max_kw=None, quality="missing")]
            ),
        },
        acknowledgements={
            "b": Acknowledgement(**head(), ok=False, detail="silent"),
            "c": Acknowledgement(**head(), ok=True),
        },
    )
    assert notices_of(messages) == {
        "a": ["balance", "counter"],
        "b": ["no answer", "acknowledgement"],
        "c": ["no answer"],
    }


def test_wrong_energy_is_early_until_noticed_and_making_good_is_not_wrong():
    tracker = FaultTracker([fault("a", 1, 3)], NAMES)
    note(tracker, 0, (1.0, 1.0, 1.0))
    note(tracker, 1, (1.5, 1.0, 1.0))
    note(tracker, 2, (1.25, 1.0, 1.0), metered_live={"a": telemetry(checks=["energy"])})
    note(tracker, 3, (0.25, 1.0, 1.0))
    (row,) = zip(*tracker.table().values(), strict=True)
    assert row == ("sign", "a", "meter", 1, 3, 0.0, 2, "energy", 0.75, 0.5, 0.0)
    summary = tracker.figures()
    assert (summary.noticed, summary.silent_kwh, summary.left_kwh) == (1, 0.0, 0.0)


def test_wrong_energy_that_nobody_notices_is_silent():
    tracker = FaultTracker([fault("a", 0, 1), fault("b", 0, 0, kind="slow")], NAMES)
    note(tracker, 0, (1.5, 1.0, 1.0))
    note(tracker, 1, (1.5, 1.0, 1.0))
    summary = tracker.figures()
    assert (summary.injected, summary.noticed) == (2, 0)
    assert summary.silent_kwh == summary.wrong_kwh == summary.left_kwh == pytest.approx(1.0)
    assert summary.by_kind["slow"] == FaultKind(injected=1, noticed=0, checks={})


def test_notices_without_a_fault_are_false_alarms_but_for_an_aftermath():
    tracker = FaultTracker([fault("a", 1, 1)], NAMES)
    doubted = {"metered_live": {"a": telemetry(checks=["energy"]), "b": telemetry(checks=["drift"])}}
    for tick in (0, 5, 6):
        note(tracker, tick, (1.0, 1.0, 1.0), **doubted)
    assert tracker.false_alarms == 5
    assert tracker.tracked[0].noticed_tick == 5


def test_energy_counts_for_the_latest_fault_of_a_prosumer():
    tracker = FaultTracker([fault("a", 0, 0), fault("a", 2, 2)], NAMES)
    note(tracker, 0, (1.5, 1.0, 1.0))
    note(tracker, 2, (2.0, 1.0, 1.0))
    assert [case.wrong_kwh for case in tracker.tracked] == [pytest.approx(0.5), pytest.approx(1.0)]
