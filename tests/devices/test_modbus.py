from hypothesis import given
from hypothesis import strategies as st

from devices.modbus import Counts, merge_spans

SPANS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 60)).map(lambda s: (s[0], s[0] + s[1])), max_size=12
)


@given(SPANS, st.integers(1, 125), st.integers(0, 50))
def test_merged_reads_cover_everything_and_stay_short(spans, most, gap):
    merged = merge_spans(spans, most, gap)
    read = [register for first, last in merged for register in range(first, last)]
    assert len(read) == len(set(read))
    assert {register for first, last in spans for register in range(first, last)} <= set(read)
    assert all(0 < last - first <= most for first, last in merged)
    assert len(merged) <= sum(-(-(last - first) // most) + 1 for first, last in spans)


def test_near_spans_are_read_together_and_far_ones_are_not():
    assert merge_spans([(10, 12), (0, 2), (100, 101)], 125, 10) == [(0, 12), (100, 101)]


def test_counts_add_up():
    total = Counts(1, 2, {"DeviceTimeout": 1})
    total.add(Counts(3, 4, {"DeviceTimeout": 2, "DeviceBusy": 1}))
    assert total == Counts(4, 6, {"DeviceTimeout": 3, "DeviceBusy": 1})
