"""A run that speaks while it goes on: on its terminal, in its log, and to whoever wants its alarms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from broker.messages import StepName
from broker.participant.node import Node
from cosim.observation.alarms import Alarms
from cosim.observation.incidents import Incident
from cosim.observation.narration import Narrator
from cosim.results.names import RUN_LOG
from cosim.scenario.secrets import MASK
from cosim.scenario.web import WEBHOOK, webhook_of
from cosim.world.world import World

_STYLES = {"alarm": "bold red", "warning": "yellow", "note": ""}
_MOST_LINES = 8


class Teller:
    """Says lines on the terminal, where there is one, and in the run's log.

    Parameters
    ----------
    console
        The terminal.
    world
        The run's world, for the times of its intervals.
    log
        File to which every line is added.
    """

    def __init__(self, console: Console, world: World, log: FileIO) -> None:
        self._console = console
        self._timeline = world.timeline
        self._log = log
        self._is_logged = True
        self._told: dict[int, int] = {}

    def label(self, tick: int) -> str:
        """Time of day at the beginning of an interval; empty before the first."""
        return f"{self._timeline.local(tick):%H:%M}" if tick >= 0 else ""

    def say(self, text: str) -> None:
        """Say what whoever runs this must know, with or without a terminal."""
        self._console.print(Text(text))
        self._note("note", text)

    def tell(self, incident: Incident) -> None:
        """Tell of an incident; of very many in an interval the log alone tells."""
        line = f"{self.label(incident.tick):5}  {incident.line}"
        self._note(incident.weight, line)
        if not self._console.is_terminal and self._is_logged:
            return
        told = self._told.get(incident.tick, 0)
        self._told = {incident.tick: told + 1}
        if told < _MOST_LINES or incident.weight == "alarm":
            self._console.print(Text(line, style=_STYLES[incident.weight]))
        elif told == _MOST_LINES:
            self._console.print(Text(f"{'':5}  more of this interval is in {Path(self._log.name)}"))

    def _note(self, weight: str, line: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        was_logged = self._is_logged
        try:
            self._log.write(f"{now} {weight:7} {line}\n".encode())
        except OSError as error:
            # An alarm waits for no disk.
            self._is_logged = False
            if was_logged:
                self._console.print(
                    Text(f"{self._log.name} cannot be written ({error.strerror}): see this terminal")
                )
        else:
            self._is_logged = True


@asynccontextmanager
async def teller_of(console: Console, world: World, out: Path) -> AsyncIterator[Teller]:
    """Teller of a run that adds to the log in its directory."""
    with (out / RUN_LOG).open("ab", buffering=0) as log:
        yield Teller(console, world, log)


@asynccontextmanager
async def narrated(
    node: Node, world: World, required: Mapping[StepName, Collection[str]], teller: Teller
) -> AsyncIterator[None]:
    """Let a service that is not open yet speak of the run, for the time of a ``with`` block."""
    wanted = world.scenario.alarms
    webhook = webhook_of(world.scenario)
    if webhook.endswith(MASK):
        teller.say(f"alarms.webhook is masked in this scenario: set {WEBHOOK} to the whole address")
        webhook = ""
    alarms = Alarms(node, webhook, wanted.least, teller.label, teller.say)

    def tell(incident: Incident) -> None:
        teller.tell(incident)
        alarms.take(incident)

    live = [world.roster.prosumers[member] for member in world.roster.live_members]
    narrator = Narrator(node, live, required, tell, teller.say)
    alarming = asyncio.create_task(alarms.run(), name="alarms")
    telling = asyncio.create_task(narrator.run(), name="narration")
    try:
        yield
    finally:
        # What is left to tell is left to be passed on.
        for task in (telling, alarming):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
