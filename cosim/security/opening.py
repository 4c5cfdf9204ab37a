"""The broker of a run: one of ours, secured where that is wanted, or one that others share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import click

from broker.address import parse_address
from broker.claims import Claimed, claimed, claimed_in_turn, of_role, of_run
from broker.server.choose import open_broker
from broker.server.handle import BrokerHandle
from cosim.options import RunError
from cosim.security.parties import own_security
from cosim.world.names import CLOCK, Role
from cosim.world.world import World


async def open_run_broker(
    stack: AsyncExitStack, choice: str, port: int, world: World, run_id: str, log: Path | None
) -> BrokerHandle:
    """Broker of the process that owns a run's clock.

    Parameters
    ----------
    stack
        Holds it, and the run id on a broker that others share.
    choice, port
        As `broker.server.choose.open_broker` takes them.
    world, run_id
        The run.
    log
        File for what a secured broker of our own refuses; ``None`` for one that asks nobody.

    Raises
    ------
    RunError
        Another run has the id.
    BrokerError
        The broker does not start or cannot be reached.
    """
    is_ours = "://" not in choice
    secured = stack.enter_context(own_security(world, run_id, log)) if is_ours and log is not None else None
    broker = await stack.enter_async_context(open_broker(choice, port=port, secured=secured))
    warn_of(broker.url)
    if not is_ours:
        claim = claimed(broker.url, run_id, of_run(run_id), identity=CLOCK)
        try:
            await stack.enter_async_context(claim)
        except Claimed as error:
            raise RunError(f"--run-id {run_id} is taken on this broker: {error}") from None
    return broker


def warn_of(url: str) -> None:
    """Say what a user should know before anything is sent to a broker."""
    if warning := parse_address(url).warning:
        click.echo(warning, err=True)


async def claim_roles(
    stack: AsyncExitStack, url: str, run_id: str, roles: Sequence[tuple[Role, str]]
) -> None:
    """Hold each role for this process alone.

    Parameters
    ----------
    stack
        Holds the claims.
    url, run_id
        The run and its broker.
    roles
        Each with the party in whose name it is held, as `World.speakers` gives them.

    Raises
    ------
    RunError
        Another process serves one of them.
    """
    for role, identity in roles:
        try:
            claim = claimed(url, run_id, of_role(run_id, identity, role), identity=identity)
            await stack.enter_async_context(claim)
        except Claimed as error:
            raise RunError(f"role {role} of run {run_id} is served already: {error}") from None


async def claim_roles_in_turn(
    stack: AsyncExitStack, url: str, run_id: str, roles: Sequence[tuple[Role, str]]
) -> None:
    """Hold each role as `claim_roles` does, once no other process has it."""
    for role, identity in roles:
        held = claimed_in_turn(url, run_id, of_role(run_id, identity, role), identity=identity)
        await stack.enter_async_context(held)
