"""Stories of the device host and the gateway: real Modbus sockets, a bus in memory, a stepped clock."""

import asyncio
import time
from contextlib import asynccontextmanager

import msgspec
import numpy as np
import pytest

from broker import messages
from broker.client.memory import Delivery, MemoryBroker
from broker.messages import DeviceSetPoint, FeederState, SetPoint, Step, Stop, columns
from broker.participant.node import Node
from broker.participant.serving import serve
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.emulation.service import DeviceHostService
from devices.errors import NotRealTime
from devices.gateway.gateway import Gateway
from devices.gateway.plausibility import Plausibility
from devices.gateway.service import GatewayService
from devices.limits import SetPointLimits

PROSUMERS = [
    EmulatedProsumer(id="p0", pv_kw=6.0, import_kwh=9000.0),
    EmulatedProsumer(id="p1", battery_kw=4.0, battery_kwh=10.0),
]
REPORTERS = {
    "measure": {"gateway"},
    "dispatch": {"gateway"},
    "act": {"host"},
    "meter": {"gateway"},
    "settle": {"host"},
}


class SteadyDay:
    """Environment in which every interval is alike."""

    def substeps(self, tick):
        shape = (3, len(PROSUMERS))
        return np.full(shape, 1.0), np.full(shape, 0.3), np.full(shape, 4.0), 300.0

    def take_voltages(self, lam_v_pu):
        assert lam_v_pu.tolist() == [0.96, 1.0, 1.03]

    def snapshot(self):
        return {}

    def restore(self, values):
        assert not values


class Conductor:
    """Clock, market and feeder of a story; remembers all it hears."""

    def __init__(self, node):
        self.node = node
        self.heard = []
        self.reported = asyncio.Condition()
        topics = node.topics
        for topic in (topics.telemetry("+", "+"), topics.acknowledgement("+"), topics.stopped("+")):
            node.on(topic, self.heard.append)
        self.stopped = asyncio.Event()
        node.on(topics.stopped("+"), lambda _: self.stopped.set())
        node.on(topics.done("+"), self._note_done)
        self.done = []

    async def _note_done(self, message):
        async with self.reported:
            self.done.append(message)
            self.reported.notify_all()

    async def step(self, name, tick, timeout_s=5.0, pace=None):
        now = time.time()
        await self.node.publish(
            self.node.topics.step,
            Step,
            tick,
            step=name,
            opened=now,
            deadline=now + timeout_s,
            interval_s=900.0,
            pace=pace,
        )
        waiting = {(name, tick, sender) for sender in REPORTERS[name]}
        async with asyncio.timeout(timeout_s + 5.0), self.reported:
            await self.reported.wait_for(
                lambda: waiting <= {(done.step, done.tick, done.sender) for done in self.done}
            )

    async def ask(self, name, tick, *devices):
        await self.node.publish(
            self.node.topics.set_point(name), SetPoint, tick, valid_s=1800.0, devices=list(devices)
        )

    async def stop(self, reason):
        await self.node.publish(self.node.topics.stop("clock"), Stop, self.node.tick, reason=reason)
        async with asyncio.timeout(5.0):
            await self.stopped.wait()
        return self.latest("Stopped")[-1]

    async def tell_voltages(self, tick, v_pu, solved=True):
        empty = columns.pack([])
        await self.node.publish(
            self.node.topics.feeder_state,
            FeederState,
            tick,
            solved=solved,
            v_pu=empty,
            loading=empty,
            lam_kw=columns.pack(np.zeros(len(v_pu))),
            lam_kvar=columns.pack(np.zeros(len(v_pu))),
            lam_v_pu=columns.pack(v_pu),
            source_kw=None,
            source_kvar=None,
            losses_kw=None,
            tap_changes=0,
            violations=[],
            estimated=[],
        )

    def flags(self):
        return [flag for done in self.done for flag in done.flags]

    def latest(self, kind, **match):
        found = [m for m in self.heard if type(m).__name__ == kind]
        return [m for m in found if all(getattr(m, key) == value for key, value in match.items())]

    def telemetry(self, phase, tick):
        """Telemetry of a phase in the order of the prosumers."""
        return self.latest("Telemetry", phase=phase, tick=tick)


@asynccontextmanager
async def stage(broker=None, limits=None, bundle_from=0, **options):
    broker = broker or MemoryBroker()
    fleet = Fleet(PROSUMERS)
    async with (
        fleet.serving() as live,
        broker.connect("clock") as clock,
        broker.connect("host") as host,
        broker.connect("gateway") as gate,
    ):
        limits = {} if limits is None else {"pv_limits": limits, "battery_limits": limits}
        gateway = Gateway([msgspec.structs.replace(each, **limits) for each in live.values()])
        host_node, gate_node = Node(host, "r", "host"), Node(gate, "r", "gateway", bundle_from=bundle_from)
        device_host = DeviceHostService(host_node, fleet, SteadyDay(), (2, 0))
        services = [
            asyncio.create_task(serve(host_node, device_host.on_step, device_host)),
            asyncio.create_task(GatewayService(gate_node, gateway, **options).run()),
        ]
        node = Node(clock, "r", "clock")
        conductor = Conductor(node)
        await node.open()
        pump = asyncio.create_task(node.pump())
        await asyncio.sleep(0.05)
        try:
            yield conductor, fleet
        finally:
            await node.publish(
                node.topics.step, Step, node.tick + 1, step="end", opened=0.0, deadline=0.0, interval_s=900.0
            )
            async with asyncio.timeout(5.0):
                await asyncio.gather(*services)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            await gateway.close()


async def interval(conductor, tick, *, set_points=True):
    await conductor.step("measure", tick)
    if set_points:
        await conductor.ask("p0", tick, DeviceSetPoint(device="pv", power_kw=1.5))
        await conductor.ask("p1", tick, DeviceSetPoint(device="battery", power_kw=-2.0))
    await conductor.step("dispatch", tick, timeout_s=5.0 if set_points else 0.2)
    await conductor.step("act", tick)
    await conductor.step("meter", tick)
    await conductor.tell_voltages(tick, [0.96, 1.0, 1.03])
    await conductor.step("settle", tick)


async def test_very_many_acknowledgements_go_together():
    async with stage(bundle_from=2) as (conductor, _):
        await interval(conductor, 0)
        acks = conductor.latest("Acknowledgement", tick=0)
        assert [ack.ok for ack in acks] == [True, True]


async def test_two_intervals_from_measurement_to_energy():
    async with stage() as (conductor, fleet):
        await interval(conductor, 0)
        energy_kwh = fleet.mean_kw * 0.25
        first, second = conductor.telemetry("measure", 0)
        assert (first.p_kw, second.p_kw) == (-3.0, 1.0)
        assert first.interval_kwh is None
        assert [state.device for state in second.devices] == ["battery"]
        metered = conductor.telemetry("meter", 0)
        assert [m.interval_kwh for m in metered] == pytest.approx(energy_kwh.tolist(), abs=2e-3)
        assert [m.interval_kvarh for m in metered] == pytest.approx([0.075, 0.075], abs=1e-6)
        assert fleet.p_kw == pytest.approx([-0.5, 3.0])
        await interval(conductor, 1)
        assert [m.v_pu for m in conductor.telemetry("measure", 1)] == pytest.approx([1.03, 0.96])
        acknowledged = conductor.latest("Acknowledgement")
        assert [(m.tick, m.ok) for m in acknowledged] == [(0, True), (0, True), (1, True), (1, True)]
        assert conductor.flags() == []
        assert conductor.done[-1].traffic.received > 0
        gate = [done for done in conductor.done if done.sender == "gateway"][-1]
        assert gate.traffic.modbus_reads > 20
        assert gate.traffic.modbus_writes == 6
        assert gate.traffic.modbus_errors == 0


async def test_energy_telescopes_over_float32_counters():
    async with stage() as (conductor, fleet):
        for tick in range(6):
            await interval(conductor, tick)
        metered = [m.interval_kwh for tick in range(6) for m in conductor.telemetry("meter", tick)[:1]]
        net = fleet.energy_kwh[0, 0] - 9000.0 - fleet.energy_kwh[1, 0]
        assert sum(metered) == pytest.approx(net, abs=1e-3)


async def test_a_lost_set_point_is_flagged_and_changes_what_is_metered():
    def lose(message):
        return Delivery.DROP if "/set/p0" in message.topic else Delivery.DELIVER

    async with stage() as (conductor, fleet):
        await interval(conductor, 0)
        obeyed = conductor.telemetry("meter", 0)[0].interval_kwh
    async with stage(MemoryBroker(lose)) as (conductor, fleet):
        await conductor.step("measure", 0)
        await conductor.ask("p0", 0, DeviceSetPoint(device="pv", power_kw=1.5))
        await conductor.ask("p1", 0, DeviceSetPoint(device="battery", power_kw=-2.0))
        await conductor.step("dispatch", 0, timeout_s=0.3)
        await conductor.step("act", 0)
        await conductor.step("meter", 0)
        assert conductor.flags() == ["1 live prosumers got no set-point in tick 0"]
        assert [m.ok for m in conductor.latest("Acknowledgement")] == [True]
        assert fleet.pv.p_kw[0] == 4.0
        assert conductor.telemetry("meter", 0)[0].interval_kwh < obeyed - 0.5


async def test_a_silent_meter_has_no_energy_and_none_is_counted_twice_when_it_is_back():
    async with stage() as (conductor, fleet):
        await interval(conductor, 0)
        unit = fleet.unit("p1", "meter")
        unit.bank.failing[unit.row] = 11
        await interval(conductor, 1)
        (silent,) = conductor.telemetry("meter", 1)[1:]
        assert (silent.quality, silent.interval_kwh) == ("held", None)
        assert any("does not answer behind its gateway" in flag for flag in conductor.flags())
        unit.bank.failing.clear()
        await interval(conductor, 2)
        (back,) = conductor.telemetry("meter", 2)[1:]
        assert back.quality == "good"
        assert back.interval_kwh == pytest.approx(0.25 * fleet.mean_kw[1], abs=1e-4)


async def test_a_meter_that_answers_with_no_number_is_incomplete_and_not_silent():
    async with stage() as (conductor, fleet):
        await interval(conductor, 0)
        fleet.meters.gain[1] = np.nan
        await interval(conductor, 1)
        sound, bare = conductor.telemetry("meter", 1)
        assert (sound.quality, sound.checks) == ("good", [])
        assert (bare.quality, bare.checks, bare.interval_kwh) == ("held", ["incomplete"], None)
        assert any("does not tell p_kw" in flag for flag in conductor.flags())


async def test_a_refused_set_point_is_acknowledged_as_such():
    async with stage() as (conductor, fleet):
        unit = fleet.unit("p0", "pv")
        unit.bank.losing_writes.add(unit.row)
        await interval(conductor, 0)
        (refused,) = conductor.latest("Acknowledgement", ok=False)
        assert "123.WMaxLimPct" in refused.detail
        assert any(flag.startswith("set-point of p0 not carried out") for flag in conductor.flags())


async def test_without_a_solved_power_flow_the_voltages_stay():
    async with stage() as (conductor, fleet):
        await interval(conductor, 0)
        await conductor.tell_voltages(1, [], solved=False)
        await conductor.step("settle", 1)
        assert fleet.v_pu[:, 0].tolist() == [1.03, 0.96]
        assert any("keeps the last ones" in flag for flag in conductor.flags())


async def test_set_points_are_timed_until_the_register_and_until_the_meter():
    async with stage() as (conductor, _):
        await interval(conductor, 0)
        await interval(conductor, 1)
        assert all(0.0 < m.seconds < 5.0 for m in conductor.latest("Acknowledgement", ok=True))
        # PV is limited and the battery charges; in the second interval nothing has to change any more.
        assert [m.response_s is not None for m in conductor.telemetry("meter", 0)] == [True, True]
        assert [m.response_s is not None for m in conductor.telemetry("meter", 1)] == [False, False]
        assert all(m.read_at <= time.time() for m in conductor.telemetry("meter", 1))


async def test_hardware_is_timed_by_what_its_meter_shows():
    async def live(fleet):
        """Devices that live in real time: set-points act after half a second."""
        await asyncio.sleep(0.5)
        while True:
            fleet.advance(*(np.full((1, 2), value) for value in (1.0, 0.3, 4.0)), 2.0)
            await asyncio.sleep(0.05)

    async with stage(limits=SetPointLimits(real=True)) as (conductor, fleet):
        await conductor.step("measure", 0, pace=1.0)
        await conductor.ask("p0", 0, DeviceSetPoint(device="pv", power_kw=1.5))
        await conductor.ask("p1", 0, DeviceSetPoint(device="battery", power_kw=-2.0))
        living = asyncio.create_task(live(fleet))
        await conductor.step("dispatch", 0, pace=1.0)
        await asyncio.sleep(1.5)
        await conductor.step("meter", 0, pace=1.0)
        living.cancel()
        assert all(0.4 < m.response_s < 1.5 for m in conductor.telemetry("meter", 0))


async def test_an_emergency_stop_on_the_bus_ends_all_commands_and_is_told():
    async with stage() as (conductor, fleet):
        await interval(conductor, 0)
        stopped = await conductor.stop("smoke")
        assert (stopped.by, stopped.devices, stopped.safe, stopped.observed) == ("clock", 2, 2, 0)
        assert stopped.failed == []
        await interval(conductor, 1)
        assert fleet.p_kw == pytest.approx([1.0, 1.0], abs=1e-3)
        refused = conductor.latest("Acknowledgement", tick=1)
        assert [m.ok for m in refused] == [False, False]
        assert all("smoke" in m.detail for m in refused)
        assert [flag for flag in conductor.flags() if "smoke" in flag] == [
            "emergency stop by clock: smoke; 2 of 2 devices at their safe values"
        ]
        await conductor.step("measure", 2)
        assert not any(state.obeys for m in conductor.telemetry("measure", 2) for state in m.devices)


async def test_what_is_only_observed_is_no_fault():
    async with stage(limits=SetPointLimits(armed=False)) as (conductor, fleet):
        await interval(conductor, 0)
        assert [m.ok for m in conductor.latest("Acknowledgement")] == [False, False]
        assert conductor.flags() == []
        assert conductor.done[-1].traffic.modbus_writes == 0
        stopped = await conductor.stop("smoke")
        assert (stopped.safe, stopped.observed) == (0, 2)
        assert fleet.pv.p_kw[0] == 4.0


@pytest.mark.parametrize("pace", [None, 60.0])
async def test_hardware_does_not_follow_a_clock_that_is_not_real(pace):
    fleet = Fleet(PROSUMERS)
    broker = MemoryBroker()
    async with fleet.serving() as live, broker.connect("gateway") as gate:
        home = msgspec.structs.replace(live["p1"], battery_limits=SetPointLimits(real=True))
        service = GatewayService(Node(gate, "r", "gateway"), Gateway([home]))
        step = Step(
            run="r",
            tick=0,
            sender="clock",
            seq=0,
            step="measure",
            opened=0,
            deadline=0,
            interval_s=900,
            pace=pace,
        )
        with pytest.raises(NotRealTime, match="start the run with --pace real"):
            await service.on_step(step)
        assert service.gateway.counts.reads == 0


async def test_an_error_in_a_service_brings_armed_hardware_to_its_safe_value():
    fleet = Fleet(PROSUMERS)
    broker = MemoryBroker()
    async with fleet.serving() as live, broker.connect("gateway") as gate:
        limits = SetPointLimits(real=True, min_kw=-3.0, max_kw=3.0, safe_kw=-0.5)
        gateway = Gateway([msgspec.structs.replace(live["p1"], battery_limits=limits)])
        service = GatewayService(Node(gate, "r", "gateway"), gateway)

        async def fail():
            await asyncio.sleep(0.2)
            raise RuntimeError("a service failed")

        async def perform():
            async with asyncio.TaskGroup() as group:
                group.create_task(service.run())
                group.create_task(fail())

        outcome = await gateway.command("p1", [DeviceSetPoint(device="battery", power_kw=2.0)])
        assert outcome.ok
        began = time.monotonic()
        with pytest.raises(ExceptionGroup):
            await perform()
        assert time.monotonic() - began < 3.0
        unit = fleet.unit("p1", "battery")
        assert float(unit.bank.get("704.WSet")[unit.row]) == -500.0
        await gateway.close()


async def test_a_stop_goes_on_and_is_answered_where_it_cannot_be_written_down(tmp_path):
    (tmp_path / "stopped.json.new").mkdir()
    fleet = Fleet(PROSUMERS)
    broker = MemoryBroker()
    async with fleet.serving() as live, broker.connect("gateway") as gate, broker.connect("op") as bus:
        limits = SetPointLimits(real=True, min_kw=-3.0, max_kw=3.0, safe_kw=-0.5)
        gateway = Gateway([msgspec.structs.replace(live["p1"], battery_limits=limits)])
        node = Node(gate, "r", "gateway")
        service = GatewayService(node, gateway, record=tmp_path / "stopped.json")
        await bus.subscribe(node.topics.stopped("gateway"))
        serving = asyncio.create_task(service.run())
        await asyncio.sleep(0.1)
        service.stop_now("key", "smoke")
        async with asyncio.timeout(5.0):
            answer = messages.decode((await anext(aiter(bus.messages()))).payload)
        assert (answer.by, answer.reason, answer.safe, answer.failed) == ("key", "smoke", answer.devices, [])
        assert not serving.done()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await gateway.close()
    assert not (tmp_path / "stopped.json").exists()


async def test_a_device_that_is_lost_and_back_within_an_interval_is_said_at_once_and_once():
    limits = SetPointLimits(real=True, min_kw=-5.0, max_kw=5.0, revert_s=2.0)
    async with stage(limits=limits) as (conductor, fleet):
        await conductor.step("measure", 0, pace=1.0)
        await conductor.ask("p0", 0, DeviceSetPoint(device="pv", power_kw=1.5))
        await conductor.ask("p1", 0, DeviceSetPoint(device="battery", power_kw=-2.0))
        await conductor.step("dispatch", 0, pace=1.0)

        async def said(words):
            async with asyncio.timeout(15.0), conductor.reported:
                await conductor.reported.wait_for(lambda: any(words in flag for flag in conductor.flags()))

        unit = fleet.unit("p0", "pv")
        unit.bank.failing[unit.row] = 11
        await said("alarm: set-point not kept: pv of p0: ")
        # It fails again and again, and is tried between in vain.
        await asyncio.sleep(5.0)
        unit.bank.failing.clear()
        await said("over: set-point kept again: pv of p0 (")
        told = [done for done in conductor.done if done.flags]
        assert [len(done.flags) for done in told] == [1, 1]
        assert all(done.at_once and done.step == "dispatch" for done in told)
        attempts = int(told[-1].flags[0].partition("after ")[2].split()[0])
        assert attempts > 1
        await conductor.step("meter", 0, pace=1.0)
        assert not conductor.done[-1].flags


async def test_what_may_be_commanded_is_judged_beside_what_is_only_observed():
    fleet = Fleet([EmulatedProsumer(id="both", pv_kw=6.0, battery_kw=4.0, battery_kwh=10.0)])
    broker = MemoryBroker()
    async with fleet.serving() as live, broker.connect("gateway") as gate, broker.connect("live") as bus:
        observed = SetPointLimits(real=True, armed=False)
        armed = SetPointLimits(real=True, min_kw=-3.0, max_kw=3.0)
        home = msgspec.structs.replace(live["both"], pv_limits=observed, battery_limits=armed)
        gateway, judge = Gateway([home]), Plausibility({"both": 10.0}, 0.25)
        noted = {}
        judge.note_set_points = lambda name, devices, tick: noted.update(
            {each.device: each for each in devices}
        )
        node = Node(gate, "r", "gateway")
        serving = asyncio.create_task(GatewayService(node, gateway, judge).run())
        host = Node(bus, "r", "live")
        answers = asyncio.Queue()
        host.on(host.topics.acknowledgement("both"), answers.put_nowait)
        await host.open()
        pump = asyncio.create_task(host.pump())
        await asyncio.sleep(0.1)
        both = [
            DeviceSetPoint(device="pv", power_kw=1.0),
            DeviceSetPoint(device="battery", power_kw=2.0),
        ]
        await host.publish(host.topics.set_point("both"), SetPoint, 0, valid_s=1800.0, devices=both)
        answer = await asyncio.wait_for(answers.get(), 5.0)
        assert not answer.ok
        assert "only observed" in answer.detail
        assert {name: each.power_kw for name, each in noted.items()} == {"pv": None, "battery": 2.0}
        assert node.take_flags() == []
        for task in (serving, pump):
            task.cancel()
        await asyncio.gather(serving, pump, return_exceptions=True)
        await gateway.close()
