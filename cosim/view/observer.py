"""The view's way to a run: hears the bus as an observer, and speaks as an operator where it may."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Literal

from broker import messages
from broker.address import parse_address
from broker.client.mqtt import connect
from broker.credentials import certificate_file
from broker.messages import FeederEvent, Lead
from broker.security.grants import OBSERVER, OPERATOR
from broker.signing import command_key_of
from broker.topics import Topics
from cosim.emergency import RunAddress, stop_run
from cosim.observation.listening import Hearing, hearing
from cosim.view.live import LiveModel
from sharegrid.errors import SharegridError

Action = Literal["pause", "step", "go on", "pace", "event"]
_STOP_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.5
_FIND_WITHIN_S = 1.0


def may_command(broker: str) -> bool:
    """Whether whoever has this address of a broker is an operator there."""
    folder = parse_address(broker).credentials
    return folder is None or certificate_file(folder, OPERATOR).exists()


def watched_topics(topics: Topics) -> tuple[str, ...]:
    """What an observer listens to: all but bids, awards, metered energy of each, and what services keep."""
    return (
        topics.facts,
        topics.pacing,
        topics.settled,
        topics.step,
        topics.done,
        topics.availability,
        topics.telemetry,
        topics.set_point,
        topics.acknowledgement,
        topics.wam_price,
        topics.wam_outcome,
        topics.lam_outcome,
        topics.outlook,
        topics.feeder_reply,
        topics.feeder_state,
        topics.stop,
        topics.stopped,
        topics.rejected,
    )


async def observe(at: RunAddress, model: LiveModel, on_change: Callable[[], None]) -> None:
    """Let a model hear a run, until cancelled.

    Parameters
    ----------
    at
        Where the run is.
    model
        What takes its messages in.
    on_change
        Called after each message.

    Raises
    ------
    BrokerError
        The broker cannot be reached, or does not know the observer.
    """
    async with (
        hearing(at.broker, at.run, "view", watched_topics, patience_s=float("inf")) as heard,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(_watch_link(lambda: heard.bus.is_connected, model, on_change))
        group.create_task(_hear(heard, model, on_change))


async def _hear(heard: Hearing, model: LiveModel, on_change: Callable[[], None]) -> None:
    async for message, name in heard.messages():
        model.take(message, name)
        on_change()


async def _watch_link(is_there: Callable[[], bool], model: LiveModel, on_change: Callable[[], None]) -> None:
    while True:
        model.lost(is_heard=is_there())
        on_change()
        await asyncio.sleep(_LOOK_EVERY_S)


async def runs_at(broker: str) -> list[str]:
    """Runs that a broker has the facts of, by id; raises `BrokerError` where it cannot be reached."""
    found: set[str] = set()
    async with connect(broker, "observer-view", identity=OBSERVER) as bus:
        await bus.subscribe(Topics("+").facts)
        try:
            async with asyncio.timeout(_FIND_WITHIN_S):
                async for received in bus.messages():
                    if received.payload:
                        found.add(received.topic.split("/")[2])
        except TimeoutError:
            pass
    return sorted(found)


async def lead_run(
    at: RunAddress, action: Action, pace: float | None, event: FeederEvent | None = None
) -> None:
    """Lead a run as an operator; what becomes of it is heard on the bus; raises `BrokerError`."""
    name = f"{OPERATOR}-{secrets.token_hex(4)}"
    topic = Topics(at.run).lead(name)
    lead = Lead(run=at.run, tick=-1, sender=name, seq=0, action=action, pace=pace, event=event)
    if (commands := command_key_of(at.broker, at.run)) is not None:
        lead = commands.signed(topic, lead)
    async with connect(at.broker, name, identity=OPERATOR) as bus:
        await bus.publish(topic, messages.encode(lead))


async def stop_devices(at: RunAddress, model: LiveModel, reason: str, on_change: Callable[[], None]) -> None:
    """Stop a run's devices; what becomes of each is heard on the bus, what fails is shown."""
    model.stop_begun(reason)
    on_change()
    try:
        await stop_run(at, reason, _STOP_WITHIN_S, say=lambda _: None)
    except SharegridError as error:
        model.stop_failed(str(error))
        on_change()
