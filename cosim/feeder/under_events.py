"""A feeder to which things happen: elements fail and return, the source sags, regulators stick, loads step.

To the outside it keeps the shape of all that it can come to feed: what no source feeds has no voltage (NaN),
carries no current and moves nothing. Inside, the circuit is opened anew whenever its topology changes.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np

from cosim.feeder.boundary import FREE, Boundary
from cosim.feeder.changes import Commands, change_of
from cosim.feeder.circuit import AcState, FeederError, Floats, NothingFed
from cosim.feeder.controls import ControlRun, Positions
from cosim.feeder.linear import Linearisation
from cosim.feeder.opendss import Feeder
from cosim.feeder.record import Connections, StateRecord
from cosim.feeder.settings import Event
from cosim.feeder.spread import Nothing, Spread, joined_places, places_of, spread_out


class FeederUnderEvents:
    """A `Feeder` with events; the same calls, over all M LAMs and all that events may feed at all times.

    Parameters
    ----------
    feeder
        The feeder as it is at the start.

    Attributes
    ----------
    layout
        Of the feeder, with all that events may feed.
    boundary
        What others set last, from outside.
    """

    def __init__(self, feeder: Feeder) -> None:
        self.layout = feeder.widest.layout
        self._base = feeder
        self._stood = feeder.positions()
        self._changes: dict[str, Commands] = {}
        self.boundary = FREE
        lams = len(feeder.layout.lams)
        self._extra_kw, self._extra_kvar = np.zeros(lams), np.zeros(lams)
        self._now: Feeder | None
        self._lams: np.ndarray
        self._take(feeder)

    def fed(self) -> Floats:
        """1 for each LAM that a source feeds, 0 for the others ``(M,)``."""
        fed = np.zeros(len(self.layout.lams))
        fed[self._lams] = 1.0
        return fed

    def unserved(self) -> list[str]:
        """Names of the LAMs that no source feeds."""
        if self._whole:
            return []
        return [name for name, fed in zip(self.layout.lams, self.fed(), strict=True) if not fed]

    def apply(self, event: Event) -> str:
        """Let an event happen; says what it was and did, in words.

        Raises
        ------
        FeederError, PowerFlowError
            It cannot; the feeder stays as it was.
        """
        if event.kind == "load-step":
            lam = self.layout.lams.index(event.lam)
            self._extra_kw[lam], self._extra_kvar[lam] = event.kw, event.kvar
            return f"a load of {event.kw:g} kW and {event.kvar:g} kvar outside the market at LAM {event.lam}"
        if event.kind == "regulator-tap":
            return self._put_tap(event.element.lower(), event.tap)
        change = change_of(event, self.layout, self._base.closing, self._base.controls_of)
        before = f"{self._fault_in_words(event)}; cleared: " if event.kind == "fault" else ""
        served, newly = self.fed(), self._fed_newly()
        self._change(change.of, change.commands)
        return f"{before}{change.words}{self._service_in_words(served, newly)}"

    def stand_at(self, boundary: Boundary) -> None:
        """Let others set the source's voltage and loads outside the market, in place of what they set before.

        Raises
        ------
        FeederError, PowerFlowError
            It cannot; the feeder stays as it was.
        """
        before, self.boundary = self.boundary, boundary
        if boundary.source_pu == before.source_pu:
            return
        try:
            self._reopen(self._changes)
        except BaseException:
            self.boundary = before
            raise

    def outside(self) -> tuple[Floats, Floats]:
        """Loads outside the market, of events and as others set them, each ``(M,)`` [kW, kvar]."""
        kw, kvar = self.boundary.load_kw or 0.0, self.boundary.load_kvar or 0.0
        return self._extra_kw + kw, self._extra_kvar + kvar

    def _put_tap(self, regulator: str, tap: int) -> str:
        if self._now is None:
            raise FeederError(f"regulator '{regulator}' has no voltage: no source feeds any load")
        before = self._now.taps().get(regulator)
        self._now.set_taps({regulator: tap})
        return f"regulator {regulator} is put from tap {before} to tap {tap}"

    def _fault_in_words(self, event: Event) -> str:
        line = event.element.lower()
        current_a = self._base.fault_current_a(line, self._commands(self._changes))
        return f"a fault on line {line} draws {current_a:,.0f} A"

    def _fed_newly(self) -> list[str]:
        """Buses with voltage that had none at the start: no LAM stands there."""
        if self._now is None:
            return []
        start, now = set(self._base.layout.nodes), self._now.layout.nodes
        return list(dict.fromkeys(node.partition(".")[0] for node in now if node not in start))

    def _service_in_words(self, before: Floats, newly_before: list[str]) -> str:
        change = dict(zip(self.layout.lams, self.fed() - before, strict=True))
        again = [name for name, by in change.items() if by > 0]
        dark = [name for name, by in change.items() if by < 0]
        words = f"; {len(again)} LAMs are fed again: {', '.join(again)}" if again else ""
        newly = [bus for bus in self._fed_newly() if bus not in newly_before]
        words += f"; fed outside the market: {', '.join(newly)}" if newly else ""
        if not dark:
            return words
        all_dark = len(self.unserved())
        more, in_all = (" more", f"; {all_dark} in all") if all_dark > len(dark) else ("", "")
        return f"{words}; no source feeds {len(dark)}{more} LAMs: {', '.join(dark)}{in_all}"

    def _change(self, what: str, commands: Commands) -> None:
        """Open the circuit anew with one change more, or less."""
        self._reopen({**self._changes, what: commands})

    def _reopen(self, changes: dict[str, Commands]) -> None:
        """Open the circuit anew with its changes; controls stay where they stand."""
        before = self.positions()
        try:
            fresh = self._base.widest.changed(self._commands(changes))
        except NothingFed:
            fresh = None
        if fresh is not None:
            fresh.put(before)
        self._changes, self._stood = changes, before
        left = self._now
        self._take(fresh)
        if left is not None and left not in (self._base, self._base.widest):
            left.close()

    def _take(self, fresh: Feeder | None) -> None:
        """Go on with a circuit, and find its parts in what is shown to the outside."""
        self._now = fresh
        if fresh is None:
            self._whole, self._lams = False, np.zeros(0, dtype=np.intp)
            return
        layout, now = self.layout, fresh.layout
        place = {name: at for at, name in enumerate(layout.lams)}
        self._lams = np.array([place[name] for name in now.lams], dtype=np.intp)
        self._nodes = places_of(layout.nodes, now.nodes)
        self._branches = places_of(layout.branches, now.branches)
        self._neutrals = places_of(layout.neutrals, now.neutrals)
        self._whole = (
            layout.lams == now.lams
            and layout.nodes == now.nodes
            and layout.branches == now.branches
            and layout.neutrals == now.neutrals
        )

    def solve(self, net_kw: Floats, net_kvar: Floats) -> AcState:
        """`Feeder.solve`; power of LAMs that nothing feeds counts as 0."""
        if self._now is None:
            return self._dark()
        state = self._now.solve(*self._inside(net_kw, net_kvar))
        if self._whole:
            return replace(state, net_kw=np.array(net_kw), net_kvar=np.array(net_kvar))
        fed = self.fed()
        return replace(
            state,
            net_kw=net_kw * fed,
            net_kvar=net_kvar * fed,
            v_pu=spread_out(state.v_pu, self._nodes, np.nan),
            angle_deg=spread_out(state.angle_deg, self._nodes, np.nan),
            current_a=spread_out(state.current_a, self._branches, 0.0),
            nodes=self.layout.nodes,
            branches=self.layout.branches,
            neutral_v=spread_out(state.neutral_v, self._neutrals, np.nan),
        )

    def linearise(self, net_kw: Floats, net_kvar: Floats) -> Linearisation:
        """`Feeder.linearise`; LAMs that nothing feeds move nothing, and have neither losses nor savings."""
        if self._now is None:
            return self._still()
        model = self._now.linearise(*self._inside(net_kw, net_kvar))
        if self._whole:
            return replace(model, net_kw=np.array(net_kw), net_kvar=np.array(net_kvar))
        fed, lams = self.fed(), len(self.layout.lams)
        return replace(
            model,
            net_kw=net_kw * fed,
            net_kvar=net_kvar * fed,
            v_pu=spread_out(model.v_pu, self._nodes, np.nan),
            current_a=spread_out(model.current_a, self._branches, 0.0),
            derivatives=Spread(
                model.derivatives, self._nodes, self._branches, self._neutrals, self._lams, lams
            ),
            nodes=self.layout.nodes,
            branches=self.layout.branches,
            phasors=spread_out(model.phasors, joined_places(self._nodes, self._neutrals), np.nan),
        )

    def opened_model(self) -> Linearisation | None:
        """`Feeder.opened_model`; ``None`` as well where events have changed what is fed, or load it."""
        if self._now is None or not self._whole or any(each.any() for each in self.outside()):
            return None
        return self._now.opened_model()

    def act(self, solve: Callable[[], AcState], window_s: float) -> ControlRun:
        """`Feeder.act`, where ``solve`` solves by `solve` here."""
        if self._now is None:
            return ControlRun(window_s, ((0.0, solve()),))
        return self._now.act(solve, window_s)

    def record(self, metered: tuple[Floats, Floats], cleared: tuple[Floats, Floats]) -> StateRecord:
        """What the present state can be rebuilt from, at metered and cleared powers ``(M,)`` [kW, kvar]."""
        if self._now is None:
            nothing = Connections((), np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.complex128))
            return StateRecord({}, tuple(self._commands(self._changes)), nothing, nothing.kva)
        drawn = self._now.connections(*self._inside(*metered))
        return StateRecord(
            positions=self._positions(),
            changes=self._now.commands,
            metered=replace(drawn, lam=np.where(drawn.lam >= 0, self._lams[drawn.lam], -1)),
            cleared_kva=self._now.connections(*self._inside(*cleared)).kva,
        )

    def _commands(self, changes: dict[str, Commands]) -> list[str]:
        pu = self.boundary.source_pu
        last = [] if pu is None else [f"edit vsource.source pu={pu!r}"]
        return [*(text for each in changes.values() for text in each), *last]

    def _positions(self) -> dict[str, str]:
        """Taps, steps and switches by device."""
        where = self.positions()
        found = {f"regulator.{name}": str(tap) for name, tap in where.taps.items()}
        for name, states in where.capacitors.items():
            found[f"capacitor.{name}"] = " ".join(map(str, states))
        for name in self.layout.switches:
            commands = self._changes.get(f"line.{name}", None if name in self._described_open else ())
            is_open = commands is None or any("enabled=no" in text for text in commands)
            found[f"switch.{name}"] = "open" if is_open else "closed"
        return found

    @cached_property
    def _described_open(self) -> frozenset[str]:
        """Switches that the feeder's description has open."""
        return frozenset(name for name in self.layout.switches if self._base.closing(name))

    def positions(self) -> Positions:
        """`Feeder.positions`."""
        return self._stood if self._now is None else self._now.positions()

    def put(self, where: Positions) -> None:
        """`Feeder.put`."""
        if self._now is not None:
            self._now.put(where)

    def _dark(self) -> AcState:
        """The state in which nothing is fed."""
        layout, lams = self.layout, len(self.layout.lams)
        nowhere = np.full(len(layout.nodes), np.nan)
        return AcState(
            net_kw=np.zeros(lams),
            net_kvar=np.zeros(lams),
            v_pu=nowhere,
            angle_deg=nowhere,
            current_a=np.zeros(len(layout.branches), dtype=np.complex128),
            source_kw=0.0,
            source_kvar=0.0,
            losses_kw=0.0,
            taps=tuple(self._stood.taps.values()),
            iterations=0,
            nodes=layout.nodes,
            branches=layout.branches,
            neutral_v=np.full(len(layout.neutrals), np.nan, dtype=np.complex128),
        )

    def _still(self) -> Linearisation:
        """The model of a feeder in which nothing is fed."""
        dark, lams = self._dark(), len(self.layout.lams)
        return Linearisation(
            net_kw=dark.net_kw,
            net_kvar=dark.net_kvar,
            v_pu=dark.v_pu,
            current_a=dark.current_a,
            derivatives=Nothing(len(dark.nodes), len(dark.branches), lams),
            p0_kw=0.0,
            nodes=dark.nodes,
            branches=dark.branches,
            phasors=dark.phasors,
        )

    def _inside(self, net_kw: Floats, net_kvar: Floats) -> tuple[Floats, Floats]:
        more_kw, more_kvar = self.outside()
        kw, kvar = net_kw + more_kw, net_kvar + more_kvar
        return (kw, kvar) if self._whole else (kw[self._lams], kvar[self._lams])
