"""A feeder under AC power flow: OpenDSS behind arrays, with exact derivatives.

A `Feeder` owns an OpenDSS context of its own, is used from one thread,
and gives the same bits for the same injections and taps whatever was solved before.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event

from cosim.feeder import ieee123
from cosim.feeder.circuit import (
    AcState,
    FeederError,
    FeederLayout,
    Floats,
    LamSite,
    NothingFed,
    PowerFlowError,
)
from cosim.feeder.controls import ControlRun, Positions, controls_of, moved_elements
from cosim.feeder.held_controls import HeldControls
from cosim.feeder.linear import Linearisation
from cosim.feeder.powerflow.differences import difference_model
from cosim.feeder.powerflow.engine import clear, node_voltages, translated
from cosim.feeder.powerflow.exact import ExactModel
from cosim.feeder.powerflow.fault import fault_current_a
from cosim.feeder.powerflow.islands import closing, rewire
from cosim.feeder.powerflow.lam_circuit import LamCircuit, attach_lams
from cosim.feeder.powerflow.layout import layout_of
from cosim.feeder.powerflow.losses import losses_by_element
from cosim.feeder.powerflow.opening import OpenCircuit, choose_tolerance, open_circuit
from cosim.feeder.powerflow.primitives import Assembly, Primitives
from cosim.feeder.powerflow.solver import Solver
from cosim.feeder.powerflow.survey import bus_coordinates, spot_loads
from cosim.feeder.record import Connections, connections


class Feeder:
    """A distribution feeder with M LAMs, solved by OpenDSS.

    Where regulators and switched capacitors stand is the only state that outlives a call; `act`,
    `put` and `set_taps` move them.

    Parameters
    ----------
    master
        OpenDSS master file; none for the IEEE 123-node feeder that comes with the project.
    sites
        Where LAMs attach; by default one at each bus with loads, named after the bus.
    changes
        OpenDSS commands that change the circuit before anything else; what no source feeds then is left out,
        and LAMs with it.
    opened
        The same file where it is open already, as `open_circuit` gives it; the feeder owns it from then on.
    by_phase
        One LAM for each phase that loads stand on, such as ``47.1`` and ``76.1-2``, not one for each bus.
    others_vary
        Loads outside the market vary with voltage as the file says, instead of drawing constant power.
    before
        The feeder before the changes: generators keep their powers, the same voltages are judged, and what
        stops it stops this one.
    wider
        Voltages that only the changes feed are judged as well.

    Attributes
    ----------
    layout
        The unchanging facts: names, bases, ratings, map.
    feeds_all
        Whether everything that the file describes is fed.
    widest
        The feeder once lines are closed that events may close, as `cosim.feeder.reach` sets it; else itself.
    commands
        OpenDSS commands that made of the file what it is now.

    Raises
    ------
    FeederError
        The file is missing or refused by OpenDSS, something in it is fed by nothing, or a site does not
        exist.
    PowerFlowError
        The feeder has no solution at its own spot loads.
    """

    layout: FeederLayout
    widest: "Feeder"
    _stopped: Event
    _circuit: LamCircuit
    _known: frozenset[str]

    @translated(FeederError, "feeder")
    def __init__(
        self,
        master: str | Path | None = None,
        sites: Sequence[LamSite] | None = None,
        changes: Sequence[str] = (),
        opened: OpenCircuit | None = None,
        before: "Feeder | None" = None,
        *,
        by_phase: bool = False,
        others_vary: bool = False,
        wider: bool = False,
    ) -> None:
        self._master, self._by_phase, self._others_vary = master, by_phase, others_vary
        self._stopped = before._stopped if before else Event()
        known = before._known if before else None
        self._sites: Sequence[LamSite] | None = sites
        opened = opened or open_circuit(master)
        dss = self._dss = opened.dss
        if changes:
            buses, changes = rewire(dss, changes, known or ())
            loaded = {load.bus for load in spot_loads(dss)} if dss.Loads.Count() else set()
            if not buses & loaded:
                raise NothingFed("no source feeds any load")
            if sites is not None:
                sites = [site for site in sites if site.bus in (buses if site.phases else buses & loaded)]
        circuit = self._circuit = attach_lams(
            dss,
            sites,
            opened.notes,
            before._circuit if before else None,
            known,
            by_phase=by_phase,
            others_vary=others_vary,
            wider=wider,
        )
        self._known = frozenset(load.name for load in circuit.loads) if known is None else known
        # What an event feeds that was cut off at the start joins no market.
        self._sites = circuit.sites if self._sites is None else self._sites
        self.commands = (*changes, *circuit.left_out)
        spot_kw = circuit.attachment.spot_kw
        spot_kvar = spot_kw * circuit.attachment.tan_phi
        assembly = Assembly(circuit.survey)
        primitives = Primitives(dss, circuit.survey, moved_elements(dss))
        self._solver = Solver(dss, circuit, self._stopped)
        self._controls = HeldControls(dss, self._solver.renew)
        self._exact = ExactModel(dss, circuit, self._solver.base_v, assembly, primitives)
        choose_tolerance(dss)
        self._solver.renew()
        # A circuit that was changed must hold at what its LAMs draw, not at their own loads.
        part = self._solver.part_that_holds(spot_kw, spot_kvar) if changes else 1.0
        self.solve(part * spot_kw, part * spot_kvar)
        self._solver.start_here()
        self._controls.note()
        self._solver.take_over(assembly, primitives)
        here = self.solve(part * spot_kw, part * spot_kvar)
        self._is_exact = self._exact.explains(here, self._controls.at, self.solve)
        if self._is_exact and part == 1.0:
            self._exact.keep(here, self._controls.at, self.solve)
        self.layout = layout_of(
            name=dss.Circuit.Name() if master else ieee123.NAME,
            circuit=circuit,
            regulators=tuple(self._controls.at.taps),
            coordinates=bus_coordinates(dss) if master else ieee123.coordinates(),
            exact_derivatives=self._is_exact,
            digest=opened.digest,
        )
        self.feeds_all = not circuit.left_out and bool(circuit.fed[1:].all())
        self.widest = self

    @translated(PowerFlowError, "power flow")
    def losses(self) -> dict[str, complex]:
        """Losses in the state last solved, ``{element: kW + j kvar}``."""
        with self._solver.telling():
            return losses_by_element(self._dss)

    @translated(PowerFlowError, "power flow")
    def solve(self, net_kw: Floats, net_kvar: Floats) -> AcState:
        """AC power flow with every regulator held, at net powers of the LAMs ``(M,)`` [kW, kvar].

        Raises
        ------
        PowerFlowError
            No convergence, or a voltage is zero, not a number or far outside any operation.
        ValueError
            The arrays do not fit the feeder or are not finite.
        """
        return self._solver.solve(net_kw, net_kvar, tuple(self._controls.at.taps.values()))

    @translated(PowerFlowError, "power flow")
    def linearise(self, net_kw: Floats, net_kvar: Floats, *, whole: bool = False) -> Linearisation:
        """First-order model around the AC state of given net powers, taps held.

        Exact derivatives from the admittance matrix; by `differences` where a circuit holds elements
        (generators, inverters, loads with their own neutral) whose behaviour the admittance matrix does not
        tell.

        Parameters
        ----------
        net_kw, net_kvar
            The point, shape ``(M,)`` [kW, kvar].
        whole
            All derivatives at hand, however many there are.

        Returns
        -------
        Linearisation
            State and derivatives per kW and per kvar of each LAM; of a large feeder they are found row by row
            when they are asked for.

        Raises
        ------
        PowerFlowError
            As `solve`.
        """
        if not self._is_exact:
            return self.differences(net_kw, net_kvar)
        return self._exact.around(self.solve(net_kw, net_kvar), self._controls.at, whole=whole)

    def opened_model(self) -> Linearisation | None:
        """The model at the LAMs' own loads that the feeder was opened with, with no row found yet.

        ``None`` where `linearise` has all derivatives at hand or goes by differences, where own loads have no
        power flow, and while controls stand elsewhere.
        """
        return self._exact.kept(self._controls.at)

    @translated(PowerFlowError, "power flow")
    def differences(self, net_kw: Floats, net_kvar: Floats, step_kw: float = 2.0) -> Linearisation:
        """The model of `linearise` by central differences of AC power flows, 4 M + 1 of them.

        Parameters
        ----------
        net_kw, net_kvar
            The point, shape ``(M,)`` [kW, kvar].
        step_kw
            Step to either side [kW, kvar].

        Raises
        ------
        PowerFlowError
            As `solve`, at any of the points.
        """
        return difference_model(self.solve, net_kw, net_kvar, step_kw)

    @translated(PowerFlowError, "power flow")
    def act(self, solve: Callable[[], AcState], window_s: float) -> ControlRun:
        """Let regulators and switched capacitors act in time, after their delays and one step at a time.

        Parameters
        ----------
        solve
            Solves for the powers of the span, by `solve`.
        window_s
            Length of the span [s].

        Returns
        -------
        ControlRun
            What they did and the states between; they stay where they end.

        Raises
        ------
        PowerFlowError
            As `solve`.
        """
        # A control may look at any element.
        with self._solver.telling():
            return self._controls.act(solve, window_s)

    def changed(self, changes: Sequence[str], *, wider: bool = False) -> "Feeder":
        """The feeder opened anew, with a changed circuit and its controls as described."""
        return Feeder(
            self._master,
            self._sites,
            changes,
            before=self,
            by_phase=self._by_phase,
            others_vary=self._others_vary,
            wider=wider,
        )

    @translated(FeederError, "feeder")
    def closing(self, name: str) -> tuple[str, ...]:
        """Commands that close a line or switch which the description has open; none where it is closed."""
        return closing(self._dss, name) if self._master else ieee123.closing(name)

    def stop(self) -> None:
        """Let the next power flow, here and in feeders that `changed` gave, raise `FeederStopped`.

        The one call that may come from another thread.
        """
        self._stopped.set()

    @translated(FeederError, "feeder")
    def controls_of(self, element: str) -> tuple[str, ...]:
        """Full names of the controls that move an element, given with its class."""
        return controls_of(self._dss, element)

    @translated(FeederError, "feeder")
    def fault_current_a(self, line: str, changes: Sequence[str] = ()) -> float:
        """As `cosim.feeder.powerflow.fault.fault_current_a`, on this feeder as some changes leave it."""
        dss = open_circuit(self._master).dss
        try:
            return fault_current_a(dss, line, changes)
        finally:
            clear(dss)

    def close(self) -> None:
        """Let go of the circuit, once nobody asks this feeder anything more; its states and models stay."""
        clear(self._dss)

    def connections(self, net_kw: Floats, net_kvar: Floats) -> Connections:
        """Where and what the loads draw at net powers of the LAMs ``(M,)`` [kW, kvar].

        Those that vary with voltage draw what they do in the state solved last.
        """
        return connections(self._circuit, net_kw, net_kvar, node_voltages(self._dss))

    def positions(self) -> Positions:
        """Where regulators and switched capacitors stand."""
        return self._controls.at

    @translated(PowerFlowError, "power flow")
    def put(self, where: Positions) -> None:
        """Put regulators and switched capacitors where they stood before, as `positions` gave it."""
        self._controls.put(where)

    def taps(self) -> dict[str, int]:
        """Present regulator positions, ``{regulator: steps}``."""
        return dict(self._controls.at.taps)

    @translated(FeederError, "feeder")
    def set_taps(self, taps: Mapping[str, int]) -> None:
        """Put regulators at given positions [steps]; those not named stay.

        Raises
        ------
        FeederError
            Unknown regulator, or a position that it does not have.
        """
        self._controls.set_taps(taps)
