"""Compiling what goes store by store and interval by interval, where numpy needs a pass for each step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from market.model import curves

F = TypeVar("F", bound=Callable[..., Any])


def digest_of(sources: Iterable[Path]) -> str:
    """Digest of what files hold, of those that are there."""
    held = [source.read_bytes() for source in sources if source.is_file()]
    return hashlib.sha256(b"".join(held)).hexdigest()[:12]


SOURCES = (*sorted(Path(__file__).parent.glob("*.py")), Path(curves.__file__))
"""All that compiled functions are made of, those that are compiled into others among it."""

DIGEST = digest_of(SOURCES)
"""Part of the names under which compiled functions are kept: numba believes one that it has kept as long as
the function's own file stays as it was, whatever became of what it calls."""


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
    function.__qualname__ += f"-{DIGEST}"
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "forceinline": forceinline}
    try:
        return cast("F", numba.njit(cache=True, **options)(function))
    except RuntimeError:
        # Nowhere to write: a read-only installation without a home directory.
        return cast("F", numba.njit(**options)(function))
