"""What a body of JSON may look like before anybody decodes it: how long, how deep, how many elements."""

from __future__ import annotations

import re

DEEPEST = 16
"""Messages nest objects and lists six deep at most."""

# A text that nobody closes goes to the body's end: were it none, each quote in it would be tried in turn.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_LONG_BYTES = 2**12
_MOST_PIECES = 2**12


def objection(payload: bytes, most_bytes: int, most_values: int) -> str:
    """Why a body is not decoded; empty where it may be. Takes time in proportion to its length."""
    if len(payload) > most_bytes:
        return f"it has {len(payload)} bytes where at most {most_bytes} belong"
    # Nearly all of a long body is columns, which are left out sooner than they are looked through.
    bare = payload if len(payload) < _LONG_BYTES else _without_texts(payload)
    values, openings = bare.count(b","), bare.count(b"[") + bare.count(b"{")
    if values + openings <= most_values and openings <= DEEPEST:
        return ""
    # Texts may hold any of these; there are few of them, or little else.
    bare = _STRING.sub(b"", payload)
    if bare.count(b",") + bare.count(b"[") + bare.count(b"{") > most_values:
        return f"it has more than {most_values} elements"
    depth = deepest = 0
    for bracket in _BRACKET.finditer(bare):
        depth += 1 if bracket[0] in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > DEEPEST:
            return f"it nests more than {DEEPEST} deep"
    return ""


def _without_texts(payload: bytes) -> bytes:
    """What stands between texts, where that is found at once; else the body as it is."""
    pieces = payload.split(b'"', _MOST_PIECES)
    are_whole = len(pieces) % 2 and len(pieces) <= _MOST_PIECES
    return b"".join(pieces[::2]) if are_whole and b"\\" not in payload else payload
