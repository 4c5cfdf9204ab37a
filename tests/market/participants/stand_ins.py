"""Stand-ins for what surrounds the market: a linear feeder, devices that obey, and a bookkeeper."""

from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import (
    Acknowledgement,
    AheadReply,
    FeederReply,
    FeederState,
    NetworkModel,
    Telemetry,
    columns,
)
from cosim.recording.counters import Counters
from cosim.recording.interval import read_interval
from cosim.recording.interval_messages import IntervalCollector
from cosim.recording.payments import book_payments
from tests.market.participants import world


class LinearFeeder:
    """A feeder for which its linear model is exact.

    ``temper`` may change the fields of the reply to a round, or return ``None`` to stay silent.
    """

    def __init__(self, node, roster):
        self.node = node
        self.roster = roster
        self.temper = lambda reply: reply
        self.requests, self.asked_ahead = [], []
        self.model_ahead = model
        self.lam_kw = np.zeros(3)
        self.metered = Collector(roster.hosts)
        self.live = Collector([roster.prosumers[member] for member in roster.live_members])
        node.on(node.topics.feeder_request, self._answer)
        node.on(node.topics.ahead_request, self._look_ahead)
        node.on(node.topics.metered("+"), lambda m: self.metered.add(m.sender, m.tick, m))
        for name in self.live.expected:
            node.on(node.topics.telemetry("meter", name), partial(self._take_telemetry, name))

    async def _answer(self, request):
        self.requests.append(request)
        net_kw = np.array(request.net_kw)
        value = world.NETWORK.base + world.NETWORK.matrix @ net_kw
        beyond = np.maximum(value - world.NETWORK.upper, world.NETWORK.lower - value)
        fields = {
            "round": request.round,
            "solved": True,
            "confirmed": request.round > 0,
            "source_kw": world.OFFSET_KW + float(world.BALANCE @ net_kw),
            "linear_error_pu": None if request.round == 0 else 0.0,
            "severity": float(np.maximum(beyond, 0.0).sum()),
            "violations": [],
            "model": model() if request.round == 0 else None,
            "seconds": 0.0,
        }
        fields = self.temper(fields)
        if fields is not None:
            await self.node.publish(self.node.topics.feeder_reply, FeederReply, request.tick, **fields)

    async def _look_ahead(self, request):
        self.asked_ahead.append(request)
        fields = {"place": request.place, "model": self.model_ahead(), "seconds": 0.0}
        await self.node.publish(self.node.topics.ahead_reply, AheadReply, request.tick, **fields)

    async def on_step(self, step):
        if step.step != "meter":
            return
        lam_kw = np.zeros(3)
        for batch in (await self.metered.wait(step.tick, step.deadline)).values():
            who = columns.unpack_index(batch.prosumer)
            lam_kw += np.bincount(world.LAM_OF[who], columns.unpack(batch.energy_kwh), minlength=3)
        for name, reading in (await self.live.wait(step.tick, step.deadline)).items():
            lam_kw[world.LAM_OF[world.NAMES.index(name)]] += reading.interval_kwh or 0.0
        self.lam_kw = lam_kw / world.DT_H
        empty = columns.pack([])
        await self.node.publish(
            self.node.topics.feeder_state,
            FeederState,
            step.tick,
            solved=True,
            v_pu=empty,
            loading=empty,
            lam_kw=columns.pack(self.lam_kw),
            lam_kvar=columns.pack(0.1 * self.lam_kw),
            lam_v_pu=columns.pack(np.ones(3)),
            source_kw=world.OFFSET_KW + float(world.BALANCE @ self.lam_kw),
            source_kvar=0.0,
            losses_kw=0.0,
            tap_changes=0,
            violations=[],
            estimated=[],
        )
        await self.node.done(step.step, step.tick)

    def _take_telemetry(self, name, telemetry):
        if telemetry.phase == "meter":
            self.live.add(name, telemetry.tick, telemetry)


def model(network=world.NETWORK):
    """The feeder's linear model as it goes over the wire."""
    return NetworkModel(
        balance=columns.column_list(world.BALANCE),
        offset_kw=world.OFFSET_KW,
        name=list(network.name),
        row_kind=["voltage" if is_voltage else "congestion" for is_voltage in network.voltage],
        matrix=columns.pack(network.matrix),
        base=columns.pack(network.base),
        lower=columns.pack_open(network.lower),
        upper=columns.pack_open(network.upper),
    )


class Devices:
    """Meters and batteries of the live prosumers: what a set-point says is done, at once and exactly."""

    def __init__(self, node, roster):
        self.node = node
        self.names = [roster.prosumers[member] for member in roster.live_members]
        self.members = roster.live_members
        self.output_kw = np.zeros(self.members.size)
        self.imported_kwh = np.zeros(self.members.size)
        self.exported_kwh = np.zeros(self.members.size)
        self.net_kw = np.zeros(self.members.size)
        self.commands = Collector(self.names)
        for name in self.names:
            node.on(node.topics.set_point(name), partial(self._take, name))

    def _take(self, name, set_point):
        self.commands.add(name, set_point.tick, set_point)

    async def on_step(self, step):
        if step.step in ("measure", "meter"):
            await self._report(step)
        elif step.step == "dispatch":
            for name, set_point in (await self.commands.wait(step.tick, step.deadline)).items():
                self.output_kw[self.names.index(name)] = set_point.devices[0].power_kw
                await self.node.publish(
                    self.node.topics.acknowledgement(name), Acknowledgement, step.tick, ok=True
                )
        elif step.step == "act":
            self.net_kw = world.case(step.tick).demand_kw[self.members] - self.output_kw
            self.imported_kwh += np.maximum(self.net_kw, 0.0) * world.DT_H
            self.exported_kwh -= np.minimum(self.net_kw, 0.0) * world.DT_H
        if step.step in ("measure", "dispatch", "meter"):
            await self.node.done(step.step, step.tick)

    async def _report(self, step):
        for place, name in enumerate(self.names):
            energy = {"interval_kwh": float(self.net_kw[place]) * world.DT_H, "interval_kvarh": 0.0}
            await self.node.publish(
                self.node.topics.telemetry(step.step, name),
                Telemetry,
                step.tick,
                phase=step.step,
                p_kw=float(self.net_kw[place]),
                q_kvar=0.0,
                v_pu=1.0,
                import_kwh=float(self.imported_kwh[place]),
                export_kwh=float(self.exported_kwh[place]),
                quality="good",
                **(energy if step.step == "meter" else {}),
            )


class Clerk:
    """Settles every interval from what was said in it, and refuses to settle one twice."""

    def __init__(self, node, roster, rules, before=None):
        self.node = node
        self.roster = roster
        self.rules = rules
        self.intervals = before.intervals if before else {}
        self.bookings = before.bookings if before else {}
        self.audits = before.audits if before else {}
        self.counters = before.counters if before else Counters.unread(len(roster.prosumers))
        self.collector = IntervalCollector(node, roster)

    async def on_step(self, step):
        if step.step != "settle":
            return
        messages = await self.collector.gather(step)
        assert step.tick not in self.intervals
        interval = read_interval(
            messages, self.roster, self.rules.terms(step.tick), world.DT_H, self.counters
        )
        self.counters = interval.counters
        self.intervals[step.tick] = interval
        self.bookings[step.tick] = book_payments(interval, self.roster, self.rules)
        self.audits[step.tick] = await self.collector.audit(step)
        for flag in interval.flags:
            self.node.flag(flag)
        await self.node.done(step.step, step.tick)
