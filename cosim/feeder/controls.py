"""Regulators and switched capacitors as they act in the field: after their delays, one tap at a time.

OpenDSS knows each control's settings (band, line drop, delays, dead time) and decides when it acts; here its
control queue is worked off event by event, so that every state in between can be looked at.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import AcState

MOST_ACTIONS = 500
"""Control actions in one window beyond which controls are taken to hunt."""

MOST_REVERSALS = 3
"""Reversals of one device in one window beyond which it hunts; upstream taps may well cause one or two."""

_HELD, _ONE_BY_ONE = -1, 1


@dataclass(frozen=True)
class Positions:
    """Where all controls stand.

    Attributes
    ----------
    taps
        Steps of each regulator, ``{regulator: steps}``.
    capacitors
        Steps of each switched capacitor, 1 where switched on, ``{capacitor: states}``.
    """

    taps: Mapping[str, int] = field(default_factory=dict)
    capacitors: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((*self.taps.items(), *self.capacitors.items()))


@dataclass(frozen=True)
class Action:
    """One step of a control, ``at_s`` after the window's begin; + raises the tap or switches on."""

    at_s: float
    kind: Literal["regulator", "capacitor"]
    device: str
    steps: int


@dataclass(frozen=True)
class ControlRun:
    """A span of time at constant powers in which controls act.

    Attributes
    ----------
    window_s
        Length of the span [s].
    states
        AC states, each with the time at which it begins [s]; the first one begins at 0.
    actions
        What controls did, in order of time.
    hunting
        Devices that went to and fro without end; all controls are held from then on.
    """

    window_s: float
    states: tuple[tuple[float, AcState], ...]
    actions: tuple[Action, ...] = ()
    hunting: tuple[str, ...] = ()

    @property
    def first(self) -> AcState:
        """The state before any control acted."""
        return self.states[0][1]

    @property
    def last(self) -> AcState:
        """The state in which controls leave the feeder."""
        return self.states[-1][1]

    def shares(self) -> tuple[float, ...]:
        """Part of the span that each state lasts; they sum to 1."""
        begins = [begin for begin, _ in self.states] + [self.window_s]
        return tuple((end - begin) / self.window_s for begin, end in pairwise(begins))

    def count(self, kind: Literal["regulator", "capacitor"]) -> int:
        """Steps that controls of a kind took, both ways."""
        return sum(abs(action.steps) for action in self.actions if action.kind == kind)


def positions(dss: OpenDss) -> Positions:
    """Where the controls of a circuit stand."""
    taps = {}
    for name in dss.RegControls.AllNames():
        dss.RegControls.Name(name)
        taps[name.lower()] = int(dss.RegControls.TapNumber())
    return Positions(taps, {name: _states(dss, name) for name in switched_capacitors(dss)})


def switched_capacitors(dss: OpenDss) -> tuple[str, ...]:
    """Capacitors that a control switches, each once."""
    found = []
    for name in dss.CapControls.AllNames():
        dss.CapControls.Name(name)
        found.append(dss.CapControls.Capacitor().lower())
    return tuple(dict.fromkeys(found))


def moved_elements(dss: OpenDss) -> frozenset[str]:
    """Full names of the elements that controls move: transformers, autotransformers and capacitors."""
    found = [f"capacitor.{name}" for name in switched_capacitors(dss)]
    for name in dss.RegControls.AllNames():
        dss.RegControls.Name(name)
        moved = dss.RegControls.Transformer().lower().rpartition(".")[2]
        found += [f"transformer.{moved}", f"autotrans.{moved}"]
    return frozenset(found)


def controls_of(dss: OpenDss, element: str) -> tuple[str, ...]:
    """Full names of the controls that move an element such as ``transformer.t1``."""
    kind, _, name = element.partition(".")
    found = []
    if kind == "transformer":
        for control in dss.RegControls.AllNames():
            dss.RegControls.Name(control)
            found += (
                [f"regcontrol.{control.lower()}"] if dss.RegControls.Transformer().lower() == name else []
            )
    elif kind == "capacitor":
        for control in dss.CapControls.AllNames():
            dss.CapControls.Name(control)
            found += [f"capcontrol.{control.lower()}"] if dss.CapControls.Capacitor().lower() == name else []
    return tuple(found)


class Taps:
    """Puts the regulators of a circuit at taps, and leaves its list of buses alone.

    A tap that OpenDSS is told by its number counts as an edit of a transformer, after which it processes all
    buses anew. The ratio of a winding does not, so that of each number is found out once.

    Parameters
    ----------
    dss
        A context with a circuit; its regulators stay where they stand.
    """

    def __init__(self, dss: OpenDss) -> None:
        self._dss = dss
        self._ratios: dict[tuple[str, int], float] = {}
        transformers = {name.lower() for name in dss.Transformers.AllNames()}
        for name in dss.RegControls.AllNames():
            dss.RegControls.Name(name)
            if dss.RegControls.Transformer().lower() in transformers:
                self._find_ratios(name.lower())

    def _find_ratios(self, regulator: str) -> None:
        self._take_winding(regulator)
        stood, most = self._dss.Transformers.Tap(), self._dss.Transformers.NumTaps()
        for tap in range(-most, most + 1):
            self._dss.RegControls.TapNumber(tap)
            if self._dss.RegControls.TapNumber() == tap:
                self._ratios[regulator, tap] = self._dss.Transformers.Tap()
        self._dss.Transformers.Tap(stood)

    def _take_winding(self, regulator: str) -> None:
        self._dss.RegControls.Name(regulator)
        self._dss.Transformers.Name(self._dss.RegControls.Transformer())
        self._dss.Transformers.Wdg(self._dss.RegControls.TapWinding())

    def put(self, regulator: str, tap: int) -> None:
        """Put one regulator at a tap; one that it does not have is left to OpenDSS."""
        ratio = self._ratios.get((regulator, tap))
        if ratio is None:
            self._dss.RegControls.Name(regulator)
            self._dss.RegControls.TapNumber(tap)
        else:
            self._take_winding(regulator)
            self._dss.Transformers.Tap(ratio)


def put(dss: OpenDss, taps: Taps, where: Positions) -> None:
    """Put controls where they are said to stand; whoever calls sees to it that matrices are renewed."""
    for name, tap in where.taps.items():
        taps.put(name, int(tap))
    for name, states in where.capacitors.items():
        if states != _states(dss, name):
            dss.Capacitors.States(list(states))


def act(dss: OpenDss, taps: Taps, solve: Callable[[], AcState], window_s: float) -> ControlRun:
    """Let the controls of a circuit act for a span of time; they stay where they end.

    Parameters
    ----------
    dss, taps
        The context, its controls held, and what puts its regulators at taps.
    solve
        Solves the circuit at the powers of the span, with controls held, and gives the state.
    window_s
        Length of the span; what is still pending at its end is forgotten [s].

    Returns
    -------
    ControlRun
        The states that the feeder went through.

    Raises
    ------
    PowerFlowError
        As ``solve`` does.
    """
    _forget(dss)
    states = [(0.0, solve())]
    actions: list[Action] = []
    here = positions(dss)
    seen = {here}
    while len(actions) < MOST_ACTIONS:
        at_s = _next_event(dss)
        if at_s is None:
            return ControlRun(window_s, tuple(states), tuple(actions))
        if at_s >= window_s:
            put(dss, taps, here)
            break
        there = positions(dss)
        moved = _moves(at_s, here, there)
        if not moved:
            continue
        actions += moved
        states.append((at_s, solve()))
        here = there
        hunting = {each.device for each in moved if reversals(actions, each.device) > MOST_REVERSALS}
        if hunting and here in seen:
            return ControlRun(window_s, tuple(states), tuple(actions), tuple(sorted(hunting)))
        seen.add(here)
    restless = tuple(sorted({each.device for each in actions})) if len(actions) >= MOST_ACTIONS else ()
    return ControlRun(window_s, tuple(states), tuple(actions), restless)


def reversals(actions: list[Action], device: str) -> int:
    """How often a device turned round."""
    way = [action.steps > 0 for action in actions if action.device == device]
    return sum(one != other for one, other in pairwise(way))


def _next_event(dss: OpenDss) -> float | None:
    """Carry out whatever is due next, and say when that was [s]; None where nothing is pending."""
    solution = dss.Solution
    solution.ControlMode(_ONE_BY_ONE)
    try:
        solution.SampleControlDevices()
        if dss.CtrlQueue.QueueSize() == 0:
            return None
        solution.DoControlActions()
        return 3600.0 * float(solution.Hour()) + float(solution.Seconds())
    finally:
        solution.ControlMode(_HELD)


def _forget(dss: OpenDss) -> None:
    """Start the clock anew, with nothing pending: a span of time cannot tell of those before."""
    dss.CtrlQueue.ClearQueue()
    dss.Solution.Hour(0)
    dss.Solution.Seconds(0.0)
    for controls in (dss.RegControls, dss.CapControls):
        for name in controls.AllNames():
            controls.Name(name)
            controls.Reset()


def _states(dss: OpenDss, capacitor: str) -> tuple[int, ...]:
    dss.Capacitors.Name(capacitor)
    return tuple(int(state) for state in dss.Capacitors.States())


def _moves(at_s: float, before: Positions, after: Positions) -> list[Action]:
    found = [
        Action(at_s, "regulator", name, after.taps[name] - tap)
        for name, tap in before.taps.items()
        if after.taps[name] != tap
    ]
    for name, states in before.capacitors.items():
        steps = sum(after.capacitors[name]) - sum(states)
        if steps:
            found.append(Action(at_s, "capacitor", name, steps))
    return found


def hunting_flags(run: ControlRun) -> list[str]:
    """A flag that names the controls that hunt, where some do."""
    if not run.hunting:
        return []
    return [f"controls hunt ({', '.join(run.hunting)}); all are held from then on in the interval"]
