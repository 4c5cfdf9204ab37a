"""The feeder's own thread."""

import asyncio
import threading
import time

import numpy as np
import pytest

from cosim.feeder.circuit import FeederError, PowerFlowError
from cosim.feeder.opendss import Feeder
from cosim.feeder.thread import FeederOwner


def act(feeder, net_kw, net_kvar):
    """Let controls act for an hour."""
    return feeder.act(lambda: feeder.solve(net_kw, net_kvar), 3600.0)


async def test_answers_are_the_feeders_own():
    plain = Feeder()
    net_kw, net_kvar = 0.4 * plain.layout.spot_kw, np.zeros(85)
    async with FeederOwner(Feeder) as owner:
        assert owner.layout.lams == plain.layout.lams
        state = await owner.solve(net_kw, net_kvar)
        lin = await owner.perform(Feeder.linearise, net_kw, net_kvar)
        run = await owner.perform(act, -net_kw, net_kvar)
        taps = await owner.perform(Feeder.taps)
    assert state.v_pu.tolist() == plain.solve(net_kw, net_kvar).v_pu.tolist()
    np.testing.assert_allclose(lin.dv, plain.linearise(net_kw, net_kvar).dv, rtol=1e-9)
    assert run.actions == act(plain, -net_kw, net_kvar).actions
    assert taps == plain.taps()


class Sleeper:
    """Stands in for a feeder whose solution takes long, and notes who calls."""

    def __init__(self) -> None:
        self.made_in = threading.get_ident()

    def solve(self, net_kw, net_kvar):
        time.sleep(0.2)
        return self.made_in, threading.get_ident()

    def stop(self):
        """Nothing to stop."""


async def test_the_event_loop_is_never_blocked():
    ticks = 0
    async with FeederOwner(Sleeper) as owner:
        solving = asyncio.create_task(owner.solve(np.zeros(1), np.zeros(1)))
        while not solving.done():
            await asyncio.sleep(0.01)
            ticks += 1
        made_in, solved_in = await solving
    assert ticks > 5
    assert made_in == solved_in != threading.get_ident()


async def test_the_heart_beats_on_while_the_feeder_works():
    """A long piece of real work, and the longest pause that a task beside it suffers."""
    beats = [time.perf_counter()]

    async def heart() -> None:
        while True:
            await asyncio.sleep(0.001)
            beats.append(time.perf_counter())

    def work(feeder: Feeder, net_kw: np.ndarray, net_kvar: np.ndarray) -> None:
        for share in np.linspace(0.2, 1.0, 60):
            feeder.solve(share * net_kw, net_kvar)
            feeder.linearise(share * net_kw, net_kvar)

    async with FeederOwner(Feeder) as owner:
        spot_kw = owner.layout.spot_kw
        beating = asyncio.create_task(heart())
        began = time.perf_counter()
        await owner.perform(work, spot_kw, spot_kw * owner.layout.tan_phi)
        took_s = time.perf_counter() - began
        beating.cancel()
    pauses_s = np.diff([beat for beat in beats if beat >= began])
    # Done in the loop itself, the work would be one pause; how long they are is for the benchmark to say.
    assert len(pauses_s) > 10
    assert pauses_s.max() < took_s / 2


async def test_calls_at_once_are_answered_one_by_one():
    async with FeederOwner(Feeder) as owner:
        spot_kw = owner.layout.spot_kw
        shares = np.linspace(-0.5, 1.0, 8)
        states = await asyncio.gather(*(owner.solve(share * spot_kw, 0 * spot_kw) for share in shares))
    for share, state in zip(shares, states, strict=True):
        assert state.source_kw - state.losses_kw == pytest.approx(share * spot_kw.sum(), abs=1e-3)


async def test_errors_reach_the_caller_and_the_owner_goes_on():
    async with FeederOwner(Feeder) as owner:
        spot_kw = owner.layout.spot_kw
        with pytest.raises(PowerFlowError):
            await owner.solve(6 * spot_kw, 0 * spot_kw)
        state = await owner.solve(spot_kw, 0 * spot_kw)
    assert state.source_kw - state.losses_kw == pytest.approx(spot_kw.sum(), abs=1e-3)


async def test_a_feeder_that_cannot_be_built_is_refused_on_entry():
    with pytest.raises(FeederError, match="not found"):
        async with FeederOwner(lambda: Feeder("nowhere.dss")):
            pass


async def test_an_owner_that_leaves_does_not_wait_for_long_work():
    def work(feeder: Feeder) -> None:
        begun.set()
        feeder.differences(feeder.layout.spot_kw, 0 * feeder.layout.spot_kw)
        finished.append(True)

    begun, finished = threading.Event(), []
    async with FeederOwner(Feeder) as owner:
        working = asyncio.create_task(owner.perform(work))
        await asyncio.to_thread(begun.wait)
        working.cancel()
    assert not finished


async def test_use_outside_its_block_is_refused():
    owner = FeederOwner(Feeder)
    with pytest.raises(RuntimeError, match="outside its `async with` block"):
        await owner.solve(np.zeros(85), np.zeros(85))
