"""Pages that need no network: a template with its figures and the library that draws them.

Both are compressed, and the page unpacks them: a library of 4.8 MB would else stand in every report.
"""

from __future__ import annotations

import json
import zlib
from base64 import b85encode
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, Self

from cosim.map.pages import script, styles


def render(template: str, figures: Mapping[str, Any], drawing: Any = None, **values: Any) -> str:
    """Text of a page.

    Parameters
    ----------
    template
        Name of a file of `cosim.report`'s templates.
    figures
        Figures by the names that the template calls them.
    drawing
        The map's data; ``None`` where there is no map.
    values
        What else the template shows.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cosim.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    parts = {} if drawing is None else {"drawing": script()}
    parts["data"] = json.dumps({"figures": figures, "map": drawing}, allow_nan=False, separators=(",", ":"))
    return environment.get_template(template).render(
        **values,
        map_styles=styles(),
        packed={"plotly": library()} | {name: Packed.of(text) for name, text in parts.items()},
    )


def prepare_pages() -> None:
    """Load what makes pages, and pack what all of them hold; otherwise the first page does."""
    import_module("jinja2")
    library()


@cache
def library() -> Packed:
    """The library that draws figures, packed once: it takes a third of a second."""
    from plotly.offline import get_plotlyjs

    return Packed.of(get_plotlyjs())


class Packed(NamedTuple):
    """A text, compressed and written in letters that cannot end the element in which they stand.

    Attributes
    ----------
    letters
        Base 85 after RFC 1924, with a comma for ``<``.
    size
        Number of bytes that they stand for; a few zeros follow them.
    """

    letters: str
    size: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Pack a text."""
        packed = zlib.compress(text.encode(), 9)
        return cls(b85encode(packed, pad=True).decode().replace("<", ","), len(packed))
