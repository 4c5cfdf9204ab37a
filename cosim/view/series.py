"""Figures over a run's intervals in bounded memory: beyond a number of points, neighbours become one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

How = Literal["mean", "least", "most", "sum", "last"]
"""What becomes of the values of two points that become one."""

Value = float | None


class Series:
    """Values of several columns, one point for each interval, later for two, four and so on.

    Parameters
    ----------
    columns
        How the values of each are put together.
    most
        Most points that are kept.

    Attributes
    ----------
    ticks
        First interval of each point.
    values
        Values of each column; ``None`` where one is not known.
    stride
        Intervals that a point stands for.
    """

    def __init__(self, columns: Mapping[str, How], most: int = 600) -> None:
        self.ticks: list[int] = []
        self.values: dict[str, list[Value]] = {name: [] for name in columns}
        self.stride = 1
        self._how = dict(columns)
        self._most = most

    def put(self, tick: int, row: Mapping[str, Value]) -> None:
        """Take the values of an interval in; what is said again of one replaces what was said.

        Columns that are not in ``row`` stay as they are. An interval before the last point is past, but for
        one that begins anew: what lies behind it is dropped.
        """
        first = tick - tick % self.stride
        while self.ticks and self.ticks[-1] > first:
            self._drop_last()
        if not self.ticks or self.ticks[-1] != first:
            self.ticks.append(first)
            for column in self.values.values():
                column.append(None)
        is_new = tick == first
        for name, value in row.items():
            column = self.values[name]
            column[-1] = value if is_new else _joined(self._how[name], column[-1], value)
        if len(self.ticks) > self._most:
            self._halve()

    def _drop_last(self) -> None:
        self.ticks.pop()
        for column in self.values.values():
            column.pop()

    def _halve(self) -> None:
        self.stride *= 2
        starts = [at for at, tick in enumerate(self.ticks) if at == 0 or tick % self.stride == 0]
        ends = [*starts[1:], len(self.ticks)]
        for name, column in self.values.items():
            self.values[name] = [
                _of(self._how[name], column[start:end]) for start, end in zip(starts, ends, strict=True)
            ]
        self.ticks = [self.ticks[start] - self.ticks[start] % self.stride for start in starts]


def _joined(how: How, before: Value, value: Value) -> Value:
    return _of(how, [before, value])


def _of(how: How, values: list[Value]) -> Value:
    known = [value for value in values if value is not None]
    if not known:
        return None
    if how == "least":
        return min(known)
    if how == "most":
        return max(known)
    if how == "last":
        return known[-1]
    return sum(known) if how == "sum" else sum(known) / len(known)
