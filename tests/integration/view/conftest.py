"""A browser, and a small run with a view: a line goes out, and a meter falls silent."""

import re
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.integration.happenings import happening_scenario

COMMAND = [sys.executable, "-m", "sharegrid"]


@contextmanager
def viewed(words, **options):
    """A command that serves a view, and its address; it ends with the block."""
    with subprocess.Popen(
        [*COMMAND, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, **options
    ) as process:
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if found := re.match(r"view: (http\S+)", line):
                    break
            else:
                raise AssertionError("".join(said))
            yield process, found[1]
        finally:
            process.terminate()
            process.communicate()


@pytest.fixture(scope="session")
def scenario(tmp_path_factory):
    return happening_scenario(tmp_path_factory.mktemp("viewed"))


class Watched:
    """A page with what it asked for and complained about."""

    def __init__(self, browser, url, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.asked, self.wrong = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on(
            "console", lambda said: said.type in ("error", "warning") and self.wrong.append(said.text)
        )
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.url = url
        self.page.goto(url)

    def _hear(self, said):
        if said.type in ("error", "warning"):
            self.wrong.append(said.text)

    def text(self, selector):
        return self.page.inner_text(selector)

    def until(self, condition, timeout_s=20.0):
        """Wait until an expression in the page is true; the page's own policy forbids to let it wait."""
        deadline = time.monotonic() + timeout_s
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, f"{condition}: {self.text('body')[:2000]}"
            self.page.wait_for_timeout(40)

    def foreign(self):
        return [each for each in self.asked if not each.startswith(self.url)]
