"""Loads taken apart into their phases, so that a local-area market may stand on one phase of a bus."""

from collections.abc import Collection, Sequence

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import LamSite
from cosim.feeder.powerflow.attachment import SpotLoad
from cosim.feeder.powerflow.engine import command
from cosim.feeder.powerflow.made_names import windings_of
from cosim.feeder.powerflow.topology import Fed


def split_by_phase(
    dss: OpenDss, loads: Sequence[SpotLoad], node_names: Sequence[str]
) -> dict[LamSite, list[str]]:
    """Give every winding of loads a load of its own, and say which stand where.

    A load of constant power draws the same from each of its windings, so nothing of the circuit changes.

    Parameters
    ----------
    dss
        Context with a circuit.
    loads
        Those that are to be taken apart.
    node_names
        Names of its nodes, ground first.

    Returns
    -------
    dict
        Names of loads by site: ``47.1`` for a phase and the reference of its bus, ``76.1-2`` for two phases.
    """
    found: dict[LamSite, list[str]] = {}
    for load in loads:
        windings = load.windings()
        for number, (one, other) in enumerate(windings):
            name = load.name
            if len(windings) > 1:
                name = f"{windings_of(load.name)}{number + 1}"
                command(dss, _made(name, load, one, other, len(windings), node_names))
            found.setdefault(LamSite(_label(load, one, other, node_names), load.bus), []).append(name)
        if len(windings) > 1:
            command(dss, f"load.{load.name}.enabled=no")
    command(dss, "solve")
    return found


def partly_fed(loads: Sequence[SpotLoad], fed: Fed, known: Collection[str] | None = None) -> list[SpotLoad]:
    """Loads of which some windings are fed and others are not, as behind an open conductor of one phase.

    Parameters
    ----------
    loads, fed
        Loads, and which nodes hang on a source.
    known
        Names of loads before an event. One that it leaves some phases of is no such load: who stands on
        which of them nobody knows, and it goes as a whole.
    """
    found = []
    for load in loads:
        alive = {all(not node or bool(fed[node]) for node in winding) for winding in load.windings()}
        was = known is None or any(name.startswith(windings_of(load.name)) for name in known)
        if len(alive) > 1 and was:
            found.append(load)
    return found


def chosen(
    members: dict[LamSite, list[str]], sites: Collection[LamSite] | None
) -> tuple[tuple[LamSite, ...], list[dict[str, str]]]:
    """Sites and the names of their loads; of all, or of those sites that are given."""
    mine = {site: names for site, names in members.items() if sites is None or site in sites}
    return tuple(mine), [dict.fromkeys(names, "") for names in mine.values()]


def _label(load: SpotLoad, one: int, other: int, node_names: Sequence[str]) -> str:
    numbers = [node_names[node].partition(".")[2] for node in (one, other) if node]
    return f"{load.bus}.{'-'.join(sorted(numbers)) if load.is_delta else numbers[0]}"


def _made(name: str, load: SpotLoad, one: int, other: int, count: int, node_names: Sequence[str]) -> str:
    ends = ".".join(node_names[node].partition(".")[2] if node else "0" for node in (one, other))
    conn = "delta" if load.is_delta else "wye"
    return (
        f"new load.{name} bus1={load.bus}.{ends} phases=1 conn={conn}"
        f" kw={load.kw / count!r} kvar={load.kvar / count!r}"
    )
