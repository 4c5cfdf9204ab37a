"""Forbidden actions against a run over a secured Mosquitto: each is refused, logged and without effect."""

import asyncio
import json
import shutil
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import aiomqtt
import pytest

from broker.claims import of_device, of_role, of_run, topic_of
from broker.client.bus import Will
from broker.client.mqtt import connect
from broker.credentials import tls_context
from broker.errors import BrokerError, BrokerUnreachable, CredentialsError
from broker.home_assistant import discovery_topic
from broker.messages import DECLARED, Stop, encode
from broker.participant.availability import offline_will
from broker.security.certificates import Authority
from broker.topics import Topics
from tests.broker.door.hostile_run import RUN, play
from tests.integration.secured_run import Site, secured_run

TOPICS = Topics(RUN)
INTERVALS = 12
pytestmark = pytest.mark.slow


# What intruders must have heard before they forge it.
KINDS = {"step", "set-point", "award", "wam-outcome", "feeder-state", "metered", "availability", "done"}


def certified(folder: Path, name: str, authority: Authority, trusted: bytes, days: int = 30) -> Path:
    folder.mkdir()
    issued = authority.party(name, days)
    (folder / "ca.crt").write_bytes(trusted)
    (folder / f"{name}.crt").write_bytes(issued.certificate)
    (folder / f"{name}.key").touch(mode=0o600)
    (folder / f"{name}.key").write_bytes(issued.key)
    return folder


class Intruder:
    """Tries what is forbidden and remembers it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.published: list[tuple[str, str]] = []
        self.connections: dict[str, str] = {}
        self.heard: dict[str, list[str]] = {}
        self.seen: dict[str, tuple[str, bytes]] = {}
        self.was_late = False

    async def publish(self, bus, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await bus.publish(topic, payload, retain=retain)
        self.published.append((bus.client_id, topic))

    async def forge(self, party: str, *, retain: bool = False) -> None:
        """Say everything that was ever said, in the sender's name and with its next number."""
        async with connect(self.site.url, f"intruder-{party}", identity=party) as bus:
            for topic, payload in list(self.seen.values()):
                if topic.endswith(f"/{party}"):
                    continue  # What its own meter says is its own.
                told = json.loads(payload)
                forged = json.dumps(told | {"seq": told["seq"] + 1, "signature": "0" * 64})
                if "signature" not in told:
                    forged = json.dumps(told | {"seq": told["seq"] + 1})
                await self.publish(bus, topic, forged.encode(), retain=retain)

    async def spy(self, until: set[str]) -> None:
        """An observer hears everything that is said, of every kind once, until it knows these kinds."""
        async with connect(self.site.url, "observer") as bus:
            await bus.subscribe(f"{TOPICS.root}/#")
            async for received in bus.messages():
                declared = TOPICS.declared(received.topic)
                assert declared is not None
                if declared[0].tag in ("alive", "repeat"):
                    continue  # Whether and when they come is chance.
                self.seen.setdefault(declared[0].tag, (received.topic, received.payload))
                if until <= self.seen.keys():
                    return

    async def cannot_connect(self, what: str, url: str) -> None:
        with pytest.raises((BrokerUnreachable, CredentialsError)) as caught:
            async with connect(url, "stranger", identity="clock", first_patience_s=0.0):
                pass
        assert "\n" not in str(caught.value)
        self.connections[what] = str(caught.value)

    async def listen(self, party: str, *filters: str) -> None:
        """Subscribe and hear what comes, until cancelled."""
        heard = self.heard.setdefault(party, [])
        async with connect(self.site.url, f"ears-{party}", identity=party) as bus:
            await bus.subscribe(*filters)
            async for received in bus.messages():
                heard.append(received.topic)


@pytest.fixture(scope="module")
def intruded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intruded")
    intruders: list[Intruder] = []

    async def intrude(site: Site) -> None:
        intruder = Intruder(site)
        intruders.append(intruder)
        mine = site.prosumers[0]
        listening = [
            asyncio.create_task(intruder.listen(party, f"{TOPICS.root}/#", "sharegrid/claims/v1/#", "$SYS/#"))
            for party in (mine, "device-pi", "feeder")
        ]
        await intruder.spy(until=KINDS)
        for party in ("observer", mine, "device-pi"):
            await intruder.forge(party)
        await intruder.forge(site.prosumers[1], retain=True)
        await insiders(intruder, mine, site.prosumers[1])
        intruder.was_late = site.is_over.is_set()
        await strangers(intruder)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)

    site = asyncio.run(secured_run(folder, intrude, intervals=INTERVALS))
    clean = asyncio.run(play(tmp_path_factory.mktemp("clean"), intervals=INTERVALS))
    return site, intruders[0], clean


async def strangers(intruder: Intruder) -> None:
    """Connections of those who have no certificate of ours, or one that must not do."""
    site, folder = intruder.site, intruder.site.folder / "strangers"
    folder.mkdir()
    trusted = (site.clients / "ca.crt").read_bytes()
    other = Authority.create()
    foreign = Authority(other.certificate, other.key)
    plain = f"mqtt://127.0.0.1:{site.port}"
    bare = folder / "bare"
    bare.mkdir()
    shutil.copy(site.clients / "ca.crt", bare)
    forged = certified(folder / "foreign", "clock", foreign, trusted)
    ended = certified(folder / "ended", "clock", site.authority, trusted, days=0)
    await asyncio.sleep(1.1)
    mistrusting = certified(folder / "mistrusting", "clock", site.authority, other.certificate)
    attempts = {
        "unencrypted": plain,
        "a password": plain.replace("//", "//clock:guess@"),
        "no certificate": site.url_of(bare).replace("//", "//clock:guess@"),
        "another authority": site.url_of(forged),
        "an ended certificate": site.url_of(ended),
        "a broker of another authority": site.url_of(mistrusting),
        "a broker of another name": site.url.replace("127.0.0.1", "localhost"),
    }
    await asyncio.gather(*(intruder.cannot_connect(*attempt) for attempt in attempts.items()))
    await vanish(site.url, "observer", offline_will(RUN, "feeder"))
    old = tls_context(site.clients, "clock")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client("127.0.0.1", site.port, tls_context=old, timeout=3.0):
            pass
    unknown = certified(folder / "unknown", "mallory", site.authority, trusted)
    with suppress(BrokerError):
        async with connect(site.url_of(unknown), "mallory") as bus:
            await intruder.publish(bus, TOPICS.step, b"{}")


async def vanish(url: str, party: str, will: Will) -> None:
    """Connect with a last will and go without a goodbye, so that the broker should publish it."""
    async with connect(url, "vanishing", will, identity=party) as bus:
        assert bus._link is not None
        bus._link._client._client._sock.shutdown(socket.SHUT_RDWR)
        await asyncio.sleep(0.3)


async def insiders(intruder: Intruder, mine: str, other: str) -> None:
    """What parties of the run must not do beyond their own part."""
    site = intruder.site
    lam = "homes"
    forbidden = {
        mine: [
            TOPICS.bid(lam, other),
            TOPICS.set_point(mine),
            TOPICS.set_point(other),
            TOPICS.award(lam, mine),
            TOPICS.telemetry("meter", other),
            TOPICS.acknowledgement(other),
            TOPICS.stop("operator-1"),
            TOPICS.stop(mine),
            TOPICS.rejected(mine),
            TOPICS.availability("gateway-0"),
            "sharegrid/v1/other/clock/step",
            "sharegrid/v1/devices/pi/set",
            "homeassistant/status",
        ],
        "device-pi": [
            "sharegrid/v1/devices/other/meas",
            "sharegrid/v1/devices/other/availability",
            "sharegrid/v1/devices/pi/set",
            discovery_topic("other"),
            TOPICS.telemetry("meter", mine),
        ],
        "operator": [TOPICS.step, TOPICS.set_point(mine), TOPICS.wam_outcome, TOPICS.availability("clock")],
        "recorder": [
            TOPICS.step,
            TOPICS.done("wam"),
            TOPICS.set_point(mine),
            topic_of(of_run(RUN)),
        ],
        "live-0": [
            topic_of(of_role(RUN, "population-0", "market")),
            topic_of(of_role(RUN, "gateway-0", "devices")),
            topic_of(of_role(RUN, "feeder", "feeder")),
            topic_of(of_device("127.0.0.1:502:1")),
        ],
        "feeder": [TOPICS.wam_outcome, TOPICS.set_point(mine), TOPICS.stop("feeder"), TOPICS.audit],
        "wam": [TOPICS.feeder_reply, TOPICS.set_point(mine), TOPICS.lam_outcome("lams-0"), TOPICS.step],
        "gateway-0": [
            TOPICS.set_point(mine),
            TOPICS.award(lam, mine),
            TOPICS.stop("clock"),
            TOPICS.step,
            topic_of(of_run(RUN)),
        ],
        "population-0": [TOPICS.bid(lam, mine), TOPICS.metered("population-1"), TOPICS.set_point(mine)],
    }
    for party, topics in forbidden.items():
        async with connect(site.url, f"insider-{party}", identity=party) as bus:
            for topic in topics:
                await intruder.publish(bus, topic, b"{}")


def test_at_least_45_forbidden_actions_are_each_refused_and_logged(intruded):
    site, intruder, _ = intruded
    assert len(intruder.published) + len(intruder.connections) >= 45
    log = site.log
    missed = [
        (client, topic)
        for client, topic in intruder.published
        if not any(
            "Denied PUBLISH" in line and client in line and f"'{topic}'" in line for line in log.splitlines()
        )
    ]
    assert missed == []


def test_intruders_spoke_while_the_run_went_on(intruded):
    _, intruder, _ = intruded
    assert not intruder.was_late
    assert KINDS <= set(intruder.seen) <= set(DECLARED)


def test_strangers_are_told_in_one_line_and_the_broker_logs_them(intruded):
    site, intruder, _ = intruded
    assert len(intruder.connections) == 7
    told = " ".join(intruder.connections.values())
    assert "see that it speaks TLS and knows this certificate" in told
    assert "certificate is not to be trusted: self-signed certificate in certificate chain; take" in told
    assert "Hostname mismatch, certificate is not valid for 'localhost'; take" in told
    assert "New client connected from 127.0.0.1" in site.log
    for reason in (
        "wrong version number",
        "peer did not return a certificate",
        "certificate verify failed",
        "unknown ca",
        "unsupported protocol",
    ):
        assert reason in site.log


def test_nobody_hears_what_is_not_for_him(intruded):
    site, intruder, _ = intruded
    mine = site.prosumers[0]
    for topic in intruder.heard[mine]:
        assert topic == TOPICS.step or "lam-price" in topic or topic.endswith(f"/{mine}"), topic
    assert any(topic == TOPICS.set_point(mine) for topic in intruder.heard[mine])
    assert intruder.heard["device-pi"] == []
    assert not any("/bid/" in topic or "/set/" in topic for topic in intruder.heard["feeder"])


def test_none_has_an_effect(intruded):
    site, _, clean = intruded
    assert site.entries == clean.entries
    assert site.flags == []


async def command(site: Site) -> None:
    """Forge set-points and stops: unsigned, signed by guess, of another interval, of another device."""
    mine, other = site.prosumers[:2]
    async with connect(site.url, "observer") as bus:
        await bus.subscribe(TOPICS.set_point("+"))
        before: dict[str, dict] = {}
        async for received in bus.messages():
            told = json.loads(received.payload)
            forged = [told | {"seq": told["seq"] + 1, "signature": ""}]
            forged.append(told | {"seq": told["seq"] + 1, "signature": "0" * 64})
            if received.topic in before:
                forged.append(before[received.topic] | {"seq": told["seq"] + 1, "tick": told["tick"]})
            before[received.topic] = told
            for each in forged:
                await bus.publish(received.topic, json.dumps(each).encode())
            if received.topic == TOPICS.set_point(other):
                await bus.publish(TOPICS.set_point(mine), received.payload)
            stop = Stop(run=RUN, tick=-1, sender="observer", seq=0, reason="forged", signature="0" * 64)
            await bus.publish(TOPICS.stop("observer"), encode(stop), retain=True)
            if told["tick"] == 3 and len(before) == len(site.prosumers):
                return


def test_a_broker_that_lets_everything_through_moves_no_hardware(tmp_path):
    site = asyncio.run(secured_run(tmp_path / "open", command, intervals=5, is_open=True))
    clean = asyncio.run(play(tmp_path / "clean", intervals=5))
    assert site.entries == clean.entries
    refused = [flag for flag in site.flags if "its signature is not that of who may command" in flag]
    assert len(refused) >= 5
    assert not any("emergency stop" in flag for flag in site.flags)
