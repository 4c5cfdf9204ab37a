"""Compiling what goes store by store and interval by interval, where numpy needs a pass for each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Function compiled at its first call, kept for later processes where there is a folder to keep it in.

    Division by zero gives what IEEE 754 says.
    """
    return _compiled(function, forceinline=False)


def inlined(function: F) -> F:
    """Function that is `compiled` into its callers.

    A call of its own counts references to each array that it is given, on counters that all cores share: for
    what is done once for each store and interval that takes longer than the work.
    """
    return _compiled(function, forceinline=True)


def _compiled(function: F, *, forceinline: bool) -> F:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "forceinline": forceinline}
    try:
        return cast("F", numba.njit(cache=True, **options)(function))
    except RuntimeError:
        # Nowhere to write: a read-only installation without a home directory.
        return cast("F", numba.njit(**options)(function))
