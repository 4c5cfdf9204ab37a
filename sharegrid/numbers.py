"""Numbers on the command line: NaN and infinity are none."""

import math
from typing import Any

import click


class FiniteNumber(click.types.FloatParamType):
    """Any number but NaN and infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that an option's text stands for."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not finite; give a number", param, ctx)
        return number


class FiniteRange(click.FloatRange, FiniteNumber):
    """A number within a range; NaN, which compares with nothing, is none."""
