"""A small run over a secured Mosquitto, with a place for intruders."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from broker.security.certificates import Authority
from broker.security.files import Group, Plan, write_files
from broker.security.grants import Grant, grants
from broker.server.choose import open_broker
from broker.server.mosquitto import Secured
from cosim.composition import RunSetup, control, perform, services
from cosim.control.pacing import Pacing
from cosim.feeder.thread import FeederOwner
from cosim.feeder_setup.lam_table import feeder_of
from cosim.results.entries import account_names
from cosim.results.ledger import Ledger
from cosim.results.writer import RunWriter
from cosim.scenario import load_scenario
from cosim.world.bounds import bounds_of
from cosim.world.build import build_world
from cosim.world.world import World
from tests.broker.door.hostile_run import RUN, written_scenario

SERVICES = ["market", "feeder", "devices"]


@dataclass
class Site:
    """A secured broker that is up, and where the credentials of everyone lie."""

    folder: Path
    world: World
    url: str = ""
    log: str = ""
    entries: list[tuple] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def port(self) -> int:
        return int(self.url.partition("?")[0].rpartition(":")[2])

    def url_of(self, clients: Path) -> str:
        return f"mqtts://127.0.0.1:{self.port}?credentials={clients}"

    @property
    def clients(self) -> Path:
        return self.folder / "security" / "clients" / "all"

    @property
    def authority(self) -> Authority:
        own = self.folder / "security" / "authority"
        return Authority((own / "ca.crt").read_bytes(), (own / "ca.key").read_bytes())

    @property
    def prosumers(self) -> list[str]:
        return sorted(bounds_of(self.world).lam_of)


async def secured_run(
    folder: Path,
    intrude: Callable[[Site], Awaitable[None]] | None = None,
    *,
    intervals: int = 2,
    is_open: bool = False,
) -> Site:
    """Run the small scenario over a secured broker, while ``intrude`` does what it wants; what came of it.

    With ``is_open`` somebody has given everything to everyone.
    """
    scenario = load_scenario(written_scenario(folder, intervals=intervals))
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(FeederOwner(partial(feeder_of, scenario)))
        world = build_world(scenario, owner.layout)
        site = Site(folder, world)
        granted = grants(bounds_of(world), RUN, ["pi"])
        if is_open:
            granted = {party: [Grant("readwrite", "#")] for party in granted}
        everyone = {"all": Group(list(granted), commands=True)}
        write_files(folder / "security", Plan(granted, everyone, ["127.0.0.1"], port=0))
        secured = Secured(folder / "security" / "broker", site.clients, folder / "broker.log")
        broker = await stack.enter_async_context(open_broker("mosquitto", secured=secured))
        site.url = broker.url
        setup = RunSetup(world, RUN, broker.url, owner)
        writer = stack.enter_context(RunWriter(folder / "run"))
        accounts = account_names(world.roster.prosumers, world.roster.lams)
        ledger = stack.enter_context(Ledger.create(folder / "run" / "ledger.sqlite", accounts, RUN))
        jobs = await stack.enter_async_context(services(setup, SERVICES))
        clock, recorder = await stack.enter_async_context(
            control(setup, writer, ledger, Pacing(), lambda _: None)
        )

        async def clock_to_its_end() -> None:
            await clock.run()
            site.is_over.set()

        work = [*jobs, recorder.run, clock_to_its_end]
        if intrude is not None:
            work.append(partial(intrude, site))
        await perform(work)
        site.entries = [(a, e) for a in sorted(ledger.balances()) for e in ledger.statement(a)]
        events = folder / "run" / "events.jsonl"
        site.flags = [json.loads(line)["detail"] for line in events.read_text().splitlines()]
    site.log = (folder / "broker.log").read_text() if (folder / "broker.log").exists() else ""
    return site
