"""What a value should have been, in people's words: msgspec's messages speak of Python's types."""

import datetime
import re
from collections.abc import Callable, Iterable, Mapping

_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<kinds>[^`]*)`(?P<bound>.*?)(?:, got .*)?$", re.DOTALL)
_KEY = re.compile(r"(Object missing required|Object contains unknown) field `(.*)`")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table of keys",
    "null": "nothing",
    "datetime": "a date and time such as 2024-06-21T10:00:00",
    "date": "a date such as 2024-06-21",
    "time": "a time such as 10:00:00",
}
_FORMS: dict[str, str] = {}
_BOUNDS = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}


def form(pattern: str, words: str) -> str:
    """A pattern for a key's type, and what it asks for in words, which a refusal then says in its place.

    Parameters
    ----------
    pattern
        Regular expression, returned as it is.
    words
        What a value should be, as in ``give ...``.
    """
    _FORMS[repr(pattern)] = words
    return pattern


def explained(error: Exception, choices: Callable[[str], Iterable[object]] | None = None) -> tuple[str, str]:
    """Dotted key that a value is refused at, and what is wanted there, out of msgspec's error.

    Parameters
    ----------
    error
        A ``msgspec.ValidationError``.
    choices
        What a dotted key takes, where its values are listed.

    Returns
    -------
    tuple of str
        The key, empty for the whole; and a remedy such as ``give a whole number of at most 192``.
    """
    message = str(error)
    place = _PLACE.search(message)
    what = message[: place.start()] if place else message
    key = place[1] if place else ""
    if what.startswith("Invalid enum value ") and choices is not None:
        value = what.removeprefix("Invalid enum value ").strip("`")
        return key, f"give one of {', '.join(map(str, choices(key)))}, not {value}"
    return key, _remedy(what)


def refused(value: object, remedy: str) -> str:
    """That a value cannot be used, as its file has it, and what can."""
    return f"{shown(value)} cannot be used; {remedy}"


def _remedy(what: str) -> str:
    if found := _KEY.fullmatch(what):
        return (
            f"{found[2]} is missing; give it" if "missing" in found[1] else f"no key {found[2]}; leave it out"
        )
    if what.startswith("Invalid enum value "):
        return f"{what.removeprefix('Invalid enum value ').strip(chr(96))} is none of those that it takes"
    if "datetime" in what or "RFC3339" in what:
        return f"give {_wanted('datetime', 'zone' if 'no timezone' in what else '')}"
    if found := _EXPECTED.fullmatch(what):
        return f"give {_wanted(found['kinds'], found['bound'])}"
    return f"{what[:1].lower()}{what[1:]}".replace("`", "")


def _wanted(kinds: str, bound: str) -> str:
    """A type with its bound, as in ``int | null`` and `` >= 0``."""
    names = list(dict.fromkeys(kind.strip() for kind in kinds.split("|")))
    if {"int", "float"} <= {*names}:
        names.remove("int")
    words = " or ".join(_KINDS.get(name, name) for name in names)
    bound = bound.strip()
    if bound == "zone":
        return f"{words}, by local clocks and without a zone"
    if length := re.fullmatch(r"of length (>=|<=)? ?(\d+)", bound):
        kind = "characters" if "str" in names else "entries"
        least = {">=": "at least ", "<=": "at most ", None: ""}[length[1]]
        return f"{words} of {least}{length[2]} {kind}"
    if limit := re.fullmatch(r"(>=|<=|>|<) ?(\S+)", bound):
        return f"{words} {_BOUNDS[limit[1]]} {float(limit[2]):.12g}"
    if pattern := re.fullmatch(r"matching regex (.*)", bound):
        return _FORMS.get(pattern[1], f"{words} of the form {pattern[1][1:-1]}")
    return f"{words} {bound}".rstrip()


def shown(value: object) -> str:
    """A value as its file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "a table of keys"
    if isinstance(value, list | tuple):
        return "a list"
    return repr(value)
