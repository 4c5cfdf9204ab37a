"""A town on an in-memory bus: the market's own services, and stand-ins for feeder, devices and recorder.

A story publishes the clock's steps itself, lets messages be lost, doubled, held back or rewritten, stops
and starts services, and then reads what was said.
"""

import asyncio
import contextlib
from collections import defaultdict

import msgspec
import numpy as np

from broker import messages
from broker.client.memory import Delivery, MemoryBroker
from broker.door.step_proofs import StepProofs
from broker.messages import Done, Step, columns
from broker.participant.availability import offline_will
from broker.participant.node import Node
from broker.participant.serving import serve
from broker.topics import Topics
from market.model.strategy import TRUTHFUL
from market.participants.audit.auditor import Auditor
from market.participants.lam.host import LamHost
from market.participants.prosumers.live_host import LiveHost
from market.participants.prosumers.population_host import PopulationHost
from market.participants.wam.horizon_market import HorizonMarket
from market.participants.wam.operator import WamOperator
from tests.market.participants import storing, world
from tests.market.participants.stand_ins import Clerk, Devices, LinearFeeder

RUN = "r1"
WINDOW_S = 60.0
PROOFS = StepProofs(96)
STEPS = ("measure", "bid", "clear", "dispatch", "act", "meter", "settle")


async def at_once(work, *arguments):
    """In place of a thread, for which stepped time would not wait."""
    return work(*arguments)


class Town:
    def __init__(
        self,
        *,
        lam_hosts=None,
        rounds=3,
        choice=TRUTHFUL,
        bidding="curve",
        quantity=False,
        horizon=0,
        home=storing.Storing,
    ):
        self.lam_hosts = lam_hosts or {"lams": [0, 1, 2]}
        self.rounds = rounds
        self.choice = choice
        self.topics = Topics(RUN)
        self.broker = MemoryBroker()
        self.roster = world.roster(self.lam_hosts)
        self.rules = world.rules(bidding, quantity=quantity)
        self.home = world.Household
        if horizon:
            self.rules, self.home = storing.rules(horizon, bidding), home
        self.heard = []
        self.reports = defaultdict(set)
        self.services = {}
        self.clerk = None
        self.feeder = None
        self._tasks = {}
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def open(self):
        async with self.broker.connect("watcher") as ears, self.broker.connect("clock") as hand:
            self.clock = Node(hand, RUN, "clock")
            await ears.subscribe(f"{self.topics.root}/#")
            watching = asyncio.create_task(self._watch(ears))
            try:
                for name in [
                    world.HOST,
                    "live",
                    *self.lam_hosts,
                    "wam",
                    "auditor",
                    "feeder",
                    "devices",
                    "clerk",
                ]:
                    await self.start(name)
                yield self
            finally:
                for name in list(self._tasks):
                    await self.stop(name)
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def start(self, name):
        """Start a service, anew where it was stopped."""
        ready = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._serve(name, ready), name=name)
        await ready.wait()
        await self.calm()

    async def stop(self, name):
        """Let a service vanish as a killed process does; an error that ended it before comes out here."""
        task = self._tasks.pop(name)
        died = task.done() and not task.cancelled() and task.exception()
        if not task.done():
            self.broker.kill(name)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if died:
            raise died

    async def _serve(self, name, ready):
        nodes = []
        comes_back = lambda: nodes[0].reconnected()  # noqa: E731
        async with self.broker.connect(name, offline_will(RUN, name), on_reconnect=comes_back) as bus:
            node = Node(bus, RUN, name, bounds=world.bounds(self.roster))
            nodes.append(node)
            service = self.services[name] = self._make(name, node)
            asyncio.get_running_loop().call_soon(ready.set)
            await serve(node, service.on_step, service if hasattr(service, "snapshot") else None)

    def _make(self, name, node):
        if name == world.HOST:
            members = self.home(self.roster.hosts[world.HOST])
            return PopulationHost(node, self.roster, self.rules, members, self.choice)
        if name == "live":
            members = self.home(self.roster.live_members)
            return LiveHost(node, self.roster, self.rules, members, valid_s=2 * world.INTERVAL_S)
        if name == "wam":
            return WamOperator(node, self.roster, self.rules, rounds=self.rounds, horizon=self._ahead(node))
        if name == "auditor":
            return Auditor(node, self.roster, self.rules, [world.HOST, "live"], work=at_once)
        if name == "feeder":
            self.feeder = LinearFeeder(node, self.roster)
            return self.feeder
        if name == "devices":
            return Devices(node, self.roster)
        if name == "clerk":
            self.clerk = Clerk(node, self.roster, self.rules, self.clerk)
            return self.clerk
        return LamHost(node, self.roster, self.rules)

    def _ahead(self, node):
        if self.rules.horizon is None:
            return None
        members = {world.HOST: self.roster.hosts[world.HOST], "live": self.roster.live_members}
        return HorizonMarket(node, self.roster, self.rules, self.rules.horizon, members, work=at_once)

    async def interval(self, tick, steps=STEPS):
        """Publish the steps of an interval, each once everyone reported the one before or its time is up."""
        for step in steps:
            await self.step(step, tick)
        return self.clerk.intervals.get(tick)

    async def step(self, step, tick):
        now = asyncio.get_running_loop().time()
        await self.clock.publish(
            self.topics.step,
            Step,
            tick,
            step=step,
            opened=now,
            deadline=now + WINDOW_S,
            interval_s=world.INTERVAL_S,
            proof=PROOFS.of(tick, step),
        )
        wanted = {
            "measure": {"devices"},
            "bid": {"wam"},
            "clear": {"wam", *self.lam_hosts},
            "dispatch": {"devices", world.HOST},
            "act": {world.HOST},
            "meter": {"devices", "feeder"},
            "settle": {"clerk"},
        }[step]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WINDOW_S):
                while not wanted <= self.reports[tick, step]:
                    self._changed.clear()
                    await self._changed.wait()
        await self.calm()

    async def calm(self):
        """Let everything that is on its way arrive."""
        await asyncio.sleep(0.001)

    async def _watch(self, ears):
        async for received in ears.messages():
            try:
                message = messages.decode(received.payload)
            except msgspec.DecodeError:
                continue
            self.heard.append((received.topic, message))
            if isinstance(message, Done):
                self.reports[message.tick, message.step].add(message.sender)
            self._changed.set()

    def said(self, topic, tick):
        """Messages on a topic in an interval, in order."""
        return [message for where, message in self.heard if where == topic and message.tick == tick]

    def last(self, topic, tick):
        return self.said(topic, tick)[-1]

    def outcome(self, tick):
        (outcome,) = self.said(self.topics.wam_outcome, tick)
        return outcome

    def flags(self, tick):
        """All flags raised in an interval, by service."""
        flags = defaultdict(list)
        for _, message in self.heard:
            if isinstance(message, Done) and message.tick == tick and message.flags:
                flags[message.sender] += message.flags
        return dict(flags)

    def refusals(self, tick):
        """(topic below the run's root, reason) of everything refused in an interval."""
        found = [message for _, message in self.heard if isinstance(message, messages.Rejected)]
        return [
            (message.topic.removeprefix(f"{self.topics.root}/"), message.reason)
            for message in found
            if message.tick == tick
        ]

    def traffic(self, name):
        return self.services[name].node.traffic()

    def trades(self, tick):
        """Allocation of everyone, as the LAM operators made it known, ``(n,)`` [kW]."""
        trade_kw = np.full(world.LAM_OF.size, np.nan)
        for host in self.lam_hosts:
            for told in self.said(self.topics.lam_outcome(host), tick):
                trade_kw[columns.unpack_index(told.prosumer)] = columns.unpack(told.trade_kw)
        return trade_kw

    def let(self, delivery, *topics, tick, first_round=0):
        """Give the messages on these topics in an interval this delivery, or of rounds from one on."""

        def decide(received):
            if received.topic not in topics:
                return Delivery.DELIVER
            message = messages.decode(received.payload)
            is_met = message.tick == tick and (not first_round or message.round >= first_round)
            return delivery if is_met else Delivery.DELIVER

        self.broker.delivery = decide

    def lose(self, *topics, tick, first_round=0):
        self.let(Delivery.DROP, *topics, tick=tick, first_round=first_round)

    def rewrite(self, topic, change, *, tick):
        """Let ``change`` turn the fields of the message on a topic into others, or into raw bytes."""
        at_work = False

        def decide(received):
            nonlocal at_work
            if at_work or received.topic != topic:
                return Delivery.DELIVER
            fields = msgspec.json.decode(received.payload)
            if fields["tick"] != tick:
                return Delivery.DELIVER
            changed = change(fields)
            at_work = True
            self.broker.publish(
                topic, changed if isinstance(changed, bytes) else msgspec.json.encode(changed)
            )
            at_work = False
            return Delivery.DROP

        self.broker.delivery = decide
