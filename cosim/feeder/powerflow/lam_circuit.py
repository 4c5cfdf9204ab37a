"""A circuit with LAMs in place of its loads: what was surveyed, who draws where, which voltages count."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes, FeederError, Floats, LamSite
from cosim.feeder.powerflow.attachment import (
    Attachment,
    SpotLoad,
    attach,
    check_sites,
    own_loads,
    sites_of_loads,
)
from cosim.feeder.powerflow.by_phase import chosen, partly_fed, split_by_phase
from cosim.feeder.powerflow.engine import command, solution_vector
from cosim.feeder.powerflow.floating import draw_between_phases
from cosim.feeder.powerflow.generation import (
    HeldGeneration,
    generation_as_loads,
    replace_generation,
    still_in_service,
)
from cosim.feeder.powerflow.islands import cut_off_notes, disable_unfed, out_of_service
from cosim.feeder.powerflow.load_laws import Drawn, LoadLaws, laws_of
from cosim.feeder.powerflow.notes import listed, notes_on
from cosim.feeder.powerflow.opening import (
    hold_constant_power,
    hold_laws,
    still_switch_controls,
    take_multiplier,
)
from cosim.feeder.powerflow.primitives import read_primitives
from cosim.feeder.powerflow.survey import spot_loads, survey_circuit
from cosim.feeder.powerflow.topology import CutOff, Fed, Survey, cut_off_by, fed_nodes, tied_nodes
from cosim.feeder.powerflow.voltages import JudgedVoltages, judged_voltages, neutral_names


@dataclass(frozen=True)
class LamCircuit:
    """A circuit and the LAMs on it.

    Attributes
    ----------
    survey, fed, voltages
        Elements and nodes, which of them hang on a source, and the voltages that count.
    sites, loads, attachment
        The M LAMs, all loads of the circuit, and which belong to which.
    generation
        The loads in the place of its generators.
    laws
        How loads outside the market vary with voltage.
    left_out
        Commands that took out what no source feeds from the start.
    notes
        What the circuit loses in the loop.
    """

    survey: Survey
    fed: Fed
    voltages: JudgedVoltages
    sites: tuple[LamSite, ...]
    loads: tuple[SpotLoad, ...]
    attachment: Attachment
    generation: tuple[HeldGeneration, ...]
    laws: LoadLaws
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def drawn(self, net_kw: Floats, net_kvar: Floats, volts: Complexes) -> Drawn:
        """What windings draw where LAMs draw net powers ``(M,)`` [kW, kvar].

        Node voltages ``(N,)`` [V], 0 at ground, are those of that state.
        """
        ends = self.attachment.winding_ends
        across = volts[ends[:, 0]] - volts[ends[:, 1]]
        return self.laws.drawn(self.attachment.winding_va(net_kw, net_kvar), across)


def attach_lams(
    dss: OpenDss,
    sites: Sequence[LamSite] | None,
    notes: tuple[str, ...] = (),
    before: LamCircuit | None = None,
    known: Collection[str] | None = None,
    *,
    by_phase: bool = False,
    others_vary: bool = False,
    wider: bool = False,
) -> LamCircuit:
    """Attach LAMs to a circuit; its loads and generators hold constant power from then on.

    Parameters
    ----------
    dss
        Context with a circuit, solved once.
    sites
        Where LAMs attach; by default one at each bus with loads.
    notes
        What the circuit lost already.
    before
        The circuit before it was changed: its generators keep their powers, and the same voltages are judged
        wherever they are still fed.
    known
        Names of the loads with which the circuit was opened first, as of `partly_fed`.
    by_phase
        One LAM for each phase of a bus that loads stand on, in place of one at each bus.
    others_vary
        Loads outside the market vary with voltage as described.
    wider
        Voltages that are fed here and were not before are judged as well.

    Raises
    ------
    FeederError
        Something is fed by nothing though no switch is open, a bus has no base voltage, or a site does not
        exist or is cut off.
    """
    described = spot_loads(dss)
    generation = generation_as_loads(dss) if before is None else still_in_service(dss, before.generation)
    notes += notes_on(dss, generation)
    # Before anything sets a mode, with which OpenDSS lets fuses and reclosers close again.
    still_switch_controls(dss)
    take_multiplier(dss, described)
    replace_generation(dss, generation)
    survey = survey_circuit(dss)
    primitives = read_primitives(dss, survey.elements)
    fed = fed_nodes(survey, primitives)
    partly = partly_fed(described, fed, known)
    if partly:
        notes += (f"{listed('load', (load.name for load in partly))}: drawn where its phases are fed",)
        split_by_phase(dss, partly, survey.node_names)
        described = spot_loads(dss)
        survey = survey_circuit(dss)
        primitives = read_primitives(dss, survey.elements)
        fed = fed_nodes(survey, primitives)
    cut_off = cut_off_by(survey, primitives, fed, out_of_service(dss))
    left_out: tuple[str, ...] = ()
    if cut_off:
        left = {load.bus for load in described if f"load.{load.name}" not in cut_off}
        _refuse_sites_there([site for site in sites or () if site.bus not in left], cut_off)
        left_out = disable_unfed(dss, survey, fed)
        notes += cut_off_notes(cut_off)
        described = tuple(load for load in described if f"load.{load.name}" not in cut_off)
        if not described and not sites:
            raise FeederError(f"{cut_off_notes(cut_off)[0]}, and no load is left; close it")
        survey = survey_circuit(dss)
        fed = fed_nodes(survey, read_primitives(dss, survey.elements))
    if by_phase:
        sites, own = chosen(split_by_phase(dss, described, survey.node_names), sites)
    else:
        sites = sites_of_loads(described) if sites is None else tuple(sites)
        check_sites(sites, survey.node_names, fed, {load.bus for load in described})
        base_kv = dict(zip(survey.node_names, survey.base_kv.tolist(), strict=True))
        own = own_loads(sites, base_kv, neutral_names(survey, spot_loads(dss), solution_vector(dss)))
        for text in (text for made in own for text in made.values()):
            command(dss, text)
    if any(own):
        command(dss, "solve")
        survey = survey_circuit(dss)
        fed = fed_nodes(survey, read_primitives(dss, survey.elements))
    floating = draw_between_phases(dss, survey, read_primitives(dss, survey.elements), spot_loads(dss))
    if floating:
        notes += floating
        survey = survey_circuit(dss)
    loads = spot_loads(dss)
    attachment = attach(sites, loads, own, {held.load for held in generation})
    outside = {load.name for load, lam in zip(loads, attachment.lam.tolist(), strict=True) if lam < 0}
    laws = laws_of(dss, loads, outside if others_vary else ())
    if others_vary:
        notes += (_varying(laws),)
    hold_constant_power(dss, [load for load in loads if load.name not in laws.names], survey.base_kv)
    hold_laws(dss, [load for load in loads if load.name in laws.names])
    voltages = None
    if before is not None:
        voltages = before.voltages.where_fed(before.survey.node_names, survey, fed)
    if voltages is None or wider:
        tied = tied_nodes(survey, read_primitives(dss, survey.elements))
        found = judged_voltages(survey, fed, tied, loads, solution_vector(dss))
        voltages = found if voltages is None else voltages.with_more(found)
    return LamCircuit(
        survey=survey,
        fed=fed,
        voltages=voltages,
        sites=sites,
        loads=loads,
        attachment=attachment,
        generation=generation,
        laws=laws,
        left_out=left_out,
        notes=notes + survey.notes,
    )


def _varying(laws: LoadLaws) -> str:
    if not laws.names:
        return "no load outside the market varies with voltage: feeder.other_loads changes nothing"
    return f"{listed('load', laws.names)}: outside the market, varies with voltage as described"


def _refuse_sites_there(sites: Sequence[LamSite], cut_off: Mapping[str, CutOff]) -> None:
    barriers = {each.bus: each.barrier for each in cut_off.values()}
    for site in sites:
        if site.bus in barriers:
            raise FeederError(
                f"LAM '{site.name}' stands at bus '{site.bus}', which is cut off: {barriers[site.bus]} is "
                "open; close it in the feeder's file, or take the LAM out of the table"
            )
