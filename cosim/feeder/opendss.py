"""A feeder under AC power flow: OpenDSS behind arrays, with exact derivatives.

A `Feeder` owns an OpenDSS context of its own, is used from one thread,
and gives the same bits for the same injections and taps whatever was solved before.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosim.feeder import ieee123
from cosim.feeder.circuit import (
    AcState,
    FeederError,
    FeederLayout,
    Floats,
    LamSite,
    PowerFlowError,
    PublishedSolution,
)
from cosim.feeder.library import dss as engine
from cosim.feeder.linear import Linearisation
from cosim.feeder.powerflow.attachment import SpotLoad, attach, check_sites, own_loads, sites_of_loads
from cosim.feeder.powerflow.engine import command, converge, solution_vector
from cosim.feeder.powerflow.exact import ExactDerivatives
from cosim.feeder.powerflow.layout import layout_of
from cosim.feeder.powerflow.survey import admittance, positions, spot_loads, survey_circuit, tap_positions
from cosim.feeder.powerflow.topology import fed_nodes, monitored_nodes

# Loads draw constant power well beyond this band; a voltage outside it means that the feeder collapsed [pu].
_LOWEST_PU = 0.5
_HIGHEST_PU = 1.5
_LOAD_MODEL = "model=1 status=fixed vminpu=0.3 vlowpu=0.2 vmaxpu=2.5"
_SOLUTION = "set mode=snapshot controlmode=off tolerance=1e-9 maxiterations=200 maxcontroliter=100 loadmult=1"


def solve_as_published(master: str | Path | None = None, *, hold_taps: bool = True) -> PublishedSolution:
    """Solve a feeder as its description has it, without LAMs.

    Parameters
    ----------
    master
        OpenDSS master file; none for the IEEE 123-node feeder.
    hold_taps
        Whether the regulators keep their taps, or act once more.

    Returns
    -------
    PublishedSolution
        Voltages, totals and taps.

    Raises
    ------
    FeederError
        The description cannot be used.
    PowerFlowError
        The power flow does not converge.
    """
    dss = _open(master)
    command(dss, f"set controlmode={'off' if hold_taps else 'static'} tolerance=1e-10 maxiterations=200")
    converge(dss)
    head_kw, head_kvar = dss.Circuit.TotalPower()
    names = (name.lower() for name in dss.Circuit.AllNodeNames())
    return PublishedSolution(
        v_pu=dict(zip(names, dss.Circuit.AllBusMagPu(), strict=True)),
        source_kw=-head_kw,
        source_kvar=-head_kvar,
        losses_kw=dss.Circuit.Losses()[0] / 1e3,
        taps=tap_positions(dss),
    )


class Feeder:
    """A distribution feeder with M LAMs, solved by OpenDSS.

    The regulators' taps are the only state that outlives a call; `let_controls_act` and `set_taps` move them.

    Parameters
    ----------
    master
        OpenDSS master file; none for the IEEE 123-node feeder that comes with the project.
    sites
        Where LAMs attach; by default one at each bus with loads, named after the bus.

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

    def __init__(self, master: str | Path | None = None, sites: Sequence[LamSite] | None = None) -> None:
        dss = self._dss = _open(master)
        survey = survey_circuit(dss)
        fed = fed_nodes(survey, admittance(dss, survey))
        loads = spot_loads(dss)
        sites = sites_of_loads(loads) if sites is None else tuple(sites)
        check_sites(sites, survey.node_names, fed, {load.bus for load in loads})
        _hold_constant_power(dss, loads)
        own = own_loads(sites, dict(zip(survey.node_names, survey.base_kv.tolist(), strict=True)))
        if any(own):
            for text in (text for made in own for text in made.values()):
                command(dss, text)
            command(dss, "solve")
            survey, loads = survey_circuit(dss), spot_loads(dss)
            _hold_constant_power(dss, loads)

        self._load_numbers = [load.number for load in loads]
        self._attachment = attach(sites, loads, own)
        self._monitored = monitored_nodes(survey, fed)
        self._base_v = 1e3 * survey.base_kv[self._monitored]
        self._nodes = tuple(survey.node_names[node] for node in self._monitored)
        self._branches = tuple(branch.name for branch in survey.branches)
        self._current_at = np.array([branch.current_at for branch in survey.branches], dtype=np.intp)
        self._taps = tap_positions(dss)
        self._exact = ExactDerivatives(survey, fed, self._monitored, self._attachment)
        self._start = np.zeros(0, dtype=np.complex128)

        self._spot_kvar = self._attachment.spot_kw * self._attachment.tan_phi
        self.solve(self._attachment.spot_kw, self._spot_kvar)
        self._start = solution_vector(dss).copy()
        self._taps_moved()
        self._is_exact = self._admittance_explains(self._attachment.spot_kw, self._spot_kvar)
        self.layout = layout_of(
            name=dss.Circuit.Name() if master else ieee123.NAME,
            survey=survey,
            monitored=self._monitored,
            sites=sites,
            loads=loads,
            attachment=self._attachment,
            regulators=tuple(self._taps),
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
        self._inject(net_kw, net_kvar)
        converge(self._dss)
        return self._state(net_kw, net_kvar)

    def linearise(self, net_kw: Floats, net_kvar: Floats) -> Linearisation:
        """First-order model around the AC state of given net powers, taps and kvar held.

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
            State and derivatives per kW of each LAM.

        Raises
        ------
        PowerFlowError
            As `solve`.
        """
        return self._exactly(net_kw, net_kvar) if self._is_exact else self.differences(net_kw, net_kvar)

    def differences(self, net_kw: Floats, net_kvar: Floats, step_kw: float = 2.0) -> Linearisation:
        """The model of `linearise` by central differences of AC power flows, 2 M + 1 of them.

        Parameters
        ----------
        net_kw, net_kvar
            The point, shape ``(M,)`` [kW, kvar].
        step_kw
            Step to either side [kW].

        Returns
        -------
        Linearisation
            State and derivatives per kW of each LAM.

        Raises
        ------
        PowerFlowError
            As `solve`, at any of the points.
        """
        here = self.solve(net_kw, net_kvar)
        dv, di, dp0 = [], [], []
        for step in np.eye(len(net_kw)) * step_kw:
            up, down = self.solve(net_kw + step, net_kvar), self.solve(net_kw - step, net_kvar)
            dv.append((up.v_pu - down.v_pu) / (2 * step_kw))
            di.append((up.current_a - down.current_a) / (2 * step_kw))
            dp0.append((up.source_kw - down.source_kw) / (2 * step_kw))
        return Linearisation(
            net_kw=here.net_kw,
            net_kvar=here.net_kvar,
            v_pu=here.v_pu,
            dv=np.array(dv).T,
            current_a=here.current_a,
            di=np.array(di).T,
            p0_kw=here.source_kw,
            dp0=np.array(dp0),
            nodes=self._nodes,
            branches=self._branches,
        )

    def let_controls_act(self, net_kw: Floats, net_kvar: Floats) -> dict[str, int]:
        """Let regulators and switched capacitors act until they rest, at given net powers.

        Parameters
        ----------
        net_kw, net_kvar
            What each LAM draws, shape ``(M,)`` [kW, kvar].

        Returns
        -------
        dict
            Steps by which each regulator moved; those that did not move are absent.

        Raises
        ------
        PowerFlowError
            No convergence, or the controls do not come to rest.
        """
        self._inject(net_kw, net_kvar)
        command(self._dss, "set controlmode=static")
        try:
            converge(self._dss)
        finally:
            command(self._dss, "set controlmode=off")
            before = self.taps()
            # Stated anew: moving step by step leaves rounding in the ratios, hence other bits than set_taps.
            self.set_taps(tap_positions(self._dss))
        return {name: tap - before[name] for name, tap in self._taps.items() if tap != before[name]}

    def taps(self) -> dict[str, int]:
        """Present regulator positions, ``{regulator: steps}``."""
        return dict(self._taps)

    def set_taps(self, taps: Mapping[str, int]) -> None:
        """Put regulators at given positions [steps]; those not named stay.

        Raises
        ------
        FeederError
            Unknown regulator, or a position that it does not have.
        """
        unknown = [name for name in taps if name not in self._taps]
        if unknown:
            have = ", ".join(self._taps) or "none"
            raise FeederError(f"regulator '{unknown[0]}' is not on this feeder; it has {have}")
        before = self.taps()
        self._put(taps)
        now = tap_positions(self._dss)
        refused = [name for name, tap in taps.items() if now[name] != tap]
        if refused:
            self._put(before)
        self._taps_moved()
        if refused:
            raise FeederError(f"regulator '{refused[0]}' has no tap {taps[refused[0]]}; none was moved")

    def _put(self, taps: Mapping[str, int]) -> None:
        for name, tap in taps.items():
            self._dss.RegControls.Name(name)
            self._dss.RegControls.TapNumber(int(tap))

    def _inject(self, net_kw: Floats, net_kvar: Floats) -> None:
        count = len(self._attachment.spot_kw)
        for values in (net_kw, net_kvar):
            if np.shape(values) != (count,) or not np.all(np.isfinite(values)):
                raise ValueError(f"net powers must be {count} finite numbers, one for each LAM")
        kw = self._attachment.load_kw(net_kw).tolist()
        kvar = self._attachment.load_kvar(net_kvar).tolist()
        loads = self._dss.Loads
        for number, p, q in zip(self._load_numbers, kw, kvar, strict=True):
            loads.Idx(number)
            loads.kW(p)  # moves kvar along at constant power factor, so kvar comes after
            loads.kvar(q)
        if len(self._start):
            # OpenDSS would start where it ended last, and the bits would tell of the past.
            solution_vector(self._dss)[:] = self._start

    def _taps_moved(self) -> None:
        self._taps = tap_positions(self._dss)
        self._exact.forget()
        # With the taps OpenDSS renews the loads' part of its matrix, and keeps it until they move again.
        # Renewed at spot loads, always, it cannot tell of the past, and exports converge better on it.
        self._inject(self._attachment.spot_kw, self._spot_kvar)
        self._dss.YMatrix.SystemYChanged(True)
        command(self._dss, "solve")

    def _state(self, net_kw: Floats, net_kvar: Floats) -> AcState:
        volts = solution_vector(self._dss)[self._monitored]
        v_pu = np.abs(volts) / self._base_v
        sound = (v_pu > _LOWEST_PU) & (v_pu < _HIGHEST_PU)
        if not sound.all():
            worst = int(np.argmin(sound))
            raise PowerFlowError(
                f"power flow found {v_pu[worst]:.3f} pu at node '{self._nodes[worst]}' "
                f"with LAMs drawing {np.sum(net_kw):.0f} kW; reduce their power or check the feeder's data"
            )
        head_kw, head_kvar = self._dss.Circuit.TotalPower()
        return AcState(
            net_kw=np.array(net_kw, dtype=np.float64),
            net_kvar=np.array(net_kvar, dtype=np.float64),
            v_pu=v_pu,
            angle_deg=np.degrees(np.angle(volts)),
            current_a=np.array(self._dss.PDElements.AllCurrents()).view(np.complex128)[self._current_at],
            source_kw=-head_kw,
            source_kvar=-head_kvar,
            losses_kw=self._dss.Circuit.Losses()[0] / 1e3,
            taps=tuple(self._taps.values()),
            iterations=self._dss.Solution.Iterations(),
            nodes=self._nodes,
            branches=self._branches,
        )

    def _exactly(self, net_kw: Floats, net_kvar: Floats) -> Linearisation:
        here = self.solve(net_kw, net_kvar)
        change = self._exact.at(self._dss, here.net_kw, here.net_kvar)
        return Linearisation(
            net_kw=here.net_kw,
            net_kvar=here.net_kvar,
            v_pu=here.v_pu,
            dv=change.volts / self._base_v[:, None],
            current_a=here.current_a,
            di=change.current,
            p0_kw=here.source_kw,
            dp0=change.source_w / 1e3,
            nodes=self._nodes,
            branches=self._branches,
        )

    def _admittance_explains(self, net_kw: Floats, net_kvar: Floats) -> bool:
        # Elements that answer to voltage in ways of their own (inverters, generators) show in one probe.
        step = 0.005 * np.where(net_kw > 0, net_kw, 1.0)
        try:
            model = self._exactly(net_kw, net_kvar)
        except np.linalg.LinAlgError:
            return False
        up, down = self.solve(net_kw + step, net_kvar), self.solve(net_kw - step, net_kvar)
        dv, dp0 = (up.v_pu - down.v_pu) / 2, (up.source_kw - down.source_kw) / 2
        return bool(
            np.allclose(model.dv @ step, dv, rtol=0, atol=1e-4 * np.abs(dv).max() + 1e-10)
            and np.isclose(model.dp0 @ step, dp0, rtol=1e-4, atol=1e-6)
        )


def _open(master: str | Path | None) -> Any:
    dss = engine.NewContext()
    dss.Basic.AllowChangeDir(False)
    dss.Basic.AllowForms(False)
    dss.Basic.AllowEditor(False)
    if master is None or not str(master):
        for text in ieee123.commands():
            command(dss, text)
        command(dss, "set controlmode=off")
    else:
        path = Path(master).absolute()
        if not path.is_file():
            raise FeederError(f"feeder file '{master}' not found; give the path of an OpenDSS master file")
        command(dss, f'compile "{path}"', f"feeder file '{master}'")
        if dss.Basic.NumCircuits() == 0:
            raise FeederError(f"feeder file '{master}' defines no circuit; give an OpenDSS master file")
    # Node numbers exist only after a solution, and a file that does not solve itself has its regulators at
    # neutral. Whether it converged is looked at once the loads are ours.
    command(dss, "set mode=snapshot")
    command(dss, "solve")
    return dss


def _hold_constant_power(dss: Any, loads: Sequence[SpotLoad]) -> None:
    # Powers are restated, for the load multiplier that they hold already is set to 1.
    for load in loads:
        command(dss, f"edit load.{load.name} {_LOAD_MODEL} kw={load.kw} kvar={load.kvar}")
    command(dss, _SOLUTION)
