"""A run's market and feeder, built once more from its directory and played its record to."""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cosim.composition import feeder_job, market_operators
from cosim.feeder.thread import FeederOwner
from cosim.feeder_setup.lam_table import feeder_of
from cosim.recording.recorder import Recorder
from cosim.replay.account import Account
from cosim.replay.books import Books
from cosim.replay.outline import Outline, outline_of
from cosim.replay.player import Player
from cosim.replay.ports import Stopped, Watcher
from cosim.replay.virtual_loop import VirtualLoop
from cosim.results.directory import run_directory
from cosim.results.ledger import Ledger
from cosim.results.ledger_reader import LedgerReader
from cosim.results.lock import refuse_living
from cosim.results.names import LEDGER, SCENARIO, TRAFFIC
from cosim.results.writer import RunWriter
from cosim.run_setup import RunSetup
from cosim.scenario import Scenario, load_scenario
from cosim.traffic.file import TrafficReader
from cosim.world.bounds import bounds_of
from cosim.world.build import build_world
from cosim.world.names import AUDITOR, FEEDER, RECORDER, WAM
from cosim.world.world import World

Job = Callable[[], Coroutine[Any, Any, None]]


class Recorded:
    """A recorded run in its directory.

    Raises
    ------
    SharegridError
        The directory holds no run, one that goes on, or one whose record, scenario or ledger cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = run_directory(directory)
        refuse_living(self.directory)
        self.record = TrafficReader(self.directory / TRAFFIC)
        self.outline: Outline = outline_of(self.record)
        self._damage = self.record.damage
        self.scenario: Scenario = load_scenario(self.directory / SCENARIO)
        self.run = self.outline.sessions[0].run

    def remarks(self, world: World) -> list[str]:
        """What a user should know before the replay, one line each."""
        found = []
        versions = sorted({each.version for each in self.outline.sessions} - {version("sharegrid")})
        if versions:
            found.append(
                f"recorded by sharegrid {', '.join(versions)}, replayed by {version('sharegrid')}: "
                "what differs may be what changed between them"
            )
        elif any(each.world != world.digest for each in self.outline.sessions):
            found.append(
                "the files that the scenario names changed since: what differs may be what changed there"
            )
        if self._damage:
            found.append(f"{self.record.path}: {self._damage}: what is whole before that is replayed")
        return found


def replay(
    recorded: Recorded,
    *,
    until: int | None = None,
    watcher: Watcher | None = None,
    say: Callable[[str], None] = lambda _: None,
    on_interval: Callable[[int], None] = lambda _: None,
) -> Account:
    """Play a recorded run to its market and feeder, and its ledger; what came of it.

    Parameters
    ----------
    until
        The last interval to play; ``None`` for all.
    watcher
        Who looks on, and may stop it.
    say
        Tells the user something.
    on_interval
        Called with the number of each interval that begins.
    """
    outline = recorded.outline
    loop = partial(VirtualLoop, math.inf, outline.begin_s)
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(_replay(recorded, until, watcher, say, on_interval))


async def _replay(
    recorded: Recorded,
    until: int | None,
    watcher: Watcher | None,
    say: Callable[[str], None],
    on_interval: Callable[[int], None],
) -> Account:
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(FeederOwner(partial(feeder_of, recorded.scenario)))
        world = build_world(recorded.scenario, owner.layout)
        for line in recorded.remarks(world):
            say(line)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sharegrid-replay-")))
        kept = stack.enter_context(LedgerReader.open(recorded.directory / LEDGER))
        writer = stack.enter_context(RunWriter(folder / "run"))
        made = stack.enter_context(
            Ledger.create(folder / "run" / LEDGER, kept.accounts(), recorded.run, world.digest)
        )
        books = Books(kept, made)
        names = [*world.roster.lam_hosts, WAM, AUDITOR, FEEDER, RECORDER]
        player = Player(
            recorded.run, bounds_of(world), names, recorded.outline, books, until=until, watcher=watcher
        )
        setup = RunSetup(world, recorded.run, "", owner, connect=player.broker.connect)
        jobs = [*await market_operators(setup, stack), await feeder_job(setup, stack)]
        node = await stack.enter_async_context(setup.node(RECORDER))
        begins_again = recorded.scenario.recovery.on_loss == "wait" and not recorded.outline.is_paced
        recorder = Recorder(node, world, writer, made, begins_again=begins_again)
        is_stopped = await _perform([*jobs, recorder.run], player.play(recorded.record, on_interval))
        return _complete(player.account, books, player.tick if is_stopped else until)


async def _perform(jobs: Sequence[Job], play: Coroutine[Any, Any, None]) -> bool:
    """Run services while a record is played to them; whether who watched stopped it.

    An error of a service ends the replay.
    """
    is_stopped = False
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job()) for job in jobs]
        try:
            await play
        except Stopped:
            is_stopped = True
        for task in tasks:
            task.cancel()
    return is_stopped


def _complete(account: Account, books: Books, until: int | None) -> Account:
    """Account with what the ledgers say of intervals that the record does not hold."""
    if books.taken:
        account.remarks.append(f"{_intervals(books.taken)} not in the record: taken from the run's ledger")
    missing = [tick for tick in books.unplayed() if until is None or tick <= until]
    if missing:
        account.remarks.append(f"{_intervals(missing)} in the run's ledger, and not whole in the record")
    return account


def _intervals(ticks: Sequence[int]) -> str:
    """Intervals in words, as the beginning of a sentence about them."""
    if len(ticks) == 1:
        return f"interval {ticks[0]} is"
    return f"{len(ticks)} intervals, {ticks[0]} to {ticks[-1]}, are"
