"""Parties of a run by the process that speaks for them, and the files of a secured broker of a run's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.security.files import BROKER, CLIENTS, Group, Plan, write_files
from broker.security.grants import OBSERVER, OPERATOR, device_party, grants
from broker.server.mosquitto import Secured
from cosim.world.bounds import bounds_of
from cosim.world.names import CLOCK, DEVICE_HOST, EMULATORS, FEEDER, RECORDER, Role
from cosim.world.world import World

CONTROL = "control"
_RUN = "run"
# A run of its own makes certificates anew; none lives longer than the longest run in real time.
_DAYS = 31


def groups(world: World, devices: tuple[str, ...] = ()) -> dict[str, Group]:
    """Folders of credentials by the process or person that each is for.

    Each role of a run has one, and so have the process with clock and recorder, an operator, an observer,
    each live prosumer that is to speak for itself, and each device that does.
    """
    services = world.services
    host_of_devices = [name for name in services if name == DEVICE_HOST]
    emulators = [name for name in services if name == EMULATORS]
    apart = {CLOCK, RECORDER, FEEDER, *world.device_hosts}
    gateways = [name for name in services if name.startswith("gateway")]
    lams = world.services_of(Role.LAM)
    market = [name for name in services if name not in {*apart, *gateways, *lams}]
    found = {
        str(Role.MARKET): Group(market, commands=True),
        str(Role.LAM): Group(lams),
        str(Role.FEEDER): Group([FEEDER]),
        str(Role.DEVICES): Group([*gateways, *host_of_devices], commands=True),
        str(Role.EMULATORS): Group(emulators),
        CONTROL: Group([CLOCK, RECORDER, OPERATOR, OBSERVER], commands=True),
        OPERATOR: Group([OPERATOR, OBSERVER], commands=True),
        OBSERVER: Group([OBSERVER]),
        **{f"prosumer-{name}": Group([name]) for name in sorted(bounds_of(world).lam_of)},
        **{party: Group([party]) for party in map(device_party, devices)},
    }
    return {name: group for name, group in found.items() if group.parties}


@contextmanager
def own_security(world: World, run_id: str, log: Path) -> Iterator[Secured]:
    """Files of a secured broker for one run of one process, for the time of a ``with`` block.

    What the broker refuses is added to ``log``.
    """
    granted = grants(bounds_of(world), run_id)
    plan = Plan(
        grants=granted,
        groups={_RUN: Group([CLOCK, *world.services, OPERATOR, OBSERVER], commands=True)},
        hosts=["127.0.0.1", "localhost"],
        port=0,
        days=_DAYS,
    )
    with tempfile.TemporaryDirectory(prefix="sharegrid-security-") as folder:
        write_files(Path(folder), plan)
        yield Secured(Path(folder) / BROKER, Path(folder) / CLIENTS / _RUN, log)
