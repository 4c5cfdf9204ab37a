import os

import pytest

from broker.server.mosquitto import find_mosquitto


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
