"""A device's registers in the terminal, as they are now."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

_ABOVE_AND_BELOW = 8


class Screen:
    """Table of registers that is drawn anew with `show`."""

    def __init__(self, live: Live, console: Console, title: str) -> None:
        self._live = live
        self._console = console
        self._title = title

    def show(self, points: Sequence[tuple[int, str, float | None, str]], status: str) -> None:
        """Draw address, name, value and unit of points; those that have no value are left out."""
        table = Table(title=self._title, title_justify="left", caption=status, caption_justify="left")
        table.add_column("register", justify="right")
        table.add_column("point")
        table.add_column("value", justify="right")
        table.add_column("unit")
        known = [point for point in points if point[2] is not None]
        most = max(1, self._console.height - _ABOVE_AND_BELOW)
        for address, name, value, unit in known[:most]:
            table.add_row(str(address), name, f"{value:,.9g}", unit)
        if len(known) > most:
            table.add_row("", f"{len(known) - most} more: make the window higher", "", "")
        self._live.update(table, refresh=True)


@contextmanager
def screen(title: str) -> Iterator[Screen]:
    """Screen for the time of a ``with`` block."""
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        yield Screen(live, console, title)
