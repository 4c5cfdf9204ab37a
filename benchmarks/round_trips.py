"""The longest chain of messages in each interval of a recorded run, of which each waits for the one before.

    python -m benchmarks.round_trips DIRECTORY [--chain] [--between]

DIRECTORY holds a run with its record (`sharegrid run --record`). A message counts as waiting for all that its
sender had heard before in the interval, by the receivers that messages declare; so the chain is the longest
that there may be, and its length times a message's time is what a slow network costs an interval at most.
With ``--between`` only messages between processes count, where each role has one, with a broker beside it.
"""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from broker.door.bounds import Bounds
from broker.messages import Alive, Declaration, Done, Message, Step
from broker.messages import Role as Party
from broker.topics import Topics
from cosim.feeder_setup.lam_table import feeder_of
from cosim.replay.outline import decoded
from cosim.replay.replay import Recorded
from cosim.world.bounds import bounds_of
from cosim.world.build import build_world
from cosim.world.names import Role


@dataclass(frozen=True)
class Link:
    """One message of a chain, and the one that it waited for."""

    depth: int
    sender: str
    topic: str
    before: "Link | None"

    def chain(self) -> Iterator["Link"]:
        """It and all before it, the first first."""
        if self.before is not None:
            yield from self.before.chain()
        yield self


def receivers(bounds: Bounds, declaration: Declaration, levels: dict[str, str]) -> frozenset[str]:
    """Names of the services that act on a message, or wait for it."""
    named = frozenset().union(*((bounds.services or {}).get(role, ()) for role in declaration.receivers))
    if not declaration.reader:
        return named
    reader = levels[declaration.reader]
    return named & {bounds.operator.get(reader, reader)}


class Chains:
    """Longest chain of each interval; one that began again counts as it was at last."""

    def __init__(self, bounds: Bounds, run: str, host: Mapping[str, str] | None = None) -> None:
        self._host = host
        self.longest: dict[int, Link] = {}
        self.seconds: dict[int, float] = {}
        self._bounds = bounds
        self._topics = Topics(run)
        self._heard: dict[str, Link] = {}
        self._ahead: set[str] = set()
        self._began_s = 0.0

    def take(self, at_s: float, topic: str, message: Message) -> None:
        """Take one message in."""
        declared = self._topics.declared(topic)
        if declared is None or isinstance(message, Alive) or message.tick < 0:
            return
        if isinstance(message, Step) and message.step in ("measure", "restore", "end"):
            self._heard, self._ahead, self._began_s = {}, set(), at_s
            self.longest.pop(message.tick, None)
        before = self._heard.get(message.sender)
        depth = 0 if before is None else before.depth
        said = topic.removeprefix(f"{self._topics.root}/")
        for name in self._waiting(message, receivers(self._bounds, *declared)):
            link = Link(depth + self._costs(message.sender, name), message.sender, said, before)
            if name not in self._heard or self._heard[name].depth < link.depth:
                self._heard[name] = link
            if message.tick not in self.longest or self.longest[message.tick].depth < link.depth:
                self.longest[message.tick] = link
        self.seconds[message.tick] = at_s - self._began_s
        if isinstance(message, Step):
            self._ahead.update(each.step for each in message.ahead)

    def _costs(self, sender: str, receiver: str) -> bool:
        """Whether a message counts."""
        return self._host is None or self._host.get(sender) != self._host.get(receiver)

    def _waiting(self, message: Message, names: frozenset[str]) -> frozenset[str]:
        """Those of a message's receivers who may wait for it.

        Nobody waits for the clock's own reports, or for it to open a step into which services go by
        themselves; others' reports end steps, and two of them let the devices' side go on.
        """
        if isinstance(message, Step) and message.step in self._ahead:
            return frozenset()
        if isinstance(message, Done):
            after: dict[str, Party] = {"dispatch": "device host", "act": "gateway"}
            roles: tuple[Party, ...] = ("clock", "recorder")
            roles += (after[message.step],) if message.step in after else ()
            services = self._bounds.services or {}
            if message.sender in services.get("clock", ()):
                return frozenset()
            return names & frozenset().union(*(services.get(role, ()) for role in roles))
        return names


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--chain", is_flag=True, help="Show the chain of the last whole interval.")
@click.option("--between", is_flag=True, help="Count messages between roles' processes alone.")
def main(directory: Path, *, chain: bool, between: bool) -> None:
    """Say how long the chains of a recorded run are."""
    recorded = Recorded(directory)
    world = build_world(recorded.scenario, feeder_of(recorded.scenario).layout)
    host = {name: str(role) for role in Role for name in world.services_of(role)}
    chains = Chains(bounds_of(world), recorded.run, host if between else None)
    for entry in recorded.record:
        message = decoded(entry.body) if entry.topic else None
        if message is not None:
            chains.take(entry.at_s, entry.topic, message)
    ticks = sorted(recorded.outline.ticks)
    depths = [chains.longest[tick].depth for tick in ticks]
    print(f"{len(ticks)} intervals: {statistics.median(depths):g} messages in a row (median),", end=" ")
    seconds = statistics.median(chains.seconds[tick] for tick in ticks)
    print(f"{min(depths)} to {max(depths)}; {seconds:.3f} s (median)")
    print("by length:", ", ".join(f"{count} of {depth}" for depth, count in sorted(Counter(depths).items())))
    if chain:
        for link in chains.longest[ticks[-1]].chain():
            print(f"{link.depth:4d}  {link.sender:<14} {link.topic}")


if __name__ == "__main__":
    main()
