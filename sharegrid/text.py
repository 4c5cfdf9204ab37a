"""Words for messages to people."""

from difflib import get_close_matches


def closest(name: str, known: list[str]) -> str:
    """Remedy "did you mean 'x'?" for a misspelt name, or an empty text."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def in_one_line(error: BaseException) -> str:
    """Kind and text of an error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
