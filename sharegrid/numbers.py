"""Numbers on the command line: refused in people's words, and NaN and infinity are none."""

import math
from typing import Any, NoReturn

import click


def _between(low: float | None, high: float | None) -> str:
    """A range in words, each bound included."""
    if low is not None and high is not None:
        return f" from {low:,.12g} to {high:,.12g}"
    return "" if low is None else f" of at least {low:,.12g}"


class FiniteNumber(click.types.FloatParamType):
    """Any number but NaN and infinity; each subclass says what else it wants."""

    low: float | None = None
    high: float | None = None

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that an option's text stands for."""
        try:
            number = float(value)
        except ValueError:
            self._refuse(value, param, ctx)
        low, high = (
            (-math.inf if self.low is None else self.low),
            (math.inf if self.high is None else self.high),
        )
        if not math.isfinite(number) or not low <= number <= high:
            self._refuse(value, param, ctx)
        return number

    def _refuse(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        self.fail(f"{value} cannot be used; give a number{_between(self.low, self.high)}", param, ctx)


class FiniteRange(FiniteNumber):
    """A number of at least ``low``, and of at most ``high`` where that is given."""

    def __init__(self, low: float, high: float | None = None) -> None:
        self.low, self.high = low, high


class WholeRange(click.types.IntParamType):
    """A whole number of at least ``low``, and of at most ``high`` where that is given."""

    def __init__(self, low: int, high: int | None = None) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number that an option's text stands for."""
        try:
            number = int(value)
        except ValueError:
            number = None
        if number is None or number < self.low or (self.high is not None and number > self.high):
            wanted = f"a whole number{_between(self.low, self.high)}"
            self.fail(f"{value} cannot be used; give {wanted}", param, ctx)
        return number
