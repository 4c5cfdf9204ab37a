"""AC power flow of given net powers on a wired circuit, with the same bits whatever was solved before."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import AcState, Complexes, FeederStopped, Floats, PowerFlowError
from cosim.feeder.powerflow.arrays import LoadPowers
from cosim.feeder.powerflow.causes import base_of_another_level, lopsided
from cosim.feeder.powerflow.engine import begin_iteration, solution_vector
from cosim.feeder.powerflow.extrapolation import Extrapolation
from cosim.feeder.powerflow.iteration import (
    ByArrays,
    ByOpenDss,
    CircuitArrays,
    Iteration,
    circuit_arrays,
)
from cosim.feeder.powerflow.lam_circuit import LamCircuit
from cosim.feeder.powerflow.losses import CircuitLosses
from cosim.feeder.powerflow.primitives import Assembly, Primitives

# Voltages across loads are at rest when an iteration moves them by less [pu].
_AT_REST_PU = 1e-11
_ITERATIONS, _MOST_ITERATIONS = 200, 5000
# An iteration by which the pace is known, more iterations to come that make it a slow one, and so many
# extrapolated ones without a lower move that lead nowhere.
_PACED, _SLOW, _IDLE = 6, 12, 10
# Below this part of the voltages at first there may be solutions at which no feeder stays. OpenDSS's
# iteration leaves those, extrapolation need not.
_SURE = 0.85
# Iterations in which a circuit without power flow is looked at for its least voltage.
_SWINGS = 20
# Loads draw constant power well beyond this band; a voltage outside it means that the feeder collapsed [pu].
_LOWEST_PU = 0.5
_HIGHEST_PU = 1.5
_PARTS = (1.0, 0.5, 0.2, 0.0)
_ROOT_3_WITHIN = 0.1


class Solver:
    """Puts M net powers on a circuit's loads, solves, and reads the state.

    Parameters
    ----------
    dss, circuit
        The context and what hangs on it.
    stopped
        Set, from any thread, once nobody waits for solutions any more.

    Attributes
    ----------
    nodes, branches
        Names of what a state holds.
    base_v
        Base voltages between the terminals that are judged ``(n,)`` [V].
    """

    def __init__(self, dss: OpenDss, circuit: LamCircuit, stopped: Event) -> None:
        survey = self._survey = circuit.survey
        self._dss = dss
        self._circuit = circuit
        self._arrays: CircuitArrays | None = None
        self._is_telling = self._is_told = False
        self._stopped = stopped
        self._attachment = circuit.attachment
        self._ends = circuit.attachment.winding_ends.T
        self._winding_base_v = 1e3 * survey.base_kv[circuit.attachment.winding_ends].max(axis=1)
        self._powers = LoadPowers(dss, [load.name for load in circuit.loads])
        self._voltages = circuit.voltages
        self._current_at = np.array([branch.current_at for branch in survey.branches], dtype=np.intp)
        self._losses = CircuitLosses(dss, survey)
        self._names = survey.node_names
        self._start = np.zeros(0, dtype=np.complex128)
        self._last: tuple[AcState, Complexes] | None = None
        self.base_v = 1e3 * circuit.voltages.base_kv
        self.nodes = circuit.voltages.names
        self.branches = tuple(branch.name for branch in survey.branches)

    def inject(self, net_kw: Floats, net_kvar: Floats) -> None:
        """Let each LAM draw its net power ``(M,)`` [kW, kvar], from the next solution on.

        Raises
        ------
        ValueError
            The arrays do not fit the feeder or are not finite.
        """
        self._check(net_kw, net_kvar)
        self._powers.set(self._attachment.load_kw(net_kw), self._attachment.load_kvar(net_kvar))
        self._go_to_start()

    def _check(self, net_kw: Floats, net_kvar: Floats) -> None:
        count = len(self._attachment.spot_kw)
        for values in (net_kw, net_kvar):
            if np.shape(values) != (count,) or not np.all(np.isfinite(values)):
                raise ValueError(f"net powers must be {count} finite numbers, one for each LAM")

    def _go_to_start(self) -> None:
        if len(self._start):
            # OpenDSS would start where it ended last, and the bits would tell of the past.
            solution_vector(self._dss)[:] = self._start

    def solve(self, net_kw: Floats, net_kvar: Floats, taps: tuple[int, ...]) -> AcState:
        """Converged state of given net powers ``(M,)`` [kW, kvar], returned with the regulators' ``taps``.

        Raises
        ------
        PowerFlowError
            No convergence, or a voltage is zero, not a number or far outside any operation.
        FeederStopped
            Nobody waits for it any more.
        ValueError
            As `inject`.
        """
        if self._stopped.is_set():
            raise FeederStopped("the feeder is being closed; open it anew")
        if self._dss.YMatrix.SystemYChanged():
            self.renew()
        if self._last is None or not self._stands_at(net_kw, net_kvar, taps):
            state = self._state(net_kw, net_kvar, taps, self._converge(net_kw, net_kvar))
            self._last = state, solution_vector(self._dss).copy()
        if self._is_telling and not self._is_told:
            self._tell(*self._last)
        return self._last[0]

    def _stands_at(self, net_kw: Floats, net_kvar: Floats, taps: tuple[int, ...]) -> bool:
        """Whether the circuit still holds the state last returned, and that is the one asked for."""
        assert self._last is not None
        state, volts = self._last
        return (
            state.taps == taps
            and np.array_equal(state.net_kw, net_kw)
            and np.array_equal(state.net_kvar, net_kvar)
            and np.array_equal(volts, solution_vector(self._dss))
        )

    def part_that_holds(self, net_kw: Floats, net_kvar: Floats) -> float:
        """The largest of a few parts of net powers ``(M,)`` [kW, kvar] at which there is a power flow."""
        for part in _PARTS[:-1]:
            try:
                self.solve(part * net_kw, part * net_kvar, ())
            except PowerFlowError:
                continue
            return part
        return _PARTS[-1]

    def _converge(self, net_kw: Floats, net_kvar: Floats) -> tuple[int, Iteration]:
        """Bring the circuit to the state of net powers: in how many iterations of which kind."""
        iteration: Iteration
        self._is_told = self._arrays is None
        if self._arrays is not None:
            self._check(net_kw, net_kvar)
            self._go_to_start()
            iteration = ByArrays(self._dss, self._arrays, self._attachment.winding_va(net_kw, net_kvar))
            try:
                return self._iterate(iteration), iteration
            except PowerFlowError:
                # Where voltages leave a wide band, OpenDSS's loads become impedances, and it may get on.
                self._is_told = True
        self.inject(net_kw, net_kvar)
        iteration = ByOpenDss(self._dss)
        return self._iterate(iteration), iteration

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Within, OpenDSS knows the powers and currents of all elements in states that are solved.

        In the state that was solved last as well. Otherwise it may know of none but its voltages.
        """
        self._is_telling = True
        try:
            if self._last is not None and not self._is_told:
                self._tell(*self._last)
            yield
        finally:
            self._is_telling = False

    def _tell(self, state: AcState, volts: Complexes) -> None:
        """Let OpenDSS find a state's powers and currents, by an iteration from its voltages."""
        self.inject(state.net_kw, state.net_kvar)
        solution_vector(self._dss)[:] = volts
        begin_iteration(self._dss)
        solution_vector(self._dss)[:] = volts
        self._is_told = True

    def take_over(self, assembly: Assembly, primitives: Primitives) -> None:
        """Find currents without OpenDSS from now on, where that is quicker and comes to the same.

        Right after `renew`, with the circuit's admittances.
        """
        spot_kw = self._attachment.spot_kw
        spot_va = self._attachment.winding_va(spot_kw, spot_kw * self._attachment.tan_phi)
        self._arrays = circuit_arrays(self._dss, self._circuit, assembly, primitives, spot_va)

    def start_here(self) -> None:
        """Let every later solution start at the voltages of the present one."""
        self._start = solution_vector(self._dss).copy()

    def renew(self) -> None:
        """Let OpenDSS build its matrices anew, as it must after a tap or a switch moved."""
        # OpenDSS then renews the loads' part of its matrix too, and keeps it until the next time. Renewed
        # at spot loads, always, it cannot tell of the past, and exports converge better on it.
        self._last = None
        if self._arrays is not None:
            self._arrays.moved()
        spot_kw = self._attachment.spot_kw
        self.inject(spot_kw, spot_kw * self._attachment.tan_phi)
        self._dss.YMatrix.SystemYChanged(True)
        begin_iteration(self._dss)

    def _iterate(self, iteration: Iteration) -> int:
        """OpenDSS's fixed-point iteration with our own end of it: when the voltages across loads rest.

        Nothing but the loads' currents changes between iterations. OpenDSS itself looks at all voltages to
        ground, also where nothing but rounding defines them (a delta side without ground), and then never
        ends. Where it is slow, each iteration begins where the last few are heading; the end is the same.
        Where that leads nowhere or to low voltages, it goes on as it was before.
        """
        one, other = self._ends
        volts = solution_vector(self._dss)
        sure = _SURE * np.abs(volts[one] - volts[other])
        iteration.begin()
        volts = solution_vector(self._dss)
        across = volts[one] - volts[other]
        size, moves = np.abs(across), [np.inf]
        heading: Extrapolation | None = None
        for count in range(2, _MOST_ITERATIONS + 1):
            iteration.step(volts, across)
            before, across = across, volts[one] - volts[other]
            size_before, size = size, np.abs(across)
            move = np.abs(size - size_before) / self._winding_base_v
            moves.append(float(np.max(move)))
            is_at_rest = moves[-1] < _AT_REST_PU
            if is_at_rest and (heading is None or (size > sure).all()):
                return count
            if heading is not None and (is_at_rest or _leads_nowhere(moves)):
                volts[iteration.nodes], heading = heading.began, None
                across = volts[one] - volts[other]
                size = np.abs(across)
                del moves[_PACED:]
            elif not np.isfinite(moves[-1]) or (count % _ITERATIONS == 0 and _is_hopeless(moves)):
                break
            elif count == _PACED and _to_come(moves, 2) > _SLOW:
                heading = Extrapolation(volts[iteration.nodes], len(across))
            if heading is not None:
                ahead = volts[iteration.nodes]
                heading.step(ahead, (across - before) / self._winding_base_v)
                volts[iteration.nodes] = ahead
                across = volts[one] - volts[other]
                size = np.abs(across)
        lowest, least_pu = self._lowest(iteration, volts)
        raise PowerFlowError(
            f"power flow did not converge in {count} iterations, least across the load at "
            f"'{self._names[one[lowest]]}' ({least_pu:.4g} pu); "
            "reduce the LAMs' power, or look for a cause with sharegrid feeder check"
        )

    def _lowest(self, iteration: Iteration, volts: Complexes) -> tuple[int, float]:
        """Winding with the least voltage of any on the way of iterations that swing, and how little [pu].

        One iterate by itself may well be above all voltages that the circuit has.
        """
        one, other = self._ends
        least = np.full(len(one), np.inf)
        for _ in range(_SWINGS):
            across = volts[one] - volts[other]
            least = np.minimum(least, np.nan_to_num(np.abs(across), nan=0.0))
            iteration.step(volts, across)
        pu = least / self._winding_base_v
        lowest = int(np.argmin(pu))
        return lowest, float(pu[lowest])

    def _state(
        self, net_kw: Floats, net_kvar: Floats, taps: tuple[int, ...], converged: tuple[int, Iteration]
    ) -> AcState:
        iterations, iteration = converged
        to_ground = solution_vector(self._dss)
        volts = self._voltages.of(to_ground)
        v_pu = np.abs(volts) / self.base_v
        sound = (v_pu > _LOWEST_PU) & (v_pu < _HIGHEST_PU)
        if not sound.all():
            with np.errstate(divide="ignore"):  # A node without voltage is the farthest off.
                off = np.nan_to_num(np.abs(np.log(v_pu)), nan=np.inf)
            worst = int(np.argmax(np.where(sound, 0.0, off)))
            raise PowerFlowError(
                f"power flow found {v_pu[worst]:.3f} pu at node '{self.nodes[worst]}' "
                f"with LAMs drawing {np.sum(net_kw):.0f} kW; {self._remedy(worst, float(v_pu[worst]))}"
            )
        source_kva, current_a = iteration.source_kva(), iteration.currents()
        return AcState(
            net_kw=np.array(net_kw, dtype=np.float64),
            net_kvar=np.array(net_kvar, dtype=np.float64),
            v_pu=v_pu,
            angle_deg=np.degrees(np.angle(volts)),
            current_a=current_a[self._current_at],
            source_kw=source_kva.real,
            source_kvar=source_kva.imag,
            losses_kw=self._losses.kw(current_a),
            taps=taps,
            iterations=iterations,
            nodes=self.nodes,
            branches=self.branches,
            neutral_v=to_ground[self._voltages.neutrals],
        )

    def _remedy(self, worst: int, v_pu: float) -> str:
        ends = self._voltages.ends[worst]
        cause = base_of_another_level(self._dss, self._survey, ends, v_pu)
        if cause is not None:
            return cause
        if not self._is_sound_without_lams(worst):
            return lopsided(self._survey, ends, solution_vector(self._dss)) or (
                "it is no better while they draw nothing: see sources and transformers on the way there"
            )
        return "reduce their power, or look for a cause with sharegrid feeder check"

    def _is_sound_without_lams(self, worst: int) -> bool:
        nothing = np.zeros(len(self._attachment.spot_kw))
        self.inject(nothing, nothing)
        try:
            self._iterate(ByOpenDss(self._dss))
        except PowerFlowError:
            return False
        volts = self._voltages.of(solution_vector(self._dss))[worst]
        return bool(_LOWEST_PU < np.abs(volts) / self.base_v[worst] < _HIGHEST_PU)


def _is_hopeless(moves: list[float]) -> bool:
    """Whether voltages that have moved like this come to no rest within the most iterations."""
    return _to_come(moves, len(moves) - len(moves) // 2) > _MOST_ITERATIONS - len(moves)


def _to_come(moves: list[float], over: int) -> float:
    """Iterations until voltages rest, at the pace of the last ``over`` moves; infinite where it is none."""
    pace = (moves[-1] / moves[-1 - over]) ** (1.0 / over)
    return math.log(_AT_REST_PU / moves[-1]) / math.log(pace) if pace < 1.0 else math.inf


def _leads_nowhere(moves: list[float]) -> bool:
    """Whether the last extrapolated iterations brought voltages no nearer to rest."""
    late, early = moves[_PACED:][-_IDLE:], moves[:-_IDLE]
    return not np.isfinite(moves[-1]) or (len(moves) >= _PACED + _IDLE and min(late) >= min(early))
