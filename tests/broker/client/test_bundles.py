import tracemalloc
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.client import bundles
from broker.client.bundles import bundled, unbundled
from broker.topics import topic_safe

NAMES = st.text("abcXYZ.:-_0123456789é", min_size=1, max_size=8)
MESSAGES = st.lists(
    st.tuples(st.builds("{}/{}".format, st.sampled_from(["r/bid/l1", "r/bid/l2"]), NAMES), st.binary())
)


def by_head(messages):
    found = defaultdict(list)
    for topic, payload in messages:
        found[topic.rpartition("/")[0]].append((topic, payload))
    return found


@given(MESSAGES)
def test_what_is_bundled_comes_out_on_its_topics_in_its_order(messages):
    packets = list(bundled(messages))
    assert {topic for topic, _ in packets} <= {"r/bid/l1/~", "r/bid/l2/~"}
    out = [each for topic, payload in packets for each in unbundled(topic, payload)]
    assert by_head(out) == by_head(messages)


def test_a_bundle_ends_where_a_packet_grows_large(monkeypatch):
    monkeypatch.setattr(bundles, "BUNDLE_BYTES", 150)
    messages = [(f"r/ack/p{k}", bytes(40)) for k in range(7)]
    packets = list(bundled(messages))
    assert [len(list(unbundled(*packet))) for packet in packets] == [3, 3, 1]
    assert all(len(payload) <= 8 + 150 for _, payload in packets)


def test_a_message_too_large_for_a_bundle_goes_by_itself_in_its_place(monkeypatch):
    monkeypatch.setattr(bundles, "BUNDLE_BYTES", 150)
    messages = [(f"r/ack/p{k}", bytes([k]) * size) for k, size in enumerate([40, 40, 142, 143, 500, 40])]
    packets = list(bundled(messages))
    assert [topic for topic, _ in packets] == [f"r/ack/{name}" for name in ("~", "~", "p3", "p4", "~")]
    assert [each for packet in packets for each in unbundled(*packet)] == messages


def test_a_bundle_of_millions_takes_no_memory():
    body = bundles._MARK + bundles._LENGTHS.pack(1, 0) * 2_000_000
    tracemalloc.start()
    assert list(unbundled("r/ack/~", body)) == [("r/ack/~", body)]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**20


def test_no_name_can_stand_for_a_bundle():
    assert not topic_safe(bundles.LEVEL)


@given(st.data())
def test_what_is_no_whole_bundle_is_handed_on_as_it_is(data):
    ((topic, payload),) = bundled([("r/set/p1", b"one"), ("r/set/p2", b"two")])
    cut = data.draw(st.integers(1, len(payload) - 1))
    # Behind a whole message a bundle may end.
    if cut not in (8, 8 + 6 + 2 + 3):
        assert list(unbundled(topic, payload[:cut])) == [(topic, payload[:cut])]


@pytest.mark.parametrize("name", [b"p1/x", b"", b"\xff"])
def test_a_bundle_speaks_for_no_topics_but_those_beside_its_own(name):
    ((topic, payload),) = bundled([("r/set/pp", b"one")])
    forged = payload[:8] + len(name).to_bytes(2, "big") + payload[10:14] + name + b"one"
    assert list(unbundled(topic, forged)) == [(topic, forged)]
    assert list(unbundled("r/set/p1", payload)) == [("r/set/p1", payload)]
