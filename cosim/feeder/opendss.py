"""A feeder under AC power flow: OpenDSS behind arrays, with exact derivatives.

A `Feeder` owns an OpenDSS context of its own, is used from one thread,
and gives the same bits for the same injections and taps whatever was solved before.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cosim.feeder import controls, ieee123
from cosim.feeder.circuit import AcState, FeederError, FeederLayout, Floats, LamSite, NothingFed
from cosim.feeder.controls import ControlRun, Positions
from cosim.feeder.linear import Linearisation
from cosim.feeder.powerflow.admittance import Derivatives
from cosim.feeder.powerflow.differences import agrees_with_power_flow, difference_model
from cosim.feeder.powerflow.exact import ExactDerivatives
from cosim.feeder.powerflow.islands import rewire
from cosim.feeder.powerflow.lam_circuit import attach_lams
from cosim.feeder.powerflow.layout import layout_of
from cosim.feeder.powerflow.opening import choose_tolerance, open_circuit
from cosim.feeder.powerflow.solver import Solver
from cosim.feeder.powerflow.survey import positions, spot_loads


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

    Attributes
    ----------
    layout
        The unchanging facts: names, bases, ratings, map.

    Raises
    ------
    FeederError
        The file is missing or refused by OpenDSS, something in it is fed by nothing, or a site does not
        exist.
    PowerFlowError
        The feeder has no solution at its own spot loads.
    """

    layout: FeederLayout

    def __init__(
        self,
        master: str | Path | None = None,
        sites: Sequence[LamSite] | None = None,
        changes: Sequence[str] = (),
    ) -> None:
        self._master, self._sites = master, sites
        dss = self._dss = open_circuit(master)
        if changes:
            buses = rewire(dss, changes)
            sites = None if sites is None else [site for site in sites if site.bus in buses]
            if not dss.Loads.Count() or not buses.intersection(load.bus for load in spot_loads(dss)):
                raise NothingFed("no source feeds any load")
        circuit = attach_lams(dss, sites)
        spot_kw = circuit.attachment.spot_kw
        spot_kvar = spot_kw * circuit.attachment.tan_phi
        self._at = controls.positions(dss)
        self._reduced_at: Positions | None = None
        self._solver = Solver(dss, circuit)
        self._exact = ExactDerivatives(circuit)
        choose_tolerance(dss)
        self._solver.renew()
        self.solve(spot_kw, spot_kvar)
        self._solver.start_here()
        self._moved()
        self._is_exact = self._admittance_explains(spot_kw, spot_kvar)
        self.layout = layout_of(
            name=dss.Circuit.Name() if master else ieee123.NAME,
            circuit=circuit,
            regulators=tuple(self._at.taps),
            coordinates=positions(dss) if master else ieee123.coordinates(),
            exact_derivatives=self._is_exact,
        )

    def solve(self, net_kw: Floats, net_kvar: Floats) -> AcState:
        """AC power flow with every regulator held.

        Parameters
        ----------
        net_kw, net_kvar
            What each LAM draws from the feeder, shape ``(M,)`` [kW, kvar].

        Returns
        -------
        AcState
            The converged state.

        Raises
        ------
        PowerFlowError
            No convergence, or a voltage is zero, not a number or far outside any operation.
        ValueError
            The arrays do not fit the feeder or are not finite.
        """
        return self._solver.solve(net_kw, net_kvar, tuple(self._at.taps.values()))

    def linearise(self, net_kw: Floats, net_kvar: Floats) -> Linearisation:
        """First-order model around the AC state of given net powers, taps held.

        Exact derivatives from the admittance matrix; by `differences` where a circuit holds elements
        (generators, inverters, loads with their own neutral) whose behaviour the admittance matrix does not
        tell.

        Parameters
        ----------
        net_kw, net_kvar
            The point, shape ``(M,)`` [kW, kvar].

        Returns
        -------
        Linearisation
            State and derivatives per kW and per kvar of each LAM.

        Raises
        ------
        PowerFlowError
            As `solve`.
        """
        return self._exactly(net_kw, net_kvar) if self._is_exact else self.differences(net_kw, net_kvar)

    def differences(self, net_kw: Floats, net_kvar: Floats, step_kw: float = 2.0) -> Linearisation:
        """The model of `linearise` by central differences of AC power flows, 4 M + 1 of them.

        Parameters
        ----------
        net_kw, net_kvar
            The point, shape ``(M,)`` [kW, kvar].
        step_kw
            Step to either side [kW, kvar].

        Returns
        -------
        Linearisation
            State and derivatives per kW and per kvar of each LAM.

        Raises
        ------
        PowerFlowError
            As `solve`, at any of the points.
        """
        return difference_model(self.solve, net_kw, net_kvar, step_kw)

    def act(self, settle: Callable[[], AcState], window_s: float) -> ControlRun:
        """Let regulators and switched capacitors act in time, after their delays and one step at a time.

        Parameters
        ----------
        settle
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

        def restate() -> None:
            now = controls.positions(self._dss)
            if now != self._at:
                self.put(now)

        def settle_here() -> AcState:
            restate()
            return settle()

        try:
            return controls.act(self._dss, settle_here, window_s)
        finally:
            restate()

    def changed(self, changes: Sequence[str]) -> "Feeder":
        """The feeder opened anew, with a changed circuit and its controls as described."""
        return Feeder(self._master, self._sites, changes)

    def closing(self, name: str) -> tuple[str, ...]:
        """Commands that close a line or switch which the description has open; none where it is closed."""
        if not self._master:
            return ieee123.closing(name)
        element = self._dss.CktElement
        self._dss.Circuit.SetActiveElement(f"line.{name}")
        phases = range(1, element.NumPhases() + 1)
        is_open = [any(element.IsOpen(terminal, phase) for phase in phases) for terminal in (1, 2)]
        return tuple(f"close line.{name} {terminal}" for terminal in (1, 2) if is_open[terminal - 1])

    def positions(self) -> Positions:
        """Where regulators and switched capacitors stand."""
        return self._at

    def put(self, where: Positions) -> None:
        """Put regulators and switched capacitors where they stood before, as `positions` gave it."""
        controls.put(self._dss, where)
        self._moved()

    def taps(self) -> dict[str, int]:
        """Present regulator positions, ``{regulator: steps}``."""
        return dict(self._at.taps)

    def set_taps(self, taps: Mapping[str, int]) -> None:
        """Put regulators at given positions [steps]; those not named stay.

        Raises
        ------
        FeederError
            Unknown regulator, or a position that it does not have.
        """
        before = self._at
        unknown = [name for name in taps if name not in before.taps]
        if unknown:
            have = ", ".join(before.taps) or "none"
            raise FeederError(f"regulator '{unknown[0]}' is not on this feeder; it has {have}")
        controls.put(self._dss, Positions(taps))
        now = controls.positions(self._dss).taps
        refused = [name for name, tap in taps.items() if now[name] != tap]
        if refused:
            controls.put(self._dss, before)
        self._moved()
        if refused:
            raise FeederError(f"regulator '{refused[0]}' has no tap {taps[refused[0]]}; none was moved")

    def _moved(self) -> None:
        self._at = controls.positions(self._dss)
        self._solver.renew()

    def _exactly(self, net_kw: Floats, net_kvar: Floats) -> Linearisation:
        here = self.solve(net_kw, net_kvar)
        change = self._changes(here)
        lams = len(here.net_kw)
        kw, kvar = slice(None, lams), slice(lams, None)
        return Linearisation(
            net_kw=here.net_kw,
            net_kvar=here.net_kvar,
            v_pu=here.v_pu,
            dv=change.volts[:, kw],
            dv_kvar=change.volts[:, kvar],
            current_a=here.current_a,
            di=change.current[:, kw],
            di_kvar=change.current[:, kvar],
            p0_kw=here.source_kw,
            dp0=change.source_w[kw] / 1e3,
            dp0_kvar=change.source_w[kvar] / 1e3,
            nodes=here.nodes,
            branches=here.branches,
        )

    def _changes(self, here: AcState, directions: Floats | None = None) -> Derivatives:
        """Exact derivatives at the state just solved, voltages in pu."""
        if self._reduced_at != self._at:
            # Controls may have been elsewhere meanwhile, and back.
            self._exact.forget()
            self._reduced_at = self._at
        change = self._exact.at(self._dss, here.net_kw, here.net_kvar, directions)
        change.volts[:] /= self._solver.base_v[:, None]
        return change

    def _admittance_explains(self, net_kw: Floats, net_kvar: Floats) -> bool:
        """Whether exact derivatives are those of AC power flow, by one probe in kW and one in kvar.

        Elements that answer to voltage in ways of their own show in it.
        """
        # Small, for near collapse the differences bend; solutions are exact enough for it.
        step = 5e-4 * np.where(net_kw > 0, net_kw, 1.0)
        still = np.zeros_like(step)
        here = self.solve(net_kw, net_kvar)
        try:
            change = self._changes(here, np.array([[*step, *still], [*still, *step]]).T)
        except np.linalg.LinAlgError:
            return False
        probes = ((step, still), (still, step))
        return all(
            agrees_with_power_flow(change.volts[:, i], change.source_w[i] / 1e3, here, self.solve, *probe)
            for i, probe in enumerate(probes)
        )
