"""Claims over a real broker, to and from which messages are lost."""

import asyncio

import pytest

from broker.address import parse_address
from broker.claims import Claimed, claimed, of_role, topic_of
from broker.client.mqtt import connect
from broker.server.mosquitto import mosquitto
from tests.soak.lossy_broker import lossy_broker

pytestmark = pytest.mark.usefixtures("mosquitto_installed")
CLAIM = of_role("r1", "wam", "market")


async def hold(url, run, held, release):
    """Claim, and stand among those who ``held`` it, until ``release``."""
    try:
        async with claimed(url, run, CLAIM):
            held.append(run)
            await release.wait()
    except Claimed:
        return


async def test_a_claim_is_taken_and_seen_although_every_fifth_message_is_lost():
    async with mosquitto() as broker:
        port = parse_address(broker.url).port
        with lossy_broker(port, 0.2, seed=1) as (url, lossy):
            for turn in range(6):
                async with claimed(url, "first", CLAIM):
                    with pytest.raises(Claimed, match="run first"):
                        async with claimed(url, f"second-{turn}", CLAIM):
                            pass
            assert lossy.lost


async def test_of_those_who_claim_at_once_one_has_it():
    async with mosquitto() as broker:
        port = parse_address(broker.url).port
        with lossy_broker(port, 0.01, seed=2) as (url, _):
            for _ in range(5):
                held, release = [], asyncio.Event()
                tasks = {asyncio.create_task(hold(url, f"r{n}", held, release)) for n in range(4)}
                async with asyncio.timeout(20.0):
                    while len(tasks) > 1:
                        _, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    while not held:
                        await asyncio.wait(tasks, timeout=0.05)
                release.set()
                await asyncio.gather(*tasks)
                assert len(held) == 1


@pytest.mark.parametrize("garbage", [b'{"run":"\xff"}', b'{"more":' + b"[" * 100_000, b"[]", b"\x00"])
async def test_a_claim_stands_whatever_is_written_over_it(garbage):
    async with (
        mosquitto() as broker,
        claimed(broker.url, "first", CLAIM),
        connect(broker.url, "vandal") as bus,
    ):
        for _ in range(2):
            await bus.publish(topic_of(CLAIM), garbage, retain=True)
            await asyncio.sleep(0.3)
            with pytest.raises(Claimed, match="run first"):
                async with claimed(broker.url, "second", CLAIM):
                    pass


async def test_what_stands_in_a_claim_s_place_is_refused_in_words():
    async with mosquitto() as broker, connect(broker.url, "vandal") as bus:
        await bus.publish(topic_of(CLAIM), b'{"run":"\xff"}', retain=True)
        with pytest.raises(Claimed, match="clear the retained topic"):
            async with claimed(broker.url, "second", CLAIM):
                pass
