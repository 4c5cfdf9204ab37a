"""The feeder's service on the bus, with the IEEE 123-node feeder behind it."""

import asyncio
import time
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from broker import messages
from broker.client.memory import MemoryBroker
from broker.messages import AheadRequest, FeederRequest, MeteredBatch, Step, Telemetry, columns
from broker.participant.node import Node
from broker.participant.serving import serve
from broker.snapshot import pack, unpack
from cosim.feeder.dispatch import OperatingRules
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.service import FeederService
from cosim.feeder.thread import FeederOwner
from market.participants.roster import Roster

LAMS = 85
HOST = "people"
# One prosumer without hardware in every LAM, and a live one in each of the first two.
LAM_OF = np.concatenate([np.arange(LAMS), [0, 1]])
LIVE = np.arange(LAM_OF.size) >= LAMS
DT_H = 0.25
PATIENCE_S = 20.0


class Bench:
    """A feeder's service, and the bus on which a story asks, meters and listens."""

    def __init__(self, owner, service, node, heard):
        self.owner, self.service, self.node, self.heard = owner, service, node, heard
        self.spot_kw = owner.layout.spot_kw
        self.spot_kvar = self.spot_kw * owner.layout.tan_phi
        self.topics = node.topics
        self.news = asyncio.Event()

    async def until(self, topic, count=1):
        """The ``count``-th message on a topic."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.heard[topic]) < count:
                self.news.clear()
                await self.news.wait()
        return self.heard[topic][count - 1]

    def powers(self, share):
        """Fields of a request about a share of the spot loads."""
        return {
            "net_kw": (share * self.spot_kw).tolist(),
            "reactive_kvar": (share * self.spot_kvar).tolist(),
            "low_kw": (-self.spot_kw).tolist(),
            "high_kw": (2.0 * self.spot_kw).tolist(),
        }

    async def ask(self, share, *, round_, tick=0):
        """The reply to a dispatch at a share of the spot loads."""
        count = len(self.heard[self.topics.feeder_reply]) + 1
        await self.node.publish(
            self.topics.feeder_request,
            FeederRequest,
            tick,
            round=round_,
            **self.powers(share),
        )
        return await self.until(self.topics.feeder_reply, count)

    async def look_ahead(self, share, *, place, tick=0):
        """The model for intervals to come at a share of the spot loads."""
        count = len(self.heard[self.topics.ahead_reply]) + 1
        await self.node.publish(
            self.topics.ahead_request,
            AheadRequest,
            tick,
            place=place,
            **self.powers(share),
        )
        return (await self.until(self.topics.ahead_reply, count)).model

    async def batch(self, share, *, tick=0, **changes):
        body = {
            "prosumer": columns.pack_index(np.arange(LAMS)),
            "energy_kwh": columns.pack(share * self.spot_kw * DT_H),
            "reactive_kvarh": columns.pack(share * self.spot_kvar * DT_H),
        }
        await self.node.publish(self.topics.metered(HOST), MeteredBatch, tick, **(body | changes))

    async def reading(self, name, interval_kwh, *, tick=0, **changes):
        await self.node.publish(
            self.topics.telemetry("meter", name),
            Telemetry,
            tick,
            **{
                "phase": "meter",
                "p_kw": 1.0,
                "q_kvar": 0.0,
                "v_pu": 1.0,
                "import_kwh": 1.0,
                "export_kwh": 0.0,
                "quality": "good",
                "interval_kwh": interval_kwh,
                "interval_kvarh": None,
            }
            | changes,
        )

    async def meter(self, *, tick=0, window_s=PATIENCE_S):
        """Open the meter step; the feeder's state and its report."""
        count = len(self.heard[self.topics.feeder_state]) + 1
        now = time.time()
        await self.node.publish(
            self.topics.step,
            Step,
            tick,
            step="meter",
            opened=now,
            deadline=now + window_s,
            interval_s=3600.0 * DT_H,
        )
        state = await self.until(self.topics.feeder_state, count)
        return state, await self.until(self.topics.done("feeder"), count)


@pytest.fixture
async def bench_of():
    """Makes benches, each on a feeder of its own."""
    broker, tasks, entered = MemoryBroker(), [], []

    async def make(*, regulators_act=False, **limits):
        owner = FeederOwner(Feeder)
        await owner.__aenter__()
        entered.append(owner)
        layout = owner.layout
        roster = Roster(
            prosumers=tuple(f"p{j}" for j in range(LAM_OF.size)),
            lams=layout.lams,
            lam=LAM_OF,
            live=LIVE,
            rating_kw=np.full(LAM_OF.size, 1e3),
            hosts={HOST: np.flatnonzero(~LIVE)},
            lam_hosts={"lams": np.arange(LAMS)},
        )
        bounds = Limits(0.9, 1.1, 10.0 * layout.rating_a)
        heard = defaultdict(list)
        wires = {name: broker.connect(name) for name in ("feeder", "story", "ears")}
        buses = {name: await wire.__aenter__() for name, wire in wires.items()}
        entered.extend(wires.values())
        node = Node(buses["feeder"], "r1", "feeder")
        rules = OperatingRules(
            limits=replace(bounds, **limits),
            interval_s=3600.0 * DT_H,
            limit_kvar=np.zeros(LAMS),
            controls_act=regulators_act,
        )
        service = FeederService(node, owner, roster, rules)

        async def listen():
            async for received in buses["ears"].messages():
                heard[received.topic].append(messages.decode(received.payload))
                bench.news.set()

        await buses["ears"].subscribe("#")
        tasks.append(asyncio.create_task(serve(node, service.on_step)))
        bench = Bench(owner, service, Node(buses["story"], "r1", HOST), heard)
        tasks.append(asyncio.create_task(listen()))
        await bench.until(node.topics.availability("feeder"))
        return bench

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for context in reversed(entered):
        await context.__aexit__(None, None, None)


async def test_a_dispatch_is_confirmed_in_the_second_round_after_the_first_linearisation(bench_of):
    bench = await bench_of()
    hold = await bench.ask(0.3, round_=0)
    assert (hold.solved, hold.confirmed, hold.linear_error_pu) == (True, False, None)
    assert len(hold.model.balance) == LAMS
    assert hold.source_kw > 0.3 * bench.spot_kw.sum()

    first = await bench.ask(1.0, round_=1)
    assert not first.confirmed
    assert first.linear_error_pu > 1e-4
    # What the second model says of its own point is what AC power flow says.
    net_kw = bench.spot_kw
    assert np.dot(first.model.balance, net_kw) + first.model.offset_kw == pytest.approx(first.source_kw)

    second = await bench.ask(1.0, round_=2)
    assert second.confirmed
    assert second.linear_error_pu < 1e-8
    assert second.model is None
    assert second.source_kw == first.source_kw


async def test_a_dispatch_is_judged_by_a_model_of_its_own_interval_alone(bench_of):
    bench = await bench_of()
    await bench.ask(0.5, round_=0, tick=0)
    reply = await bench.ask(0.5, round_=1, tick=1)
    assert reply.linear_error_pu is None
    assert not reply.confirmed
    assert (await bench.ask(0.5, round_=2, tick=1)).confirmed


async def test_a_broken_limit_is_named_and_weighed_and_never_confirmed(bench_of):
    bench = await bench_of(voltage_min_pu=1.0)
    await bench.ask(1.0, round_=0)
    reply = await bench.ask(1.0, round_=1)
    assert reply.linear_error_pu < 1e-8
    assert not reply.confirmed
    assert reply.severity > 1.0
    assert reply.violations
    assert all(text.startswith("voltage at ") for text in reply.violations)
    assert reply.model is not None
    assert set(reply.model.row_kind) == {"voltage"}
    milder = await bench.ask(0.8, round_=2)
    assert milder.severity < reply.severity


async def test_a_power_flow_without_solution_is_answered_and_flagged(bench_of):
    bench = await bench_of()
    await bench.ask(0.5, round_=0)
    reply = await bench.ask(6.0, round_=1)
    assert (reply.solved, reply.confirmed, reply.source_kw, reply.model) == (False, False, None, None)
    assert reply.violations
    again = await bench.ask(0.5, round_=2)
    assert again.solved
    for name in ("p85", "p86"):
        await bench.reading(name, 0.0)
    await bench.batch(0.5)
    _, done = await bench.meter()
    assert done.flags == [f"round 1: {reply.violations[0]}"]


@pytest.mark.parametrize("act", [False, True])
async def test_free_regulators_come_to_rest_once_and_hold_inside_a_clearing(bench_of, act):
    bench = await bench_of(regulators_act=act)
    start = await bench.owner.perform(Feeder.taps)
    await bench.ask(0.1, round_=0)
    rest = await bench.owner.perform(Feeder.taps)
    assert (rest != start) == act
    await bench.ask(1.0, round_=1)
    assert await bench.owner.perform(Feeder.taps) == rest


async def report_all(bench, share, live_kwh=(0.5, -0.25), *, tick=0):
    await bench.batch(share, tick=tick)
    for name, energy_kwh in zip(("p85", "p86"), live_kwh, strict=True):
        await bench.reading(name, energy_kwh, tick=tick)


async def test_reactive_energy_that_no_meter_counts_is_never_taken_for_none(bench_of):
    bench = await bench_of()
    batch_kvar = 0.2 * bench.spot_kvar[:2]

    async def solved_kvar(tick, *readings):
        await bench.batch(0.2, tick=tick)
        for name, reading in zip(("p85", "p86"), readings, strict=True):
            await bench.reading(name, 0.5, tick=tick, **reading)
        state, done = await bench.meter(tick=tick)
        return columns.unpack(state.lam_kvar, LAMS)[:2] - batch_kvar, done.flags

    # Counted in kvarh; not counted, but read as a power at the end of the interval.
    counted, powered, neither = {"interval_kvarh": 0.1}, {"q_kvar": 0.7}, {"q_kvar": None}
    kvar, flags = await solved_kvar(0, counted, powered)
    np.testing.assert_allclose(kvar, [0.1 / DT_H, 0.7], atol=1e-9)
    assert flags == []
    # Where neither is known, what was read last stands, and that is said once.
    kvar, flags = await solved_kvar(1, neither, powered)
    np.testing.assert_allclose(kvar, [0.1 / DT_H, 0.7], atol=1e-9)
    words = "is not known: the feeder takes what was read last, or none"
    assert flags == [f"reactive power of p85 {words}"]
    kvar, flags = await solved_kvar(2, neither, {"q_kvar": -0.3})
    np.testing.assert_allclose(kvar, [0.1 / DT_H, -0.3], atol=1e-9)
    assert flags == []
    # A service that goes on from a snapshot says no more than one that never stopped.
    values = unpack(pack(await bench.service.snapshot()))
    await bench.service.restore(values)
    kvar, flags = await solved_kvar(3, neither, neither)
    np.testing.assert_allclose(kvar, [0.1 / DT_H, -0.3], atol=1e-9)
    assert flags == [f"reactive power of p86 {words}"]


@pytest.mark.parametrize("act", [False, True])
async def test_what_was_metered_is_solved_and_published(bench_of, act):
    bench = await bench_of(regulators_act=act)
    await report_all(bench, 0.2)
    state, done = await bench.meter()
    net_kw = 0.2 * bench.spot_kw
    net_kw[:2] += np.array([0.5, -0.25]) / DT_H
    np.testing.assert_allclose(columns.unpack(state.lam_kw), net_kw, rtol=1e-12)
    np.testing.assert_allclose(columns.unpack(state.lam_kvar), 0.2 * bench.spot_kvar, rtol=1e-12)
    assert state.solved
    assert state.estimated == []
    assert state.source_kw - state.losses_kw == pytest.approx(net_kw.sum(), abs=1e-3)
    v_pu, lam_v_pu = columns.unpack(state.v_pu), columns.unpack(state.lam_v_pu)
    assert v_pu.size == len(bench.owner.layout.nodes)
    assert lam_v_pu[3] == v_pu[list(bench.owner.layout.lam_nodes[3])].mean()
    assert (state.tap_changes > 0) == act
    assert done.flags == []


async def test_what_is_not_metered_counts_as_in_the_last_interval_and_is_named(bench_of):
    bench = await bench_of()
    await report_all(bench, 0.4)
    first, _ = await bench.meter()
    await bench.batch(0.6, tick=1)
    await bench.reading("p85", None, tick=1)
    second, _ = await bench.meter(tick=1, window_s=0.1)
    assert second.estimated == ["p86", "p85"]
    wanted_kw = columns.unpack(first.lam_kw) + 0.2 * bench.spot_kw
    np.testing.assert_allclose(columns.unpack(second.lam_kw), wanted_kw, rtol=1e-12)
    await bench.reading("p85", 0.0, tick=2)
    await bench.reading("p86", 0.0, tick=2)
    third, _ = await bench.meter(tick=2, window_s=0.1)
    assert third.estimated == [HOST]
    np.testing.assert_allclose(columns.unpack(third.lam_kw), 0.6 * bench.spot_kw, rtol=1e-12)


@pytest.mark.parametrize(
    "bad",
    [
        {"prosumer": columns.pack_index(np.arange(LAMS) + 9)},
        {"energy_kwh": columns.pack(np.zeros(3))},
        {"reactive_kvarh": np.full(LAMS, np.nan).tobytes()},
    ],
    ids=["other prosumers", "too few values", "not a number"],
)
async def test_a_batch_that_cannot_be_used_is_refused_and_counts_as_silence(bench_of, bad):
    bench = await bench_of()
    await bench.batch(0.4, **bad)
    await bench.reading("p85", 0.0)
    await bench.reading("p86", 0.0)
    state, done = await bench.meter(window_s=0.1)
    assert state.estimated == [HOST]
    assert len(bench.heard[bench.topics.rejected("feeder")]) == 1
    assert "metered/people" in done.flags[0]
    assert bench.service.node.traffic().rejected == 1


async def test_a_metered_state_without_power_flow_is_flagged_and_said_to_be_unsolved(bench_of):
    bench = await bench_of()
    await report_all(bench, 6.0)
    state, done = await bench.meter()
    assert not state.solved
    assert (state.source_kw, state.losses_kw) == (None, None)
    assert state.v_pu == b""
    assert "no power flow of the metered state" in done.flags[0]
    np.testing.assert_allclose(columns.unpack(state.lam_kw)[2:], 6.0 * bench.spot_kw[2:], rtol=1e-12)


async def test_a_model_of_intervals_to_come_has_regulators_where_their_powers_bring_them(bench_of):
    bench = await bench_of(regulators_act=True, voltage_min_pu=0.95, voltage_max_pu=1.05)
    now = (await bench.ask(0.2, round_=0)).model
    stood = await bench.owner.perform(bench.service.operation.memory, 0)
    heavy = [await bench.look_ahead(1.2, place=place) for place in range(2)]
    assert heavy[0] == heavy[1]
    assert await bench.owner.perform(bench.service.operation.memory, 0) == stood, "as if not asked"

    later = (await bench.ask(0.2, round_=0, tick=1)).model
    assert columns.unpack(later.base) == pytest.approx(columns.unpack(now.base), abs=1e-9)

    await report_all(bench, 1.2, (0.0, 0.0), tick=1)
    state, _ = await bench.meter(tick=1)
    assert state.tap_changes > 0
    v_pu = dict(zip(bench.owner.layout.nodes, columns.unpack(state.v_pu), strict=True))

    def off(model):
        matrix = columns.unpack(model.matrix, len(model.name) * LAMS).reshape(-1, LAMS)
        told = columns.unpack(model.base, len(model.name)) + matrix @ (1.2 * bench.spot_kw)
        return max(abs(v_pu[name] - v) for name, v in zip(model.name, told, strict=True) if name in v_pu)

    assert off(heavy[0]) < 1e-4
    assert off(now) > 0.01


async def test_powers_without_power_flow_have_no_model(bench_of):
    bench = await bench_of()
    assert await bench.look_ahead(1e4, place=0) is None
