"""Makers' devices: from registers as documents have them to readings, and from set-points to registers.

Register images are packed here by hand, so a wrong address, type, scale or sign of a profile shows.
"""

import struct
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.messages import DeviceSetPoint
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.endpoint import LiveProsumer, tcp
from devices.gateway.attempt import failures
from devices.gateway.gateway import Gateway
from devices.gateway.stopping import arming
from devices.limits import SetPointLimits
from devices.registers.profiles import load_profile, shipped_profiles
from tests.integration.plain_modbus import Registers, tcp_server
from tests.integration.sunspec_images import Inverter, chain, controls_123, inverter_103, model, nameplate_120
from tests.integration.test_sunspec_field_cases import meter_of, modules_160

FIXED_METERS = [
    name
    for name in shipped_profiles()
    if load_profile(name).kind == "meter" and not load_profile(name).sunspec
]


def at(address, layout, *values, low_first=False):
    """Cells of values packed as in `struct`, one after another from an address."""
    words = []
    for value in values:
        data = struct.pack(f">{layout}", value)
        each = list(struct.unpack(f">{len(data) // 2}H", data))
        words += each[::-1] if low_first else each
    return dict(enumerate(words, start=address))


def text(address, words, value):
    data = value.encode().ljust(2 * words, b"\0")
    return dict(enumerate(struct.unpack(f">{words}H", data), start=address))


VOLTS = (231.5, 231.5, 231.5)
METERS = {
    "sdm120": at(0x00, "f", 231.5)
    | at(0x0C, "f", -1500.0)
    | at(0x18, "f", 200.0)
    | at(0x46, "f", 50.0, 1234.5, 678.25, 1.0, 2.0),
    "sdm72": at(0x34, "f", -1500.0) | at(0x48, "f", 1234.5, 678.25),
    "sdm630": at(0x00, "f", *VOLTS)
    | at(0x34, "f", -1500.0)
    | at(0x3C, "f", 200.0)
    | at(0x46, "f", 50.0, 1234.5, 678.25, 1.0, 2.0),
    "em24": at(0x00, "i", 2315, 2315, 2315, low_first=True)
    | at(0x28, "i", -15000, low_first=True)
    | at(0x34, "i", 12345, low_first=True)
    | at(0x4E, "i", 6782, low_first=True),
    "iem3155": at(0x0BD3, "f", *VOLTS)
    | at(0x0BF3, "f", -1.5)
    | at(0x0BFB, "f", 0.2)
    | at(0x0C83, "q", 1234500, 678250)
    | at(0x0C93, "q", 1000, 2000),
    "umg604": at(19000, "f", *VOLTS)
    | at(19026, "f", -1500.0)
    | at(19042, "f", 200.0)
    | at(19068, "f", 1234500.0)
    | at(19076, "f", 678250.0),
    "sma-meter": at(30581, "I", 1234500, 678250)
    | at(30865, "i", 0, 1500)
    | at(31253, "I", 23150, 23150, 23150),
    "huawei-meter": at(37101, "i", 2315, 2315, 2315)
    | at(37113, "i", 1500, -200)
    | at(37119, "i", 67825, 123450),
}
WITHOUT_REACTIVE = ("sdm72", "em24", "sma-meter", "huawei-meter")


@asynccontextmanager
async def gateway_to(devices, kind, profile, limits=None):
    """Gateway to one device of a server; the prosumer's meter does not matter where it is not the device."""
    async with tcp_server(devices) as port:
        endpoint = tcp("127.0.0.1", port, 1, profile)
        devices.units.setdefault(9, {})
        others = {} if kind == "meter" else {kind: endpoint, f"{kind}_limits": limits or SetPointLimits()}
        meter = endpoint if kind == "meter" else tcp("127.0.0.1", port, 9, "sdm630")
        gateway = Gateway([LiveProsumer(id="home", meter=meter, **others)], timeout_s=0.5)
        gateway.simulated_s = 0.0
        try:
            yield gateway
        finally:
            await gateway.close()


def test_every_meter_is_tried():
    assert METERS.keys() == set(FIXED_METERS)


@pytest.mark.parametrize("name", METERS)
async def test_a_meters_registers_are_what_they_stand_for(name):
    cells = dict.fromkeys(range(0x1000), 0) if name not in ("umg604", "sma-meter", "huawei-meter") else {}
    if not cells:
        first, last = min(METERS[name]), max(METERS[name])
        cells = dict.fromkeys(range(first, last + 1), 0)
    async with gateway_to(Registers({1: cells | METERS[name]}), "meter", name) as gateway:
        (reading,) = await gateway.poll()
    assert gateway.problems == []
    assert reading.p_kw == pytest.approx(-1.5)
    assert reading.import_kwh == pytest.approx(1234.5)
    assert reading.export_kwh == pytest.approx(678.25, abs=0.06)
    if name not in WITHOUT_REACTIVE:
        assert reading.q_kvar == pytest.approx(0.2)
    if name != "sdm72":
        assert reading.v_v == pytest.approx([231.5] * (1 if name == "sdm120" else 3))


@pytest.mark.parametrize("name", FIXED_METERS)
async def test_a_meter_is_emulated_and_read_back(name):
    fleet = Fleet([EmulatedProsumer(id="home", pv_kw=5.0, meter=name)])
    fleet.begin([0.8], [0.2], [3.5])
    async with fleet.serving() as live:
        gateway = Gateway(live.values())
        fleet.advance([[0.8]], [[0.2]], [[3.5]], dt_s=3600.0)
        (reading,) = await gateway.poll()
        await gateway.close()
    assert reading.p_kw < -2.0
    assert reading.p_kw == pytest.approx(fleet.p_kw[0], abs=0.01)
    assert reading.export_kwh == pytest.approx(fleet.energy_kwh[1][0], abs=0.1)


NAMED = {name: text(40_004, 16, name) for name in ("Fronius", "SolarEdge", "KOSTAL Solar Electric")}
STORAGE = model(
    124, 24, {2: 5000, 5: 0, 8: 5500, 12: 0, 13: 0, 14: 0, 15: 0, 16: 0, 17: 0, 18: 0, 22: -2, 25: -2}
)
COMMON = model(1, 66, {}, blank=0)


def sunspec(maker, *models):
    return chain(COMMON, *models) | NAMED[maker]


def rated_103(power_w):
    return inverter_103(power_w), nameplate_120(4, 5000)


INVERTERS = {
    "fronius-pv": sunspec("Fronius", *rated_103(2500), controls_123()),
    "fronius-hybrid-pv": sunspec("Fronius", *rated_103(3100), modules_160(1500, 1000, 0, 600), STORAGE),
    "solaredge-pv": sunspec("SolarEdge", *rated_103(2500)) | {61441: 100} | at(61762, "i", 1, low_first=True),
    "sma-pv": at(30231, "I", 5000) | at(30775, "i", 2500),
    "huawei-pv": at(30073, "I", 5000) | at(32080, "i", 2500) | {40125: 1000},
    "kostal-pv": sunspec(
        "KOSTAL Solar Electric", *rated_103(3000), modules_160(1500, 1000, 0xFFFF), controls_123()
    ),
}
BATTERIES = {
    "fronius-battery": sunspec("Fronius", *rated_103(3100), modules_160(1500, 1000, 1200, 0), STORAGE),
    "solaredge-battery": dict.fromkeys(range(0xE174, 0xE186), 0)
    | {0xE004: 4, 0xE00B: 0, 0xE00C: 0, 0xE00D: 7}
    | at(0xE00E, "f", 5000.0, 5000.0, low_first=True)
    | at(0xE144, "f", 5000.0, 5000.0, low_first=True)
    | at(0xE174, "f", 1200.0, low_first=True)
    | at(0xE17E, "f", 10_000.0, low_first=True)
    | at(0xE184, "f", 55.0, low_first=True),
    "sma-battery": at(30231, "I", 5000)
    | at(30775, "i", -1200)
    | at(30845, "I", 55)
    | at(31393, "I", 1200, 0)
    | at(40187, "I", 10_000, 5000, 5000),
    "huawei-battery": at(37046, "I", 5000, 5000)
    | at(37758, "I", 10_000)
    | dict.fromkeys(range(37761, 37765), 0)
    | {37760: 550}
    | at(37765, "i", 1200)
    | dict.fromkeys([47083, 47100, *range(47246, 47251)], 0),
    "kostal-battery": at(210, "f", 55.0, low_first=True)
    | {514: 55, 531: 5000}
    | at(582, "h", -1200)
    | at(1034, "f", 0.0, low_first=True)
    | at(1038, "f", 5000.0, 5000.0, low_first=True)
    | at(1068, "f", 10_000.0, low_first=True),
}


def shipped_for(maker_kinds):
    return {
        n for n in shipped_profiles() if load_profile(n).kind == maker_kinds and not n.startswith("sunspec")
    }


def test_every_inverter_and_battery_is_tried():
    assert INVERTERS.keys() == shipped_for("pv")
    assert BATTERIES.keys() == shipped_for("battery")


@pytest.mark.parametrize("name", INVERTERS)
async def test_an_inverters_registers_are_what_they_stand_for(name):
    async with gateway_to(Registers({1: INVERTERS[name]}), "pv", name) as gateway:
        (reading,) = await gateway.poll()
    assert (reading.devices[0].p_kw, reading.devices[0].max_kw) == (2.5, 5.0)


@pytest.mark.parametrize("name", BATTERIES)
async def test_a_batterys_registers_are_what_they_stand_for(name):
    async with gateway_to(Registers({1: BATTERIES[name]}), "battery", name) as gateway:
        (reading,) = await gateway.poll()
    assert (reading.devices[0].p_kw, reading.devices[0].soc) == (-1.2, pytest.approx(0.55))


@pytest.mark.parametrize(
    ("name", "p_kw", "imported_kwh"),
    [("fronius-meter", 1.2, 100.0), ("kostal-meter", 1.2, 100.0), ("solaredge-meter", -1.2, 100.0)],
)
async def test_meters_of_makers_by_sunspec_keep_to_their_signs(name, p_kw, imported_kwh):
    cells = chain(COMMON, meter_of(203, 1200))
    async with gateway_to(Registers({1: cells}), "meter", name) as gateway:
        (reading,) = await gateway.poll()
    assert (reading.p_kw, reading.import_kwh) == (p_kw, imported_kwh)


def commanded(name, cells, kind):
    limits = SetPointLimits(real=True, min_kw=0.0 if kind == "pv" else -3.0, max_kw=3.0)
    device = Inverter(dict(cells))
    return device, gateway_to(device, kind, name, limits)


async def ask(gateway, power_kw, valid_s=900.0):
    (actuator,) = gateway.actuators
    return await gateway.command("home", [DeviceSetPoint(device=actuator.device, power_kw=power_kw)], valid_s)


@pytest.mark.parametrize(
    ("name", "address", "wanted_kw", "word"),
    [
        ("solaredge-pv", 61441, 2.0, 40),
        ("solaredge-pv", 61441, 9.0, 60),
        ("huawei-pv", 40125, 2.0, 400),
        ("huawei-pv", 40125, 9.0, 600),
    ],
)
async def test_a_limit_is_a_share_of_the_rating_within_the_envelope(name, address, wanted_kw, word):
    device, connected = commanded(name, INVERTERS[name], "pv")
    async with connected as gateway:
        assert (await ask(gateway, wanted_kw)).ok
    assert device.writes == [(address, [word])]


async def test_kostal_is_limited_register_by_register():
    device, connected = commanded("kostal-pv", INVERTERS["kostal-pv"], "pv")
    async with connected as gateway:
        assert (await ask(gateway, 2.0)).ok
    assert [words for _, words in device.writes] == [[4000], [1]]
    assert (device.at(123, 5), device.at(123, 9)) == (4000, 1)


async def test_a_device_that_does_not_obey_says_why():
    cells = INVERTERS["solaredge-pv"] | at(61762, "i", 0, low_first=True)
    _, connected = commanded("solaredge-pv", cells, "pv")
    async with connected as gateway:
        outcome = await ask(gateway, 2.0)
    assert not outcome.ok
    assert "advanced power control is switched off" in outcome.detail


FLOATS = {0.0: [0, 0], 2000.0: [0, 0x44FA], 3000.0: [0x8000, 0x453B], -2000.0: [0, 0xC4FA]}
HUAWEI = [(47246, [0]), (47083, [15])]


@pytest.mark.parametrize(
    ("name", "wanted_kw", "writes"),
    [
        ("huawei-battery", -2.0, [*HUAWEI, (47247, [0, 2000]), (47100, [1])]),
        ("huawei-battery", 2.0, [*HUAWEI, (47249, [0, 2000]), (47100, [2])]),
        ("huawei-battery", -9.0, [*HUAWEI, (47247, [0, 3000]), (47100, [1])]),
        ("huawei-battery", 0.0, [*HUAWEI, (47247, [0, 0]), (47100, [1])]),
        ("solaredge-battery", -2.0, [(0xE00B, [900, 0]), (0xE00E, FLOATS[2000.0]), (0xE00D, [3])]),
        ("solaredge-battery", 9.0, [(0xE00B, [900, 0]), (0xE010, FLOATS[3000.0]), (0xE00D, [4])]),
        ("solaredge-battery", 0.0, [(0xE00B, [900, 0]), (0xE00D, [0])]),
        ("kostal-battery", -2.0, [(1034, FLOATS[-2000.0])]),
        ("kostal-battery", 9.0, [(1034, FLOATS[3000.0])]),
        ("sma-battery", -2.0, [(40149, [0xFFFF, 0xF830]), (40151, [0, 802])]),
        ("sma-battery", 9.0, [(40149, [0, 3000]), (40151, [0, 802])]),
    ],
)
async def test_a_battery_is_told_direction_and_power_in_its_own_way(name, wanted_kw, writes):
    device, connected = commanded(name, BATTERIES[name], "battery")
    async with connected as gateway:
        assert (await ask(gateway, wanted_kw)).ok
    assert device.writes == writes


async def test_a_fronius_battery_is_held_in_its_band():
    device, connected = commanded("fronius-battery", BATTERIES["fronius-battery"], "battery")
    async with connected as gateway:
        assert (await ask(gateway, -2.0)).ok
    assert (device.at(124, 12), device.at(124, 13)) == (0x10000 - 4000, 4000)
    assert (device.at(124, 15), device.at(124, 17), device.at(124, 5)) == (900, 1, 3)


@pytest.mark.parametrize(("name", "renewed_s"), [("kostal-battery", 15), ("sma-battery", 30)])
async def test_a_device_that_falls_back_by_itself_is_written_to_again_and_again(name, renewed_s):
    device, connected = commanded(name, BATTERIES[name], "battery")
    async with connected as gateway:
        assert (await ask(gateway, 2.0)).ok
        once = list(device.writes)
        for second in range(1, 2 * renewed_s + 1):
            gateway.simulated_s += 1.0
            assert failures(await gateway.tend()) == []
            assert len(device.writes) == len(once) * (1 + second // renewed_s)


async def test_a_huawei_battery_is_renewed_before_its_minutes_are_over():
    device, connected = commanded("huawei-battery", BATTERIES["huawei-battery"], "battery")
    async with connected as gateway:
        assert (await ask(gateway, 2.0, valid_s=0.0)).ok
        assert device.writes[1] == (47083, [1440])
        assert not gateway.actuators[0].is_due()
        gateway.simulated_s += 43_201.0
        assert gateway.actuators[0].is_due()


STOPS_END = ("huawei-battery", "kostal-battery", "sma-battery", "solaredge-battery")


@pytest.mark.parametrize("name", [*BATTERIES, *INVERTERS])
async def test_whose_own_timer_ends_a_stop_is_said_at_arming_and_on_the_page(name):
    kind = "battery" if name in BATTERIES else "pv"
    _, connected = commanded(name, BATTERIES.get(name) or INVERTERS[name], kind)
    if load_profile(name).commands.set:
        async with connected as gateway:
            (line,) = await arming(gateway.actuators)
        assert ("its own timer ENDS A STOP, TOO" in line) == (name in STOPS_END)
        page = (Path(__file__).parents[2] / "docs" / "safety.md").read_text()
        (promise,) = [row for row in page.splitlines() if "no value for never: the safe value" in row]
        assert (f"`{name}`" in promise) == (name in STOPS_END)


@pytest.mark.parametrize(
    ("name", "released"),
    [
        ("huawei-battery", [(47100, [0])]),
        ("solaredge-battery", [(0xE00D, [7])]),
        ("sma-battery", [(40151, [0, 803])]),
    ],
)
async def test_a_battery_without_an_envelope_is_given_back(name, released):
    device = Inverter(dict(BATTERIES[name]))
    async with gateway_to(device, "battery", name, SetPointLimits(real=True)) as gateway:
        assert (await ask(gateway, -2.0)).ok
        before = len(device.writes)
        assert (await ask(gateway, None)).ok
    assert device.writes[before:] == released
