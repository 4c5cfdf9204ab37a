import pytest

from broker.door.bounds import LARGEST_BYTES, Bounds
from tests.broker.door.parties import BOUNDS, TOPICS


def writers(topic, bounds=BOUNDS):
    return bounds.writers(*TOPICS.declared(topic))


@pytest.mark.parametrize(
    ("topic", "who"),
    [
        (TOPICS.step, {"clock"}),
        (TOPICS.done("wam"), {"wam"}),
        (TOPICS.availability("feeder"), {"feeder"}),
        (TOPICS.telemetry("meter", "p0"), {"gateway"}),
        (TOPICS.bid("A", "p0"), {"live"}),
        (TOPICS.bid_batch("people"), {"people"}),
        (TOPICS.lam_bid("B"), {"south"}),
        (TOPICS.award("A", "p0"), {"north"}),
        (TOPICS.award_batch("south", "people"), {"south"}),
        (TOPICS.round_bid_batch("south", "people"), {"people"}),
        (TOPICS.feeder_state, {"feeder"}),
        (TOPICS.position("live"), {"live"}),
        (TOPICS.stop("anyone"), {"anyone"}),
    ],
)
def test_a_topic_belongs_to_the_party_that_the_roster_names(topic, who):
    assert writers(topic) == who


@pytest.mark.parametrize(
    "topic",
    [
        TOPICS.bid("B", "p0"),
        TOPICS.bid("A", "p1"),
        TOPICS.bid("A", "stranger"),
        TOPICS.lam_bid("C"),
        TOPICS.done("stranger"),
        TOPICS.availability("stranger"),
        TOPICS.metered("live"),
        TOPICS.truth("gateway"),
        TOPICS.round_bid_batch("nobody", "people"),
        TOPICS.lam_outcome("people"),
    ],
)
def test_a_topic_of_nobody_is_none_of_this_run(topic):
    with pytest.raises(ValueError, match=r"no|not"):
        writers(topic)


def test_without_a_roster_a_topic_still_names_its_writer_where_it_can():
    assert writers(TOPICS.done("wam"), Bounds()) == {"wam"}
    assert writers(TOPICS.step, Bounds()) is None
    assert writers(TOPICS.lam_bid("B"), Bounds()) is None


def test_sizes_grow_with_the_run_and_end_somewhere():
    small, batch, model = (BOUNDS.most_bytes(size) for size in ("small", "batch", "model"))
    assert small < batch < model <= LARGEST_BYTES
    huge = Bounds(prosumers=("p",) * 10**6, lams=("A",) * 1000, nodes=10**5, branches=10**5)
    assert huge.most_bytes("model") == LARGEST_BYTES
    assert BOUNDS.most_values("small") < BOUNDS.most_values("batch") < BOUNDS.most_values("model")


def test_a_range_holds_for_every_unit():
    assert BOUNDS.ranges["kw"] == (-100.0, 100.0)
    assert BOUNDS.ranges["kwh"] == (-25.0, 25.0)
    assert BOUNDS.ranges["net_kw"] == (-1000.0, 1000.0)
    assert BOUNDS.ranges["count"][0] == 0.0
