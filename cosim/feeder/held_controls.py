"""The controls of one feeder: held where they stand, and moved by nothing but the calls here."""

from collections.abc import Callable, Mapping

from cosim.feeder import controls
from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import AcState, FeederError
from cosim.feeder.controls import ControlRun, Positions


class HeldControls:
    """Regulators and switched capacitors of a circuit.

    Parameters
    ----------
    dss
        The context, its controls held.
    renew
        Called when one may have moved, as matrices that hold its position are old then.

    Attributes
    ----------
    at
        Where they stand.
    """

    def __init__(self, dss: OpenDss, renew: Callable[[], None]) -> None:
        self._dss = dss
        self._renew = renew
        self._taps = controls.Taps(dss)
        self.at = controls.positions(dss)

    def note(self) -> None:
        """Take notice that a control may have moved."""
        self.at = controls.positions(self._dss)
        self._renew()

    def put(self, where: Positions) -> None:
        """Put them where they stood before."""
        controls.put(self._dss, self._taps, where)
        self.note()

    def act(self, solve: Callable[[], AcState], window_s: float) -> ControlRun:
        """Let them act for a span of time [s], as `cosim.feeder.controls.act`."""

        def restate() -> None:
            now = controls.positions(self._dss)
            if now != self.at:
                self.put(now)

        def solve_here() -> AcState:
            restate()
            return solve()

        try:
            return controls.act(self._dss, self._taps, solve_here, window_s)
        finally:
            restate()

    def set_taps(self, taps: Mapping[str, int]) -> None:
        """Put regulators at given positions [steps]; those not named stay.

        Raises
        ------
        FeederError
            Unknown regulator, or a position that it does not have; none was moved.
        """
        before = self.at
        unknown = [name for name in taps if name not in before.taps]
        if unknown:
            have = ", ".join(before.taps) or "none"
            raise FeederError(f"regulator '{unknown[0]}' is not on this feeder; it has {have}")
        controls.put(self._dss, self._taps, Positions(taps))
        now = controls.positions(self._dss).taps
        refused = [name for name, tap in taps.items() if now[name] != tap]
        if refused:
            controls.put(self._dss, self._taps, before)
        self.note()
        if refused:
            raise FeederError(f"regulator '{refused[0]}' has no tap {taps[refused[0]]}; none was moved")
