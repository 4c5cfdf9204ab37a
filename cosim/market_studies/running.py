"""Runs studies: tasks on an engine, what is done kept at once, then tables, figures and text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cosim.market_studies.declaration import Measured, Settings, Study, StudyError, Task
from cosim.market_studies.drawing import save
from cosim.market_studies.engine import Engine, open_engine
from cosim.market_studies.page import Result, write_all
from cosim.market_studies.store import Store
from cosim.results.arrow import replace_file
from sharegrid.errors import SharegridError
from sharegrid.text import closest

if TYPE_CHECKING:
    from collections.abc import Iterator

Progress = Callable[[str, int, int], None]
"""Called with what goes on, how many tasks of it are done, and of how many."""

REPORT = "report.md"


@dataclass(frozen=True)
class StudyOptions:
    """How studies are run.

    Attributes
    ----------
    changes
        Values of a study's keys.
    quick
        Small sizes, for a first look and for tests.
    jobs, scheduler
        As for `open_engine`.
    resume, force
        Go on with what a folder holds, or replace it.
    """

    changes: Mapping[str, object] = field(default_factory=dict)
    quick: bool = False
    jobs: int | None = None
    scheduler: str | None = None
    resume: bool = False
    force: bool = False


def find_study(name: str) -> Study:
    """The study of a name; raises `StudyError` where there is none."""
    from cosim.market_studies.catalogue import STUDIES

    if name not in STUDIES:
        near = closest(name, list(STUDIES)) or f"choose from {', '.join(STUDIES)}, all"
        raise StudyError(f"study {name}: no such study; {near}")
    return STUDIES[name]


def study(name: str, *, out: str | Path | None = None, **options: Any) -> Result:
    """Run a study from Python, also where an event loop runs, as in a notebook.

    Parameters
    ----------
    name
        Of the study.
    out
        Folder; ``studies/NAME`` where it is left out.
    options
        Fields of `StudyOptions`: ``changes={"members": [4, 16]}``, ``quick=True``, ``jobs=2``, ``scheduler``,
        ``resume``, ``force``.

    Returns
    -------
    Result
        ``tables`` and ``frame(NAME)``, ``figures``, ``claims`` and ``text``; its files are in ``folder``.

    Raises
    ------
    SharegridError
        Whatever a user can put right, in one line.
    """
    given = StudyOptions(**options)
    found = find_study(name)
    settings = found.settled(given.changes, quick=given.quick)
    folder = Path(out) if out is not None else Path("studies") / name
    with open_engine(given.jobs, given.scheduler) as engine:
        return run_study(found, settings, folder, given, engine, unseen)


def all_studies(
    out: Path, options: StudyOptions, progress: Progress
) -> tuple[list[Result], tuple[Path, Path]]:
    """Run all studies, each in a folder of its name, and write one page and one PDF of them."""
    from cosim.market_studies.catalogue import STUDIES

    if options.changes:
        raise StudyError("study all: --set is for one study; name it")
    with open_engine(options.jobs, options.scheduler) as engine:
        results = [
            run_study(each, each.settled({}, quick=options.quick), out / name, options, engine, progress)
            for name, each in STUDIES.items()
        ]
    return results, write_all(results, out)


def run_study(
    study: Study, settings: Settings, folder: Path, options: StudyOptions, engine: Engine, progress: Progress
) -> Result:
    """Run one study on an engine into a folder."""
    values = msgspec.to_builtins(settings)
    store = Store(folder, study.name, values, resume=options.resume, force=options.force)
    parts = run_tasks(study.name, study.measure, study.tasks(settings), store, engine, progress)
    with _told(lambda: len(parts), len(parts), folder):
        tables = store.write_tables(parts)
        figures, claims = study.figures(tables), study.claims(tables)
        for figure in figures:
            save(figure, folder)
        result = Result(study, settings, folder.absolute(), tables, figures, claims)
        replace_file(folder / REPORT, result.text.encode())
    return result


def run_tasks(
    name: str,
    measure: Callable[..., Measured],
    tasks: Sequence[Task],
    store: Store,
    engine: Engine,
    progress: Progress,
) -> list[Measured]:
    """What all tasks measure, in their order: those that are done from the folder, others on the engine."""
    found = {number: kept for number, task in enumerate(tasks) if (kept := store.measured(task)) is not None}
    left = [number for number in range(len(tasks)) if number not in found]
    progress(name, len(found), len(tasks))

    def done(place: int, measured: Measured) -> None:
        task = tasks[left[place]]
        store.keep(task, measured)
        # As it comes from the folder, so that a study that was interrupted gives the same bits.
        found[left[place]] = store.measured(task) or {}
        progress(name, len(found), len(tasks))

    with _told(lambda: len(found), len(tasks), store.folder):
        engine.run(partial(_measured, name, measure), [tasks[number] for number in left], done)
    return [found[number] for number in range(len(tasks))]


def _measured(of: str, measure: Callable[..., Measured], /, **task: Any) -> Measured:
    """What a task measures; an error names the task."""
    try:
        return measure(**task)
    except SharegridError as error:
        words = ", ".join(f"{key}={value}" for key, value in task.items())
        raise StudyError(f"{of}: task {words}: {error}") from error


@contextmanager
def _told(done: Callable[[], int], of: int, folder: Path) -> Iterator[None]:
    """Say with each error how much is done and kept."""

    def kept() -> str:
        return f"{done()} of {of} tasks are done and kept in {folder}, --resume goes on"

    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {kept()}") from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise StudyError(f"{where}{error.strerror or error}; {kept()}") from error
    except SharegridError as error:
        raise StudyError(f"{error}; {kept()}") from error


class Interrupted(StudyError):
    """A study was interrupted by its user."""


def unseen(_name: str, _done: int, _of: int) -> None:
    """Progress that nobody looks at."""
