"""A whole small run on a bus in memory, into whose services with their real handlers messages are thrown."""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from broker.client.memory import Delivery, MemoryBroker
from broker.door.quarantine import Quarantine
from broker.participant.availability import offline_will
from broker.participant.node import Node
from broker.topics import Topics
from cosim.composition import control, perform, services
from cosim.control.pacing import Pacing
from cosim.feeder.thread import FeederOwner
from cosim.feeder_setup.lam_table import feeder_of
from cosim.results.entries import account_names
from cosim.results.ledger import Ledger
from cosim.results.writer import RunWriter
from cosim.run_setup import RunSetup
from cosim.scenario import load_scenario
from cosim.world.build import build_world

RUN = "small"
MASTER = """clear
new circuit.own bus1=head basekv=0.4 pu=1.0 r1=0 x1=0.001 r0=0 x0=0.001
new line.l bus1=head bus2=street phases=3 r1=0.04 x1=0.02 r0=0.1 x0=0.05 c1=0 c0=0 length=1 normamps=200
new line.m bus1=street bus2=yard phases=3 r1=0.04 x1=0.02 r0=0.1 x0=0.05 c1=0 c0=0 length=1 normamps=200
new load.homes bus1=street phases=3 kv=0.4 kw=30 kvar=5
new load.farm bus1=yard phases=3 kv=0.4 kw=20 kvar=3
set voltagebases=[0.4]
calcvoltagebases
"""
LAMS = "lam,bus,phases,spot_kw\nhomes,street,,\nfarm,yard,,\nroof,street,A,5\n"
SCENARIO = """[run]
start = 2024-06-21T12:00:00
intervals = {intervals}
[feeder]
master = "m.dss"
[tables]
lams = "lams.csv"
[population]
prosumers = 14
annual_kwh_median = 8000.0
[population.pv]
share = 0.6
[population.battery]
share_with_pv = 0.6
[live]
per_lam = 2
poll_timeout_s = 10.0
[market]
bidding = "{bidding}"
horizon = {horizon}
"""


class InMemory(RunSetup):
    """One process of a run whose services speak over a broker in memory; keeps their nodes."""

    broker: MemoryBroker
    nodes: dict[str, Node]

    @asynccontextmanager
    async def node(self, name):
        nodes = self.nodes
        back = lambda: nodes[name].reconnected()  # noqa: E731
        async with self.broker.connect(name, offline_will(RUN, name), on_reconnect=back) as bus:
            nodes[name] = Node(bus, RUN, name, self.world.digest, self.bounds, Quarantine())
            yield nodes[name]


@dataclass
class Thrown:
    """What was thrown into a run, and what the run's services made of it."""

    mutants: int = 0
    nodes: dict[str, Node] = field(default_factory=dict)
    kinds: Counter = field(default_factory=Counter)
    entries: list[tuple] = field(default_factory=list)
    balance_micro: int = 0
    ticks: list[int] = field(default_factory=list)
    summary: Counter = field(default_factory=Counter)

    @property
    def set_aside(self):
        """Messages on which a handler failed."""
        return [kept for node in self.nodes.values() for kept in node.quarantine.kept]

    def counted(self, name):
        return sum(getattr(node.traffic(), name) for node in self.nodes.values())


class Thrower:
    """Lets genuine messages through, and right behind each some mutants of it.

    With ``keeps_identity`` there are no mutants that a receiver would have to take for a message of another
    number, tick or party. A share ``instead`` of the messages is lost, and a mutant comes in its place.
    """

    def __init__(self, broker, mutations, per_message, *, keeps_identity, instead):
        self.instead = instead
        self.broker = broker
        self.mutations = mutations
        self.per_message = per_message
        self.keeps_identity = keeps_identity
        self.thrown = Thrown()
        self._is_throwing = False
        self._topics = Topics(RUN)

    def __call__(self, received):
        """Delivery of a message; mutants are scheduled behind it."""
        declared = self._topics.declared(received.topic)
        # What services say of mutants is not mutated in turn, or it would never end; a stop is for anyone.
        is_thrown = declared is not None and declared[0].tag not in ("rejected", "stop")
        # An empty body lets a broker forget what it kept.
        if not self._is_throwing and is_thrown and received.payload:
            if received.topic not in self.mutations.topics:
                self.mutations.topics.append(received.topic)
            asyncio.get_running_loop().call_soon(self._throw, received, declared[0].tag)
            is_loss = self.mutations.rng.random() < self.instead
            if is_loss and declared[0].tag not in ("availability", "step", "done"):
                return Delivery.DROP
        return Delivery.DELIVER

    def _throw(self, received, tag):
        for _ in range(self.per_message):
            topic, body = self.mutations.of(received.topic, received.payload)
            if self.keeps_identity and self._could_be_meant(received, topic, body):
                continue
            self._is_throwing = True
            self.broker.publish(topic, body)
            self._is_throwing = False
            self.thrown.mutants += 1
            self.thrown.kinds[tag] += 1

    def _could_be_meant(self, received, topic, body):
        """Whether a mutant is a lie that nobody can tell without keys: of another number, tick or party."""
        if topic != received.topic:
            kinds = [self._topics.declared(each)[0] for each in (topic, received.topic)]
            return kinds[0] is kinds[1]
        if "/availability/" in topic:
            return True
        try:
            told, meant = json.loads(body), json.loads(received.payload)
            return any(told[name] != meant[name] for name in ("tick", "seq", "epoch"))
        except (ValueError, KeyError, TypeError, RecursionError):
            return False


def forging(broker, forge):
    """Delivery that lets ``forge`` say of each genuine message which ones come before it and behind it."""
    is_forging = False

    def publish(forged):
        nonlocal is_forging
        is_forging = True
        for topic, body in forged:
            broker.publish(topic, body)
        is_forging = False

    def decide(received):
        if not is_forging and received.payload:
            before, behind = forge(received.topic, received.payload)
            publish(before)
            if behind:
                asyncio.get_running_loop().call_soon(publish, behind)
        return Delivery.DELIVER

    return decide


BY_QUANTITY = {"market.rule": "quantity", "market.lam_fee": 0.0, "market.wam_fee": 0.0}


def written_scenario(folder, *, intervals=2, bidding="curve", horizon=0):
    """Write the small scenario into a folder; its file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m.dss").write_text(MASTER)
    (folder / "lams.csv").write_text(LAMS)
    scenario = SCENARIO.format(intervals=intervals, bidding=bidding, horizon=horizon)
    (folder / "s.toml").write_text(scenario)
    return folder / "s.toml"


async def play(
    folder,
    mutations=None,
    per_message=0,
    *,
    intervals=2,
    bidding="curve",
    horizon=0,
    quantity=False,
    keeps_identity=True,
    instead=0.0,
    forge=None,
    weather=None,
    on_world=lambda world: None,
):
    """Run the small scenario, with mutants thrown in; what came of it."""
    written = written_scenario(folder, intervals=intervals, bidding=bidding, horizon=horizon)
    scenario = load_scenario(written, changes=BY_QUANTITY if quantity else None)
    broker = MemoryBroker()
    thrower = Thrower(broker, mutations, per_message, keeps_identity=keeps_identity, instead=instead)
    if mutations is not None:
        broker.delivery = thrower
    if weather is not None:
        weather.broker = broker
        broker.delivery = weather
    if forge is not None:
        broker.delivery = forging(broker, forge)
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(FeederOwner(partial(feeder_of, scenario)))
        world = build_world(scenario, owner.layout)
        on_world(world)
        writer = stack.enter_context(RunWriter(folder / "run"))
        accounts = account_names(world.roster.prosumers, world.roster.lams)
        ledger = stack.enter_context(Ledger.create(folder / "run" / "ledger.sqlite", accounts, RUN))
        setup = InMemory(world, RUN, "", owner)
        object.__setattr__(setup, "broker", broker)
        object.__setattr__(setup, "nodes", thrower.thrown.nodes)
        jobs = await stack.enter_async_context(services(setup, ["market", "feeder", "devices"]))
        clock, recorder = await stack.enter_async_context(
            control(setup, writer, ledger, Pacing(), lambda _: None)
        )
        await perform([*jobs, recorder.run, clock.run])
        thrown = thrower.thrown
        thrown.balance_micro, thrown.ticks = ledger.sum_micro(), ledger.ticks()
        thrown.entries = [
            (account, entry) for account in sorted(ledger.balances()) for entry in ledger.statement(account)
        ]
    return thrown
