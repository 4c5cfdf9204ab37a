"""What each party may write and read at a broker: made from the declared messages and the run's roster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from broker import claims
from broker.door.bounds import Bounds
from broker.errors import CredentialsError
from broker.home_assistant import ALL_DISCOVERY, STATUS_TOPIC, discovery_topic
from broker.messages import DECLARED, Command, Declaration, Role
from broker.topics import ROOT, Topics

OPERATOR = "operator"
OBSERVER = "observer"
ANY = "+"
"""Level of a topic that stands for all, also for all runs."""

_DEVICES = f"{ROOT}/devices"

Access = Literal["read", "write", "readwrite"]


@dataclass(frozen=True, slots=True)
class Grant:
    """One thing that a party may do: read or write on topics that match a filter."""

    access: Access
    topic: str


def grants(bounds: Bounds, run: str = ANY, devices: Iterable[str] = ()) -> dict[str, list[Grant]]:
    """Grants of every party of a run.

    Parameters
    ----------
    bounds
        Roster of the run.
    run
        Id of the run; any by default.
    devices
        Names of devices that speak MQTT by themselves (``sharegrid device``).

    Returns
    -------
    dict
        By the name on the party's certificate: services, live prosumers, devices, one operator, who may stop
        devices, and one observer, who only reads.

    Raises
    ------
    CredentialsError
        Two parties have the same name, so that one would get the other's grants.
    """
    parties = [
        *_services(bounds, run),
        *((name, _of_prosumer(bounds, run, name)) for name in sorted(bounds.lam_of)),
        *((device_party(name), _of_device(name)) for name in devices),
        (OPERATOR, _of_operator(run)),
        (OBSERVER, [Grant("read", f"{Topics(run).root}/#"), Grant("read", f"{_DEVICES}/#")]),
    ]
    granted = dict(parties)
    if len(granted) < len(parties):
        names = [name for name, _ in parties]
        twice = next(name for name in names if names.count(name) > 1)
        raise CredentialsError(f"two parties are called {twice}: rename the prosumer or device")
    return granted


def device_party(name: str) -> str:
    """Name on the certificate of a device that speaks MQTT by itself."""
    return f"device-{name}"


def _services(bounds: Bounds, run: str) -> Iterator[tuple[str, list[Grant]]]:
    """Services with what their role sends and receives."""
    for role, names in (bounds.services or {}).items():
        for name in sorted(names):
            yield name, [*_of_service(bounds, run, role, name), *_beside_messages(run, role, name)]


def _of_service(bounds: Bounds, run: str, role: Role, name: str) -> Iterator[Grant]:
    for each in DECLARED.values():
        if role in each.senders:
            for topic in _topics(bounds, run, each, each.writer, name):
                yield Grant("readwrite", topic)
        if role in each.receivers:
            for topic in _topics(bounds, run, each, each.reader, name):
                yield Grant("read", topic)


def _topics(bounds: Bounds, run: str, each: Declaration, level: str, name: str) -> list[str]:
    """Filters of a message's topics whose ``level`` stands for a party."""
    if level == "lam":
        operated = bounds.operated.get(name, ())
        lams = bounds.lams or ()
        # One filter is found sooner than one for each LAM.
        mine = [ANY] if len(operated) == len(lams) else [lams[lam] for lam in operated]
        return [_filled(run, each, {"lam": lam}) for lam in mine]
    return [_filled(run, each, {level: name} if level else {})]


def _filled(run: str, each: Declaration, levels: Mapping[str, str]) -> str:
    return Topics(run).__getattr__(each.name)(*(levels.get(level, ANY) for level in each.levels))


def _of_prosumer(bounds: Bounds, run: str, name: str) -> list[Grant]:
    """Grants of one live prosumer that speaks for itself: its own topics, and what it needs to bid."""
    lam = bounds.lam_of[name]
    own = {"prosumer": name, "lam": lam, "lam_host": bounds.operator.get(lam, ANY)}
    granted = []
    for each in DECLARED.values():
        is_own = "prosumer" in each.levels
        if is_own and not issubclass(each.kind, Command) and {"live host", "gateway"} & set(each.senders):
            granted.append(Grant("write", _filled(run, each, own)))
        is_told = {"live host", "gateway"} & set(each.receivers)
        if is_told and (is_own or each.levels == ("lam_host",) or each.senders == ("clock",)):
            granted.append(Grant("read", _filled(run, each, own)))
    return granted


def _of_operator(run: str) -> list[Grant]:
    """Whoever stops devices by hand sees what becomes of it; its name is new each time."""
    stops = [each for each in DECLARED.values() if OPERATOR in each.senders]
    answers = [each for each in DECLARED.values() if OPERATOR in each.receivers]
    return [
        *(Grant("readwrite", _filled(run, each, {})) for each in stops),
        *(Grant("read", _filled(run, each, {})) for each in answers),
        Grant("readwrite", claims.probe(ANY)),
    ]


def _of_device(name: str) -> list[Grant]:
    """Its own topics and settings, and what Home Assistant is told of it."""
    return [
        *(Grant("write", f"{_DEVICES}/{name}/{said}") for said in ("meas", "ack", "availability")),
        Grant("read", f"{_DEVICES}/{name}/set"),
        *_discovery(discovery_topic(name)),
    ]


def _beside_messages(run: str, role: Role, name: str) -> list[Grant]:
    """What a service needs beside the run's messages: claims of its own, and what Home Assistant is told."""
    mine = [claims.of_run(run)] if role == "clock" else [claims.of_role(run, name, ANY)]
    if role == "gateway":
        mine.append(claims.of_device(ANY))
    held = [Grant("readwrite", f"{claims.topic_of(each)}/#") for each in mine]
    return held + ([*_discovery(ALL_DISCOVERY), *_devices()] if role == "gateway" else [])


def _devices() -> list[Grant]:
    """A gateway hears devices that speak MQTT by themselves, and sets them."""
    said = [Grant("read", f"{_DEVICES}/+/{what}") for what in ("meas", "ack", "availability")]
    return [*said, Grant("write", f"{_DEVICES}/+/set")]


def _discovery(topic: str) -> list[Grant]:
    return [Grant("write", topic), Grant("read", STATUS_TOPIC)]
