"""Two-layer energy sharing on a real feeder, in closed loop with AC power flow and with meters and inverters.

The names below are imported from the packages that have them when they are first used, so that
``import sharegrid`` itself loads nothing else. ``sharegrid/__init__.pyi`` tells type checkers the same.
"""

import importlib
import importlib.util
from pathlib import Path

from sharegrid.errors import ShadowedPackage, SharegridError

PACKAGES = ("broker", "cosim", "devices", "market")

_HOME = {
    "Case": "market.model.case",
    "Grid": "market.model.case",
    "Network": "market.model.case",
    "Outcome": "market.solver.clearing",
    "Progress": "cosim.progress",
    "Resources": "market.model.case",
    "Run": "cosim.results.reader",
    "Scenario": "cosim.scenario",
    "Tariff": "market.model.case",
    "certify": "market.analysis.certificate",
    "clear": "market.solver.clearing",
    "compare": "cosim.results.comparison",
    "load": "cosim.results.reader",
    "load_scenario": "cosim.scenario",
    "read_case": "market.files.case_file",
    "references": "market.analysis.reference",
    "run": "cosim.from_python",
    "run_async": "cosim.from_python",
    "study": "cosim.market_studies.running",
    "sweep": "cosim.market_studies.sweep",
}

__all__ = [
    "ShadowedPackage",
    "SharegridError",
    *_HOME,
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'sharegrid' has no attribute {name!r}")
    check_not_shadowed()
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def check_not_shadowed() -> None:
    """See that our packages are ours, and not modules of the same names in the user's folder.

    Raises
    ------
    ShadowedPackage
        A file such as ``market.py`` stands before ours on the path; the message names it.
    """
    ours = Path(__file__).resolve().parent.parent
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        found = Path(spec.origin).resolve()
        if found != ours / package / "__init__.py":
            raise ShadowedPackage(
                f"{found} hides the package {package!r} of sharegrid: rename it, or start from another folder"
            )
