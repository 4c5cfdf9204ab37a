"""Which loads of the circuit belong to which LAM, and how a LAM's power splits over them.

Within a clearing a LAM's power splits over its loads by their share of the bus's spot load, at constant
power.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cosim.feeder.circuit import Complexes, FeederError, Floats, LamSite
from cosim.feeder.powerflow.factors import Ints
from cosim.feeder.powerflow.made_names import lam_load
from sharegrid.text import closest


@dataclass(frozen=True)
class SpotLoad:
    """A load of the circuit: its bus, nodes in the solution vector, published power."""

    name: str
    bus: str
    nodes: Ints
    phases: tuple[int, ...]
    is_delta: bool
    kw: float
    kvar: float

    def windings(self) -> tuple[tuple[int, int], ...]:
        """Nodes of each of its windings, ground being 0."""
        count = len(self.phases)
        nodes = self.nodes.tolist()
        # A delta of three phases closes on itself; with one or two it has one conductor more than phases.
        others = [(i + 1) % len(nodes) if self.is_delta else count for i in range(count)]
        return tuple((nodes[i], nodes[other]) for i, other in enumerate(others))


@dataclass(frozen=True)
class Attachment:
    """M LAMs on K loads with L windings.

    Attributes
    ----------
    lam
        The LAM of each load ``(K,)``, -1 for none.
    part_kw, part_kvar
        The parts of the LAM's active and reactive power that the load takes ``(K,)``; those of a LAM sum to
        1.
    fixed_kw, fixed_kvar
        What each load draws beside that ``(K,)``: all of it where it belongs to no LAM.
    winding_ends
        Nodes of each load winding ``(L, 2)``, 0 being ground.
    winding_load, winding_part
        The load of each winding ``(L,)`` and the part of the load's power that it takes ``(L,)``.
    spot_kw, tan_phi
        The loads that each LAM stands for ``(M,)`` [kW] and their kvar per kW.
    members
        Loads of each LAM.
    """

    lam: Ints
    part_kw: Floats
    part_kvar: Floats
    fixed_kw: Floats
    fixed_kvar: Floats
    winding_ends: Ints
    winding_load: Ints
    winding_part: Floats
    spot_kw: Floats
    tan_phi: Floats
    members: tuple[tuple[int, ...], ...]

    def load_kw(self, net_kw: Floats) -> Floats:
        """Active power of each load ``(K,)`` [kW] for LAM net powers ``(M,)`` [kW]."""
        return self._of_loads(net_kw, self.part_kw, self.fixed_kw)

    def load_kvar(self, net_kvar: Floats) -> Floats:
        """Reactive power of each load ``(K,)`` [kvar] for LAM net powers ``(M,)`` [kvar]."""
        return self._of_loads(net_kvar, self.part_kvar, self.fixed_kvar)

    def winding_va(self, net_kw: Floats, net_kvar: Floats) -> Complexes:
        """Complex power into each winding ``(L,)`` [VA]."""
        kva = np.asarray(self.load_kw(net_kw) + 1j * self.load_kvar(net_kvar), dtype=np.complex128)
        return kva[self.winding_load] * (1e3 * self.winding_part).astype(np.complex128)

    def winding_lam(self) -> Ints:
        """LAM of each winding ``(L,)``, -1 for none."""
        return self.lam[self.winding_load]

    def winding_va_per_kw(self) -> sparse.csc_array:
        """Change of the windings' powers per kW of each LAM ``(L, M)`` [VA]."""
        return self._per_unit(self.part_kw)

    def winding_va_per_kvar(self) -> sparse.csc_array:
        """Change of the windings' powers per kvar of each LAM ``(L, M)`` [VA]."""
        return 1j * self._per_unit(self.part_kvar)

    def _per_unit(self, part: Floats) -> sparse.csc_array:
        lam = self.lam[self.winding_load]
        mine = np.flatnonzero(lam >= 0)
        va = 1e3 * part[self.winding_load[mine]] * self.winding_part[mine]
        shape = (len(lam), len(self.spot_kw))
        return sparse.coo_array((va.astype(np.complex128), (mine, lam[mine])), shape=shape).tocsc()

    def _of_loads(self, net: Floats, part: Floats, fixed: Floats) -> Floats:
        return np.where(self.lam >= 0, part * np.asarray(net)[self.lam], 0.0) + fixed


def sites_of_loads(loads: Sequence[SpotLoad]) -> tuple[LamSite, ...]:
    """One LAM per load bus, named after the bus, in the order of the circuit's loads."""
    return tuple(LamSite(name=bus, bus=bus) for bus in dict.fromkeys(load.bus for load in loads))


def check_sites(
    sites: Sequence[LamSite], node_names: Sequence[str], fed: NDArray[np.bool_], load_buses: set[str]
) -> None:
    """Refuse LAM sites that the circuit cannot hold.

    Parameters
    ----------
    sites
        Where LAMs are to attach.
    node_names, fed
        The circuit's nodes such as ``"47.1"``, and which of them hang on a source.
    load_buses
        Its buses with loads.

    Raises
    ------
    FeederError
        Two LAMs of one name or on the same loads, an unknown bus, a bus without loads, or a phase that is not
        there.
    """
    if not sites:
        raise FeederError(
            "the feeder has no load to which a LAM could attach; add loads or name LAM sites with phases"
        )
    buses = {name.partition(".")[0] for name in node_names[1:]}
    nodes = {name for name, is_fed in zip(node_names, fed, strict=True) if is_fed}
    names: set[str] = set()
    taken: set[str] = set()
    for site in sites:
        if site.name in names:
            raise FeederError(f"LAM '{site.name}' is named twice; give each LAM its own name")
        names.add(site.name)
        if site.bus not in buses:
            hint = closest(site.bus, sorted(buses)) or "correct its bus"
            raise FeederError(
                f"LAM '{site.name}' stands at bus '{site.bus}', which the feeder does not have; {hint}"
            )
        if not site.phases:
            if site.bus not in load_buses:
                raise FeederError(
                    f"LAM '{site.name}': bus '{site.bus}' has no load; name the phases to connect to"
                )
            if site.bus in taken:
                raise FeederError(
                    f"LAM '{site.name}': the loads at bus '{site.bus}' already belong to another LAM"
                )
            taken.add(site.bus)
        for phase in site.phases:
            if f"{site.bus}.{phase}" not in nodes:
                raise FeederError(f"LAM '{site.name}': bus '{site.bus}' has no phase {phase} that is fed")


def own_loads(
    sites: Sequence[LamSite], base_kv: Mapping[str, float], neutrals: Mapping[str, str]
) -> list[dict[str, str]]:
    """Loads to make for LAMs that name their phases.

    Parameters
    ----------
    sites
        Checked LAM sites, M of them.
    base_kv
        Base voltages of the nodes to ground [kV].
    neutrals
        Neutral conductors of buses that have one, ``{"47": "47.4"}``; elsewhere they stand to ground.

    Returns
    -------
    list of dict
        For each LAM the names of its loads and the OpenDSS commands that make them; empty where it needs
        none.
    """
    return [
        {
            lam_load(i, phase): (
                f"new load.{lam_load(i, phase)} bus1={site.bus}.{phase}{_back(site.bus, neutrals)}"
                " phases=1 conn=wye"
                f" kv={base_kv[f'{site.bus}.{phase}']:.9g}"
                f" kw={site.spot_kw / len(site.phases)} kvar={site.spot_kvar / len(site.phases)}"
            )
            for phase in site.phases
        }
        for i, site in enumerate(sites)
    ]


def _back(bus: str, neutrals: Mapping[str, str]) -> str:
    """Where a connection at a bus returns, as OpenDSS writes it behind the phase."""
    return f".{neutrals[bus].rpartition('.')[2]}" if bus in neutrals else ""


def attach(
    sites: Sequence[LamSite],
    loads: Sequence[SpotLoad],
    own: Sequence[Collection[str]],
    others: Collection[str] = (),
) -> Attachment:
    """Give each LAM its loads.

    Parameters
    ----------
    sites
        Checked LAM sites, M of them.
    loads
        The circuit's loads, K of them, those made for LAMs with phases of their own included.
    own
        Names of the loads made for each LAM, empty where it takes over the loads of its bus.
    others
        Names of loads that belong to no LAM wherever they stand.

    Returns
    -------
    Attachment
        Shares and windings, such that at its spot power every load draws its own kW and kvar.
    """
    made = {name for names in own for name in names} | set(others)
    at_bus: dict[str, list[int]] = {}
    for k, load in enumerate(loads):
        if load.name not in made:
            at_bus.setdefault(load.bus, []).append(k)
    place = {load.name: k for k, load in enumerate(loads)}
    lam = np.full(len(loads), -1, dtype=np.intp)
    kw = np.array([load.kw for load in loads])
    kvar = np.array([load.kvar for load in loads])
    part_kw, part_kvar = np.zeros((2, len(loads)))
    fixed_kw, fixed_kvar = kw.copy(), kvar.copy()
    members = []
    for i, (site, names) in enumerate(zip(sites, own, strict=True)):
        mine = [place[name] for name in names] if names else at_bus[site.bus]
        lam[mine] = i
        part_kw[mine], fixed_kw[mine] = _share(kw[mine], np.full(len(mine), 1 / len(mine)))
        part_kvar[mine], fixed_kvar[mine] = _share(kvar[mine], part_kw[mine])
        if kw[mine].sum() == 0:
            # Nobody's kvar follow from 0 kW: the loads keep theirs beside the LAM.
            fixed_kvar[mine] = kvar[mine]
        members.append(tuple(mine))
    spot_kw = np.array([kw[list(mine)].sum() for mine in members])
    spot_kvar = np.array([kvar[list(mine)].sum() for mine in members])
    ends, owner, winding_part = _windings(loads)
    return Attachment(
        lam=lam,
        part_kw=part_kw,
        part_kvar=part_kvar,
        fixed_kw=fixed_kw,
        fixed_kvar=fixed_kvar,
        winding_ends=ends,
        winding_load=owner,
        winding_part=winding_part,
        spot_kw=spot_kw,
        tan_phi=np.divide(spot_kvar, spot_kw, out=np.zeros_like(spot_kw), where=spot_kw != 0),
        members=tuple(members),
    )


def _share(own: Floats, otherwise: Floats) -> tuple[Floats, Floats]:
    """Part of a LAM's power that each of its loads takes, and what each draws beside it.

    By their own power where all have one direction; else by other parts, around their own power.
    """
    total = own.sum()
    if total != 0 and np.all(own * total >= 0):
        return own / total, np.zeros_like(own)
    return otherwise, own - otherwise * total


def _windings(loads: Sequence[SpotLoad]) -> tuple[Ints, Ints, Floats]:
    ends: list[tuple[int, int]] = []
    owner: list[int] = []
    part: list[float] = []
    for k, load in enumerate(loads):
        windings = load.windings()
        ends += windings
        owner += [k] * len(windings)
        part += [1 / len(windings)] * len(windings)
    return np.array(ends, dtype=np.intp), np.array(owner, dtype=np.intp), np.array(part)
