"""Every service may say and hear what it says and hears in a run, and nobody else may."""

import asyncio
from collections import defaultdict

import numpy as np
import pytest

from broker.claims import of_device, of_role, of_run, topic_of
from broker.client.filters import matches
from broker.door.bounds import Bounds
from broker.errors import CredentialsError
from broker.home_assistant import discovery_topic
from broker.security.grants import OBSERVER, OPERATOR, grants
from broker.topics import Topics
from cosim.security.parties import groups
from cosim.world.bounds import bounds_of
from cosim.world.names import ROLES
from tests.broker.door.hostile_run import RUN, play

TOPICS = Topics(RUN)


def allowed(granted, access, topic):
    return any(access in each.access and matches(each.topic, topic) for each in granted)


def small_bounds():
    return Bounds(
        services={
            "clock": frozenset({"clock"}),
            "live host": frozenset({"live-0"}),
            "LAM host": frozenset({"lams-0", "lams-1"}),
            "gateway": frozenset({"gateway"}),
        },
        prosumers=("a", "b", "c"),
        lams=("north", "south"),
        lam=np.array([0, 0, 1]),
        live=frozenset({"a", "c"}),
        operated={"lams-0": np.array([0]), "lams-1": np.array([1])},
    )


@pytest.fixture(scope="module", params=["curve", "slope"])
def played(request, tmp_path_factory):
    """Topics on which each service published, filters to which it subscribed, and the grants of all."""
    said, heard = defaultdict(set), {}
    worlds = []
    thrown = asyncio.run(
        play(tmp_path_factory.mktemp("grants"), bidding=request.param, intervals=1, on_world=worlds.append)
    )
    for name, node in thrown.nodes.items():
        said[name] = set(node._next_seq)
        heard[name] = set(node._handlers.subscriptions)
    return said, heard, worlds[0]


def test_services_may_say_and_hear_what_they_say_and_hear(played):
    said, heard, world = played
    granted = grants(bounds_of(world), RUN)
    for name, topics in said.items():
        assert [topic for topic in topics if not allowed(granted[name], "write", topic)] == [], name
    for name, filters in heard.items():
        assert [each for each in filters if not allowed(granted[name], "read", each)] == [], name
    assert said["wam"]
    assert heard["wam"]


def test_nobody_may_say_what_another_service_says(played):
    said, _, world = played
    granted = grants(bounds_of(world), RUN)
    for name, topics in said.items():
        others = [each for each in said if each != name]
        for topic in topics:
            assert [each for each in others if allowed(granted[each], "write", topic)] == [], topic
            assert not allowed(granted[OBSERVER], "write", topic)
            assert not allowed(granted[OPERATOR], "write", topic)
            assert allowed(granted[OBSERVER], "read", topic)


def test_every_service_has_a_folder_of_credentials(played):
    _, _, world = played
    folders = groups(world, ("pi",))
    assert {name for group in folders.values() for name in group.parties} == set(
        grants(bounds_of(world), RUN, ["pi"])
    )
    assert folders["control"].parties == ["clock", "recorder", "operator", "observer"]
    assert not folders["observer"].commands
    assert not folders["feeder"].commands
    assert folders["devices"].commands


def test_nobody_may_write_a_claim_of_another():
    granted = grants(small_bounds(), RUN, ["pi"])
    claims = {
        name: [of_role(RUN, name, role) for role in ("market", "lam", "devices")]
        for name in ("live-0", "lams-0", "lams-1", "gateway")
    }
    claims["clock"], claims["gateway"] = [of_run(RUN)], [*claims["gateway"], of_device("10.0.0.7:502:1")]
    for name, of_name in claims.items():
        for topic in map(topic_of, of_name):
            # Beside it whoever claims listens to itself.
            for each in (topic, f"{topic}/0123456789abcdef"):
                may = {party for party in granted if allowed(granted[party], "write", each)}
                assert may == {name}, each
            assert allowed(granted[name], "read", topic)


def test_speakers_of_all_roles_may_claim_them(played):
    _, _, world = played
    granted = grants(bounds_of(world), RUN)
    speakers = world.speakers(ROLES)
    assert [role for role, _ in speakers] == list(ROLES)
    for role, name in speakers:
        assert allowed(granted[name], "write", topic_of(of_role(RUN, name, role)))


def test_a_prosumer_is_confined_to_its_own():
    granted = grants(small_bounds(), RUN)["a"]
    may_write = ["bid/north/a", "opening/north/a", "round-bid/north/a", "telemetry/meter/a", "ack/a"]
    must_not = ["bid/south/a", "bid/north/c", "set/a", "award/north/a", "telemetry/meter/c", "stop/a"]
    for topic in may_write:
        assert allowed(granted, "write", f"{TOPICS.root}/{topic}"), topic
    for topic in must_not:
        assert not allowed(granted, "write", f"{TOPICS.root}/{topic}"), topic
    for topic in ("award/north/a", "set/a", "lam-price/lams-0", "clock/step"):
        assert allowed(granted, "read", f"{TOPICS.root}/{topic}"), topic
    for topic in ("award/north/b", "set/c", "lam-price/lams-1", "wam/outcome", "bid/north/b"):
        assert not allowed(granted, "read", f"{TOPICS.root}/{topic}"), topic
    assert not any(allowed(granted, access, "sharegrid/v1/other/set/a") for access in ("read", "write"))


def test_hosts_of_some_lams_are_confined_to_these():
    granted = grants(small_bounds())["lams-0"]
    assert allowed(granted, "write", "sharegrid/v1/any/lam-bid/north")
    assert not allowed(granted, "write", "sharegrid/v1/any/lam-bid/south")
    assert allowed(granted, "read", "sharegrid/v1/any/bid/north/a")
    assert not allowed(granted, "read", "sharegrid/v1/any/bid/south/c")
    assert not allowed(granted, "write", "sharegrid/v1/any/award/south/c")


def test_a_gateway_hears_and_sets_devices_and_speaks_for_none():
    granted = grants(Bounds(services={"gateway": frozenset({"gateway"})}))["gateway"]
    assert allowed(granted, "read", "sharegrid/v1/devices/pi/meas")
    assert allowed(granted, "read", "sharegrid/v1/devices/pi/ack")
    assert allowed(granted, "write", "sharegrid/v1/devices/pi/set")
    assert not allowed(granted, "write", "sharegrid/v1/devices/pi/meas")


def test_a_device_has_its_own_topics():
    granted = grants(small_bounds(), devices=["pi"])["device-pi"]
    assert allowed(granted, "write", "sharegrid/v1/devices/pi/meas")
    assert allowed(granted, "read", "sharegrid/v1/devices/pi/set")
    assert not allowed(granted, "write", "sharegrid/v1/devices/pi/set")
    assert not allowed(granted, "write", "sharegrid/v1/devices/other/meas")
    assert allowed(granted, "write", discovery_topic("pi"))
    assert not allowed(granted, "write", discovery_topic("other"))


@pytest.mark.parametrize("name", ["operator", "lams-0", "observer"])
def test_a_prosumer_cannot_have_the_name_of_another_party(name):
    bounds = Bounds(
        services={"LAM host": frozenset({"lams-0"})},
        prosumers=(name,),
        lams=("north",),
        lam=np.array([0]),
        live=frozenset({name}),
    )
    with pytest.raises(CredentialsError, match=f"two parties are called {name}: rename"):
        grants(bounds)
