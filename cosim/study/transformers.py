"""Loading of transformers through time, by AC power flow."""

from collections.abc import Callable
from functools import partial

import numpy as np

from cosim.feeder.circuit import Floats
from cosim.feeder.opendss import Feeder
from sharegrid.errors import SharegridError


def loadings_through_time(
    feeder: Feeder,
    shape: Floats,
    step_h: float,
    on_step: Callable[[], None] = lambda: None,
    kvar_shape: Floats | None = None,
) -> tuple[list[str], Floats]:
    """Loading of each rated transformer in each step, regulators and capacitors acting.

    Parameters
    ----------
    feeder
        The feeder, M LAMs.
    shape
        Part of its own load that each LAM draws, ``(S,)`` for all alike or ``(S, M)``.
    step_h
        Length of a step [h].
    on_step
        Called after each step.
    kvar_shape
        Part of its own kvar, as ``shape``; ``None`` where it is the same.

    Returns
    -------
    tuple
        Names of the T transformers, and of each its most loaded conductor's current over its rating, the root
        of its mean square over the step, ``(S, T)``.

    Raises
    ------
    PowerFlowError
        A step has no power flow.
    SharegridError
        No transformer has a rating.
    """
    layout = feeder.layout
    rated = [
        place
        for place, name in enumerate(layout.branches)
        if name.startswith("transformer.") and np.isfinite(layout.rating_a[place])
    ]
    if not rated:
        raise SharegridError(f"{layout.name}: no transformer has a rating; state kVA of its windings")
    element_of = [layout.branches[place].split(".")[1] for place in rated]
    names = list(dict.fromkeys(element_of))
    first = [element_of.index(name) for name in names]
    loading = np.zeros((len(shape), len(names)))
    kvar_shape = shape if kvar_shape is None else kvar_shape
    for step, (factor, kvar_factor) in enumerate(zip(shape, kvar_shape, strict=True)):
        kvar = layout.spot_kw * kvar_factor * layout.tan_phi
        run = feeder.act(partial(feeder.solve, layout.spot_kw * factor, kvar), 3600.0 * step_h)
        square = np.zeros(len(rated))
        for (_, state), share in zip(run.states, run.shares(), strict=True):
            square += share * (np.abs(state.current_a[rated]) / layout.rating_a[rated]) ** 2
        loading[step] = np.sqrt(np.maximum.reduceat(square, first))
        on_step()
    return names, loading
