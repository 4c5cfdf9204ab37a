"""The error of run directories, and what becomes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from sharegrid.errors import SharegridError
from sharegrid.expected import explained
from sharegrid.text import cause


class ResultsError(SharegridError):
    """A run directory cannot be written or read, or a table got what it has no column for."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of files under ``path``, and of what they hold, into ``ResultsError``."""
    try:
        yield
    except OSError as error:
        reason = " ".join(cause(error, path).split())
        raise ResultsError(
            f"{error.filename or path}: {reason}; check the path, rights and free space"
        ) from error
    except msgspec.ValidationError as error:
        key, remedy = explained(error)
        raise ResultsError(f"{path}: {key or 'the whole'}: {remedy}; the file was changed") from error
    except (ValueError, msgspec.DecodeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ResultsError(f"{path}: {reason}; the file was changed or cut off") from error
