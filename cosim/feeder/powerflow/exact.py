"""The linear model of a solved circuit from its admittances, read once for as long as nothing switches."""

from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np
from scipy import sparse

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import AcState, Complexes, Floats
from cosim.feeder.derivatives import PerKw
from cosim.feeder.linear import Linearisation
from cosim.feeder.powerflow.adjoint import AdjointRows, Directions
from cosim.feeder.powerflow.admittance import Changes, FactorisedState, Network, PowerFlowEquations
from cosim.feeder.powerflow.differences import agrees_with_power_flow
from cosim.feeder.powerflow.engine import node_voltages
from cosim.feeder.powerflow.lam_circuit import LamCircuit
from cosim.feeder.powerflow.primitives import Assembly, Primitives, source_currents
from cosim.feeder.powerflow.topology import bus_of

WHOLE_VALUES = 2_000_000
"""Where all derivatives are more numbers, a linear model finds rows of them when they are asked for."""

# Steps of a probe, as parts of the loads. Small, for near collapse the differences bend; then large, for with
# small loads behind a stiff source the rounding of its power hides what a small step changes.
_PROBES = (5e-4, 2e-2)


class ExactModel:
    """Changes of voltages, currents and head power per kW and per kvar of each LAM.

    Parameters
    ----------
    dss, circuit
        The context and what hangs on it.
    base_v
        Bases of the voltages that are judged ``(n,)`` [V].
    assembly, primitives
        The circuit's admittances.
    """

    def __init__(
        self,
        dss: OpenDss,
        circuit: LamCircuit,
        base_v: Floats,
        assembly: Assembly,
        primitives: Primitives,
    ) -> None:
        self._dss = dss
        self._circuit = circuit
        self._base_v = base_v
        per_kw, per_kvar = circuit.attachment.winding_va_per_kw(), circuit.attachment.winding_va_per_kvar()
        self._per_kw, self._per_kvar = per_kw.tocsc(), per_kvar.tocsc()
        self._directions = Directions(self._per_kw, self._per_kvar)
        self._assembly, self._primitives = assembly, primitives
        buses = [bus_of(name) for name in circuit.survey.node_names]
        self._bus = np.unique(buses, return_inverse=True)[1]
        self._equations: PowerFlowEquations | None = None
        self._read_at: Hashable = None
        self._kept: tuple[Hashable, AcState, FactorisedState] | None = None

    def around(self, here: AcState, where: Hashable, *, whole: bool) -> Linearisation:
        """Model around the state that the circuit holds.

        Parameters
        ----------
        here
            That state.
        where
            Where its controls stand, in any form that tells positions apart.
        whole
            All derivatives at hand, also where they are more than ``WHOLE_VALUES`` numbers.

        Raises
        ------
        numpy.linalg.LinAlgError
            The circuit's equations are singular.
        """
        whole = whole or _has_few_values(here)
        state = self._factorised(here, where, for_rows=not whole)
        if not whole:
            return self._by_rows(here, state)
        per_kw = self._in_pu(state.follow(self._per_kw))

        def find_whole() -> tuple[Floats, Complexes]:
            per_kvar = self._in_pu(state.follow(self._per_kvar))
            return (
                np.hstack([per_kw.volts, per_kvar.volts]),
                np.hstack([per_kw.current, per_kvar.current]),
            )

        by_rows = self._by_rows(here, state)
        source_kw = per_kw.source_w / 1e3
        derivatives = PerKw(per_kw.volts, per_kw.current, source_kw, find_whole, rows=by_rows.derivatives)
        return replace(by_rows, derivatives=derivatives)

    def keep(self, here: AcState, where: Hashable, solve: Callable[[Floats, Floats], AcState]) -> None:
        """Keep the model around a state, if rows of it are found on demand; arguments as of `explains`."""
        if not _has_few_values(here):
            here = solve(here.net_kw, here.net_kvar)
            self._kept = where, here, self._factorised(here, where, for_rows=True)

    def kept(self, where: Hashable) -> Linearisation | None:
        """The model that was kept, without any row found, if controls stood where they do now."""
        if self._kept is None or self._kept[0] != where:
            return None
        # Rows that were asked for once are those of one interval: all of them would fill the memory.
        return self._by_rows(*self._kept[1:])

    def _by_rows(self, here: AcState, state: FactorisedState) -> Linearisation:
        """Model around a state that finds rows when they are asked for."""
        return Linearisation(
            net_kw=here.net_kw,
            net_kvar=here.net_kvar,
            v_pu=here.v_pu,
            current_a=here.current_a,
            derivatives=AdjointRows(state, self._directions, self._base_v),
            p0_kw=here.source_kw,
            nodes=here.nodes,
            branches=here.branches,
            phasors=here.phasors,
        )

    def explains(self, here: AcState, where: Hashable, solve: Callable[[Floats, Floats], AcState]) -> bool:
        """Whether these derivatives are those of AC power flow, by one probe in kW and one in kvar.

        Elements that answer to voltage in ways of their own show in it.

        Parameters
        ----------
        here, where
            As in `around`.
        solve
            AC power flow of net powers ``(M,)`` [kW, kvar].
        """
        size = np.where(here.net_kw > 0, here.net_kw, 1.0)
        still = np.zeros_like(size)
        probes = np.array([[*size, *still], [*still, *size]])
        try:
            state = self._factorised(here, where, for_rows=False)
        except np.linalg.LinAlgError:
            return False
        change = self._in_pu(
            state.follow(sparse.csc_array(np.array([self._directions.mixed(each) for each in probes]).T))
        )
        return all(
            any(
                agrees_with_power_flow(
                    step * change.volts[:, i], step * change.source_w[i] / 1e3, here, solve,
                    step * probe[0], step * probe[1],
                )
                for step in _PROBES
            )
            for i, probe in enumerate(((size, still), (still, size)))
        )  # fmt: skip

    def _in_pu(self, change: Changes) -> Changes:
        change.volts[:] /= self._base_v[:, None]
        return change

    def _factorised(self, here: AcState, where: Hashable, *, for_rows: bool) -> FactorisedState:
        dss = self._dss
        volts = node_voltages(dss)
        # Controls may have been elsewhere meanwhile, and back.
        if self._equations is None or self._read_at != where:
            self._equations = PowerFlowEquations(self._network(), self._equations)
            self._read_at = where
        return self._equations.factorised(
            volts,
            source_currents(dss, self._circuit.survey),
            *self._circuit.drawn(here.net_kw, here.net_kvar, volts),
            for_rows=for_rows,
        )

    def _network(self) -> Network:
        circuit = self._circuit
        values = self._primitives.present()
        return Network(
            y=self._assembly.nodal(values),
            fed=circuit.fed,
            winding_ends=circuit.attachment.winding_ends,
            monitored=circuit.voltages.ends,
            neutrals=circuit.voltages.neutrals,
            branch_rows=self._assembly.branches(values),
            source_nodes=self._assembly.source_nodes,
            source_rows=self._assembly.sources(values),
            bus=self._bus,
            moving=self._primitives.moving,
        )


def _has_few_values(here: AcState) -> bool:
    """Whether all derivatives are so few that a model holds them."""
    return 2 * len(here.net_kw) * (len(here.nodes) + 2 * len(here.branches)) <= WHOLE_VALUES
