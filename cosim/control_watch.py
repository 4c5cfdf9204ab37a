"""What a process of a run's roles does when the run's own process is gone: it says so, and waits or ends."""

from __future__ import annotations

import math

import click

from broker.client.mqtt import connect
from broker.door.admission import Door
from broker.door.refusal import Refused
from broker.messages import Availability, Step
from broker.topics import Topics
from cosim.run_setup import RunSetup
from cosim.world.names import CLOCK
from sharegrid.errors import SharegridError


class ControlLost(SharegridError):
    """The process that has clock and ledger is gone, and the scenario says that this ends the run."""


async def watch_control(setup: RunSetup, identity: str) -> None:
    """Say when the run's clock goes offline or comes back, until it ends the run.

    Parameters
    ----------
    setup
        This process.
    identity
        Party of it in whose name to listen.

    Raises
    ------
    ControlLost
        It is offline, and ``recovery.on_loss`` is ``end``.
    """
    topics, door, tick = Topics(setup.run_id), Door(setup.run_id, setup.bounds), -1
    is_there = False
    name = f"watch-{setup.run_id}"
    async with connect(
        setup.url, name, identity=identity, on_reconnect=door.came_back, patience_s=math.inf
    ) as bus:
        if setup.metrics is not None:
            setup.metrics.stand_by(bus)
        await bus.subscribe(topics.availability(CLOCK), topics.step)
        async for received in bus.messages():
            try:
                message = door.admit(received).message
            except Refused:
                continue
            if isinstance(message, Step):
                if message.epoch > door.epoch:
                    door.begin_epoch(message)
                tick = door.tick = max(door.tick, message.tick)
                if message.step == "end":
                    return
            elif isinstance(message, Availability) and message.online != is_there:
                if is_there:
                    _lost(setup, tick)
                elif tick >= 0:
                    click.echo("the run's own process is back", err=True)
                is_there = message.online


def _lost(setup: RunSetup, tick: int) -> None:
    what = f"the run's own process went offline at tick {tick}"
    if setup.world.scenario.recovery.on_loss == "end":
        raise ControlLost(f'{what}, and recovery.on_loss = "end": `run --resume` goes on with the run')
    click.echo(f"{what}: waiting for `sharegrid run --resume`; Ctrl-C ends this process", err=True)
