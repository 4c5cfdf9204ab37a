"""``sharegrid replay --step``: stops after intervals or messages, shows what was said, and asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from cosim.replay.account import Shown
from cosim.replay.ports import Stopped
from cosim.replay.reading import read_message

Unit = Literal["interval", "message"]

HELP = """  Enter     on to the next stop
  i, m      from now on stop after each interval, each message
  g NUMBER  on until interval NUMBER is over
  NUMBER    show message NUMBER of those above, whole
  q         end the replay"""

_PROMPT = "Enter, i, m, g NUMBER, NUMBER, q or h> "


class Stepper:
    """Stops a replay and asks.

    Parameters
    ----------
    unit
        After what it stops.
    ask
        Shows a prompt and returns what was typed; raises ``EOFError`` where nobody is there.
    say
        Shows text.
    """

    def __init__(self, unit: Unit, ask: Callable[[str], str], say: Callable[[str], None]) -> None:
        self._unit = unit
        self._ask = ask
        self._say = say
        self._goal = -1
        self._shown: list[Shown] = []

    def after_message(self, shown: Shown) -> None:
        """Keep a message that was played, and stop behind it where that is wanted."""
        self._shown.append(shown)
        if self._unit == "message" and self._goal < 0:
            self._say(_line(len(self._shown), [shown]))
            self._stop()

    def before_interval(self, tick: int) -> None:
        """Say what was said in an interval that is over, and stop."""
        if tick >= self._goal:
            self._goal = -1
            if self._unit == "interval":
                self._say(f"interval {tick}: {len(self._shown)} messages")
                self._list()
                self._stop()
        self._shown.clear()

    def _list(self) -> None:
        """One line for each message, or for alike ones that follow each other."""
        first = 0
        for number in range(1, len(self._shown) + 1):
            if number == len(self._shown) or _sort(self._shown[number]) != _sort(self._shown[first]):
                self._say(_line(first + 1, self._shown[first:number]))
                first = number

    def _stop(self) -> None:
        """Ask until it goes on."""
        while True:
            try:
                word, _, rest = self._ask(_PROMPT).strip().partition(" ")
            except EOFError:
                raise Stopped from None
            if word == "":
                return
            if word in ("i", "m"):
                self._unit = "interval" if word == "i" else "message"
                return
            if word == "g" and rest.strip().isdecimal():
                self._goal, self._unit = int(rest), "interval"
                return
            if word == "q":
                raise Stopped
            if word.isdecimal() and 1 <= int(word) <= len(self._shown):
                shown = self._shown[int(word) - 1]
                self._say(read_message(shown.entry, shown.told))
            else:
                self._say(HELP)


def _sort(shown: Shown) -> tuple[str, str, bool]:
    """What makes messages alike: kind and phase, sender, and whether something differs."""
    levels = shown.entry.topic.split("/")[3:]
    return "/".join(levels[:1]), shown.sender, bool(shown.difference)


def _line(number: int, alike: list[Shown]) -> str:
    first, count = alike[0], len(alike)
    topic = "/".join(first.entry.topic.split("/")[3:])
    size = sum(len(each.entry.body) for each in alike)
    more = f" and {count - 1} more" if count > 1 else ""
    held = first.difference or ("as recorded" if first.is_judged else "")
    return f"{number:6d}  {first.sender:<14} {topic}{more}  {size:,} bytes  {held}".rstrip()
