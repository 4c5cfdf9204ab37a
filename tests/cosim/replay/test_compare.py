"""What two messages differ in, in words."""

import numpy as np
import pytest
from msgspec.structs import replace

from broker.messages import AwardBatch, Done, FeederReply, Traffic, columns
from broker.snapshot import pack
from cosim.replay.compare import first_difference

HEADER = {"run": "r", "tick": 3, "sender": "s", "seq": 0}
BATCH = AwardBatch(
    **HEADER,
    prosumer=columns.pack_index([4, 5, 6]),
    trade_kw=columns.pack([1.0, 2.0, 3.0]),
    price=columns.pack([0.1, 0.2, 0.3]),
)
REPLY = FeederReply(
    **HEADER,
    round=1,
    solved=True,
    confirmed=False,
    source_kw=12.5,
    linear_error_pu=None,
    severity=None,
    violations=["a", "b"],
    model=None,
    seconds=0.25,
)
DONE = Done(**HEADER, step="settle", snapshot=pack({"price": np.array([1.0, 2.0]), "count": 2}))


@pytest.mark.parametrize(
    ("here", "changes", "says"),
    [
        (BATCH, {"price": columns.pack([0.1, 0.2, 0.30000000000000004])},
         "price[2] is 0.3 here, 0.30000000000000004 in the record"),
        (BATCH, {"price": columns.pack([0.1, 0.2])}, "price has 3 values here, 2 in the record"),
        (BATCH, {"prosumer": columns.pack_index([4, 7, 6])}, "prosumer[1] is 5 here, 7 in the record"),
        (BATCH, {"tick": 4}, "tick is 3 here, 4 in the record"),
        (REPLY, {"violations": ["a", "c"]}, "violations[1] is 'b' here, 'c' in the record"),
        (REPLY, {"violations": ["a"]}, "violations has 2 items here, 1 in the record"),
        (REPLY, {"source_kw": None}, "source_kw is 12.5 here, None in the record"),
        (DONE, {"snapshot": pack({"price": np.array([1.0, 2.5]), "count": 2})},
         "snapshot.price[1] is 2.0 here, 2.5 in the record"),
        (DONE, {"snapshot": pack({"price": np.array([1.0, 2.0])})}, "snapshot.count is only here"),
    ],
)  # fmt: skip
def test_the_first_field_that_differs_is_named_with_both_values(here, changes, says):
    assert first_difference(here, replace(here, **changes)) == says


@pytest.mark.parametrize(
    ("here", "changes"),
    [
        (BATCH, {"seq": 17, "epoch": 2}),
        (REPLY, {"seconds": 9.0}),
        (DONE, {"flags": ["late"], "traffic": Traffic(sent=3)}),
    ],
)
def test_what_no_two_runs_have_in_common_is_left_out(here, changes):
    assert first_difference(here, replace(here, **changes)) == ""


def test_zeros_of_both_signs_differ_in_a_column():
    one, two = (replace(BATCH, price=columns.pack([0.1, zero, 0.3])) for zero in (0.0, -0.0))
    assert first_difference(one, two) == "price[1] is 0.0 here, -0.0 in the record"


def test_another_kind_of_message_differs():
    assert first_difference(BATCH, REPLY) == "a AwardBatch here, a FeederReply in the record"
