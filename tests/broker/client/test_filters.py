import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.client.filters import matches

LEVELS = st.lists(st.text("abc", max_size=3), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("run/7/bid", "run/7/bid", True),
        ("run/7/bid", "run/7", False),
        ("run/+/bid", "run/7/bid", True),
        ("run/+", "run/7/bid", False),
        ("+/+", "/7", True),
        ("+", "/7", False),
        ("run/#", "run", True),
        ("run/#", "run/7/bid", True),
        ("run/#", "runs/7", False),
        ("#", "run/7", True),
        ("#", "$SYS/load", False),
        ("+/load", "$SYS/load", False),
        ("$SYS/#", "$SYS/load", True),
        ("run/+/#", "run", False),
    ],
)
def test_as_the_standard_says(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


@given(LEVELS, st.data())
def test_a_wildcard_for_any_level_still_matches(levels: list[str], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(levels) - 1))
    assert matches("/".join([*levels[:position], "+", *levels[position + 1 :]]), "/".join(levels))
    assert matches("/".join([*levels[:position], "#"]), "/".join(levels))


@given(LEVELS, LEVELS)
def test_without_wildcards_only_the_same_topic_matches(one: list[str], other: list[str]) -> None:
    assert matches("/".join(one), "/".join(other)) == (one == other)
