"""Writes a unit: pythonfmu's library and script, the contents, and the files that describe the model."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from uuid import UUID

import msgspec
from pythonfmu.builder import FmuBuilder

from cosim.links.fmi.contents import CONTENTS, FILES, Contents
from cosim.links.fmi.model import UnitError


def write_unit(contents: Contents, out: Path, described: Path) -> None:
    """Write a unit.

    Parameters
    ----------
    contents
        What it is; its name and guid are made here.
    out
        File to write, whose name is that of the unit.
    described
        Folder with the files that `cosim.links.fmi.contents.gather` put there, if any.

    Raises
    ------
    UnitError
        The file's name is none that a unit may have.
    """
    name = out.stem
    if out.suffix != ".fmu" or not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise UnitError(f"--out {out}: name it like grid.fmu, with letters, digits and _ before the ending")
    contents = msgspec.structs.replace(contents, name=name)
    digest = hashlib.sha256(msgspec.json.encode(contents))
    files = sorted(path for path in (described / FILES).rglob("*") if path.is_file())
    for path in files:
        digest.update(path.read_bytes())
    contents = msgspec.structs.replace(contents, guid=str(UUID(bytes=digest.digest()[:16])))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        # Its folder goes on the import path while it is built, where the project's own would hide others.
        script = folder / "sharegrid_unit.py"
        shutil.copy(Path(__file__).with_name("unit.py"), script)
        (folder / CONTENTS).write_bytes(msgspec.json.encode(contents))
        beside = {folder / CONTENTS, *([described / FILES] if files else [])}
        FmuBuilder.build_FMU(script, dest=out, project_files=beside)
