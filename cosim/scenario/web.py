"""Web addresses that a user gives: whether something can be sent there at all."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from cosim.scenario.scenario import Scenario, ScenarioError

WEBHOOK = "SHAREGRID_WEBHOOK"


def is_web_address(text: str) -> bool:
    """Whether a text is an http or https URL with a host, and with a port that can be one if any."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def webhook_wrong(text: str) -> str | None:
    """What is wrong with an address for alarms, and the remedy; an empty one gets none.

    The text may be a secret, so it is not shown.
    """
    if not text or (is_web_address(text) and not any(map(str.isspace, text))):
        return None
    return "this is no web address; give one with http or https and a host, such as https://host/path"


def webhook_of(scenario: Scenario) -> str:
    """Where alarms go: as the environment says, else as the scenario does; empty for nowhere.

    Raises
    ------
    ScenarioError
        What the environment says is no web address.
    """
    given = os.environ.get(WEBHOOK)
    if given is not None and (wrong := webhook_wrong(given)):
        raise ScenarioError(f"{WEBHOOK} of the environment: {wrong}")
    return scenario.alarms.webhook if given is None else given
