"""``sharegrid helics``: a run that is a federate."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click

from cosim.command_options import (
    broker_option,
    force_option,
    intervals_option,
    out_option,
    record_option,
    run_id_option,
    scenario_options,
    seed_option,
    start_option,
)
from cosim.control.memory import loading
from sharegrid.numbers import FiniteRange


def _address(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    host, _, port = value.removeprefix("tcp://").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise click.BadParameter(f"{value}: write HOST:PORT, such as 127.0.0.1:23404")
    return f"{host}:{port}"


@click.command()
@scenario_options
@intervals_option
@start_option
@seed_option
@broker_option
@out_option
@force_option
@run_id_option
@record_option
@click.option(
    "--federation",
    "address",
    default="127.0.0.1:23404",
    show_default=True,
    metavar="HOST:PORT",
    callback=_address,
    help="Where the federation's HELICS broker is.",
)
@click.option(
    "--core",
    default="zmq",
    show_default=True,
    type=click.Choice(["zmq", "zmq_ss", "tcp", "tcp_ss"]),
    help="Type of the federation's cores.",
)
@click.option("--name", default="feeder", show_default=True, help="Name of this federate.")
@click.option(
    "--take",
    "takes",
    multiple=True,
    metavar="KEY=PUBLICATION",
    help="Take source_pu, import_price, export_price, load_kw/LAM or load_kvar/LAM from what another "
    "federate publishes; may be repeated.",
)
@click.option(
    "--patience",
    "patience_s",
    default=60.0,
    show_default=True,
    metavar="S",
    type=FiniteRange(0.1),
    help="How long the others may keep this federate waiting.",
)
@click.option(
    "--on-loss",
    default="end",
    show_default=True,
    type=click.Choice(["end", "hold"]),
    help="Where the federation is lost: end the run, or go on with what it told last.",
)
def helics(
    address: str,
    core: Any,
    name: str,
    takes: tuple[str, ...],
    patience_s: float,
    on_loss: Any,
    **options: Any,
) -> None:
    """Run SCENARIO as a federate of a HELICS federation, one step of its time for each interval.

    Before each interval it takes the source's voltage, prices of the grid and loads outside the market;
    after it, it tells head power, losses, voltages by node, prices and power by LAM, and trades. Not for runs
    with hardware.
    """
    with loading():
        from cosim.links.helics.coupling import federation
        from cosim.links.helics.federate import FederateOptions
        from cosim.options import RunOptions
        from cosim.run import run_command

    joined = FederateOptions(name, address, core, takes, patience_s, on_loss)
    sys.exit(run_command(RunOptions(couple=partial(federation, joined), **options)))
