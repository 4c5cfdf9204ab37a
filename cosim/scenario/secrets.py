"""Scenarios as they may be kept and shown: without the passwords in their addresses."""

from __future__ import annotations

import msgspec

from cosim.scenario.scenario import Scenario

MASK = "***"


def without_passwords(scenario: Scenario) -> Scenario:
    """The scenario with every password in an address of a broker or device masked."""
    replace = msgspec.structs.replace
    return replace(
        scenario,
        alarms=replace(scenario.alarms, webhook=masked_path(scenario.alarms.webhook)),
        broker=replace(scenario.broker, use=masked(scenario.broker.use)),
        devices=tuple(replace(each, connect=masked(each.connect)) for each in scenario.devices),
    )


def masked_path(address: str) -> str:
    """A web address with all behind its host masked, which often is the secret."""
    scheme, separator, rest = address.partition("://")
    host, slash, _ = rest.rpartition("@")[2].partition("/")
    return f"{scheme}{separator}{host}{slash}{MASK}" if address else ""


def masked(address: str) -> str:
    """An address such as ``mqtt://user:password@host`` with its password masked."""
    scheme, separator, rest = address.partition("://")
    # As in URLs, the last @ ends user and password: a password may hold others.
    access, at, place = rest.rpartition("@")
    user, colon, _ = access.partition(":")
    return f"{scheme}{separator}{user}{colon}{MASK if colon else ''}{at}{place}"
