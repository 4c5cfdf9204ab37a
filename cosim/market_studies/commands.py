"""The commands ``sharegrid study`` and ``sharegrid sweep``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sharegrid.numbers import WholeRange

if TYPE_CHECKING:
    from cosim.market_studies.running import Progress

_Command = Callable[..., None]


def engine_options(command: _Command) -> _Command:
    """Let a command take where tasks run and what becomes of a folder that has some."""
    jobs = click.option("--jobs", type=WholeRange(1), help="Local processes. Default: one a processor.")
    scheduler = click.option(
        "--scheduler", metavar="tcp://HOST:PORT", help="A Dask scheduler in place of local processes."
    )
    resume = click.option("--resume", is_flag=True, help="Go on with what the folder holds.")
    force = click.option("--force", is_flag=True, help="Replace what the folder holds.")
    return jobs(scheduler(resume(force(command))))


def _changes(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> dict[str, object]:
    from cosim.scenario.changes import parse_changes

    return parse_changes(texts)


def _say_new(folder: Path, *, resume: bool, below: str = "") -> None:
    """Say that there is nothing to go on with, as where a folder's name is mistaken."""
    from cosim.market_studies.store import RECORD

    if resume and not any(folder.glob(f"{below}{RECORD}")):
        click.echo(f"--resume: {folder} holds nothing to go on with; it is begun anew", err=True)


class _WithStudies(click.Command):
    """A command whose help lists the studies."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and questions of all studies."""
        from cosim.market_studies.catalogue import STUDIES

        with formatter.section("Studies"):
            formatter.write_dl(
                [*((name, each.question) for name, each in STUDIES.items()), ("all", "all of them")]
            )
        super().format_epilog(ctx, formatter)


@click.command(cls=_WithStudies)
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder. Default: studies/NAME.")
@click.option("--keys", is_flag=True, help="Say what keys the study has, and run nothing.")
@click.option("--quick", is_flag=True, help="Small sizes: seconds in place of minutes.")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", callback=_changes,
    help="Change a key of the study, as in members=[4,16,64]; may be repeated.",
)  # fmt: skip
@engine_options
def study(name: str, out: Path | None, keys: bool, **options: Any) -> None:
    """Run the study NAME, or all of them: Parquet tables, figures as PDF and PNG, and a page of text."""
    from cosim.market_studies.engine import open_engine
    from cosim.market_studies.running import StudyOptions, all_studies, find_study, run_study

    given = StudyOptions(**options)
    if keys:
        from cosim.market_studies.declaration import meanings

        known = find_study(name)
        settings = known.settled(given.changes, quick=given.quick)
        for key, meaning in meanings(known.settings).items():
            click.echo(f"{key} = {getattr(settings, key)}: {meaning}")
        return
    folder = out or (Path("studies") if name == "all" else Path("studies") / name)
    _say_new(folder, resume=given.resume, below="*/" if name == "all" else "")
    with _interruptible(), _shown() as progress:
        if name == "all":
            results, pages = all_studies(folder, given, progress)
            lines = [f"{result.folder}: {_counted(result)}" for result in results]
            lines.append(f"page: {pages[0]}   PDF: {pages[1]}")
        else:
            found = find_study(name)
            settings = found.settled(given.changes, quick=given.quick)
            with open_engine(given.jobs, given.scheduler) as engine:
                result = run_study(found, settings, folder, given, engine, progress)
            lines = [f"{each.agrees}: {each.claim}: {each.ours}" for each in result.claims]
            lines.append(f"results: {result.folder}   {_counted(result)}")
    for line in lines:
        click.echo(line)


def _counted(result: Any) -> str:
    return f"{len(result.tables)} tables, {len(result.figures)} figures, {len(result.claims)} claims"


@contextmanager
def _interruptible() -> Iterator[None]:
    """An interrupted study ends in one line and status 130."""
    from cosim.market_studies.running import Interrupted

    try:
        yield
    except Interrupted as error:
        click.echo(f"sharegrid: {error}", err=True)
        sys.exit(130)


@contextmanager
def _shown() -> Iterator[Progress]:
    """A bar for each study, on standard error."""
    from rich.console import Console

    from cosim.progress import progress_bar

    bars = progress_bar(Console(stderr=True))
    rows: dict[str, Any] = {}

    def progress(name: str, done: int, of: int) -> None:
        # Outside a terminal bars print a line as they stop, also where there was none.
        bars.start()
        if name not in rows:
            rows[name] = bars.add_task(name, total=of)
        bars.update(rows[name], completed=done)

    try:
        yield progress
    finally:
        if rows:
            bars.stop()


def _grid(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> dict[str, list[object]]:
    from cosim.market_studies.sweep import parse_grid

    return parse_grid(texts)


@click.command()
@click.argument("scenario", required=False, type=click.Path(path_type=Path))
@click.option("--example", metavar="NAME", help="An example that comes along, in place of SCENARIO.")
@click.option("--study", "of_study", metavar="NAME", help="A study in place of runs.")
@click.option(
    "--set", "grid", multiple=True, metavar="KEY=VALUE,VALUE,...|KEY=FIRST..LAST", callback=_grid,
    help="Values of a key to try, as in population.pv.share=0.2,0.5 or run.seed=1..10; may be repeated.",
)  # fmt: skip
@click.option("--intervals", type=WholeRange(1), help="How many intervals each run has.")
@click.option("--start", metavar="HH:MM", help="Local time of the first interval of each run.")
@click.option("--quick", is_flag=True, help="Small sizes of a study.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("sweep"), show_default=True, help="Folder."
)
@engine_options
def sweep(
    scenario: Path | None,
    example: str | None,
    of_study: str | None,
    grid: dict[str, list[object]],
    intervals: int | None,
    start: str | None,
    quick: bool,
    out: Path,
    **options: Any,
) -> None:
    """Run SCENARIO (default: the shipped day) or a study at every combination of some keys' values."""
    from cosim.market_studies.engine import open_engine
    from cosim.market_studies.running import StudyOptions
    from cosim.market_studies.sweep import SweepOptions, run_sweep
    from cosim.scenario.examples import example as file_of

    if example is not None and scenario is not None:
        raise click.UsageError(f"give {scenario} or --example {example}, not both")
    file = scenario if example is None else file_of(example)
    given = StudyOptions(quick=quick, **options)
    asked = SweepOptions(grid, file, of_study, intervals, start, quick=quick)
    _say_new(out, resume=given.resume)
    with _interruptible(), _shown() as progress, open_engine(given.jobs, given.scheduler) as engine:
        tables = run_sweep(asked, out, given, engine, progress)
    for name, table in tables.items():
        click.echo(f"{out / name}.parquet: {len(table):,} rows")
