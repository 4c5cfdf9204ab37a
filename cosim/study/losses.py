"""Where a feeder loses power: each line and transformer, at one state."""

from typing import Any

import numpy as np

from cosim.feeder.opendss import Feeder


def losses_by_element(feeder: Feeder, load: float) -> dict[str, Any]:
    """Losses of all lines and transformers, the largest first, as columns.

    Parameters
    ----------
    feeder
        The feeder; its controls are held.
    load
        Part of its own load that each LAM draws.
    """
    layout = feeder.layout
    net_kw = load * layout.spot_kw
    feeder.solve(net_kw, net_kw * layout.tan_phi)
    found = feeder.losses()
    order = sorted(found, key=lambda name: -found[name].real)
    lost = np.array([found[name] for name in order], dtype=np.complex128)
    total = float(lost.real.sum())
    return {
        "element": order,
        "losses_kw": lost.real,
        "losses_kvar": lost.imag,
        "share_pct": 100.0 * lost.real / total if total else np.zeros(len(order)),
    }
