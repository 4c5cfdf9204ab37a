"""What is said on the terminal and in the run's log, whatever the disk does."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from cosim.narration import Teller, teller_of
from cosim.observation.incidents import Incident

WORLD = SimpleNamespace(timeline=None)
FULL = Path("/dev/full")


def alarm(number):
    return Incident(
        number=number,
        tick=-1,
        text="alarm: battery of home does not obey",
        weight="alarm",
        source="gateway-0",
    )


@pytest.mark.parametrize("is_terminal", [True, False])
def test_alarms_are_said_on_the_terminal_where_the_log_cannot_be_written(is_terminal):
    screen = io.StringIO()
    with FULL.open("ab", buffering=0) as log:
        teller = Teller(
            Console(file=screen, width=200, force_terminal=is_terminal, no_color=True), WORLD, log
        )
        teller.say("stopped by test")
        for number in range(3):
            teller.tell(alarm(number))
    said = screen.getvalue()
    assert said.count("battery of home does not obey") == 3
    assert said.count("/dev/full cannot be written (No space left on device)") == 1


async def test_a_log_that_cannot_be_written_ends_no_run(tmp_path):
    (tmp_path / "run.log").symlink_to(FULL)
    screen = io.StringIO()
    async with teller_of(Console(file=screen, width=200), WORLD, tmp_path) as teller:
        teller.say("stopped by test")
    assert "stopped by test" in screen.getvalue()
