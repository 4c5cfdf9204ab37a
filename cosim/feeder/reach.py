"""What a feeder can come to feed: lines that its description has open are closed, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cosim.feeder.circuit import FeederError, PowerFlowError

if TYPE_CHECKING:
    from cosim.feeder.opendss import Feeder


def with_closed(feeder: Feeder, lines: Sequence[str]) -> Feeder:
    """A feeder with lines closed, in which also the voltages are judged that this feeds; itself without any.

    A line that cannot be closed stays open: when its event comes, that is said.
    """
    widest, held = feeder, list[str]()
    for line in dict.fromkeys(lines):
        commands = [*held, *feeder.closing(line)]
        if commands == held:
            continue
        try:
            widest, held = feeder.changed(commands, wider=True), commands
        except (FeederError, PowerFlowError):
            continue
    if widest is not feeder:
        widest.layout = replace(widest.layout, notes=feeder.layout.notes)
    return widest
