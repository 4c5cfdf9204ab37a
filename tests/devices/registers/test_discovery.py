"""Chains of models as devices in the field show them."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import (
    DeviceBusy,
    DeviceError,
    DeviceFailure,
    DeviceTimeout,
    GatewayNoResponse,
    IllegalAddress,
    IllegalFunction,
    IllegalValue,
    MalformedReply,
    NotSunSpec,
)
from devices.registers.chain import Span
from devices.registers.discovery import Chains, Search, discover
from devices.registers.sunspec import BASES, END, MARKER


def words_of(*models, end=(END, 0)):
    words = list(MARKER)
    for model_id, length in models:
        words += [model_id, length] + [0] * length
    return [*words, *end]


def device(base, *models, end=(END, 0), outside=IllegalAddress):
    """Reader of a device whose chain has models of the given (id, length) at ``base``.

    ``outside`` is what it answers where it has nothing: an error, or a word.
    """
    cells = words_of(*models, end=end)

    async def read(address, count):
        start = address - base
        if start < 0 or start + count > len(cells):
            if isinstance(outside, int):
                found = dict(enumerate(cells))
                return [found.get(start + k, outside) for k in range(count)]
            raise outside("nothing there")
        return cells[start : start + count]

    return read


REFUSALS = [
    IllegalFunction,
    IllegalAddress,
    IllegalValue,
    DeviceFailure,
    DeviceTimeout,
    GatewayNoResponse,
    MalformedReply,
]


@pytest.mark.parametrize(
    ("base", "outside"),
    [
        *((base, outside) for base in BASES for outside in (*REFUSALS, 0, END, 17)),
        # Beside a base a marker shows only where the base itself is answered.
        *((base, outside) for base in (40001, 39999, 1, 50001) for outside in (0, END, 17)),
    ],
)
async def test_a_chain_is_found_whatever_the_device_answers_elsewhere(base, outside):
    chain = await discover(device(base, (1, 66), (103, 50), outside=outside), "it")
    assert chain == ((1, Span(base + 2, 66)), (103, Span(base + 70, 50)))


async def test_a_shorter_common_model_shifts_what_follows():
    chain = await discover(device(40000, (1, 65), (64999, 7), (123, 24)), "it")
    assert dict(chain)[123] == Span(40002 + 67 + 9, 24)


@pytest.mark.parametrize("outside", [IllegalAddress, IllegalValue, IllegalFunction, DeviceFailure, 0])
@pytest.mark.parametrize("end", [(), (0,), (0, 0), (END,)])
async def test_a_chain_may_end_with_zeros_or_an_exception(outside, end):
    chain = await discover(device(40000, (1, 66), (103, 50), (802, 62), end=end, outside=outside), "it")
    assert [model_id for model_id, _ in chain] == [1, 103, 802]


@pytest.mark.parametrize("trouble", [GatewayNoResponse, DeviceBusy, DeviceTimeout, MalformedReply])
@pytest.mark.parametrize("at", [40_070, 40_122])
async def test_trouble_of_a_moment_ends_no_chain(trouble, at):
    whole = device(40000, (1, 66), (103, 50), (123, 24))

    async def read(address, count):
        if address == at:
            raise trouble("not now")
        return await whole(address, count)

    with pytest.raises(trouble):
        await discover(read, "it")


async def test_all_models_of_a_kind_are_in_the_chain():
    chain = await discover(device(0, (1, 66), (203, 105), (1, 65), (203, 105)), "it")
    assert [span.address for model_id, span in chain if model_id == 203] == [70, 70 + 107 + 67]


@pytest.mark.parametrize("length", [15, 48, 51, 40_000])
@pytest.mark.parametrize("outside", [IllegalAddress, DeviceTimeout, 0, END, 4711])
async def test_a_wrong_length_is_named_with_model_and_place(length, outside):
    read = device(40000, (1, 66), (103, 50), (123, 24), outside=outside)

    async def lying(address, count):
        words = await read(address, count)
        return [length if address + k == 40071 else word for k, word in enumerate(words)]

    with pytest.raises(
        NotSunSpec, match=f"it: SunSpec model 103 at register 40070 says that it is {length} "
    ):
        await discover(lying, "it")


async def test_a_longer_model_than_defined_is_believed_where_another_one_follows():
    chain = await discover(device(40000, (1, 66), (123, 30), (124, 24)), "it")
    assert dict(chain)[124] == Span(40070 + 32, 24)
    assert dict(await discover(device(40000, (1, 66), (123, 30)), "it"))[123] == Span(40070, 30)


@pytest.mark.parametrize(
    ("read", "complaint"),
    [
        (device(30000, (1, 66)), r"no SunSpec marker at 40000 \(IllegalAddress\), 0 .*, 50000"),
        (device(30000, (1, 66), outside=7), r"no SunSpec marker at 40000 \(other data\)"),
        (device(40000, *[(64001, 1)] * 200), "without an end"),
        (device(40000, end=(0, 0)), "no model behind it"),
        (device(40000, end=(4711, 0)), "register 40002 behind the SunSpec marker holds 4711"),
    ],
    ids=["no marker", "other data", "no end", "no model", "nonsense"],
)
async def test_what_is_not_sunspec_is_named(read, complaint):
    with pytest.raises(NotSunSpec, match=f"unit 3 at host:502.*{complaint}"):
        await discover(read, "unit 3 at host:502")


def counted(read):
    """Reader that notes its requests."""
    asked = []

    async def count(address, number):
        asked.append((address, number))
        return await read(address, number)

    return count, asked


@pytest.mark.parametrize("silence", [DeviceTimeout, GatewayNoResponse])
async def test_a_device_that_is_off_costs_one_time_out_after_the_first_contact(silence):
    async def nobody(address, count):
        raise silence("no answer")

    search = Search()
    read, asked = counted(nobody)
    for _ in range(5):
        with pytest.raises(silence):
            await discover(read, "it", search)
    assert [address for address, _ in asked] == [*BASES, *BASES, BASES[0]]
    assert await discover(device(50000, (1, 66)), "it", search) == ((1, Span(50002, 66)),)


async def test_a_chain_like_another_one_is_known_from_few_requests():
    chains = Chains()
    first, asked_first = counted(device(40000, (1, 66), (103, 50), (120, 26), (123, 24)))
    second, asked_second = counted(device(40000, (1, 66), (103, 50), (120, 26), (123, 24)))
    found = await chains.find("pv", first, "it")
    assert await chains.find("pv", second, "it") == found
    assert (len(asked_first), len(asked_second)) == (6, 2)
    assert found == await discover(second, "it")


@pytest.mark.parametrize(
    "other",
    [
        device(40000, (1, 65), (103, 50), (123, 24)),
        device(40000, (1, 66), (103, 50)),
        device(40000, (1, 66), (103, 50), (123, 24), (124, 24)),
        device(40000, (1, 66), (113, 60), (123, 24)),
        device(0, (1, 66), (103, 50), (123, 24)),
        device(50000, (1, 66), (103, 50), (123, 24), outside=DeviceTimeout),
        device(50000, (1, 66), (103, 50), (123, 24), outside=IllegalValue),
        device(40000, (1, 66), (103, 50), (123, 24), end=(), outside=DeviceFailure),
    ],
    ids=[
        "shorter common",
        "shorter",
        "longer",
        "another model",
        "another base",
        "silent",
        "refuses",
        "no end",
    ],
)
async def test_a_chain_unlike_those_known_is_walked(other):
    chains = Chains()
    await chains.find("pv", device(40000, (1, 66), (103, 50), (123, 24)), "it")
    assert await chains.find("pv", other, "it") == await discover(other, "it")


words = st.sampled_from([0, 1, 2, 50, 65, 66, 103, 105, 160, 203, 4711, 64001, 0x5375, 0x6E53, 0x8000, END])


@given(
    tail=st.lists(words, max_size=80),
    length=st.sampled_from([0, 1, 65, 66, 67, 1000, 65_000]),
    outside=st.sampled_from([IllegalAddress, DeviceFailure, DeviceTimeout, 0, END, 103]),
)
@settings(max_examples=300, deadline=None)
def test_whatever_a_device_shows_the_search_ends(tail, length, outside):
    cells = [*MARKER, 1, length, *tail]
    asked = []

    async def read(address, count):
        asked.append(address)
        found = cells[max(0, address - 40_000) : max(0, address - 40_000 + count)]
        if len(found) == count and address >= 40_000:
            return found
        if isinstance(outside, int):
            return [outside] * count
        raise outside("nothing there")

    try:
        chain = asyncio.run(discover(read, "it"))
    except DeviceError:
        pass
    else:
        assert chain
        assert all(span.address + span.length < 70_000 for _, span in chain)
    assert len(asked) < 400
