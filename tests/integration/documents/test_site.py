"""The documents as a site: built without a warning, whole in itself, and readable in a browser."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_core_python.sync_playwright import Axe

from cosim.cli import main
from tests.integration.view.conftest import Watched

sphinx = pytest.importorskip("sphinx", reason="the extra `docs` is not installed: pip install '.[docs]'")

ROOT = Path(__file__).resolve().parents[3]
LOADS = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}
LOOKED_AT = (
    "index",
    "install",
    "reference/commands",
    "reference/api",
    "scenario",
    "tutorials/analyst",
    "troubleshooting",
)
# Contrast is looked at element by element: long pages of the same elements would take minutes.
LOOKED_AT_CLOSELY = ("index", "install", "troubleshooting")


def built(source, folder):
    """Sphinx's answer, with every warning an error, as ``make docs`` asks it."""
    words = ["-W", "--keep-going", "-q", "-b", "html", "-d", folder / "read", source, folder / "html"]
    return subprocess.run([sys.executable, "-m", "sphinx", *words], capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = built(ROOT / "docs", folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "html"


class Page(HTMLParser):
    """Where a page leads, what it loads, and its own anchors."""

    def __init__(self, file):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        if "id" in told:
            self.anchors.add(told["id"])
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        if tag in LOADS and told.get(LOADS[tag]) and told.get("rel") not in ("canonical", "search"):
            self.loaded.append(told[LOADS[tag]])


@pytest.fixture(scope="module")
def pages(site):
    return {file: Page(file) for file in sorted(site.rglob("*.html"))}


def test_every_document_is_a_page(site):
    documents = [file.relative_to(ROOT / "docs") for file in (ROOT / "docs").rglob("*.md")]
    assert len(documents) > 25
    assert [document for document in documents if not (site / document).with_suffix(".html").exists()] == []


def test_links_between_pages_lead_somewhere(site, pages):
    # Sphinx looks at what it resolves itself; text that is taken over from elsewhere has links, too.
    wrong = []
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            there = target.exists()
            if there and parts.fragment and target in pages:
                there = unquote(parts.fragment) in pages[target].anchors
            if not there:
                wrong.append(f"{file.relative_to(site)}: {link}")
    assert wrong == []


def test_pages_load_nothing_from_elsewhere(site, pages):
    for file, page in pages.items():
        for loaded in page.loaded:
            assert not urlsplit(loaded).netloc, f"{file.relative_to(site)} loads {loaded}"
    for sheet in site.rglob("*.css"):
        asked = re.findall(
            r"(?:url\(|@import\s+)['\"]?(?:https?:)?//[^)'\"]+", sheet.read_text(encoding="utf-8")
        )
        assert asked == [], f"{sheet.relative_to(site)} loads {asked}"


def test_every_command_is_in_the_reference(pages, site):
    anchors = pages[site / "reference" / "commands.html"].anchors

    def commands(command, path):
        yield "-".join(path)
        for name, inner in getattr(command, "commands", {}).items():
            yield from commands(inner, (*path, name))

    named = [*commands(main, ("sharegrid",)), "sharegrid-device-probe"]
    assert len(named) > 25
    assert [name for name in named if name not in anchors] == []


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path):
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text(
        'extensions = ["myst_nb"]\nmyst_heading_anchors = 4\nnb_execution_mode = "off"\n'
    )
    (source / "index.md").write_text("# Here\n\n[there](#nowhere) and [gone](gone.md)\n")
    done = built(source, tmp_path)
    assert done.returncode != 0
    assert "nowhere" in done.stderr
    assert "gone.md" in done.stderr


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)], ids=["laptop", "phone"])
def test_site_in_a_browser(browser, site, scheme, width):
    wrong = []
    for name in LOOKED_AT:
        watched = Watched(
            browser,
            f"{site.as_uri()}/{name}.html",
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
        )
        foreign = [each for each in watched.asked if not each.startswith(site.as_uri())]
        beyond = watched.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        serious = [
            (each["id"], each["nodes"][0]["html"])
            for each in (Axe().run(watched.page)["violations"] if name in LOOKED_AT_CLOSELY else ())
            if each["impact"] in ("serious", "critical")
        ]
        wrong += [(name, each) for each in [*watched.wrong, *foreign, *serious]]
        wrong += [(name, f"{beyond} px too wide")] if beyond > 0 else []
        watched.context.close()
    assert wrong == []
