"""Compiling what goes store by store and interval by interval, where numpy needs a pass for each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Function compiled at its first call, kept for later processes where there is a folder to keep it in."""
    try:
        return cast("F", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:
        # Nowhere to write: a read-only installation without a home directory.
        return cast("F", numba.njit(nogil=True)(function))
