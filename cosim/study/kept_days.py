"""Days of a run through time that are on the disk, so that what was interrupted goes on where it stood."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cosim.feeder.controls import Positions
from cosim.feeder.timeseries import Stretch
from sharegrid.decoding import decode_json
from sharegrid.errors import SharegridError

FOLDER = "unfinished"
_ABOUT = "run.json"


class _Told(msgspec.Struct):
    """What a day's file says beside its arrays."""

    start: Positions
    end: Positions
    rows: list[dict[str, Any]]


class KeptDays:
    """A folder with a file for each day that was gone through, and what the run is that they belong to.

    Parameters
    ----------
    out
        Folder of the run's results, in which the folder stands until they are written.
    """

    def __init__(self, out: Path) -> None:
        self._folder = out / FOLDER

    @property
    def is_there(self) -> bool:
        """Whether there is an unfinished run."""
        return (self._folder / _ABOUT).exists()

    def open(self, about: Mapping[str, str], *, resume: bool, force: bool) -> None:
        """Begin anew, or go on with what is there.

        Parameters
        ----------
        about
            What the days depend on, each by what people call it.
        resume
            Whether days that are there count.
        force
            Whether days that are there may be thrown away.

        Raises
        ------
        SharegridError
            There are days and neither is wanted, they are of another run, or the folder cannot be written.
        """
        file = self._folder / _ABOUT
        if force and not resume:
            self.remove()
        if self.is_there:
            if not resume:
                raise SharegridError(
                    f"{self._folder.parent}: holds an unfinished run; go on with --resume, or throw it away "
                    "with --force"
                )
            before = self._about_of(file)
            other = [name for name in about if before.get(name) != about[name]]
            if other:
                raise SharegridError(
                    f"{self._folder.parent}: the unfinished run there has another {other[0]}; "
                    "go on as it began, or choose another folder"
                )
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(msgspec.json.encode(dict(about)))
        except OSError as error:
            raise SharegridError(
                f"{self._folder}: {error.strerror or error}; choose a folder that can be written"
            ) from error

    def _about_of(self, file: Path) -> dict[str, str]:
        try:
            return decode_json(file.read_bytes(), dict[str, str])
        except msgspec.DecodeError:
            raise SharegridError(f"{file}: is damaged; begin anew with --force") from None

    def write(self, day: int, stretch: Stretch) -> None:
        """Keep a day, whole or not at all.

        Raises
        ------
        SharegridError
            The disk does not take it.
        """
        told = msgspec.json.encode(_Told(stretch.start, stretch.end, stretch.rows))
        part = self._file(day).with_suffix(".part")
        try:
            with part.open("wb") as file:
                np.savez(
                    file,
                    told=np.frombuffer(told, dtype=np.uint8),
                    nodes=stretch.nodes,
                    branches=stretch.branches,
                    voltages=stretch.voltages,
                )
            part.replace(self._file(day))
        except OSError as error:
            raise SharegridError(
                f"{part}: {error.strerror or error}; make room and go on with --resume"
            ) from error

    def ends(self, days: int) -> dict[int, tuple[Positions, Positions]]:
        """Where controls stood before and after each day that is kept; one that is damaged is none."""
        found = {}
        for day in range(days):
            if self._file(day).exists():
                try:
                    stretch = self.read(day)
                except (OSError, ValueError, KeyError, zipfile.BadZipFile, msgspec.MsgspecError):
                    self._file(day).unlink()
                else:
                    found[day] = (stretch.start, stretch.end)
        return found

    def read(self, day: int) -> Stretch:
        """A day that is kept."""
        with np.load(self._file(day), allow_pickle=False) as file:
            told = decode_json(file["told"].tobytes(), _Told)
            return Stretch(told.start, told.end, told.rows, file["nodes"], file["branches"], file["voltages"])

    def remove(self) -> None:
        """Throw all of it away."""
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def _file(self, day: int) -> Path:
        return self._folder / f"day-{day:05d}.npz"
