"""What replies hold: decoded in one go where all points are plain floats, and the same as one by one."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from devices.registers.plan import Field, Place, Plan, Request
from devices.registers.points import Point, decode_bytes
from devices.registers.quantities import Term, first_values, single_points

PLACES = st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True)


def plan_of(places, requests=2, **point):
    fields = tuple(
        Field(
            f"p{k}",
            Place(2 * at, Point(at=2 * at, type="float32", **point), None),
            k % requests,
            4 * at,
            4 * at + 4,
        )
        for k, at in enumerate(places)
    )
    return Plan(tuple(Request(4, 0, 62) for _ in range(requests)), (), fields)


@given(places=PLACES, data=st.binary(min_size=248, max_size=248), scale=st.sampled_from([1.0, 0.001]))
def test_floats_in_one_go_are_those_one_by_one(places, data, scale):
    plan = plan_of(places, scale=scale)
    replies = data[:124], data[124:]
    assert plan.decode(replies, {}) == {
        field.name: decode_bytes(field.place.point, replies[field.request][field.begin : field.end])
        for field in plan.fields
    }


def test_what_is_no_number_is_not_told():
    reply = struct.pack(">fff", 1.5, float("nan"), float("inf"))
    assert plan_of([0, 1, 2], requests=1).decode([reply], {}) == {"p0": 1.5, "p1": None, "p2": None}


def test_two_points_at_one_place_are_both_told():
    plan = plan_of([0, 1], requests=1)
    both = Plan(plan.requests, (), (*plan.fields, plan.fields[1]))
    twice = Plan(plan.requests, (), (plan.fields[0], Field("again", *_rest(plan.fields[0])), plan.fields[1]))
    reply = struct.pack(">ff", 1.5, 2.5)
    assert both.decode([reply], {}) == {"p0": 1.5, "p1": 2.5}
    assert twice.decode([reply], {}) == {"p0": 1.5, "again": 1.5, "p1": 2.5}


def _rest(field):
    return field.place, field.request, field.begin, field.end


@given(st.floats(allow_nan=False), st.sampled_from([1.0, 0.001, 1e-6]), st.sampled_from([1, -1]))
def test_quantities_of_one_point_each_are_what_the_first_terms_tell(value, factor, sign):
    terms = (Term("p_kw", (("w", sign),), factor), Term("q_kvar", (("var", 1),), factor))
    single = single_points(terms)
    read = {"w": value, "var": None}
    found = {quantity: by * read[name] for quantity, name, by in single if read[name] is not None}
    assert found == {term.quantity: told for term, told in first_values(terms, read)}


def test_sums_and_choices_are_no_single_points():
    assert single_points((Term("p_kw", (("a", 1), ("b", 1)), 1.0),)) is None
    assert single_points((Term("p_kw", (("a", 1),), 1.0), Term("p_kw", (("b", 1),), 1.0))) is None
