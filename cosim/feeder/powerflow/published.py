"""A feeder solved as its description has it, without LAMs: what published figures are held against."""

from pathlib import Path

from cosim.feeder.circuit import FeederError, PowerFlowError, PublishedSolution
from cosim.feeder.powerflow.engine import command, restless_node, translated
from cosim.feeder.powerflow.inspection import seen_by_customers
from cosim.feeder.powerflow.opening import choose_tolerance, open_circuit
from cosim.feeder.powerflow.survey import survey_circuit, tap_positions


@translated(FeederError, "feeder")
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
    dss = open_circuit(master).dss
    command(dss, f"set controlmode={'off' if hold_taps else 'static'} maxcontroliter=100")
    if not choose_tolerance(dss):
        raise PowerFlowError(
            f"the power flow of the feeder as described does not converge: {restless_node(dss)}; "
            "check its data there"
        )
    head_kw, head_kvar = dss.Circuit.TotalPower()
    names = (name.lower() for name in dss.Circuit.AllNodeNames())
    seen, seen_pu, _ = seen_by_customers(dss, survey_circuit(dss))
    return PublishedSolution(
        v_pu=dict(zip(names, dss.Circuit.AllBusMagPu(), strict=True)),
        customers_pu=dict(zip(seen.tolist(), seen_pu.tolist(), strict=True)),
        source_kw=-head_kw,
        source_kvar=-head_kvar,
        losses_kw=dss.Circuit.Losses()[0] / 1e3,
        taps=tap_positions(dss),
    )
