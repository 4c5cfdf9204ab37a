"""How many circuits of a folder ``sharegrid feeder check`` takes, and why it refuses the others.

    python -m benchmarks.feeder_check FOLDER [--out table.csv]

A master file is one that defines a circuit. Each is checked in a process of its own, so that none spoils the
next; a table of outcomes, causes and times is printed. A traceback, a death or a file left behind is a fault.
"""

from __future__ import annotations

import multiprocessing
import queue
import re
import time
import traceback
from collections import Counter
from pathlib import Path

import click

_DEFINES = re.compile(r"^\s*new\s+(?:object\s*=\s*)?\"?circuit\.", re.IGNORECASE | re.MULTILINE)
_CAUSES = (
    ("no load to which a LAM could attach", "no loads"),
    ("no line or transformer", "no lines or transformers"),
    ("no base voltage", "no base voltages"),
    ("Not Loaded", "a library of somebody's own"),
    ("no file", "a file that is not there"),
    ("could not be opened", "a file that is not there"),
    ("opening file", "a file that is not there"),
    ("not found", "an object or file that is not there"),
    ("positive-sequence", "a positive-sequence equivalent"),
    ("Hz", "a source of another frequency"),
    ("changes the working directory", "a change of directory"),
    ("did not converge", "no power flow"),
    ("power flow found", "no power flow"),
)


def masters(folder: Path) -> list[Path]:
    """Files below a folder that define a circuit."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".dss")
    return [path for path in files if _DEFINES.search(path.read_text(encoding="utf-8", errors="replace"))]


def check(path: Path, answers: multiprocessing.Queue[tuple[str, str]]) -> None:
    """Check one file; answers outcome and last line."""
    from click.testing import CliRunner

    from cosim.study.commands import feeder
    from sharegrid.errors import SharegridError

    result = CliRunner().invoke(feeder, ["check", str(path)])
    error = result.exception
    if error is None:
        answers.put(("usable", result.output.strip().splitlines()[-1]))
    elif isinstance(error, SharegridError):
        answers.put(("refused", " ".join(str(error).split())))
    else:
        answers.put(("traceback", "".join(traceback.format_exception(error))[-500:]))


def outcome(path: Path, limit_s: float) -> tuple[str, str]:
    """Outcome and last line of one file, in a process of its own."""
    answers: multiprocessing.Queue[tuple[str, str]] = multiprocessing.Queue()
    process = multiprocessing.Process(target=check, args=(path, answers))
    process.start()
    try:
        return answers.get(timeout=limit_s)
    except queue.Empty:
        return ("late" if process.is_alive() else "died"), ""
    finally:
        process.terminate()
        process.join()


def cause(kind: str, text: str) -> str:
    """What stands behind an outcome, in a few words."""
    if kind == "usable":
        return text.rpartition(", ")[2]
    return next((short for found, short in _CAUSES if found in text), text[-90:])


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--limit", default=100.0, show_default=True, help="Longest time for one file [s].")
@click.option("--out", type=click.Path(path_type=Path), help="A row for each file, as CSV.")
def main(folder: Path, limit: float, out: Path | None) -> None:
    """Check every master file below FOLDER."""
    counts: Counter[tuple[str, str]] = Counter()
    rows = ["file,outcome,seconds,text"]
    before = set(folder.rglob("*"))
    slowest = 0.0
    for path in masters(folder):
        began = time.perf_counter()
        kind, text = outcome(path, limit)
        seconds = time.perf_counter() - began
        slowest = max(slowest, seconds)
        counts[kind, cause(kind, text)] += 1
        rows.append(f'"{path.relative_to(folder)}",{kind},{seconds:.2f},"{text.replace(chr(34), chr(39))}"')
    for (kind, why), count in sorted(counts.items(), key=lambda item: (item[0][0] != "usable", -item[1])):
        click.echo(f"{count:5}  {kind:10} {why}")
    left = set(folder.rglob("*")) - before
    click.echo(f"{counts.total():5}  in all; the slowest took {slowest:.0f} s; {len(left)} files left behind")
    if out is not None:
        out.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
