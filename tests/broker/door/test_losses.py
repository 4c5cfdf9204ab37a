"""A whole small run on a bus that loses, doubles and delays messages: what is missing is asked for again."""

import asyncio

import numpy as np
import pytest

from broker.client.memory import Delivery
from tests.broker.door.hostile_run import play


class Weather:
    """Loses, doubles or delays a share of all messages, by a seed."""

    def __init__(self, seed, share):
        self.rng = np.random.default_rng(seed)
        self.share = share
        self.broker = None
        self.counts = dict.fromkeys(("lost", "doubled", "delayed"), 0)
        self._is_late = False

    def __call__(self, received):
        if self._is_late or self.rng.random() >= self.share:
            return Delivery.DELIVER
        what = self.rng.choice(list(self.counts))
        self.counts[what] += 1
        if what == "doubled":
            return Delivery.DUPLICATE
        if what == "delayed":
            asyncio.get_running_loop().call_later(0.3, self._deliver, received)
        return Delivery.DROP

    def _deliver(self, received):
        self._is_late = True
        self.broker.publish(received.topic, received.payload)
        self._is_late = False


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("bidding", "share"), [("curve", 0.1), ("slope", 0.05)])
async def test_what_is_lost_is_repaired_and_no_bit_changes(tmp_path, bidding, share):
    clean = await play(tmp_path / "clean", bidding=bidding, intervals=4)
    weather = Weather(7, share)
    rough = await play(tmp_path / "rough", bidding=bidding, intervals=4, weather=weather)
    assert weather.counts["lost"] > 3
    assert rough.ticks == [0, 1, 2, 3]
    assert rough.entries == clean.entries
    assert rough.counted("repeated") > 0
