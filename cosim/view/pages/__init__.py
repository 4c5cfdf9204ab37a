"""The view's page and the files that it loads, all of them from here."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"


def page(key: str, *, may_stop: bool) -> str:
    """The page; ``key`` lets its buttons be pressed."""
    return _filled("view.html", key, "" if may_stop else "hidden")


def stop_page(key: str) -> str:
    """The question before an emergency stop, without scripts."""
    return _filled("stop.html", key, "")


def _filled(name: str, key: str, hidden: str) -> str:
    return _text(name).replace("{{ key }}", escape(key)).replace("{{ hidden }}", hidden)


@cache
def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
