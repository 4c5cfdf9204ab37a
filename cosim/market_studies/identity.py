"""What program this is: version, digest of its sources, and what it computes with."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import sharegrid


@cache
def identity() -> dict[str, str]:
    """Versions of Python, sharegrid and numpy, and a digest of sharegrid's own sources.

    Two processes with one identity give the same bits.
    """
    root = Path(sharegrid.__file__).parent.parent
    digest = hashlib.sha256()
    for package in (*sharegrid.PACKAGES, "sharegrid"):
        for file in sorted((root / package).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return {
        "python": platform.python_version(),
        "sharegrid": version("sharegrid"),
        "sharegrid's sources": digest.hexdigest()[:12],
        "numpy": version("numpy"),
    }


def difference(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """What differs between two programs, in words; empty where nothing does."""
    return ", ".join(
        f"{name} is {theirs.get(name, 'missing')} there and {ours[name]} here"
        for name in ours
        if theirs.get(name) != ours[name]
    )
