"""Carries out the commands of an OpenDSS master file, one by one, but for those that leave something behind.

A file may export, save, plot and trace; OpenDSS makes files and folders for it, beside the master file or
wherever the file says. None of that says what the circuit is, so it is left out, and said. Files that it
redirects to are read in the same way.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import FeederError
from cosim.feeder.powerflow.engine import command, solve_as_set

# Commands that write, show or ask something, or reach beyond the circuit.
_LEFT_OUT = {
    "about", "abort", "alignfile", "clone", "closedi", "comhelp", "comparecases", "connect", "cvrtloadshapes",
    "di_plot", "disconnect", "distribute", "doscmd", "dump", "export", "exportoverloads", "exportvviolations",
    "fileedit", "formedit", "help", "newactor", "panel", "plot", "quit", "rephase", "save", "show",
    "solveall", "summary", "top", "uuids", "visualize", "wait", "yearlycurves",
}  # fmt: skip
# How the names of modes of a single solution begin: snapshot, direct, fault study. In others, to be there
# is enough for some files to be written.
_AT_ONCE = ("s", "di", "f")
_COORDINATES = {"buscoords", "giscoords", "latlongcoords"}
# Options that make OpenDSS write while it solves, or choose who shows it.
_SILENCED = {
    "actorprogress", "concatenatereports", "demandinterval", "diverbose", "dssvisualizationtool", "editor",
    "log", "overloadreport", "querylog", "recorder", "registryupdate", "showexport", "showreports",
    "tracecontrol", "voltexceptionreport",
}  # fmt: skip
_WORD = re.compile(r"\s*([^\s=,(]+)")
_OPTION = re.compile(r"([%\w]+)\s*=\s*(\"[^\"]*\"|'[^']*'|\([^)]*\)|\[[^]]*\]|\{[^}]*\}|[^\s,!]+)\s*,?")
_PATH = re.compile(
    r"\s*(?:file\s*=\s*)?(?:\"([^\"]*)\"|'([^']*)'|\(([^)]*)\)|\[([^]]*)\]|\{([^}]*)\}|([^\s,!]+))", re.I
)
_TRACE = re.compile(
    r"\bdebugtrace\s*=\s*[^\s,!]+,?|\baction\s*=\s*(?:dblsave|sngsave|save|zonedump)\b,?", re.I
)
# Data that a command reads from beside the file: csvfile, dblfile, file and the like.
_DATA = re.compile(r"\b\w*file\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s,)\]}]+))", re.I)
_DEEPEST = 50


class MasterFile(NamedTuple):
    """What was met in a master file.

    Attributes
    ----------
    left_out
        Commands and options that were not carried out.
    digest
        Hash of what it and all files that it reads hold.
    files
        These files, the master file first.
    """

    left_out: tuple[str, ...]
    digest: str
    files: tuple[Path, ...]


@dataclass
class _Reading:
    """One reading of a master file: the engine, the folder at which it looks, what was left out."""

    dss: OpenDss
    commands: Sequence[str]
    options: Sequence[str]
    left_out: dict[str, None] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    at_once: bool = True
    content: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    files: dict[Path, None] = field(default_factory=dict)

    def file(self, path: Path, shown: str, depth: int = 0) -> None:
        self.enter(path.parent)
        in_comment = False
        text = self.take(path).decode("utf-8-sig", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            in_comment = in_comment or line.lstrip().startswith("/*")
            if in_comment:
                in_comment = "*/" not in line
            elif line.strip() and not line.lstrip().startswith(("!", "//")):
                self.line(line, shown, number, depth)

    def take(self, path: Path) -> bytes:
        """Let a file count as part of the description; what it holds."""
        read = path.read_bytes()
        self.content.update(read)
        self.files[path] = None
        return read

    def line(self, line: str, shown: str, number: int, depth: int) -> None:
        where = f"feeder file '{shown}', line {number}"
        found = _WORD.match(line)
        word = found[1].lower() if found else ""
        name = _full_name(word, self.commands)
        rest = line[found.end() :] if found else ""
        if name == "cd":
            raise _changes_directory(where)
        if name in ("redirect", "compile"):
            self.follow(name, rest, shown, where, depth)
        elif name in _COORDINATES:
            self.coordinates(name, rest, where)
        elif name in _LEFT_OUT:
            self.left_out[name] = None
        elif name in ("set", "solve"):
            self.options_of(name, rest, where)
        else:
            kept, count = _TRACE.subn("", line)
            if count:
                self.left_out["debugtrace"] = None
            # Of `regcontrol.r.debugtrace=yes` nothing is left to carry out.
            if not (count and "." in word):
                command(self.dss, kept, where)
                self.note_data(kept)

    def options_of(self, name: str, rest: str, where: str) -> None:
        """Carry out ``set`` or ``solve`` without the options that write."""

        def keep(option: re.Match[str]) -> str:
            full = _full_name(option[1].lower(), self.options)
            if full == "datapath":
                raise _changes_directory(where)
            if full in _SILENCED:
                self.left_out[full] = None
                return ""
            if full == "mode":
                self.at_once = option[2].strip("\"'([{").lower().startswith(_AT_ONCE)
                return option[0] if self.at_once else ""
            return option[0]

        kept = _OPTION.sub(keep, rest.partition("!")[0]).partition("//")[0]
        if kept.strip():
            command(self.dss, f"set {kept}", where)
        if name == "solve" and self.at_once:
            # Controls that hunt here are looked at once the whole circuit is there.
            solve_as_set(self.dss, where)
        elif name == "solve":
            self.left_out["solve through time"] = None

    def coordinates(self, name: str, rest: str, where: str) -> None:
        """Read where buses are drawn, if the file is there: no result rests on it."""
        asked = _path(rest)
        path = _existing(self.folder, asked)
        if path is None:
            self.left_out[f"{name} '{asked}', which is not there"] = None
        else:
            command(self.dss, f'{name} "{path}"', where)
            self.take(path)

    def note_data(self, line: str) -> None:
        """Let what a command read from other files count as part of the description."""
        for names in _DATA.findall(line):
            path = _existing(self.folder, "".join(names))
            if path is not None:
                self.take(path)

    def follow(self, name: str, rest: str, shown: str, where: str, depth: int) -> None:
        asked = _path(rest)
        path = _existing(self.folder, asked)
        if path is None:
            raise FeederError(f"{where}: no file '{asked}' beside it; give its path relative to that file")
        if depth >= _DEEPEST:
            raise FeederError(f"{where}: files redirect to each other without end, here to '{asked}'")
        before = self.folder
        self.file(path, str(Path(shown).parent / asked.replace("\\", "/")), depth + 1)
        if name == "redirect":
            self.enter(before)

    def enter(self, folder: Path) -> None:
        """Let OpenDSS look for data files here."""
        self.folder = folder
        self.dss.Basic.DataPath(str(folder))


def run_master_file(dss: OpenDss, path: Path, shown: str) -> MasterFile:
    """Carry out a master file.

    Parameters
    ----------
    dss
        A context without a circuit.
    path, shown
        The file, absolute, and as the user named it.

    Raises
    ------
    FeederError
        A file is missing or changes the working directory, or OpenDSS refuses a line; names file and line.
    """
    reading = _Reading(
        dss,
        _names(dss.Executive.NumCommands(), dss.Executive.Command),
        _names(dss.Executive.NumOptions(), dss.Executive.Option),
    )
    reading.file(path, shown)
    return MasterFile(tuple(reading.left_out), reading.content.hexdigest(), tuple(reading.files))


def _names(count: int, name: Callable[[int], str]) -> tuple[str, ...]:
    return tuple(name(number).lower() for number in range(1, count + 1))


def _full_name(word: str, names: Sequence[str]) -> str:
    """What OpenDSS takes a word for: the name itself, else the first name that begins so; empty for none."""
    if word in names or not word:
        return word
    return next((name for name in names if name.startswith(word)), "")


def _path(rest: str) -> str:
    """The file that a command names."""
    found = _PATH.match(rest)
    return next((group for group in found.groups() if group is not None), "") if found else ""


def _existing(folder: Path, asked: str) -> Path | None:
    """A file as it is asked for, whatever the case of its letters and with or without its ending."""
    path = folder
    if not asked:
        return None
    for part in Path(asked.replace("\\", "/")).parts:
        wanted = {part.lower(), f"{part}.dss".lower()}
        here = path / part
        if not here.exists() and path.is_dir():
            alike = sorted(each for each in path.iterdir() if each.name.lower() in wanted)
            here = alike[0] if alike else here
        path = here
    return path if path.is_file() else None


def _changes_directory(where: str) -> FeederError:
    # OpenDSS would look for everything after that line elsewhere, or make the folder.
    return FeederError(
        f"{where}, changes the working directory; delete that line and write paths relative to the file"
    )
