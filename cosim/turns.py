"""Processes that wait for their turn: those that stand ready for a role, and those that share the LAMs.

A process of the role ``lam`` takes up shares of the LAMs, and those of others that are gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import click

from broker.claims import Claimed, claimed, of_role, until_free
from cosim.control_watch import watch_control
from cosim.options import RunError
from cosim.run_setup import RunSetup, job_of
from cosim.security.opening import claim_roles_in_turn
from cosim.world.names import Role
from cosim.world.world import World
from market.participants.lam.host import LamHost

PAUSE_S = 3.0
"""A process leaves a free share to others for so long, times the shares that it has already [s]."""


async def has_turn(stack: AsyncExitStack, setup: RunSetup, roles: Sequence[tuple[Role, str]]) -> bool:
    """Wait until no other process serves some roles, and claim them; whether that was before the run ended.

    Parameters
    ----------
    stack
        Holds the claims.
    setup
        This process.
    roles
        As `cosim.security.opening.claim_roles` takes them.
    """
    named = ", ".join(role for role, _ in roles)
    click.echo(f"ready to serve {named} of run {setup.run_id} once nobody does", err=True)
    watching = asyncio.create_task(watch_control(setup, roles[0][1]))
    claiming = asyncio.create_task(claim_roles_in_turn(stack, setup.url, setup.run_id, roles))
    try:
        done, _ = await asyncio.wait({watching, claiming}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return claiming in done
    finally:
        for task in (watching, claiming):
            task.cancel()
        await asyncio.gather(watching, claiming, return_exceptions=True)


def check_shares(world: World, roles: Sequence[str], *, is_spare: bool) -> None:
    """Refuse what does not go with the role; raises ``RunError``."""
    if not world.services_of(Role.LAM):
        raise RunError("lam: the market's process operates all LAMs; add --set market.lam_shares=N to all")
    if len(roles) > 1 or is_spare:
        raise RunError("lam is served by itself, in as many processes as are wanted, without --spare")


class Shares:
    """Shares of the LAMs that this process has.

    As many processes as are wanted may serve the role; each share is claimed by one of them. A process takes
    one at once. Further ones it takes after a pause that grows with those it has, so that they are spread
    over the processes that are there, and a share whose process is gone goes to one that has few.
    """

    def __init__(self, setup: RunSetup) -> None:
        self._setup = setup
        self._held = 0
        self._taking = asyncio.Lock()

    async def serve(self) -> None:
        """Serve what there is to serve until the clock ends the run."""
        hosts = list(self._setup.world.roster.lam_hosts)
        watching = asyncio.create_task(watch_control(self._setup, hosts[0]))
        serving = [asyncio.create_task(self._share(host)) for host in hosts]
        try:
            # The first that ends has heard the run's end, or failed.
            done, _ = await asyncio.wait({watching, *serving}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if self._held:
                await asyncio.wait(serving, timeout=PAUSE_S, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in (watching, *serving):
                task.cancel()
            await asyncio.gather(watching, *serving, return_exceptions=True)

    async def _share(self, host: str) -> None:
        setup, claim = self._setup, of_role(self._setup.run_id, host, Role.LAM)
        while True:
            await until_free(setup.url, setup.run_id, claim, host)
            await self._taking.acquire()
            is_taking = True
            try:
                await asyncio.sleep(PAUSE_S * self._held)
                async with claimed(setup.url, setup.run_id, claim, identity=host):
                    self._held += 1
                    self._taking.release()
                    is_taking = False
                    await self._operate(host)
                    return
            except Claimed:
                continue
            finally:
                if is_taking:
                    self._taking.release()

    async def _operate(self, host: str) -> None:
        world = self._setup.world
        lams = world.roster.lam_hosts[host]
        click.echo(f"{host} is operated here: {len(lams)} of {len(world.roster.lams)} LAMs", err=True)
        async with self._setup.node(host) as node:
            await job_of(node, LamHost(node, world.roster, world.rules))()
