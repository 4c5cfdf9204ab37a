"""What a feeder can come to feed: lines that its description has open are closed, one after the other."""

from collections.abc import Sequence
from dataclasses import replace

from cosim.feeder.circuit import FeederError, PowerFlowError
from cosim.feeder.opendss import Feeder


def reaching(feeder: Feeder, lines: Sequence[str]) -> Feeder:
    """The feeder itself, which from now on knows what it feeds once lines are closed.

    Its `Feeder.widest` is then the feeder with these lines closed, in which also the voltages are judged that
    this feeds. A line that cannot be closed stays open: when its event comes, that is said.

    Parameters
    ----------
    feeder
        As it is opened.
    lines
        Lines that events may close.
    """
    widest, held = feeder, list[str]()
    for line in () if feeder.feeds_all else dict.fromkeys(lines):
        commands = [*held, *feeder.closing(line)]
        if commands == held:
            continue
        try:
            widest, held = feeder.changed(commands, wider=True), commands
        except (FeederError, PowerFlowError):
            continue
    if widest is not feeder:
        widest.layout = replace(widest.layout, notes=feeder.layout.notes)
    feeder.widest = widest
    return feeder
