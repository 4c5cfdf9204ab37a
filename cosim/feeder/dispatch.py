"""What is said of a dispatch: the rules that bind it, the proposal, the answer, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from cosim.feeder import voltvar
from cosim.feeder.circuit import Floats
from cosim.feeder.controls import ControlRun
from cosim.feeder.judgement import Broken
from cosim.feeder.linear import Limits
from cosim.feeder.record import StateRecord
from cosim.feeder.rows import NetworkRows
from cosim.feeder.settings import Event
from cosim.feeder.violation_hours import ViolationHours

Reactive = Literal["unity", "volt-var", "market"]


@dataclass(frozen=True)
class OperatingRules:
    """What a feeder's operation is bound by.

    Attributes
    ----------
    limits
        Voltage and current limits.
    interval_s
        Length of an interval, in which controls have time to act [s].
    limit_kvar
        Reactive capability of each LAM's inverters, both ways ``(M,)`` [kvar].
    controls_act
        Whether regulators and switched capacitors act.
    network
        Whether the limits enter the clearing.
    reactive
        What inverters do: nothing, their volt-var droop, or the market's set-points.
    curve_pu
        Voltages of the droop.
    events
        What happens at the opening of an interval, by tick.
    """

    limits: Limits
    interval_s: float
    limit_kvar: Floats
    controls_act: bool = False
    network: bool = True
    reactive: Reactive = "unity"
    curve_pu: tuple[float, float, float, float] = voltvar.CURVE_PU
    events: Mapping[int, tuple[Event, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """A dispatch to be judged; powers over M LAMs [kW, kvar].

    ``load_kvar`` is drawn beside the inverters; ``inverter_kvar`` are the market's set-points, + absorbs;
    the clearing may choose between ``low_kw`` and ``high_kw``.
    """

    tick: int
    round: int
    net_kw: Floats
    load_kvar: Floats
    inverter_kvar: Floats
    low_kw: Floats
    high_kw: Floats

    def set_kvar(self, reactive: Reactive) -> Floats:
        """The kvar that the market sets ``(M,)``; all others move with the state, not with the clearing."""
        return self.inverter_kvar if reactive == "market" else np.zeros_like(self.net_kw)


class Model(NamedTuple):
    """Linear model for the clearing, over M net powers and, where inverters take set-points, M kvar."""

    balance: Floats
    offset_kw: float
    rows: NetworkRows
    limit_kvar: Floats
    present_kvar: Floats


@dataclass(frozen=True)
class Answer:
    """What is said of a proposal, and the model for the next one where it is not confirmed.

    Attributes
    ----------
    source_kw
        Head power under AC power flow [kW]; ``None`` where that was not asked, for the linear model itself
        breaks limits that it did not hold.
    confirmed
        Within limits and true to its model, before and after controls have acted.
    severity
        Largest severity of the states judged.
    broken
        Limits that it breaks.
    flags
        What went wrong, in words.
    unwatched
        How many limits are broken that the model behind the proposal did not hold.
    """

    source_kw: float | None = None
    confirmed: bool = False
    linear_error_pu: float | None = None
    severity: float | None = None
    broken: Broken = field(default_factory=Broken)
    flags: tuple[str, ...] = ()
    model: Model | None = None
    unwatched: int = 0


@dataclass(frozen=True)
class Physics:
    """What metered power did to the feeder in an interval.

    Attributes
    ----------
    run
        The states that it went through.
    net_kvar
        What each LAM drew, its inverters' droop included ``(M,)`` [kvar].
    broken
        Limits that are broken in the state in which the interval ends.
    flags
        What went wrong, in words.
    record
        What the state in which the interval ends can be rebuilt from.
    """

    run: ControlRun
    net_kvar: Floats
    broken: Broken
    flags: tuple[str, ...]
    violation_hours: ViolationHours
    record: StateRecord

    def mean(self, name: Literal["source_kw", "source_kvar", "losses_kw"]) -> float:
        """Mean of a power over the interval."""
        return float(
            sum(
                share * getattr(state, name)
                for (_, state), share in zip(self.run.states, self.run.shares(), strict=True)
            )
        )
