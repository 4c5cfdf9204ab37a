"""Flags and alarms as the view shows them."""

from __future__ import annotations

from collections.abc import Sequence

from cosim.observation.incidents import Incident
from cosim.view.calendar import Calendar
from cosim.view.panels import FlagPanel, FlagRow

MOST_FLAGS = 200
"""Rows that are shown."""


def flag_panel(latest: Sequence[Incident], total: int, calendar: Calendar) -> FlagPanel:
    """Panel of incidents, the latest first.

    Parameters
    ----------
    latest
        Those that are kept, the latest first.
    total
        How many there were in all.
    calendar
        Times of the intervals.
    """
    rows = [
        FlagRow(
            number=each.number,
            tick=each.tick,
            label=calendar.label(each.tick),
            weight=each.weight,
            source=each.source,
            text=each.line,
            count=each.count,
        )
        for each in latest[:MOST_FLAGS]
    ]
    return FlagPanel(total=total, rows=rows)
