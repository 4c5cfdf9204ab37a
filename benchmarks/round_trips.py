"""The longest chain of messages in each interval of a recorded run, of which each waits for the one before.

    python -m benchmarks.round_trips DIRECTORY [--chain]

DIRECTORY holds a run with its record (`sharegrid run --record`). A message counts as waiting for all that its
sender had heard before in the interval, by the receivers that messages declare; so the chain is the longest
that there may be, and its length times a message's time is what a slow network costs an interval at most.
"""

import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from broker.door.bounds import Bounds
from broker.messages import Alive, Declaration, Message, Step
from broker.topics import Topics
from cosim.feeder_setup.lam_table import feeder_of
from cosim.replay.outline import decoded
from cosim.replay.replay import Recorded
from cosim.world.bounds import bounds_of
from cosim.world.build import build_world


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
    """Names of the services that act on a message."""
    named = frozenset().union(*((bounds.services or {}).get(role, ()) for role in declaration.receivers))
    if not declaration.reader:
        return named
    reader = levels[declaration.reader]
    return named & {bounds.operator.get(reader, reader)}


class Chains:
    """Longest chain of each interval; one that began again counts as it was at last."""

    def __init__(self, bounds: Bounds, run: str) -> None:
        self.longest: dict[int, Link] = {}
        self.seconds: dict[int, float] = {}
        self._bounds = bounds
        self._topics = Topics(run)
        self._heard: dict[str, Link] = {}
        self._began_s = 0.0

    def take(self, at_s: float, topic: str, message: Message) -> None:
        """Take one message in."""
        declared = self._topics.declared(topic)
        if declared is None or isinstance(message, Alive) or message.tick < 0:
            return
        if isinstance(message, Step) and message.step in ("measure", "restore", "end"):
            self._heard, self._began_s = {}, at_s
            self.longest.pop(message.tick, None)
        before = self._heard.get(message.sender)
        depth = 1 if before is None else before.depth + 1
        link = Link(depth, message.sender, topic.removeprefix(f"{self._topics.root}/"), before)
        for name in receivers(self._bounds, *declared):
            if name not in self._heard or self._heard[name].depth < depth:
                self._heard[name] = link
        if message.tick not in self.longest or self.longest[message.tick].depth < depth:
            self.longest[message.tick] = link
        self.seconds[message.tick] = at_s - self._began_s


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--chain", is_flag=True, help="Show the chain of the last whole interval.")
def main(directory: Path, *, chain: bool) -> None:
    """Say how long the chains of a recorded run are."""
    recorded = Recorded(directory)
    world = build_world(recorded.scenario, feeder_of(recorded.scenario).layout)
    chains = Chains(bounds_of(world), recorded.run)
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
