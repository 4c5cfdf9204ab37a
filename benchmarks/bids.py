"""How long a market takes whose every prosumer bids and is awarded by an MQTT message of its own.

Run: python -m benchmarks.bids [--form curve] [--prosumers 11250] [--lams 85] [--intervals 3] [--json FILE]

The market's own services run over a private Mosquitto, each on a connection of its own, all in one process:
one host of live prosumers, one operator of all LAMs, and the WAM. In place of a feeder stands its linear
model. Every prosumer sends its whole curve, or its range and then, round by round, a plain or slope bid; the
operator gathers, the WAM clears, and every prosumer gets a private award. The parts are medians over
intervals; beside them the same market cleared in process, how many times as long the messages take, and the
rounds. Set-points, which follow from awards, are timed apart.
"""

from __future__ import annotations

import os

# Matrices here are small: threads of a BLAS on busy cores cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.cases import radial_case
from broker.client.mqtt import connect
from broker.messages import (
    DeviceSetPoint,
    Done,
    FeederReply,
    FeederRequest,
    LamOutcome,
    Message,
    NetworkModel,
    Step,
    Telemetry,
    columns,
)
from broker.participant.node import Node
from broker.participant.serving import serve
from broker.server.choose import open_broker
from market.model.arrays import Floats
from market.model.case import Case, Resources
from market.participants.lam.host import LamHost
from market.participants.prosumers.live_host import LiveHost
from market.participants.prosumers.portfolio import Position
from market.participants.roster import Roster, Rules, Terms
from market.participants.wam.operator import WamOperator
from market.rounds import Form
from market.solver.clearing import clear

RUN = "bids"
INTERVAL_S = 900.0
PATIENCE_S = 1500.0
RATING_KW = 1000.0
PARTS = ("gathered", "cleared", "awarded")
STEPS = (("bid", "wam"), ("clear", "lams"))


class Everybody:
    """Portfolio of all prosumers of a case, whose positions never change."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.awarded_at = 0.0

    def position(self, tick: int, telemetry: dict[str, Telemetry]) -> Position:  # noqa: ARG002 - a port
        """Where the case has them."""
        return Position(self.case.demand_kw, np.zeros(self.case.demand_kw.size), self.case.resources)

    def set_points(self, output_kw: Floats) -> list[list[DeviceSetPoint]]:
        """One device for each resource; asked for once all awards are in."""
        self.awarded_at = time.perf_counter()
        each = output_kw.reshape(len(self.case.prosumer_id), -1).tolist()
        return [[DeviceSetPoint(device="battery", power_kw=kw) for kw in outputs] for outputs in each]


class Surroundings:
    """Meters, a feeder that is linear, and the clock's ear for who is done."""

    def __init__(self, node: Node, case: Case) -> None:
        self.node = node
        self.names = case.prosumer_id
        self.model = _model(case)
        node.on(node.topics.feeder_request, self._answer)
        self._heard: dict[tuple[str, str, int], asyncio.Event] = {}
        node.on(node.topics.done("+"), self._take_done)
        node.on(node.topics.lam_outcome("+"), self._take_outcome)
        self.flags: list[str] = []
        self.price: Floats = np.zeros(0)
        self.rounds = 0

    def reported(self, service: str, step: str, tick: int) -> asyncio.Event:
        """Set as soon as a service has reported the end of its part of a step."""
        return self._heard.setdefault((service, step, tick), asyncio.Event())

    async def meter(self, tick: int) -> None:
        """A reading of every prosumer, for which its host waits before it bids."""
        outgoing: list[tuple[str, Message]] = []
        for name in self.names:
            topic = self.node.topics.telemetry("measure", name)
            reading = self.node.stamp(
                topic, Telemetry, tick, phase="measure", p_kw=0.0, q_kvar=0.0, v_pu=1.0,
                import_kwh=0.0, export_kwh=0.0, quality="good",
            )  # fmt: skip
            outgoing.append((topic, reading))
        await self.node.publish_all(outgoing)

    def _take_done(self, done: Done) -> None:
        self.flags += done.flags
        self.reported(done.sender, done.step, done.tick).set()

    def _take_outcome(self, outcome: LamOutcome) -> None:
        self.price = columns.unpack(outcome.price)
        self.rounds = outcome.exchange.rounds

    async def _answer(self, request: FeederRequest) -> None:
        await self.node.publish(
            self.node.topics.feeder_reply, FeederReply, request.tick, round=request.round, solved=True,
            confirmed=True, source_kw=float(sum(request.net_kw)), linear_error_pu=0.0, severity=0.0,
            violations=[], model=self.model, seconds=0.0,
        )  # fmt: skip


def _model(case: Case) -> NetworkModel:
    network = case.network
    assert network is not None
    assert network.voltage is not None
    return NetworkModel(
        balance=columns.column_list(case.balance),
        offset_kw=case.offset_kw,
        name=[f"row{r}" for r in range(network.base.size)],
        row_kind=["voltage" if is_voltage else "congestion" for is_voltage in network.voltage],
        matrix=columns.pack(network.matrix),
        base=columns.pack(network.base),
        lower=columns.pack_open(network.lower),
        upper=columns.pack_open(network.upper),
    )


def market_of(case: Case, form: Form) -> tuple[Roster, Rules]:
    """Everyone live, one operator of all LAMs, and the case's prices at every tick."""
    n, lams = len(case.prosumer_id), len(case.lam_id)
    roster = Roster(
        prosumers=case.prosumer_id,
        lams=case.lam_id,
        lam=case.lam_of,
        live=np.ones(n, dtype=bool),
        rating_kw=np.full(n, RATING_KW),
        hosts={},
        lam_hosts={"lams": np.arange(lams)},
    )
    nothing = np.zeros(0)
    nobody = Resources(np.zeros(0, dtype=np.intp), nothing, nothing, nothing, nothing)
    template = replace(case, demand_kw=np.zeros(n), resources=nobody, network=None)
    return roster, Rules(template, lambda _: Terms(case.grid, case.tariff), form)


async def measure(case: Case, form: Form, intervals: int) -> tuple[dict[str, list[float]], Surroundings]:
    """Seconds of each part of each interval over Mosquitto, and what was heard of the last one."""
    roster, rules = market_of(case, form)
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(open_broker("mosquitto"))

        async def node(name: str) -> Node:
            return Node(await stack.enter_async_context(connect(broker.url, name)), RUN, name)

        hand = await node("clock")
        around = Surroundings(await node("around"), case)
        everybody = Everybody(case)
        services: list[LiveHost | LamHost | WamOperator] = [
            LiveHost(await node("live"), roster, rules, everybody, valid_s=2 * INTERVAL_S),
            LamHost(await node("lams"), roster, rules),
            WamOperator(await node("wam"), roster, rules, rounds=1),
        ]
        tasks = [asyncio.create_task(serve(each.node, each.on_step)) for each in services]
        tasks.append(asyncio.create_task(serve(around.node, _idle)))
        try:
            return await _intervals(hand, around, everybody, intervals), around
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _idle(step: Step) -> None:
    """Nothing to do in any step."""


async def _intervals(
    hand: Node, around: Surroundings, everybody: Everybody, intervals: int
) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {part: [] for part in (*PARTS, "set points")}
    await asyncio.sleep(1.0)  # Subscriptions of all services stand before the first reading.
    for tick in range(intervals):
        await _step(hand, around, "measure", tick, None)
        await around.meter(tick)
        for part, (step, last) in zip(PARTS, STEPS, strict=False):
            seconds[part].append(await _step(hand, around, step, tick, last))
        began = time.perf_counter()
        whole = await _step(hand, around, "dispatch", tick, "live")
        seconds["awarded"].append(everybody.awarded_at - began)
        seconds["set points"].append(whole - seconds["awarded"][-1])
    if around.flags:
        raise SystemExit(f"{len(around.flags)} flags, so not a clean measure; the first: {around.flags[0]}")
    return seconds


async def _step(hand: Node, around: Surroundings, step: str, tick: int, last: str | None) -> float:
    """Open a step and wait for the service that ends it; how long that took [s]."""
    began, now = time.perf_counter(), time.time()
    await hand.publish(
        hand.topics.step, Step, tick, step=step, opened=now, deadline=now + PATIENCE_S, interval_s=INTERVAL_S
    )
    if last is not None:
        async with asyncio.timeout(PATIENCE_S):
            await around.reported(last, step, tick).wait()
    return time.perf_counter() - began


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", choices=("curve", "slope", "plain"), default="curve")
    parser.add_argument("--prosumers", type=int, default=11250)
    parser.add_argument("--lams", type=int, default=85)
    parser.add_argument("--intervals", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    case = radial_case(options.prosumers, options.lams, 400, 1)
    began = time.perf_counter()
    exact = clear(case)
    in_process_s = time.perf_counter() - began
    seconds, heard = asyncio.run(measure(case, options.form, options.intervals))
    figures = {part: median(values) for part, values in seconds.items()}
    total_s = median(map(sum, zip(*(seconds[part] for part in PARTS), strict=True)))
    figures |= {"total": total_s, "in_process": in_process_s, "ratio": total_s / in_process_s}
    for name, value in figures.items():
        print(f"{name:12s} {value:10.3f}{'' if name == 'ratio' else ' s'}")
    figures["price_difference"] = float(np.abs(heard.price - exact.price).max())
    print(f"{options.form} bids, {heard.rounds} rounds of members in the last interval")
    print(f"local prices differ by at most {figures['price_difference']:.1e} $/kWh")
    if options.json is not None:
        options.json.write_text(
            json.dumps({**vars(options), "json": None, "rounds": heard.rounds, **figures}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
