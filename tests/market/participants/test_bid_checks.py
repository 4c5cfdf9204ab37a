"""Whether a single bid is a curve: the quick check and the one that says what is wrong agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.messages import CurveBid
from market.model.curve_checks import find_faults
from market.participants.lam.bid_book import check_bid

NUMBERS = st.sampled_from([-9.0, -1.0, 0.0, 0.1, 0.2, 8.0, 9.0, float("nan"), float("inf"), -float("inf")])
VERTICES = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5)


def bid_of(price, kw):
    return CurveBid(run="r", tick=0, sender="live-0", seq=0, price=price, kw=kw, reactive_kvar=0.0)


@given(VERTICES, st.booleans(), st.sampled_from([8.0, float("inf")]))
def test_a_single_bid_is_taken_exactly_if_it_would_be_in_a_batch(vertices, tidy, rating_kw):
    price, kw = (list(column) for column in zip(*vertices, strict=True))
    if tidy:
        price, kw = sorted(price), sorted(kw, reverse=True)
    start = np.array([0, len(price)])
    valid = bool(find_faults(np.array(price), np.array(kw), start, np.array([rating_kw])).none[0])
    if valid:
        check_bid(bid_of(price, kw), rating_kw)
    else:
        with pytest.raises(ValueError, match=r"not finite|not monotone|beyond"):
            check_bid(bid_of(price, kw), rating_kw)


def test_a_bid_needs_as_many_prices_as_powers():
    for price, kw in (([], []), ([0.1, 0.2], [1.0])):
        with pytest.raises(ValueError, match="at least one"):
            check_bid(bid_of(price, kw), 8.0)
