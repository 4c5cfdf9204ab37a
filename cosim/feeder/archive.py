"""A linear model in a file that numpy reads, with the names of everything in it."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cosim.feeder.circuit import FeederLayout
from cosim.feeder.linear import Linearisation
from sharegrid.errors import SharegridError


def save_linearisation(lin: Linearisation, layout: FeederLayout, path: Path) -> None:
    """Write a linear model as a numpy archive (``.npz``); docs/feeder.md lists the arrays.

    Parameters
    ----------
    lin
        The model, M LAMs, n nodes and b branch conductors.
    layout
        The feeder that it belongs to.
    path
        The file; its ending is ``.npz``.

    Raises
    ------
    SharegridError
        The file has another ending or cannot be written.
    """
    if path.suffix != ".npz":
        raise SharegridError(f"{path}: a linear model is a numpy archive; give a name that ends in .npz")
    arrays: dict[str, Any] = {
        "lams": np.array(layout.lams),
        "lam_bus": np.array(layout.lam_bus),
        "nodes": np.array(lin.nodes),
        "branches": np.array(lin.branches),
        "node_base_kv": layout.across_kv,
        "rating_a": layout.rating_a,
        "net_kw": lin.net_kw,
        "net_kvar": lin.net_kvar,
        "v_pu": lin.v_pu,
        "dv_pu_per_kw": lin.dv,
        "dv_pu_per_kvar": lin.dv_kvar,
        "current_a": lin.current_a,
        "di_a_per_kw": lin.di,
        "di_a_per_kvar": lin.di_kvar,
        "p0_kw": np.float64(lin.p0_kw),
        "dp0_per_kw": lin.dp0,
        "dp0_kw_per_kvar": lin.dp0_kvar,
    }
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise SharegridError(
            f"{path}: {error.strerror or error}; choose a path that can be written"
        ) from error
