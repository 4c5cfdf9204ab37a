"""Where a result comes from: versions of libraries, commit, seed, broker and machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from cosim.results.run_figures import Machine, Provenance

_LIBRARIES = (
    *("sharegrid", "numpy", "pandas", "pyarrow", "msgspec", "aiomqtt", "paho-mqtt", "amqtt", "pymodbus"),
    *("opendssdirect.py", "dss-python", "pvlib", "demandlib"),
)


def provenance(
    *, seed: int, broker: str, world: str = "", inputs: Mapping[str, str] | None = None
) -> Provenance:
    """Where a result comes from: versions, commit, seed, broker and machine.

    Parameters
    ----------
    seed
        The scenario's seed.
    broker
        Which broker carried the messages, as text.
    world, inputs
        Hash of the scenario with all that it names, and of each of its files by key.

    Returns
    -------
    Provenance
        ``versions`` of the libraries that are installed, ``commit`` (``None`` outside a checkout; ``-dirty``
        where it was changed), ``machine``, and what was given.
    """
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return Provenance(
        versions=versions,
        commit=_commit(Path(__file__).parents[2]),
        seed=seed,
        broker=broker,
        machine=Machine(system=platform.platform(), processor=platform.machine(), cpus=os.cpu_count()),
        world=world,
        inputs=dict(inputs or {}),
    )


def _commit(checkout: Path) -> str | None:
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    describe = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(describe, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - fixed words
    return answer.stdout.strip() or None
