"""What a gateway that is started again knows of hardware: writes of the day, and what is in force there."""

import asyncio
import json
import threading
import time
from contextlib import asynccontextmanager

import pytest

from devices.endpoint import LiveProsumer, tcp
from devices.errors import HardwareRecordError
from devices.gateway import hardware_record
from devices.gateway.attempt import failures
from devices.gateway.gateway import Gateway
from devices.gateway.hardware_record import HardwareRecord
from devices.limits import SetPointLimits
from tests.integration.plain_modbus import tcp_server
from tests.integration.sunspec_images import Inverter, address_of, pv_image
from tests.integration.test_modbus_field_cases import ENABLE, LIMIT, REVERT, ask

EDGE = (6000, 1)
NOT_IMPLEMENTED = 0xFFFF


def limits(**others):
    return SetPointLimits(real=True, min_kw=0.0, max_kw=3.0, safe_kw=0.5, **others)


def limit(device):
    return device.at(123, LIMIT), device.at(123, ENABLE)


def without_timer():
    image = pv_image(revert=NOT_IMPLEMENTED)
    at = address_of(image, 123, REVERT)
    return Inverter(image, lambda address, word: None if address == at else word)


@asynccontextmanager
async def lab(device, path, bounds):
    """Makes gateways to one inverter, each as after a restart: nothing is closed in order."""
    device.units[9] = {}
    made, flags = [], []
    async with tcp_server(device) as port:
        meter, pv = tcp("127.0.0.1", port, 9, "sdm630"), tcp("127.0.0.1", port, 1, "sunspec-pv")
        home = LiveProsumer(id="home", meter=meter, pv=pv, pv_limits=bounds)

        async def start():
            # One that is dead writes no more.
            for dead in made:
                await dead._record.written()
            made.append(Gateway([home], timeout_s=2.0, record=HardwareRecord(path, flags.append)))
            return made[-1]

        start.flags = flags
        try:
            yield start
        finally:
            for gateway in made:
                await gateway.close()


class Witness(Inverter):
    """Inverter that looks at the record on the disk whenever it is written to."""

    def __init__(self, path):
        super().__init__(pv_image())
        self.path, self.found = path, []

    def answer(self, unit, pdu):
        if pdu[0] == 16:
            self.found.append(next(iter(json.loads(self.path.read_bytes()).values())))
        return super().answer(unit, pdu)


async def test_a_write_is_on_the_disk_before_it_is_at_the_device(tmp_path):
    path = tmp_path / "new" / "hardware.json"
    device = Witness(path)
    async with lab(device, path, limits()) as start:
        gateway = await start()
        for power_kw in (1.0, 2.0):
            assert (await ask(gateway, power_kw, valid_s=900.0)).ok
    assert [kept["writes"] for kept in device.found] == [1, 2]
    assert all(kept["in_force"] for kept in device.found)
    assert 890.0 < device.found[0]["ends"] - time.time() <= 900.0


async def test_the_budget_of_the_day_outlives_the_gateway(tmp_path):
    device = Inverter(pv_image())
    async with lab(device, tmp_path / "hardware.json", limits(writes_per_day=3)) as start:
        for power_kw in (1.0, 2.0, 1.5):
            assert (await ask(await start(), power_kw, valid_s=900.0)).ok
        outcome = await ask(await start(), 1.0, valid_s=900.0)
        assert "has had 3 of 3 writes of the day: released" in outcome.detail
        # What an earlier gateway had set is in force no more.
        assert limit(device) == EDGE
        written = len(device.writes)
        await ask(await start(), 1.0, valid_s=900.0)
        assert len(device.writes) == written


async def test_a_day_that_is_over_when_the_gateway_starts_again_counts_no_more(tmp_path):
    device, path = Inverter(pv_image()), tmp_path / "hardware.json"
    async with lab(device, path, limits(writes_per_day=1)) as start:
        gateway = await start()
        assert (await ask(gateway, 1.0, valid_s=900.0)).ok
        await gateway.close()
        ((name, kept),) = json.loads(path.read_bytes()).items()
        path.write_text(json.dumps({name: kept | {"day_began": time.time() - 86_401.0}}))
        assert (await ask(await start(), 2.0, valid_s=900.0)).ok


async def test_the_pause_between_writes_outlives_the_gateway(tmp_path):
    device = Inverter(pv_image())
    async with lab(device, tmp_path / "hardware.json", limits(write_interval_s=1.0)) as start:
        assert (await ask(await start(), 1.0, valid_s=900.0)).ok
        began = time.monotonic()
        assert (await ask(await start(), 2.0, valid_s=900.0)).ok
        assert time.monotonic() - began > 0.8


async def test_a_set_point_that_an_earlier_gateway_set_ends_when_it_must(tmp_path):
    device = without_timer()
    async with lab(device, tmp_path / "hardware.json", limits()) as start:
        assert (await ask(await start(), 1.0, valid_s=2.5)).ok
        gateway = await start()
        assert failures(await gateway.tend()) == []
        assert limit(device) == (2000, 1)
        await asyncio.sleep(2.6)
        assert failures(await gateway.tend()) == []
        assert limit(device) == EDGE
        written = len(device.writes)
        await asyncio.sleep(1.1)
        assert failures(await (await start()).tend()) == []
        assert len(device.writes) == written


async def test_a_set_point_lasts_no_longer_where_the_clock_is_set_back_meanwhile(tmp_path):
    device, path = without_timer(), tmp_path / "hardware.json"
    async with lab(device, path, limits()) as start:
        gateway = await start()
        assert (await ask(gateway, 1.0, valid_s=2.0)).ok
        await gateway.close()
        ((name, kept),) = json.loads(path.read_bytes()).items()
        later = {key: kept[key] + 3600.0 for key in ("written", "ends")}
        path.write_text(json.dumps({name: kept | later}))
        again = await start()
        assert failures(await again.tend()) == []
        assert limit(device) == (2000, 1)
        await asyncio.sleep(2.1)
        assert failures(await again.tend()) == []
        assert limit(device) == EDGE


async def test_what_an_earlier_gateway_set_is_handed_back_at_the_end_of_the_run(tmp_path):
    device = without_timer()
    async with lab(device, tmp_path / "hardware.json", limits()) as start:
        assert (await ask(await start(), 1.0, valid_s=900.0)).ok
        assert await (await start()).hand_back() == []
        assert limit(device) == EDGE


async def test_a_release_that_must_be_kept_is_kept_by_the_next_gateway(tmp_path):
    image = pv_image()
    at = address_of(image, 123, REVERT)
    device = Inverter(image, lambda address, word: word or 60 if address == at else word)
    async with lab(device, tmp_path / "hardware.json", limits()) as start:
        gateway = await start()
        assert (await ask(gateway, 1.0, valid_s=1.1)).ok
        await asyncio.sleep(1.2)
        assert failures(await gateway.tend()) == []
        await gateway.close()
        # Its own timer frees the device while no gateway is there.
        device.put(123, ENABLE, 0)
        gateway = await start()
        await asyncio.sleep(1.1)
        assert failures(await gateway.tend()) == []
        assert limit(device) == EDGE
        (failed,) = await gateway.hand_back()
        assert "its own timer frees it in 60 s" in failed


async def test_a_record_that_cannot_be_read_is_refused(tmp_path):
    path = tmp_path / "hardware.json"
    path.write_text('{"unit 1')
    with pytest.raises(HardwareRecordError, match=r"hardware\.json: cannot be read .* remove the file"):
        HardwareRecord(path, print)


async def test_a_disk_that_takes_nothing_is_flagged_and_keeps_no_command(tmp_path):
    folder = tmp_path / "gone"
    folder.write_text("no folder")
    device = Inverter(pv_image())
    # Nobody can make a file below another one, whoever runs the test.
    async with lab(device, tmp_path / "hardware.json", limits()) as start:
        gateway = await start()
        gateway._record._path = folder / "hardware.json"
        assert (await ask(gateway, 1.0, valid_s=900.0)).ok
        assert limit(device) == (2000, 1)
    assert any("are not written down" in flag for flag in start.flags)


async def test_a_stop_does_not_wait_for_the_disk_and_lets_no_set_point_pass(tmp_path, monkeypatch):
    device, hangs = Inverter(pv_image()), threading.Event()
    monkeypatch.setattr(hardware_record, "_write", lambda *_: hangs.wait(5.0))
    try:
        async with lab(device, tmp_path / "hardware.json", limits()) as start:
            gateway = await start()
            setting = asyncio.create_task(ask(gateway, 2.0, valid_s=900.0))
            await asyncio.sleep(0.3)
            assert device.writes == []
            began = time.monotonic()
            assert await gateway.stop("fire") == []
            assert time.monotonic() - began < 0.2
            assert not (await setting).ok
            assert {words[0] for address, words in device.writes if len(words) > 1} == {1000}
            hangs.set()
    finally:
        hangs.set()
