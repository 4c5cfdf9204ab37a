"""How Sphinx makes a site of the documents: ``make docs`` writes it to build/docs.

Nothing is fetched, when the site is made or when it is read.
"""

import tomllib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_ROOT = Path(__file__).parents[1]

project = "sharegrid"
author = "sharegrid's authors"
release = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nitpicky = False

# Anchors of headings as in the forges' own rendering, so that one link serves there and here.
myst_heading_anchors = 4
# The notebook is stored with its outputs; `python -m scripts.make_notebook` writes them.
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autoclass_content = "class"
napoleon_google_docstring = False

html_theme = "furo"
html_title = "sharegrid"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"


def setup(app: Sphinx) -> None:
    """Give headings of the sidebar the level that assistive technology asks for."""

    def with_levels(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: object) -> None:
        tree = context.get("furo_navigation_tree", "")
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')

    app.connect("html-page-context", with_levels, priority=900)
