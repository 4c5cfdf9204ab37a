"""A soak at real pace: a gateway, its devices on links that misbehave, and three promises that are checked.

    python -m tests.soak.links [--minutes N] [--seed N] [--interval S]

No wrong energy is settled, no write leaves an envelope, every loss is flagged. Intervals are short, so that
connections lie idle between them all the same. Ends with exit status 1 where a promise is broken.
"""

import asyncio
import itertools
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import click
import numpy as np

from broker.client.memory import MemoryBroker
from broker.messages import DeviceSetPoint, SetPoint, Step, Telemetry
from broker.participant.node import Node
from devices.gateway.gateway import Gateway
from devices.gateway.plausibility import Plausibility
from devices.gateway.service import GatewayService
from tests.soak.homes import Home

_CLOSING = 4.0
# Counters are float32: what they add up to may be off by this [kWh].
_TOLERANCE_KWH = 1e-9
PLAN = [(kind, serial) for serial in (False, True) for kind in ("pv", "battery")] * 2


async def during(link, seconds, **habits):
    """Give a link habits for a while."""
    before = {name: getattr(link, name) for name in habits}
    for name, value in habits.items():
        setattr(link, name, value)
    try:
        await asyncio.sleep(seconds)
    finally:
        for name, value in before.items():
            setattr(link, name, value)


async def at_once(act):
    """Do something that is over as soon as it is done."""
    act()


def lasting(least_s, most_s, **habits):
    """Fault that gives a link habits for a time drawn from a range [s]; callables draw what they give."""

    async def strike(link, rng):
        drawn = {name: value(rng) if callable(value) else value for name, value in habits.items()}
        await during(link, float(rng.uniform(least_s, most_s)), **drawn)

    return strike


FAULTS = {
    "closed": lambda link, _: at_once(link.close_connections),
    "died unnoticed": lambda link, _: at_once(link.forget_connections),
    "restart": lambda link, rng: link.restart(float(rng.uniform(0.0, 4.0))),
    "slow": lasting(1.0, 8.0, delay_s=lambda rng: float(rng.uniform(0.05, 0.4))),
    "too slow": lasting(1.0, 8.0, delay_s=1.5),
    "garbage": lasting(1.0, 6.0, in_place=lambda rng: rng.bytes(20)),
    "noise": lasting(1.0, 8.0, noise=lambda rng: rng.bytes(3)),
    "cut": lasting(1.0, 6.0, cut_to=lambda rng: int(rng.integers(1, 8))),
    "other unit": lasting(1.0, 6.0, answers_as={1: 2, 9: 1}),
    "one answer each": lasting(4.0, 12.0, answers_per_connection=1),
    "nobody else": lasting(1.0, 4.0, clients=0),
    "short reads": lasting(4.0, 12.0, longest_read=8),
    "echo": lasting(4.0, 12.0, echoes=True),
}


class Soak:
    """Clock, market and judge of the run."""

    def __init__(self, node, homes, interval_s, rng):
        self.node, self.homes, self.interval_s, self.rng = node, homes, interval_s, rng
        self.figures, self.broken = Counter(), []
        self._heard, self._reports, self._bases = [], {}, {}
        self._done = asyncio.Condition()
        topics = node.topics
        for home in homes:
            hear = partial(self._hear, home)
            node.on(topics.telemetry("+", home.name), hear)
            node.on(topics.acknowledgement(home.name), hear)
        node.on(topics.done("+"), self._take_report)

    def _hear(self, home, message):
        self._heard.append((home, message))

    async def _take_report(self, done):
        async with self._done:
            self._reports[done.step, done.tick] = done
            self._done.notify_all()

    async def step(self, name, tick, within_s):
        """Open a step and wait for the gateway's report; its messages since."""
        self._heard.clear()
        now = time.time()
        topic, clock = self.node.topics.step, {"opened": now, "deadline": now + within_s}
        await self.node.publish(topic, Step, tick, step=name, interval_s=self.interval_s, pace=1.0, **clock)
        async with asyncio.timeout(within_s + 30.0), self._done:
            await self._done.wait_for(lambda: (name, tick) in self._reports)
        return now, self._reports[name, tick].flags, list(self._heard)

    async def interval(self, tick):
        """One interval at real pace, and its judgement."""
        began = time.monotonic()
        self.judge(*await self.step("measure", tick, 8.0))
        for home in self.homes:
            power_kw = None if self.rng.random() < 0.1 else float(self.rng.uniform(-4.0, 5.0))
            asked = [DeviceSetPoint(device=home.kind, power_kw=power_kw)]
            topic = self.node.topics.set_point(home.name)
            await self.node.publish(topic, SetPoint, tick, valid_s=1.2 * self.interval_s, devices=asked)
        self.judge(*await self.step("dispatch", tick, 8.0))
        while time.monotonic() - began < self.interval_s - _CLOSING:
            for home in self.homes:
                home.advance()
            await asyncio.sleep(0.2)
        self.judge(*await self.step("meter", tick, 8.0))
        self.figures["intervals"] += 1

    def judge(self, opened, flags, heard):
        """Count what was lost, and note what was settled wrongly or lost without a word."""
        for home, message in heard:
            if isinstance(message, Telemetry):
                self._judge_reading(home, message, opened, flags)
            else:
                self.figures["set-points"] += 1
                self.figures["set-points not taken"] += not message.ok
                self._judge_loss(home, message, flags, is_lost=not message.ok)

    def _judge_reading(self, home, telemetry, opened, flags):
        states = [state.quality for state in telemetry.devices]
        lost = [quality != "good" for quality in (telemetry.quality, *states)]
        self.figures["meter readings"] += 1
        self.figures["meter readings lost"] += lost[0]
        self.figures["inverter readings"] += len(states)
        self.figures["inverter readings lost"] += sum(lost[1:])
        self._judge_loss(home, telemetry, flags, is_lost=any(lost))
        if telemetry.quality != "good":
            return
        told = {(imported, exported) for at, imported, exported in home.meter.told if at >= opened}
        if (telemetry.import_kwh, telemetry.export_kwh) not in told:
            self.broken.append(f"{home.name} was read as what its meter did not tell: {telemetry}")
        self._judge_energy(home.name, telemetry)

    def _judge_energy(self, name, telemetry):
        """Energy of an interval is between the last reading of the one before, or its first, and its last."""
        tick, net_kwh = telemetry.tick, telemetry.import_kwh - telemetry.export_kwh
        base_tick, base_kwh = self._bases.get(name, (None, None))
        if telemetry.phase == "measure":
            if base_tick != tick:
                self._bases[name] = tick, net_kwh
            return
        if telemetry.interval_kwh is not None:
            self.figures["energies settled"] += 1
            if base_tick != tick or abs(net_kwh - base_kwh - telemetry.interval_kwh) > _TOLERANCE_KWH:
                self.broken.append(
                    f"{name}, {tick}: {telemetry.interval_kwh} kWh from {base_kwh} to {net_kwh}"
                )
        self._bases[name] = tick + 1, net_kwh

    def _judge_loss(self, home, message, flags, *, is_lost):
        """What was lost has to be flagged, by the place of its link or as one of many."""
        places = [f"127.0.0.1:{link.port}" for link in home.links]
        names = (*places, home.name, "more devices could not be read")
        if is_lost and not any(name in flag for flag in flags for name in names):
            self.broken.append(f"lost without a flag at {home.name}: {message}; flags: {flags}")


async def disturb(homes, rng, injected):
    """Inject faults, one after another on each link, for ever."""

    async def one(link):
        while True:
            await asyncio.sleep(float(rng.uniform(2.0, 25.0)))
            name = str(rng.choice(list(FAULTS)))
            injected[name] += 1
            await FAULTS[name](link, rng)

    await asyncio.gather(*(one(link) for home in homes for link in home.links))


@asynccontextmanager
async def laboratory(rng):
    """Homes, a node that plays clock and market, and the gateway between them."""
    homes = [Home(f"home{k}", kind, serial, rng) for k, (kind, serial) in enumerate(PLAN)]
    broker = MemoryBroker()
    async with AsyncExitStack() as stack:
        for number, link in enumerate(link for home in homes for link in home.links):
            # Half of the links drop what lies idle, as many devices and routers do.
            link.idle_close_s = 3.0 if number % 2 else None
            await link.start()
            stack.push_async_callback(link.stop)
        clock, gate = [await stack.enter_async_context(broker.connect(n)) for n in ("clock", "gateway")]
        gateway = Gateway([home.prosumer() for home in homes], timeout_s=0.5, poll_limit_s=6.0)
        stack.push_async_callback(gateway.close)
        node = Node(clock, "soak", "clock")
        yield homes, node, gateway, Node(gate, "soak", "gateway")


async def soak(minutes, seed, interval_s):
    """Run for some time; what was counted, and what was broken."""
    rng = np.random.default_rng(seed)
    injected = Counter()
    async with laboratory(rng) as (homes, node, gateway, gate):
        judge = Plausibility({home.name: 10.0 for home in homes}, interval_s / 3600.0)
        service = asyncio.create_task(GatewayService(gate, gateway, judge).run())
        run = Soak(node, homes, interval_s, rng)
        await node.open()
        pump = asyncio.create_task(node.pump())
        faults = asyncio.create_task(disturb(homes, rng, injected))
        end = time.monotonic() + 60.0 * minutes
        for tick in itertools.count():
            await run.interval(tick)
            if time.monotonic() >= end:
                break
            if faults.done() or service.done():
                await asyncio.gather(faults, service)
        faults.cancel()
        await asyncio.gather(faults, return_exceptions=True)
        now = time.time()
        clock = {"opened": now, "deadline": now, "interval_s": interval_s, "pace": 1.0}
        await node.publish(node.topics.step, Step, tick + 1, step="end", **clock)
        await asyncio.wait_for(service, 30.0)
        pump.cancel()
        for home in homes:
            home.advance()
    run.figures["writes"] = sum(len(home.device.writes) for home in homes)
    run.figures["ended by the devices' own timers"] = sum(home.fell_back for home in homes)
    run.figures["connections"] = sum(link.connections for home in homes for link in home.links)
    run.broken += [f"outside the envelope: {each}" for home in homes for each in home.outside]
    return run.figures, injected, gateway.counts.errors, run.broken


@click.command()
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--interval", default=20.0, show_default=True, help="Length of an interval [s].")
def main(minutes, seed, interval):
    """Run the soak and print what was counted."""
    figures, injected, errors, broken = asyncio.run(soak(minutes, seed, interval))
    for title, counts in (("counted", figures), ("injected", injected), ("errors", errors)):
        click.echo(f"{title}:")
        for name, number in sorted(counts.items()):
            click.echo(f"  {name:35} {number}")
    click.echo(f"broken promises: {len(broken)}")
    for line in broken[:20]:
        click.echo(f"  {line}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
