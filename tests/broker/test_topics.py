import pytest

from broker.messages import DECLARED
from broker.topics import Topics, topic_safe

TOPICS = Topics("r1")


@pytest.mark.parametrize("tag", DECLARED)
def test_every_message_has_a_topic_of_its_own_and_is_found_by_it(tag):
    made = getattr(TOPICS, DECLARED[tag].name)
    topic = made(*(f"some-{level}" for level in DECLARED[tag].levels))
    declaration, levels = TOPICS.declared(topic)
    assert declaration.tag == tag
    assert levels == {level: f"some-{level}" for level in declaration.levels}


@pytest.mark.parametrize("topic", ["sharegrid/v1/r1/nothing/here", "sharegrid/v1/r2/audit", "audit", ""])
def test_a_topic_that_carries_nothing_of_this_run_is_not_found(topic):
    assert TOPICS.declared(topic) is None


def test_a_topic_is_a_filter_until_its_levels_are_given():
    assert TOPICS.bid == "sharegrid/v1/r1/bid/+/+"
    assert TOPICS.bid("A", "+") == "sharegrid/v1/r1/bid/A/+"
    assert TOPICS.step == "sharegrid/v1/r1/clock/step"
    with pytest.raises(TypeError, match="2 levels"):
        TOPICS.bid("A")
    with pytest.raises(AttributeError, match="no message is called bits"):
        _ = TOPICS.bits


@pytest.mark.parametrize(("name", "safe"), [("p-1.a:b_C", True), ("a/b", False), ("+", False), ("", False)])
def test_a_level_holds_no_slash_wildcard_or_blank(name, safe):
    assert topic_safe(name) is safe
