"""A small file that is replaced whole: a loss of power leaves what it held before or what it holds now."""

import os
from pathlib import Path


def replace_durably(path: Path, content: bytes, before: Path | None = None) -> None:
    """Replace a file's content; raises ``OSError``, and then the file is as it was.

    Parameters
    ----------
    path
        The file, in a folder that exists.
    content
        What it is to hold.
    before
        Name that what it held before goes on under.
    """
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if before is not None and path.exists():
        path.replace(before)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
