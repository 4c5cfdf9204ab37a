"""Numbers on the command line: refused in people's words, and NaN and infinity are none."""

import math
from typing import Any, NoReturn

import click


def _between(low: float, high: float) -> str:
    """A range in words, each bound included; infinity bounds nothing."""
    if math.isfinite(high):
        return f" from {low:,.12g} to {high:,.12g}"
    return f" of at least {low:,.12g}" if math.isfinite(low) else ""


class FiniteNumber(click.types.FloatParamType):
    """Any number but NaN and infinity; each subclass says what else it wants."""

    low: float = -math.inf
    high: float = math.inf

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that an option's text stands for."""
        try:
            number = float(value)
        except ValueError:
            self._refuse(value, param, ctx)
        if not math.isfinite(number) or not self.low <= number <= self.high:
            self._refuse(value, param, ctx)
        return number

    def _refuse(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        self.fail(f"{value} cannot be used; give a number{_between(self.low, self.high)}", param, ctx)


class FiniteRange(FiniteNumber):
    """A number of at least ``low``, and of at most ``high`` where that is given."""

    def __init__(self, low: float, high: float = math.inf) -> None:
        self.low, self.high = low, high


class WholeRange(click.types.IntParamType):
    """A whole number of at least ``low``, and of at most ``high`` where that is given."""

    def __init__(self, low: int, high: float = math.inf) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number that an option's text stands for."""
        try:
            number = int(value)
        except ValueError:
            number = None
        if number is None or not self.low <= number <= self.high:
            wanted = f"a whole number{_between(self.low, self.high)}"
            self.fail(f"{value} cannot be used; give {wanted}", param, ctx)
        return number
