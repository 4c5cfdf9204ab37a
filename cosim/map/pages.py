"""The map's files for pages: colours, styles and scripts, which the live view serves and the report holds."""

from __future__ import annotations

import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("format.js", "scales.js", "window.js", "map.js")
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE)


def styles() -> str:
    """Colours of the page, and styles of the map."""
    return "".join((STATIC / name).read_text(encoding="utf-8") for name in ("palette.css", "map.css"))


def script() -> str:
    """The map's modules as one text, for a page that loads nothing: each after those that it imports."""
    texts = ((STATIC / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    return "".join(_IMPORT.sub("", text).replace("export ", "") for text in texts)
