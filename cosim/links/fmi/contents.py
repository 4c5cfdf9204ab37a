"""What a unit holds beside its script: which model, and the files that describe it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

import msgspec

from cosim.links.fmi.model import Model, UnitError
from sharegrid.decoding import decode_json

CONTENTS, FILES = "unit.json", "described"


class Contents(msgspec.Struct, frozen=True):
    """``unit.json``.

    Attributes
    ----------
    kind, name, description, guid
        What the unit is, and how it is called.
    master, lams, lams_at, controls
        Of a feeder: master file and table of LAMs in the unit, empty for the shipped one and for load buses,
        where LAMs attach, and whether controls act.
    case
        Of a market: its case file in the unit.
    """

    kind: Literal["feeder", "market"]
    name: str
    description: str
    guid: str
    master: str = ""
    lams: str = ""
    lams_at: str = "bus"
    controls: bool = True
    case: str = ""


def read_contents(folder: Path) -> Contents:
    """What stands in the folder of a unit's resources."""
    return decode_json((folder / CONTENTS).read_bytes(), Contents)


def model_of(contents: Contents, folder: Path) -> Model:
    """The model that a unit computes, from the files in it."""

    def inside(name: str) -> str:
        return str(folder / name) if name else ""

    if contents.kind == "market":
        from cosim.links.fmi.market import MarketModel
        from market.files.case_file import read_case

        return MarketModel(read_case(Path(inside(contents.case))))
    from cosim.feeder_setup.lam_table import open_feeder
    from cosim.links.fmi.feeder import FeederModel

    by_phase = contents.lams_at == "phase"
    feeder = open_feeder(inside(contents.master), inside(contents.lams), by_phase=by_phase)
    return FeederModel(feeder, controls_act=contents.controls)


def gather(files: tuple[Path, ...], folder: Path) -> str:
    """Copy a description's files as they lie to each other; where the first of them is, below ``folder``.

    Raises
    ------
    UnitError
        They lie on several drives.
    """
    try:
        root = Path(os.path.commonpath([file.parent for file in files]))
    except ValueError as error:
        raise UnitError(f"{files[0]}: its files cannot be put into one folder: {error}") from None
    for file in files:
        target = folder / FILES / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    return f"{FILES}/{files[0].relative_to(root).as_posix()}"
