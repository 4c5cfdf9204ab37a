"""What the commands under ``sharegrid feeder`` print and write."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import msgspec

from sharegrid.errors import SharegridError

if TYPE_CHECKING:
    from cosim.feeder.circuit import AcState, PublishedSolution
    from cosim.feeder.timeseries import Series

Kind = Literal["csv", "parquet"]


def figures(title: str, lines: Mapping[str, str]) -> str:
    """Table of names and texts for the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in lines.items():
        table.add_row(name, text)
    console = Console()
    with console.capture() as printed:
        console.print(table)
    return printed.get().rstrip("\n")


def solution_lines(
    state: "AcState | PublishedSolution", v_pu: Mapping[str, float], taps: Mapping[str, int]
) -> dict[str, str]:
    """A power flow's totals and extremes as names and texts."""
    low, high = min(v_pu, key=v_pu.__getitem__), max(v_pu, key=v_pu.__getitem__)
    return {
        "source": f"{state.source_kw:,.2f} kW, {state.source_kvar:,.2f} kvar",
        "losses": f"{state.losses_kw:,.2f} kW",
        "lowest voltage": f"{v_pu[low]:.5f} pu at {low}",
        "highest voltage": f"{v_pu[high]:.5f} pu at {high}",
        "taps": ", ".join(f"{name} {tap}" for name, tap in taps.items()) or "none",
    }


def say(sentence: str, colour: str) -> None:
    """One remark on a line of its own."""
    click.secho(f"! {sentence}", fg=colour)


def write_tables(folder: Path, kind: Kind, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Write tables of columns into a folder, each whole or not at all.

    Raises
    ------
    SharegridError
        The folder cannot be written.
    """
    import pandas as pd

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, columns in tables.items():
            frame, part = pd.DataFrame(columns), folder / f"{name}.{kind}.part"
            if kind == "csv":
                frame.to_csv(part, index=False)
            else:
                frame.to_parquet(part, index=False)
            part.replace(folder / f"{name}.{kind}")
    except OSError as error:
        raise SharegridError(
            f"{folder}: {error.strerror or error}; choose a folder that can be written"
        ) from error


def write_series(series: "Series", start: datetime, step_min: int, folder: Path, kind: Kind) -> None:
    """Write what a feeder went through: tables of steps, nodes and branches, and the summary last.

    Raises
    ------
    SharegridError
        The folder cannot be written.
    """
    count = len(series.steps["solved"])
    time = [(start + timedelta(minutes=step_min * number)).isoformat() for number in range(count)]
    tables: dict[str, Mapping[str, Any]] = {
        "steps": {"time": time, **series.steps},
        "nodes": series.nodes,
        "branches": series.branches,
    }
    if series.voltages is not None:
        tables["voltages"] = {"time": time} | dict(zip(series.nodes["node"], series.voltages.T, strict=True))
    write_tables(folder, kind, tables)
    try:
        (folder / "summary.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(series.summary)) + b"\n"
        )
    except OSError as error:
        raise SharegridError(
            f"{folder}: {error.strerror or error}; choose a folder that can be written"
        ) from error


def summary_lines(summary: Mapping[str, Any]) -> dict[str, str]:
    """A series' summary as names and texts."""
    moved = {name: steps for name, steps in summary["moves"].items() if steps}

    def extreme(name: str, form: str) -> str:
        found = summary[name]
        if found is None:
            return "none"
        return f"{form.format(found['value'])} at {found['at']}, step {found['step']}"

    share = summary["nodes_outside_percent"]
    return {
        "solved": f"{summary['steps'] - summary['unsolved']:,} of {summary['steps']:,} steps"
        + (f"; controls hunt in {summary['hunting']:,}" if summary["hunting"] else ""),
        "energy": f"{summary['load_kwh']:,.0f} kWh load, {summary['source_kwh']:,.0f} kWh from the source, "
        f"{summary['losses_kwh']:,.0f} kWh losses",
        "lowest voltage": extreme("v_min_pu", "{:.4f} pu"),
        "highest voltage": extreme("v_max_pu", "{:.4f} pu"),
        "highest loading": extreme("max_loading", "{:.1%}"),
        "outside voltage limits": f"{'none' if share is None else f'{share:.3f} % of node-steps'}, "
        f"{summary['under_pu_h']:.3g} pu h below, {summary['over_pu_h']:.3g} pu h above",
        "above ratings": f"{summary['over_kva_h']:,.0f} kVA h",
        "taps, capacitors": f"{sum(moved.values()):,} steps"
        + (f" ({', '.join(f'{name} {steps}' for name, steps in moved.items())})" if moved else ""),
    }
