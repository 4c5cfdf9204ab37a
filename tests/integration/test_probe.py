"""`sharegrid device probe`: devices of all makers are recognised at real sockets, and nothing is written."""

import asyncio
import tomllib

import pytest
from click.testing import CliRunner

from cosim.cli import main
from devices.client.probe import probe
from devices.endpoint import Link, address_of, parse_endpoint, parse_place
from devices.errors import DeviceTimeout, DeviceUnreachable, EndpointError, UnknownDevice
from devices.program.probe_command import entry_of
from tests.integration.plain_modbus import Registers, serial_line, tcp_server
from tests.integration.sunspec_images import (
    NONE,
    chain,
    common,
    controls_123,
    inverter_103,
    model,
    nameplate_120,
    pv_image,
    settings_121,
    storage_124,
)
from tests.integration.test_makers_devices import (
    BATTERIES,
    COMMON,
    INVERTERS,
    METERS,
    NAMED,
    STORAGE,
    at,
    rated_103,
    text,
)
from tests.integration.test_sunspec_field_cases import meter_of, modules_160

HUAWEI = text(30000, 15, "SUN2000-5KTL-L1")
MARKS = {
    "em24": {0x0B: 1650},
    "iem3155": text(0x31, 20, "iEM3155"),
    "umg604": at(19050, "f", 50.0),
    "huawei-meter": HUAWEI | {37100: 1},
    "huawei-pv": HUAWEI,
    "huawei-battery": HUAWEI,
    "sma-pv": at(30051, "I", 8001),
    "sma-battery": at(30051, "I", 8007),
}
# These show nothing that tells them from others.
UNMARKED = ("sdm72", "sma-meter")
IMAGES = {
    name: dict.fromkeys(range(0x60), 0) | cells | MARKS.get(name, {})
    for name, cells in (METERS | INVERTERS | BATTERIES).items()
    if name not in UNMARKED
} | {
    name: chain(COMMON, meter_of(203, 1200)) | NAMED[maker]
    for name, maker in (
        ("fronius-meter", "Fronius"),
        ("solaredge-meter", "SolarEdge"),
        ("kostal-meter", "KOSTAL Solar Electric"),
    )
}


async def found_at(registers, unit=1, timeout_s=0.2):
    async with tcp_server(registers) as port:
        return await probe(Link("tcp", "127.0.0.1", port), unit, timeout_s=timeout_s)


@pytest.mark.parametrize("name", IMAGES)
async def test_a_makers_device_is_recognised(name):
    registers = Registers({1: IMAGES[name]})
    found = await found_at(registers)
    assert name in [each.endpoint.profile for each in found]
    assert {function for _, function, _, _ in registers.asked} <= {1, 2, 3, 4}


async def test_a_hybrid_is_both_of_its_devices():
    found = await found_at(Registers({1: IMAGES["fronius-battery"]}))
    assert sorted(each.endpoint.profile for each in found) == ["fronius-battery", "fronius-hybrid-pv"]


async def test_a_hybrid_of_any_maker_is_both_of_its_devices():
    labels = ("MPPT 1", "MPPT 2", "StCha 3", "StDisCha 4")
    inputs = modules_160(1500, 1000, 0, 600, labels=labels)
    cells = chain(COMMON, *rated_103(3100), inputs, STORAGE, controls_123())
    found = {each.endpoint.profile: each.reads["p_kw"] for each in await found_at(Registers({1: cells}))}
    assert found == {"sunspec-hybrid-pv": 2.5, "sunspec-battery": 0.6}


@pytest.mark.parametrize(
    ("nature", "storage", "is_there"),
    [
        (82, storage_124(3000), ["sunspec-battery"]),
        (NONE, storage_124(3000), ["sunspec-battery"]),
        (82, model(124, 24, {}), ["sunspec-battery"]),
        (4, model(124, 24, {}), ["sunspec-pv"]),
        (NONE, model(124, 24, {}), ["sunspec-pv"]),
        (4, storage_124(3000), ["sunspec-battery", "sunspec-pv"]),
    ],
)
async def test_a_battery_is_no_pv_and_pv_with_an_empty_model_of_storage_no_battery(nature, storage, is_there):
    inverter = (common(), inverter_103(2500), nameplate_120(nature, 5000), settings_121(5000))
    found = await found_at(Registers({1: chain(*inverter, controls_123(), storage)}))
    assert sorted(each.endpoint.profile for each in found) == is_there


async def test_registers_of_a_makers_own_are_found_beside_sunspec():
    found = await found_at(Registers({1: IMAGES["solaredge-battery"] | INVERTERS["solaredge-pv"]}))
    assert sorted(each.endpoint.profile for each in found) == ["solaredge-battery", "solaredge-pv"]


async def test_all_meters_of_a_chain_are_named():
    cells = chain(COMMON, inverter_103(2500), COMMON, meter_of(203, 1000), COMMON, meter_of(201, -2000))
    found = {each.endpoint.profile: each.reads["p_kw"] for each in await found_at(Registers({1: cells}))}
    assert found == {"sunspec-pv": 2.5, "sunspec-meter": 1.0, "sunspec-meter#2": -2.0}


async def test_units_are_tried_where_none_is_named():
    registers = Registers(
        {3: pv_image(power_w=2500), 126: IMAGES["sma-pv"]}, silent=set(range(256)) - {3, 126}
    )
    found = await found_at(registers, unit=None, timeout_s=0.05)
    assert [(each.endpoint.unit, each.endpoint.profile) for each in found] == [
        (3, "sunspec-pv"),
        (126, "sma-pv"),
    ]


async def test_all_units_are_asked_where_a_server_says_at_once_which_are_not_there():
    class Gateway(Registers):
        def answer(self, unit, pdu):
            return super().answer(unit, pdu) if unit in (1, 9) else bytes([pdu[0] | 0x80, 11])

    found = await found_at(Gateway({1: pv_image(power_w=2500), 9: IMAGES["sdm630"]}), unit=None)
    assert [(each.endpoint.unit, each.endpoint.profile) for each in found] == [
        (1, "sunspec-pv"),
        (9, "sdm630"),
    ]


async def test_a_device_on_a_serial_line_is_recognised():
    async with serial_line(Registers({2: IMAGES["sdm630"]})) as path:
        (found,) = await probe(Link("rtu", path), 2, timeout_s=0.3)
    assert found.endpoint.profile == "sdm630"
    assert parse_endpoint(address_of(found.endpoint), "sdm630") == found.endpoint


async def test_a_map_is_found_though_the_device_is_silent_elsewhere():
    cells = {address + 10_000: word for address, word in pv_image(power_w=2500).items()}

    class Silent(Registers):
        def answer(self, unit, pdu):
            reply = super().answer(unit, pdu)
            return None if reply is None or reply[0] & 0x80 else reply

    (found,) = await found_at(Silent({1: cells}))
    assert (found.endpoint.profile, found.reads["p_kw"]) == ("sunspec-pv", 2.5)


@pytest.mark.parametrize(
    ("units", "unit", "kind", "complaint"),
    [
        ({1: {}}, 1, DeviceTimeout, "unit 1 at .* does not answer"),
        (
            {1: dict.fromkeys(range(100), 7)},
            1,
            UnknownDevice,
            "unit 1 at .* answers, but no profile knows it",
        ),
        ({1: chain(COMMON)}, 1, UnknownDevice, "shows SunSpec models 1"),
        ({1: pv_image() | {40_071: 48}}, 1, UnknownDevice, "model 103 at register 40070 says that it is 48"),
    ],
    ids=["silent", "unknown", "nothing to tell", "wrong length"],
)
async def test_what_is_not_recognised_is_said_in_one_line(units, unit, kind, complaint):
    silent = {1} if not units[1] else ()
    with pytest.raises(kind, match=complaint) as caught:
        await found_at(Registers(units, silent), unit, timeout_s=0.05)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", [4, 10, 11])
async def test_a_gateway_without_the_unit_is_no_device(code):
    class Gateway(Registers):
        def answer(self, unit, pdu):
            return bytes([pdu[0] | 0x80, code])

    with pytest.raises(DeviceTimeout, match=r"unit 1 at .* does not answer"):
        await found_at(Gateway({}), timeout_s=0.05)
    with pytest.raises(DeviceTimeout, match=r"nobody answers at .* as unit 1, 0, 255, 2, 3, 71"):
        await found_at(Gateway({}), unit=None, timeout_s=0.05)


async def test_a_port_that_nobody_serves_is_named():
    with pytest.raises(DeviceUnreachable, match=r"no Modbus device answers at 127\.0\.0\.1:1"):
        await probe(Link("tcp", "127.0.0.1", 1), 1, timeout_s=0.2)


async def test_the_entry_that_is_printed_is_one_that_scenarios_take():
    (found,) = await found_at(Registers({1: INVERTERS["solaredge-pv"]}), unit=1)
    entry = entry_of(found, "p00017")
    (device,) = tomllib.loads(entry)["devices"]
    assert device == {
        "prosumer": "p00017",
        "profile": "solaredge-pv",
        "connect": address_of(found.endpoint),
    }
    assert "# SunSpec models 1, 103, 120" in entry
    assert "# now: p_kw = 2.5, rating_kw = 5" in entry
    assert "# Unconfirmed is whether a limit holds" in entry


@pytest.mark.parametrize(
    ("text", "place", "unit"),
    [
        ("tcp://10.0.0.5", "10.0.0.5:502", None),
        ("tcp://10.0.0.5:1502/71", "10.0.0.5:1502", 71),
        ("rtu:///dev/ttyUSB0", "/dev/ttyUSB0", None),
        ("rtu:///dev/ttyUSB0/3?baud=19200", "/dev/ttyUSB0", 3),
        ("rtu:///dev/ttyUSB0?baud=19200", "/dev/ttyUSB0", None),
    ],
)
def test_a_unit_id_may_be_left_out(text, place, unit):
    link, number = parse_place(text)
    assert (str(link), number) == (place, unit)


@pytest.mark.parametrize("text", ["10.0.0.5", "mqtt://10.0.0.5/lamp", "tcp://10.0.0.5/999"])
def test_what_is_no_modbus_address_is_refused(text):
    with pytest.raises(EndpointError):
        parse_place(text)


def test_the_command_says_in_one_line_what_it_could_not_do():
    done = CliRunner().invoke(main, ["device", "probe", "tcp://127.0.0.1:1/1"])
    assert done.exit_code != 0
    assert done.output.count("\n") == 1
    assert "no Modbus device answers at 127.0.0.1:1" in done.output
    assert CliRunner().invoke(main, ["device", "probe", "-h"]).output.startswith("Usage: main device probe")


async def test_how_long_silence_may_last_is_said_before():
    async with tcp_server(Registers({1: IMAGES["sdm630"]}, silent=set(range(256)) - {1})) as port:
        command = ["device", "probe", f"tcp://127.0.0.1:{port}", "--timeout", "0.2"]
        done = await asyncio.to_thread(CliRunner().invoke, main, command)
    assert done.stderr.startswith(
        f"asking 127.0.0.1:{port} as unit 1, 0, 255, 2, 3, 71, 126, 200, 240, 247: up to 4 s where nobody"
    )
    assert done.exit_code == 0
    assert 'profile = "sdm630"' in done.stdout
