"""Exact derivatives of an AC power flow whose loads draw constant power, from the nodal admittance matrix.

The network without its loads is linear, and what the loads draw depends on the voltages across them alone.
The equations around a state are therefore one sparse real matrix: factorised once, each derivative costs one
back substitution. Knows no power flow program.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.powerflow.condensation import Condensation
from cosim.feeder.powerflow.entries import RealEntries
from cosim.feeder.powerflow.factors import Factors, Ints

# Directions that are solved for at once: bounds the memory between matrix and result. Of 4 to 64 the fastest.
_BLOCK = 32


@dataclass(frozen=True)
class Network:
    """A linear network without its loads; node 0 is ground.

    Attributes
    ----------
    y
        Nodal admittance with sources, without loads ``(N, N)`` [S].
    fed
        Which nodes hang on a source ``(N,)``.
    winding_ends
        Nodes of each load winding ``(L, 2)``, fed or ground.
    monitored
        Nodes between which the voltages of interest lie ``(n, 2)``, fed or ground.
    neutrals
        Nodes of neutral conductors ``(z,)``, fed.
    branch_rows
        Rows that turn node voltages into branch currents ``(b, N)`` [S].
    source_nodes, source_rows
        Nodes at the sources' terminals ``(s,)`` and rows that turn node voltages into the changing part of
        the currents that flow into the sources there ``(s, N)`` [S].
    bus, moving
        The bus of each node ``(N,)``, and nodes of elements that controls move, where rows are asked for.
    """

    y: sparse.csc_array
    fed: NDArray[np.bool_]
    winding_ends: Ints
    monitored: Ints
    neutrals: Ints
    branch_rows: sparse.csr_array
    source_nodes: Ints
    source_rows: sparse.csr_array
    bus: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    moving: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


@dataclass(frozen=True)
class Changes:
    """Changes along M directions: voltage magnitudes [V], branch currents [A], power from the sources [W]."""

    volts: Floats
    current: Complexes
    source_w: Floats


class PowerFlowEquations:
    """The equations of a network and its loads, around any of its states.

    With W the voltage across a load winding, S its power and I = conj(S / W), a small change obeys
    dI = conj(dS / W) - B conj(dW), B = I / conj(W). Kirchhoff's law Y dV + C dI = 0, C being the windings'
    incidence, hence reads Y dV - C B C' conj(dV) = -C conj(dS / W): linear in real and imaginary parts.

    Where S itself varies with the voltage, by T for each relative change of its magnitude, that adds
    conj(T / W) Re(dW / W) to dI, which is A dW + A W / conj(W) conj(dW) with A = conj(T) / (2 |W|^2).

    Parameters
    ----------
    network
        The network.
    before
        Equations of the network as it stood before: what is known of their entries serves these as well.
    """

    def __init__(self, network: Network, before: "PowerFlowEquations | None" = None) -> None:
        self._network = network
        fed = np.flatnonzero(network.fed)
        self._size = len(fed)
        # Ground and what no source feeds has no equation; one more place takes what is meant for them.
        self._place = np.full(len(network.fed), self._size, dtype=np.intp)
        self._place[fed] = np.arange(self._size)
        count = len(network.winding_ends)
        self._incidence = sparse.coo_array(
            (
                np.tile([1.0, -1.0], count),
                (self._place[network.winding_ends].ravel(), np.arange(2 * count) // 2),
            ),
            shape=(self._size + 1, count),
        ).tocsr()[: self._size]
        self._ends = self._place[network.winding_ends]
        self._drawn = np.setdiff1d(self._ends, self._size)
        self._monitored = self._place[network.monitored]
        self._neutrals = self._place[network.neutrals]
        self._branches = network.branch_rows[:, fed]
        self._sources = network.source_rows[:, fed]
        self._y = sparse.csc_array(network.y[fed][:, fed])
        self._before: Condensation | None = None
        if before is not None:
            self._before = before._condensed or before._before
        self._condensed: Condensation | None = None
        y = self._y.tocoo()
        self._entries: RealEntries
        if before is not None and before._entries.are_of(y, self._ends):
            self._entries = before._entries
        else:
            self._entries = RealEntries(y, self._ends)
        self._of_network = self._entries.of_network(y.data)

    def factorised(
        self,
        volts: Complexes,
        source_a: Complexes,
        winding_va: Complexes,
        slope_va: Complexes,
        *,
        for_rows: bool = False,
    ) -> "FactorisedState":
        """The equations around a state, ready for any direction and any quantity.

        Parameters
        ----------
        volts
            Present node voltages ``(N,)`` [V], 0 at ground.
        source_a
            Present currents into the sources ``(s,)`` [A].
        winding_va
            Present power into each winding ``(L,)`` [VA].
        slope_va
            Its change per relative change of the voltage across the winding ``(L,)`` [VA], 0 where it draws
            constant power.
        for_rows
            Whether rows of the derivatives will be asked for, not columns.

        Raises
        ------
        numpy.linalg.LinAlgError
            The equations are singular.
        """
        network = self._network
        ends = network.winding_ends
        across = volts[ends[:, 0]] - volts[ends[:, 1]]
        half = np.asarray(np.conj(0.5 * slope_va / across**2), dtype=np.complex128)
        of_loads = (
            half * np.conj(across) / across,
            np.asarray(np.conj(winding_va / across**2), dtype=np.complex128) - half,
        )
        factors: Factors
        try:
            if for_rows:
                factors = self._condensation().factorised(*of_loads)
            else:
                entries = self._of_network + self._entries.of_loads(*of_loads)
                factors = self._entries.pattern.columns(entries)
        except RuntimeError as error:
            raise np.linalg.LinAlgError("the power flow equations are singular") from error
        one, other = network.monitored.T
        monitored_v = volts[one] - volts[other]
        return FactorisedState(
            factors=factors,
            incidence=self._incidence,
            ends=self._ends,
            drawn=self._drawn,
            across=across,
            monitored=self._monitored,
            along=monitored_v / np.abs(monitored_v),
            neutrals=self._neutrals,
            branches=self._branches,
            source_place=self._place[network.source_nodes],
            source_a=source_a,
            source_v=volts[network.source_nodes],
            sources=self._sources,
        )

    def _condensation(self) -> Condensation:
        """The equations that rows are found with."""
        if self._condensed is None:
            network, fed = self._network, np.flatnonzero(self._network.fed)
            stay = np.zeros(self._size + 1, dtype=bool)
            for nodes in (self._drawn, self._place[network.source_nodes], self._place[network.moving]):
                stay[nodes] = True
            self._condensed = Condensation(self._y, self._ends, stay[:-1], network.bus[fed], self._before)
        return self._condensed


@dataclass(frozen=True)
class FactorisedState:
    """The equations around one state, factorised; n fed nodes, place n being ground.

    Attributes
    ----------
    factors
        Of the real equations ``(2 n, 2 n)``.
    incidence, ends, drawn, across
        The load windings' incidence ``(n, L)``, their ends ``(L, 2)``, the nodes among these, ascending, and
        voltages across them ``(L,)`` [V].
    monitored, along
        Ends of the voltages of interest ``(v, 2)`` and their directions ``(v,)``, complex of size 1.
    neutrals
        Nodes of neutral conductors ``(z,)``.
    branches
        Rows that turn node voltages into branch currents ``(b, n)`` [S].
    source_place, source_a, source_v, sources
        Nodes at the sources' terminals ``(s,)``, currents into them [A], their voltages [V] and rows of their
        admittance ``(s, n)`` [S].
    """

    factors: Factors
    incidence: sparse.csr_array
    ends: Ints
    drawn: Ints
    across: Complexes
    monitored: Ints
    along: Complexes
    neutrals: Ints
    branches: sparse.csr_array
    source_place: Ints
    source_a: Complexes
    source_v: Complexes
    sources: sparse.csr_array

    def given_a(self, dva: sparse.csc_array) -> Floats:
        """Currents that nodes are given when the windings' powers change ``(L, M)`` [VA].

        Real parts over imaginary ones, ``(2 n, M)`` [A]. They are summed by place: a product of sparse
        matrices takes several times as long, for it looks for its entries first.
        """
        n, count = self.branches.shape[1], dva.shape[1]
        winding, column = dva.indices, np.repeat(np.arange(count), np.diff(dva.indptr))
        into = np.conj((1.0 / self.across)[winding] * dva.data)
        nodes = self.ends[winding]
        is_node = nodes < n
        at = (2 * n * column[:, None] + nodes)[is_node]
        given = np.stack([-into, into], axis=1)[is_node]
        places, values = np.concatenate([at, n + at]), np.concatenate([given.real, given.imag])
        summed = np.asarray(np.bincount(places, values, minlength=2 * n * count), dtype=np.float64)
        return summed.reshape((2 * n, count), order="F")

    def given_to(self, rows: sparse.csr_array) -> Complexes:
        """What a change of each winding's power does to functions of the unknowns ``(L, k)`` [1/VA].

        The functions are rows ``(k, 2 n)`` over real and imaginary parts of the node voltages, each place
        of a row given once. A winding's share is the real part of its power times the result: the
        transpose of `given_a` after the inverse of the equations.
        """
        n, nodes = self.branches.shape[1], self.drawn
        worth = self.factors.solve_transposed(rows, np.concatenate([nodes, n + nodes]))
        # Ground, behind all nodes, is worth nothing.
        there = np.zeros((len(nodes) + 1, rows.shape[0]), dtype=np.complex128)
        there.real[:-1], there.imag[:-1] = worth[: len(nodes)], worth[len(nodes) :]
        one, other = np.searchsorted(nodes, self.ends).T
        found: Complexes = (there[other] - there[one]) / self.across[:, None]
        return found

    def along_one(self, dva: Complexes) -> tuple[Floats, Complexes]:
        """Changes of voltage magnitudes ``(v,)`` [V] and branch currents ``(b,)`` [A] along one direction.

        Change of the windings' powers ``(L,)`` [VA].
        """
        given = -self.incidence @ np.conj(dva / self.across)
        moved = self.factors.solve(np.concatenate([given.real, given.imag]))
        n = len(given)
        change = np.zeros(n + 1, dtype=np.complex128)
        change.real[:n], change.imag[:n] = moved[:n], moved[n:]
        at = change[self.monitored[:, 0]] - change[self.monitored[:, 1]]
        return self.along.real * at.real + self.along.imag * at.imag, self.branches @ change[:n]

    def follow(self, dva: sparse.csc_array) -> Changes:
        """Changes of all quantities along directions, one back substitution for each.

        Parameters
        ----------
        dva
            Change of the windings' powers, one column per direction ``(L, M)`` [VA].
        """
        given = self.given_a(dva)
        n, count = len(given) // 2, given.shape[1]
        one, other = self.monitored.T
        real, imag = self.along.real[:, None], self.along.imag[:, None]
        # A block of columns lies together in memory.
        dv = np.empty((len(one), count), order="F")
        di = np.empty((self.branches.shape[0], count), dtype=np.complex128, order="F")
        dp = np.empty(count)
        for start in range(0, count, _BLOCK):
            block = slice(start, min(start + _BLOCK, count))
            answer = self.factors.solve(given[:, block])
            change = np.zeros((n + 1, answer.shape[1]), dtype=np.complex128)
            change.real[:n], change.imag[:n] = answer[:n], answer[n:]
            at = change[one] - change[other]
            dv[:, block] = real * at.real + imag * at.imag
            di[:, block] = self.branches @ change[:n]
            into = np.conj(self.source_a) @ change[self.source_place]
            dp[block] = -(into + self.source_v @ np.conj(self.sources @ change[:n])).real
        return Changes(dv, di, dp)
