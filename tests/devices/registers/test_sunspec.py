import pytest

from devices.errors import IllegalAddress, NotSunSpec
from devices.registers.sunspec import BASES, END, MARKER, Chains, Span, discover, sunspec_layout


def device(base, *models, end=(END, 0)):
    """Reader of a device whose chain has models of the given (id, length) at ``base``."""
    cells = list(MARKER)
    for model_id, length in models:
        cells += [model_id, length] + [0] * length
    cells += end

    async def read(address, count):
        start = address - base
        if start < 0 or start + count > len(cells):
            raise IllegalAddress("no such register")
        return cells[start : start + count]

    return read


@pytest.mark.parametrize("base", BASES)
async def test_chain_is_found_at_every_base(base):
    assert await discover(device(base, (1, 66), (103, 50)), "it") == {
        1: Span(base + 2, 66),
        103: Span(base + 70, 50),
    }


async def test_a_shorter_common_model_shifts_what_follows():
    chain = await discover(device(40000, (1, 65), (64999, 7), (123, 24)), "it")
    assert chain[123] == Span(40002 + 67 + 9, 24)


async def test_the_first_of_several_models_counts():
    chain = await discover(device(0, (1, 66), (203, 105), (203, 105)), "it")
    assert chain[203].address == 70


@pytest.mark.parametrize(
    "read",
    [device(30000, (1, 66)), device(40000, *[(1, 1)] * 200), device(40000, (1, 66), end=(7, 0xFFFF))],
    ids=["no marker", "no end", "off the map"],
)
async def test_what_is_not_sunspec_is_named(read):
    with pytest.raises(NotSunSpec, match="unit 3 at host:502"):
        await discover(read, "unit 3 at host:502")


def test_layout_places_models_one_after_another():
    layout = sunspec_layout((1, 103))
    assert layout.points["103.W"].at == 2 + 68 + 14
    assert layout.points["103.W"].sf == "103.W_SF"
    assert layout.fixed[2 + 68] == 103
    assert layout.fixed[2 + 68 + 52] == END
    assert layout.length == 2 + 68 + 52 + 2


def counted(read):
    """Reader that notes its requests."""
    asked = []

    async def count(address, number):
        asked.append((address, number))
        return await read(address, number)

    return count, asked


async def test_a_chain_like_another_one_is_known_from_few_requests():
    chains = Chains()
    first, asked_first = counted(device(40000, (1, 66), (103, 50), (120, 26), (123, 24)))
    second, asked_second = counted(device(40000, (1, 66), (103, 50), (120, 26), (123, 24)))
    found = await chains.find("pv", first, "it")
    assert await chains.find("pv", second, "it") == found
    assert dict(found) == await discover(second, "it")
    assert (len(asked_first), len(asked_second[:-6])) == (6, 2)


@pytest.mark.parametrize(
    "other",
    [
        device(40000, (1, 65), (103, 50), (123, 24)),
        device(40000, (1, 66), (103, 50)),
        device(40000, (1, 66), (103, 50), (123, 24), (124, 24)),
        device(40000, (1, 66), (113, 50), (123, 24)),
        device(0, (1, 66), (103, 50), (123, 24)),
    ],
    ids=["shorter common", "shorter chain", "longer chain", "another model", "another base"],
)
async def test_a_chain_unlike_those_known_is_walked(other):
    chains = Chains()
    await chains.find("pv", device(40000, (1, 66), (103, 50), (123, 24)), "it")
    assert dict(await chains.find("pv", other, "it")) == await discover(other, "it")
