"""Names in a run, each written once: services on the bus, and the roles that a process can host."""

from __future__ import annotations

from enum import StrEnum

from cosim.control.names import CLOCK as CLOCK
from cosim.control.names import RECORDER as RECORDER


class Role(StrEnum):
    """A group of services that one process of a run hosts."""

    MARKET = "market"
    FEEDER = "feeder"
    DEVICES = "devices"
    EMULATORS = "emulators"
    LAM = "lam"


# Roles that every run has; emulators are a process of their own, beside the run, and so may the LAMs be.
ROLES = (Role.MARKET, Role.FEEDER, Role.DEVICES)

POPULATION_HOST = "population-0"
LIVE_HOST = "live-0"
LAM_HOSTS = "lams"
"""Of the LAMs' operator hosts, behind which their number stands: one, or as many as there are shares."""

WAM = "wam"
AUDITOR = "auditor"
FEEDER = "feeder"
DEVICE_HOST = "devices-0"
EMULATORS = "emulators-0"
GATEWAY = "gateway-0"

_SPOKEN = {
    POPULATION_HOST: "population host",
    LIVE_HOST: "live host",
    WAM: "WAM",
    DEVICE_HOST: "device host",
    EMULATORS: "emulators",
    GATEWAY: "gateway",
}


def spoken(service: str) -> str:
    """Name of a service for people, as architecture.md has it; of several LAM hosts with its number."""
    host, _, number = service.rpartition("-")
    return f"LAM host {number}" if host == LAM_HOSTS else _SPOKEN.get(service, service)
