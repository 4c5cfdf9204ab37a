"""``sharegrid fmi``: feeder or market as a unit for other simulators."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from cosim.study.options import lams_at_option, lams_option, master_argument

_out_option = click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="File to write, such as grid.fmu."
)
_force_option = click.option("--force", is_flag=True, help="Replace a file that is there already.")


@click.group()
def fmi() -> None:
    """Export functional mock-up units for co-simulation (FMI 2.0), for any simulator that takes them."""


@fmi.command(name="feeder")
@master_argument
@lams_option
@lams_at_option
@click.option("--hold-controls", is_flag=True, help="Regulators and capacitors stay as the file has them.")
@_out_option
@_force_option
def export_feeder(
    master: Path | None, lams: Path | None, lams_at: str, hold_controls: bool, out: Path, force: bool
) -> None:
    """Write the feeder MASTER as a unit: net power by LAM in; voltages, head power, losses out.

    A step of the simulator is an interval: AC power flow at these powers, while regulators and switched
    capacitors act for as long as it lasts.
    """
    from cosim.feeder.powerflow.opening import open_circuit
    from cosim.links.fmi.contents import Contents, gather
    from cosim.links.fmi.export import write_unit
    from cosim.study.options import open_alone
    from market.files.result_file import refuse_existing

    refuse_existing(out, force=force)
    opened = open_circuit(master)
    layout = open_alone(master, lams, lams_at, opened).layout
    with tempfile.TemporaryDirectory() as described:
        folder = Path(described)
        contents = Contents(
            kind="feeder",
            name="",
            description=f"{layout.name} under AC power flow",
            guid="",
            master=gather(opened.files, folder) if opened.files else "",
            lams="" if lams is None else _with_table(lams, folder),
            lams_at=lams_at,
            controls=not hold_controls,
        )
        write_unit(contents, out, folder)
    click.echo(
        f"{out}: {layout.name}, {len(layout.lams)} LAMs, {len(layout.nodes):,} node voltages; "
        f"{2 * len(layout.lams) + 1} inputs"
    )


def _with_table(lams: Path, folder: Path) -> str:
    """Put the table of LAMs beside the feeder's files, under a name of its own."""
    import shutil

    from cosim.links.fmi.contents import FILES

    target = folder / FILES / f"lams-of-this-unit{lams.suffix}"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(lams, target)
    return f"{FILES}/{target.name}"


@fmi.command(name="market")
@click.argument("case", type=click.Path(path_type=Path))
@_out_option
@_force_option
def export_market(case: Path, out: Path, force: bool) -> None:
    """Write the market of CASE (docs/case-format.md) as a unit: demand, resources, prices in; trades out.

    A step of the simulator is one clearing of both layers.
    """
    from cosim.links.fmi.contents import Contents, gather
    from cosim.links.fmi.export import write_unit
    from market.files.case_file import read_case
    from market.files.result_file import refuse_existing

    refuse_existing(out, force=force)
    read = read_case(case)
    members, lams = len(read.prosumer_id), len(read.lam_id)
    with tempfile.TemporaryDirectory() as described:
        contents = Contents(
            kind="market",
            name="",
            description=f"market of {members} prosumers in {lams} LAMs",
            guid="",
            case=gather((case.absolute(),), Path(described)),
        )
        write_unit(contents, out, Path(described))
    click.echo(f"{out}: {contents.description}, {len(read.resources.owner)} resources")
