import os
import shutil

import pytest

from broker.server.mosquitto import find_mosquitto
from tests.integration.circuits import HEAD, TAIL


@pytest.fixture
def mosquitto_installed() -> None:
    """Skip without Mosquitto, but never where nobody would see it."""
    if find_mosquitto() is None:
        if os.environ.get("CI"):
            pytest.fail("Mosquitto is missing; make test installs it", pytrace=False)
        pytest.skip("Mosquitto is missing; make test installs it")


@pytest.fixture(params=["embedded", "mosquitto"])
def kind(request: pytest.FixtureRequest) -> str:
    """One broker of each kind that we run ourselves."""
    if request.param == "mosquitto":
        request.getfixturevalue("mosquitto_installed")
    return request.param


@pytest.fixture
def circuit(tmp_path):
    """Writes a master file of a text, or of the common head and tail around one."""

    def write(text: str) -> str:
        path = tmp_path / "master.dss"
        path.write_text(text if "clear" in text else HEAD + text + TAIL, encoding="utf-8")
        return str(path)

    return write


def chromium():
    """Path of a Chromium; skips where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or pytest.skip("no Chromium on this computer: apt-get install chromium")


# Its driver has an event loop in this thread, so that it must not outlast the tests that know it.
@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield started
        started.close()
