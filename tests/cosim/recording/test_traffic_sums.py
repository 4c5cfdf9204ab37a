"""Counts of services that are started anew while the run goes on."""

import pytest

from broker.messages import Done, Traffic
from cosim.recording.traffic_sums import TrafficSums


def told(sums, step, tick, traffic, epoch=0, sender="gateway"):
    sums.take(Done(run="r", tick=tick, sender=sender, seq=0, epoch=epoch, step=step, traffic=traffic))


@pytest.mark.parametrize("is_resumed", [True, False], ids=["in a new recorder", "in the same recorder"])
def test_what_processes_counted_before_they_ended_is_kept(is_resumed):
    sums = TrafficSums()
    told(sums, "measure", 0, Traffic(sent=10, modbus_reads=4, budgets_spent=1))
    told(sums, "settle", 0, Traffic(sent=30, modbus_reads=9, budgets_spent=1))
    if is_resumed:
        kept, sums = sums.snapshot(), TrafficSums()
        sums.restore(kept)
    assert sums.totals == [Traffic(sent=30, modbus_reads=9, budgets_spent=1)]
    told(sums, "measure", 1, Traffic(sent=2, modbus_reads=20), epoch=1)
    told(sums, "settle", 1, Traffic(sent=12, modbus_reads=25, budgets_spent=2), epoch=1)
    assert sums.totals == [Traffic(sent=42, modbus_reads=34, budgets_spent=2)]


def test_a_service_that_outlives_the_recorder_counts_on():
    before = TrafficSums()
    told(before, "settle", 0, Traffic(sent=30))
    sums = TrafficSums()
    sums.restore(before.snapshot())
    told(sums, "measure", 1, Traffic(sent=35), epoch=1)
    assert sums.totals == [Traffic(sent=35)]


def test_a_report_that_came_late_is_no_new_start():
    sums = TrafficSums()
    told(sums, "meter", 3, Traffic(sent=30))
    told(sums, "dispatch", 3, Traffic(sent=20))
    told(sums, "meter", 2, Traffic(sent=11))
    assert sums.totals == [Traffic(sent=30)]
