"""The frequency at which a circuit is solved, held against what its elements are described for."""

from collections.abc import Iterator

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import FeederError
from cosim.feeder.powerflow.engine import is_enabled
from cosim.feeder.powerflow.notes import listed

# Elements whose reactances OpenDSS scales from the frequency that they are described for.
_SCALED = ("line", "transformer", "reactor", "capacitor")
_WITHIN_HZ = 1e-3


def check_frequency(dss: OpenDss) -> tuple[str, ...]:
    """Sentences on elements that are described for another frequency than the circuit is solved at.

    Parameters
    ----------
    dss
        Context with a circuit, solved once.

    Raises
    ------
    FeederError
        No source stands at that frequency: OpenDSS then solves a dead circuit, and says nothing.
    """
    solved_hz = dss.Solution.Frequency()
    sources = list(_described(dss, "vsource", "frequency"))
    if sources and all(abs(hz - solved_hz) > _WITHIN_HZ for _, hz in sources):
        name, hz = sources[0]
        raise FeederError(
            f"vsource.{name} stands at {hz:g} Hz and the circuit is solved at {solved_hz:g} Hz: nothing is "
            "fed; give one frequency, by 'set defaultbasefrequency' before the circuit"
        )
    notes = []
    for kind in _SCALED:
        others = {
            name: hz for name, hz in _described(dss, kind, "basefreq") if abs(hz - solved_hz) > _WITHIN_HZ
        }
        if others:
            hz = next(iter(others.values()))
            notes.append(
                f"{listed(kind, others)} described for {hz:g} Hz in a circuit of {solved_hz:g} Hz: "
                f"reactances are scaled by {solved_hz / hz:.3g}"
            )
    return tuple(notes)


def _described(dss: OpenDss, kind: str, key: str) -> Iterator[tuple[str, float]]:
    for full_name in dss.Circuit.AllElementNames():
        of_kind, _, name = full_name.lower().partition(".")
        if of_kind == kind and is_enabled(dss, full_name):
            yield name, float(dss.Properties.Value(key))
