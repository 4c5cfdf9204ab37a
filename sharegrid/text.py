"""Words for messages to people."""

import re
from difflib import get_close_matches


def closest(name: str, known: list[str]) -> str:
    """Remedy "did you mean 'x'?" for a misspelt name, or an empty text."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def in_one_line(error: BaseException) -> str:
    """Kind and text of an error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def unreadable(error: Exception) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1:,} is no UTF-8"
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)


def entry(key: str, index: int) -> str:
    """Key of one entry of a list in words, counted from 1: ``prosumers.id, entry 3``."""
    return f"{key}, entry {index + 1}"


def in_words(key: str) -> str:
    """A dotted key whose entries are counted from 0 in brackets, in words: ``events, entry 2: at``."""
    words = re.sub(r"\[(\d+)\]", lambda found: entry("", int(found[1])), key)
    return re.sub(r"(entry \d+)\.", r"\1: ", words)
