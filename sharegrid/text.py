"""Words for messages to people."""

import errno
import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path


def closest(name: str, known: list[str]) -> str:
    """Remedy "did you mean 'x'?" for a misspelt name, or an empty text."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def in_one_line(error: BaseException) -> str:
    """Kind and text of an error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def file_above(path: str | os.PathLike[str]) -> Path | None:
    """The file that stands where a path needs a folder, if one does."""
    return next((each for each in Path(path).parents if each.exists() and not each.is_dir()), None)


def cause(error: OSError, path: str | os.PathLike[str] | None = None) -> str:
    """Why a file cannot be used, in words; ``path`` stands in where the error names none."""
    named = error.filename or path
    is_path = error.errno in (errno.ENOTDIR, errno.EEXIST) and isinstance(named, str | os.PathLike)
    above = file_above(named) if is_path and named else None
    return str(error.strerror or error) if above is None else f"{above} is a file"


def unreadable(error: Exception) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1:,} is no UTF-8"
    return cause(error) if isinstance(error, OSError) else str(error)


def entry(key: str, index: int) -> str:
    """Key of one entry of a list in words, counted from 1: ``prosumers.id, entry 3``."""
    return f"{key}, entry {index + 1}"


def some_of(texts: Sequence[str], most: int) -> str:
    """Texts in a row, the first so many of them, and how many more there are."""
    rest = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {rest} more" if rest > 0 else "")


def in_words(key: str) -> str:
    """A dotted key whose entries are counted from 0 in brackets, in words: ``events, entry 2: at``."""
    words = re.sub(r"\[(\d+)\]", lambda found: entry("", int(found[1])), key)
    return re.sub(r"(entry \d+)\.", r"\1: ", words)
