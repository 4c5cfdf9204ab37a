"""Generators, PV systems and storage of a circuit: none of them is in the market, so each keeps its power."""

from collections.abc import Sequence
from dataclasses import dataclass

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import PowerFlowError
from cosim.feeder.powerflow.engine import command, is_enabled, restless_node
from cosim.feeder.powerflow.made_names import load_for

KINDS = ("generator", "pvsystem", "storage")


@dataclass(frozen=True)
class HeldGeneration:
    """An element such as ``generator.g``, what it draws [kW, kvar], and the load that takes its place."""

    name: str
    kw: float
    kvar: float
    load: str
    made_by: str


def generation_as_loads(dss: OpenDss) -> tuple[HeldGeneration, ...]:
    """Loads for the place of generators, PV systems and storage.

    They draw what the elements draw in the solution that the context holds, so that a voltage-regulating
    generator keeps its kvar and no element answers to the voltage in a way of its own.

    Parameters
    ----------
    dss
        Context with a circuit, solved as its description has it.

    Raises
    ------
    PowerFlowError
        There are such elements and the circuit did not converge.
    """
    names = [name.lower() for name in dss.Circuit.AllElementNames() if _kind(name) in KINDS]
    held = tuple(_as_load(dss, name) for name in names if is_enabled(dss, name))
    if held and not dss.Solution.Converged():
        raise PowerFlowError(
            f"the power of {held[0].name} is not known, for the feeder's own power flow did not converge: "
            f"{restless_node(dss)}; check the feeder's data there"
        )
    return held


def still_in_service(dss: OpenDss, generation: Sequence[HeldGeneration]) -> tuple[HeldGeneration, ...]:
    """Those of the elements that a change of the circuit left in service, with the powers that they had."""
    return tuple(held for held in generation if is_enabled(dss, held.name))


def replace_generation(dss: OpenDss, generation: Sequence[HeldGeneration]) -> None:
    """Put the loads in the place of the elements."""
    for held in generation:
        command(dss, held.made_by)
    for held in generation:
        command(dss, f"{held.name}.enabled=no")
    if generation:
        command(dss, "solve")


def _as_load(dss: OpenDss, name: str) -> HeldGeneration:
    dss.Circuit.SetActiveElement(name)
    element = dss.CktElement
    powers = element.Powers()
    kw, kvar = sum(powers[0::2]), sum(powers[1::2])
    phases = element.NumPhases()
    bus, conn = element.BusNames()[0], dss.Properties.Value("conn")
    if conn.lower() in ("delta", "ll"):
        # A load of three phases in delta has no neutral to name.
        bus = ".".join(bus.split(".")[: max(phases, 2) + 1])
    load = load_for(name)
    return HeldGeneration(
        name=name,
        kw=kw,
        kvar=kvar,
        load=load,
        made_by=f"new load.{load} bus1={bus} phases={phases}"
        f" conn={conn} kv={dss.Properties.Value('kv')} model=1 kw={kw} kvar={kvar}",
    )


def _kind(name: str) -> str:
    return name.partition(".")[0].lower()
