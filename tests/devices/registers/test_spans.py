from hypothesis import given
from hypothesis import strategies as st

from devices.registers.spans import merge_spans

SPANS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 60)).map(lambda s: (s[0], s[0] + s[1])), max_size=12
)


@given(SPANS, st.integers(1, 125), st.integers(0, 50))
def test_merged_reads_cover_everything_and_stay_short(spans, most, gap):
    merged = merge_spans(spans, most, gap)
    assert all(any(begin <= first and last <= end for begin, end in merged) for first, last in spans)
    longest = max((last - first for first, last in spans), default=0)
    assert all(0 < last - first <= max(most, longest) for first, last in merged)
    assert len(merged) <= len(spans)


def test_near_spans_are_read_together_and_far_ones_are_not():
    assert merge_spans([(10, 12), (0, 2), (100, 101)], 125, 10) == [(0, 12), (100, 101)]
