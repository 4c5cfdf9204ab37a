"""Names of the loads that the loop makes in place of what a file describes, and what those stand for."""

_MADE = "sharegrid_"
_WINDING = "winding_"
_LAM = "lam"


def load_for(element: str) -> str:
    """Name of the load that stands for an element, such as ``generator.g1``."""
    return _MADE + element.replace(".", "_", 1)


def windings_of(load: str) -> str:
    """What the names of the loads begin with that stand for one winding of a load each."""
    return f"{_MADE}{_WINDING}{load}_"


def lam_load(lam: int, phase: int) -> str:
    """Name of the load that a LAM has of its own on one phase."""
    return f"{_MADE}{_LAM}{lam}_{phase}"


def as_described(element: str) -> str:
    """What an element of the circuit is in its file: ``winding 1 of load.x``, or its own name."""
    kind, _, name = element.partition(".")
    if kind != "load" or not name.startswith(_MADE):
        return element
    made = name.removeprefix(_MADE)
    if made.startswith(_WINDING):
        load, _, number = made.removeprefix(_WINDING).rpartition("_")
        return f"winding {number} of load.{load}"
    return element if made.startswith(_LAM) else made.replace("_", ".", 1)
