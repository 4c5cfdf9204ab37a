"""What a unit is to the simulator that steps it: values by name in, values by name out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sharegrid.errors import SharegridError


class UnitError(SharegridError):
    """A unit that cannot be made, or a step that has no outcome."""


class Port(NamedTuple):
    """An input or output: its name, its value at the start, its unit, and what it is."""

    name: str
    start: float
    unit: str
    meaning: str


class Model(Protocol):
    """What a unit computes.

    Attributes
    ----------
    inputs, outputs
        Their values by name; whoever steps the model sets and reads them.
    """

    inputs: dict[str, float]
    outputs: dict[str, float]

    def ports(self) -> tuple[list[Port], list[Port]]:
        """Inputs and outputs, in their order."""

    def begin(self) -> None:
        """Let outputs be those of the inputs at the start."""

    def step(self, step_s: float) -> None:
        """Let a time pass [s] with the inputs as they are; raises `SharegridError` without an outcome."""
