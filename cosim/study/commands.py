"""``sharegrid feeder``: a feeder looked at, solved, linearised and run through time, without a market."""

from __future__ import annotations

from pathlib import Path

import click

from cosim.study.options import (
    lams_at_option,
    lams_option,
    limits_of,
    load_option,
    master_argument,
    max_option,
    min_option,
    open_alone,
)
from cosim.study.output import figures, say, solution_lines, write_tables
from sharegrid.numbers import FiniteRange

_SHOWN = 10


@click.group()
def feeder() -> None:
    """Look at a feeder, or use its power flow and linear model alone.

    MASTER is an OpenDSS master file; without it, the IEEE 123-node feeder that comes along.
    """


@feeder.command()
@master_argument
@lams_option
@lams_at_option
@min_option
@max_option
def check(
    master: Path | None, lams: Path | None, lams_at: str, voltage_min: float, voltage_max: float
) -> None:
    """Say what a feeder is, what looks wrong in it and what the loop would not honour.

    Exit status: 0 usable, 2 not.
    """
    from cosim.feeder.powerflow.inspection import inspect
    from cosim.feeder.powerflow.opening import open_circuit

    opened = open_circuit(master)
    found = inspect(opened, voltage_min, voltage_max)
    click.echo(figures(f"{master or 'IEEE 123-node test feeder'}, as described", found.facts))
    for sentence in found.suspicious:
        say(sentence, "yellow")
    layout = open_alone(master, lams, lams_at, opened).layout
    for note in layout.notes:
        say(f"in the loop: {note}", "cyan")
    exact = layout.description["derivatives"] == "admittance"
    click.echo(
        f"usable: {len(layout.lams)} LAMs with {layout.spot_kw.sum():,.1f} kW, {len(layout.nodes):,} node "
        f"voltages, derivatives from {'its admittances' if exact else 'differences'}"
    )


@feeder.command()
@master_argument
@lams_option
@lams_at_option
@load_option
@min_option
@max_option
@click.option("--as-described", is_flag=True, help="Loads vary with voltage as the file says; no LAMs.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for nodes.csv and branches.csv.")
def solve(
    master: Path | None,
    lams: Path | None,
    lams_at: str,
    load: float,
    voltage_min: float,
    voltage_max: float,
    as_described: bool,
    out: Path | None,
) -> None:
    """Solve AC power flow as the loop does: constant power, generation and taps held."""
    if as_described:
        _solve_as_described(master, out)
        return
    from cosim.feeder.judgement import check as judge

    own = open_alone(master, lams, lams_at)
    layout, limits = own.layout, limits_of(own, voltage_min, voltage_max)
    state = own.solve(layout.spot_kw * load, layout.spot_kw * layout.tan_phi * load)
    loading = limits.loading(state.current_a)
    most = loading.argmax()
    lines = {
        "LAMs draw": f"{state.net_kw.sum():,.2f} kW, {state.net_kvar.sum():,.2f} kvar",
        **solution_lines(state, dict(zip(state.nodes, state.v_pu.tolist(), strict=True)), own.taps()),
        "highest loading": f"{100 * loading[most]:.1f} % of {layout.branches[most]}",
    }
    click.echo(figures(f"{layout.name} at {load:g} times its load", lines))
    violations = judge(state, None, limits).violations
    for violation in violations[:_SHOWN]:
        say(str(violation), "yellow")
    if len(violations) > _SHOWN:
        say(f"and {len(violations) - _SHOWN} more", "yellow")
    if out is not None:
        nodes = {"node": layout.nodes, "base_kv": layout.across_kv, "v_pu": state.v_pu}
        branches = {"branch": layout.branches, "rating_a": layout.rating_a, "current_a": abs(state.current_a)}
        write_tables(out, "csv", {"nodes": nodes | {"angle_deg": state.angle_deg}, "branches": branches})
        click.echo(f"wrote {out / 'nodes.csv'} and {out / 'branches.csv'}")


def _solve_as_described(master: Path | None, out: Path | None) -> None:
    from cosim.feeder.powerflow.published import solve_as_published

    solution = solve_as_published(master)
    alive = {place: v_pu for place, v_pu in solution.customers_pu.items() if v_pu > 0}
    click.echo(
        figures(f"{master or 'IEEE 123-node test feeder'}", solution_lines(solution, alive, solution.taps))
    )
    if out is not None:
        nodes = {"node": list(solution.v_pu), "v_pu": list(solution.v_pu.values())}
        write_tables(out, "csv", {"nodes": nodes})
        click.echo(f"wrote {out / 'nodes.csv'}")


@feeder.command()
@master_argument
@lams_option
@lams_at_option
@load_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Numpy archive, FILE.npz.")
def linear(master: Path | None, lams: Path | None, lams_at: str, load: float, out: Path) -> None:
    """Write the linear model at an AC solution: what each kW and kvar of each LAM changes."""
    from cosim.feeder.archive import save_linearisation

    own = open_alone(master, lams, lams_at)
    layout = own.layout
    model = own.linearise(layout.spot_kw * load, layout.spot_kw * layout.tan_phi * load, whole=True)
    save_linearisation(model, layout, out)
    click.echo(
        f"{out}: {len(layout.lams)} LAMs, {len(layout.nodes):,} nodes, {len(layout.branches):,} branch "
        f"conductors of {layout.name} at {load:g} times its load ({layout.description['derivatives']})"
    )


@feeder.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--tolerance",
    default=1e-6,
    show_default=True,
    type=FiniteRange(0.0),
    help="Largest difference allowed [pu, and of a rating].",
)
def audit(directory: Path, tolerance: float) -> None:
    """Solve every interval of a run again, in a fresh OpenDSS, from the tables of its DIRECTORY.

    Exit status: 0 where all voltages and currents are as recorded, 1 where one is not.
    """
    from rich.console import Console
    from rich.progress import track

    from cosim.results.reader import load
    from cosim.study.audit import differences

    run = load(directory)
    found = list(track(differences(run), "intervals", console=Console(stderr=True), transient=True))
    worst = max(found, key=lambda each: each.pu, default=None)
    highest = max(found, key=lambda each: each.loading, default=None)
    lines = {
        "solved again": f"{len(found):,} of {len(run.intervals):,} intervals",
        "voltages": f"{sum(each.nodes for each in found):,}",
    }
    if worst is not None:
        lines["largest difference"] = f"{worst.pu:.1e} pu at {worst.node} in interval {worst.tick}"
    if highest is not None and highest.branch:
        lines["currents above half of the rating"] = f"{sum(each.branches for each in found):,}"
        lines["largest difference of them"] = (
            f"{highest.loading:.1e} of the rating of {highest.branch} in interval {highest.tick}"
        )
    click.echo(figures(f"{directory}", lines))
    if worst is not None and worst.pu > tolerance:
        say(
            f"the recorded voltages are not those of the recorded powers, by more than {tolerance:g} pu",
            "red",
        )
        raise SystemExit(1)
    if highest is not None and highest.loading > tolerance:
        say(
            "the recorded currents are not those of the recorded powers, "
            f"by more than {tolerance:g} of a rating",
            "red",
        )
        raise SystemExit(1)
