"""What all services of one process of a run share, and how one becomes a job to perform."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from broker.client.bus import Bus
from broker.client.mqtt import connect
from broker.client.mqtt_bus import MqttBus
from broker.door.bounds import Bounds
from broker.door.decoded import Decoded
from broker.door.quarantine import Quarantine
from broker.messages import Step
from broker.participant.availability import offline_will, say_offline
from broker.participant.node import Node
from broker.participant.serving import serve
from broker.signing import CommandKey, command_key_of
from broker.snapshot import Values
from cosim.feeder.thread import FeederOwner
from cosim.observation.metrics import ProcessMetrics
from cosim.world.bounds import bounds_of
from cosim.world.names import spoken
from cosim.world.world import World


class RunningGateway(Protocol):
    """A gateway, in the event loop of its process or in a thread of its own."""

    @property
    def armed(self) -> int:
        """Number of pieces of hardware that it may command."""

    @property
    def left(self) -> list[str]:
        """Hardware that could not be handed back, one line each."""

    async def arming(self) -> list[str]:
        """What a person at the hardware has to know, one line each."""

    def stop_now(self, by: str, reason: str) -> None:
        """Begin an emergency stop, from any thread, without waiting."""

    def end_now(self) -> None:
        """End as a signal does, from any thread, without waiting."""

    async def run(self) -> None:
        """Serve until the clock ends the run."""


@dataclass(frozen=True)
class RunSetup:
    """One process of a run: the world, the bus, and the feeder's thread where this process owns it.

    ``arm`` lets its gateway command hardware that the scenario arms; with ``observe`` it commands nothing.
    Messages that a service failed on are kept in the file ``quarantine``, if there is one. ``stop_record`` is
    where its gateway writes an emergency stop down, ``hardware_record`` where it keeps what it must not
    forget of hardware, ``stop_by`` the arguments of ``sharegrid stop`` that stop it; ``gateways`` are those
    that it runs; ``metrics`` watch its services, if anybody wants them; ``connect`` opens connections of its
    own kind in place of `broker.client.mqtt.connect`.
    """

    world: World
    run_id: str
    url: str
    owner: FeederOwner | None = None
    arm: bool = False
    observe: bool = False
    quarantine: Path | None = None
    stop_record: Path | None = None
    hardware_record: Path | None = None
    stop_by: tuple[str, ...] = ()
    gateways: list[RunningGateway] = field(default_factory=list)
    metrics: ProcessMetrics | None = None
    decoded: Decoded = field(default_factory=Decoded)
    connect: Callable[..., AbstractAsyncContextManager[Bus]] | None = None

    @cached_property
    def bounds(self) -> Bounds:
        """What the run's messages are held against."""
        return bounds_of(self.world)

    @cached_property
    def commands(self) -> CommandKey | None:
        """Key of the run's commands, where its broker's address names credentials."""
        return command_key_of(self.url, self.run_id)

    @property
    def _bundle_from(self) -> int:
        """From how many messages on they go in bundles; never where others may listen to single topics."""
        scenario = self.world.scenario
        is_listened_to = self.commands is not None or scenario.live.home_assistant
        return 0 if is_listened_to else scenario.broker.bundle_from

    @asynccontextmanager
    async def node(self, name: str) -> AsyncIterator[Node]:
        """Participant ``name`` on a connection of its own, which says so when it is lost or ends."""
        nodes: list[Node] = []
        will = offline_will(self.run_id, name)
        async with (self.connect or connect)(
            self.url,
            name,
            will,
            on_reconnect=lambda: nodes[0].reconnected(),
            # However long a broker is away, or a computer asleep: the clock decides what then becomes of it.
            patience_s=math.inf,
        ) as bus:
            title = spoken(name)
            if isinstance(bus, MqttBus):
                bus.title = title
            kept = Quarantine(self.quarantine)
            nodes.append(
                Node(
                    bus,
                    self.run_id,
                    name,
                    self.world.digest,
                    self.bounds,
                    kept,
                    self.commands,
                    bundle_from=self._bundle_from,
                    decoded=self.decoded,
                    title=title,
                )
            )
            if name in self.world.price_takers:
                nodes[0].on(nodes[0].topics.step, self.world.told_prices.take)
            if self.metrics is not None and isinstance(bus, MqttBus):
                self.metrics.watch(nodes[0], bus)
            try:
                yield nodes[0]
            finally:
                await say_offline(bus, self.run_id, name)


Job = Callable[[], Coroutine[Any, Any, None]]


class Service(Protocol):
    """What works on the steps of the clock, one after the other."""

    async def on_step(self, step: Step) -> None:
        """Do its part of a step."""

    async def snapshot(self) -> Values:
        """See `broker.snapshot.Stateful`."""

    async def restore(self, values: Values) -> None:
        """See `broker.snapshot.Stateful`."""


def job_of(node: Node, service: Service) -> Job:
    """Run a service on its node until the clock ends the run."""
    return partial(serve, node, service.on_step, service)
