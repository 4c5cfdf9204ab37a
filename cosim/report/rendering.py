"""Pages that need no network: a template with its figures and the library that draws them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


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
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("cosim.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(
        **values,
        plotly=Markup(get_plotlyjs()),  # noqa: S704 - the library's own text
        data=Markup(_embedded({"figures": figures, "map": drawing})),  # noqa: S704 - escaped there
    )


def _embedded(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
