"""A service whose computer shows another time than the run's clock says so."""

import asyncio
import time

import pytest

from broker.client.memory import MemoryBroker
from broker.messages import Step
from broker.participant.node import Node


@pytest.mark.parametrize(
    ("apart_s", "said"),
    [
        (-3600.0, "began 3600 s ago, so that gates close early"),
        (3600.0, "begins in 3600 s, so that gates close late"),
        (-5.0, ""),
    ],
)
async def test_clocks_that_are_far_apart_are_said_once_in_an_interval(apart_s, said):
    broker = MemoryBroker()
    async with broker.connect("clock") as there, broker.connect("gateway-0") as here:
        clock, service = Node(there, "r1", "clock"), Node(here, "r1", "gateway-0")
        await service.open()
        pump = asyncio.create_task(service.pump())
        for name in ("measure", "bid"):
            opened = time.time() + apart_s
            await clock.publish(
                clock.topics.step, Step, 0, step=name, opened=opened, deadline=opened + 1.0, interval_s=300.0
            )
        await asyncio.sleep(0.02)
        pump.cancel()
        flags = service.take_flags()
    assert len(flags) == bool(said)
    assert all(said in flag and "by NTP" in flag for flag in flags)
