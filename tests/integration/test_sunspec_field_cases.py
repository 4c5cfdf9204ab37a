"""SunSpec devices as they are found in the field: single-phase, several in a chain, maps at odd places."""

import struct

import pytest

from broker.messages import DeviceSetPoint
from devices.endpoint import LiveProsumer, tcp
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits
from tests.integration.plain_modbus import Registers, tcp_server
from tests.integration.sunspec_images import (
    BASE,
    NONE,
    NONE_SIGNED,
    Inverter,
    chain,
    common,
    controls_123,
    inverter_103,
    model,
    nameplate_120,
    pv_image,
    settings_121,
)

SHORT_COMMON = model(1, 65, {}, blank=0)


def inverter_101(power_w):
    return model(101, 50, {12: 0, 14: power_w, 15: 0, 38: 4})


def meter_of(model_id, power_w, import_wh=100_000, export_wh=5_000_000):
    """A meter of integers (models 201 to 204)."""
    counters = {38: export_wh >> 16, 39: export_wh & 0xFFFF, 46: import_wh >> 16, 47: import_wh & 0xFFFF}
    return model(model_id, 105, {8: 2300, 15: -1, 18: power_w, 22: 0, 54: 0, **counters}, blank=NONE_SIGNED)


def float_meter_of(model_id, power_w):
    """A meter of floats (models 211 to 214)."""
    high, low = struct.unpack(">2H", struct.pack(">f", power_w))
    energy = dict(zip(range(60, 62), struct.unpack(">2H", struct.pack(">f", 7000.0)), strict=True))
    return model(model_id, 124, {28: high, 29: low, **energy}, blank=0)


def modules_160(*powers_w, labels=()):
    """Inputs of an inverter: PV strings and, of a hybrid, what goes into its battery and out of it."""
    labels = dict(enumerate(labels, start=1))
    words = [160, 8 + 20 * len(powers_w), 0, 0, 0, 0, 0, 0, len(powers_w), 0]
    for number, power_w in enumerate(powers_w, start=1):
        module = [NONE] * 20
        module[0], module[11] = number, power_w
        label = labels.get(number, "").encode().ljust(16, b"\0")
        module[1:9] = struct.unpack(">8H", label)
        words += module
    return words


async def meter_reading(cells, profile, folder=None):
    async with tcp_server(Registers({1: cells})) as port:
        home = LiveProsumer(id="home", meter=tcp("127.0.0.1", port, 1, profile))
        gateway = Gateway([home], timeout_s=0.5, profiles=folder)
        try:
            (reading,) = await gateway.poll()
        finally:
            await gateway.close()
    return reading, gateway.problems


async def pv_state(device):
    async with tcp_server(device) as port:
        device.units[9] = {}
        home = LiveProsumer(
            id="home", meter=tcp("127.0.0.1", port, 9, "sdm630"), pv=tcp("127.0.0.1", port, 1, "sunspec-pv")
        )
        gateway = Gateway([home], timeout_s=0.3)
        try:
            (reading,) = await gateway.poll()
            outcome = await gateway.command("home", [])
        finally:
            await gateway.close()
    assert outcome.ok
    return reading.devices[0], gateway.problems


class Elsewhere(Inverter):
    """Inverter that answers in its own way outside its map: with an exception, or not at all."""

    def __init__(self, cells, outside):
        super().__init__(cells)
        self.outside = outside

    def answer(self, unit, pdu):
        reply = super().answer(unit, pdu)
        if unit == 1 and reply is not None and reply[0] & 0x80:
            return None if self.outside is None else bytes([reply[0], self.outside])
        return reply


@pytest.mark.parametrize("base", [0, 40_000, 50_000])
@pytest.mark.parametrize("outside", [1, 2, 3, 4, 11, None])
async def test_a_map_is_found_whatever_the_device_does_elsewhere(base, outside):
    cells = {address - BASE + base: word for address, word in pv_image(power_w=2500).items()}
    state, problems = await pv_state(Elsewhere(cells, outside))
    assert (state.p_kw, state.max_kw) == (2.5, 5.0)
    assert not [line for line in problems if "unit 1" in line]


async def test_a_chain_without_an_end_is_read_and_commanded():
    cells = pv_image(power_w=2500)
    for address in sorted(cells)[-2:]:
        del cells[address]
    state, _ = await pv_state(Inverter(cells))
    assert (state.p_kw, state.max_kw) == (2.5, 5.0)


async def test_a_single_phase_inverter_behind_a_short_common_model_is_read():
    cells = chain(
        SHORT_COMMON, inverter_101(2500), nameplate_120(4, 5000), settings_121(5000), controls_123()
    )
    state, _ = await pv_state(Inverter(cells))
    assert (state.p_kw, state.max_kw) == (2.5, 5.0)


async def test_a_model_of_wrong_length_is_named_and_nothing_behind_it_is_read():
    cells = pv_image(power_w=2500)
    cells[BASE + 70 + 1] = 48
    _, problems = await pv_state(Inverter(cells))
    (line,) = [line for line in problems if "SunSpec" in line]
    assert "model 103 at register 40070 says that it is 48 registers long" in line


@pytest.mark.parametrize("model_id", [201, 202, 203, 204])
async def test_meters_of_any_number_of_phases_are_read(model_id):
    reading, _ = await meter_reading(chain(SHORT_COMMON, meter_of(model_id, 1234)), "sunspec-meter")
    assert (reading.p_kw, reading.import_kwh, reading.export_kwh) == (1.234, 100.0, 5000.0)


@pytest.mark.parametrize("model_id", [211, 212, 213, 214])
async def test_meters_of_floats_are_read(model_id):
    reading, _ = await meter_reading(chain(common(), float_meter_of(model_id, 1234.5)), "sunspec-meter")
    assert reading.p_kw == 1.2345


@pytest.mark.parametrize(
    ("name", "p_kw"), [("sunspec-meter", 1.0), ("sunspec-meter#2", -2.0), ("sunspec-meter#3", 3.0)]
)
async def test_each_meter_of_a_chain_is_read_by_its_number(name, p_kw):
    cells = chain(
        common(),
        inverter_103(2500),
        SHORT_COMMON,
        meter_of(203, 1000),
        meter_of(201, -2000),
        common(),
        meter_of(203, 3000),
    )
    reading, _ = await meter_reading(cells, name)
    assert reading.p_kw == p_kw


async def test_a_meter_that_is_not_in_the_chain_is_named():
    reading, problems = await meter_reading(chain(common(), meter_of(203, 1000)), "sunspec-meter#2")
    assert reading.p_kw is None
    assert any("shows 1 meter" in line for line in problems)


async def test_a_meter_that_counts_export_is_turned_by_a_profile(tmp_path):
    (tmp_path / "turned.toml").write_text(
        'like = "sunspec-meter"\ntitle = "Turned"\nsource = "seen at one"\n'
        '[quantities]\nimport_kwh = "203.TotWhExp"\nexport_kwh = "203.TotWhImp"\n'
        '[corrections]\n"203.W" = { sign = -1 }\n'
    )
    cells = chain(SHORT_COMMON, meter_of(203, 64302, import_wh=5_000_000, export_wh=100_000))
    reading, _ = await meter_reading(cells, "turned", tmp_path)
    assert (reading.p_kw, reading.import_kwh, reading.export_kwh) == (1.234, 100.0, 5000.0)


async def test_a_hybrids_battery_is_told_from_its_pv(tmp_path):
    (tmp_path / "hybrid.toml").write_text(
        'title = "Hybrid"\nkind = "battery"\nsource = "seen at one"\n[modbus]\naddressing = "sunspec"\n'
        '[quantities]\np_kw = "160.module.4.DCW - 160.module.3.DCW"\nsoc = "124.ChaState"\n'
    )
    storage = model(124, 24, {8: 5000, 22: -2})
    for powers, p_kw in (((3000, 500, 1200, 0), -1.2), ((0, 0, 0, 800), 0.8), ((0, 0, NONE, NONE), None)):
        cells = chain(common(), inverter_103(2300), modules_160(*powers), storage)
        async with tcp_server(Registers({1: cells, 9: {}})) as port:
            home = LiveProsumer(
                id="home",
                meter=tcp("127.0.0.1", port, 9, "sdm630"),
                battery=tcp("127.0.0.1", port, 1, "hybrid"),
            )
            gateway = Gateway([home], timeout_s=0.5, profiles=tmp_path)
            (reading,) = await gateway.poll()
            await gateway.close()
        assert reading.devices[0].p_kw == p_kw
        # A battery that does not tell its power is not read well, whatever else it tells.
        assert (reading.devices[0].soc, reading.devices[0].quality) == (
            (None, "missing") if p_kw is None else (0.5, "good")
        )


async def test_a_device_that_wakes_up_later_is_found_later():
    device = Inverter(pv_image(power_w=2500))
    device.silent.add(1)
    async with tcp_server(device) as port:
        device.units[9] = {}
        home = LiveProsumer(
            id="home", meter=tcp("127.0.0.1", port, 9, "sdm630"), pv=tcp("127.0.0.1", port, 1, "sunspec-pv")
        )
        gateway = Gateway([home], timeout_s=0.1, retry_after_s=0.0)
        (reading,) = await gateway.poll()
        assert reading.devices[0].p_kw is None
        asked = [address for unit, _, address, _ in device.asked if unit == 1]
        assert asked == [40_000, 0, 50_000]
        device.silent.clear()
        (reading,) = await gateway.poll()
        await gateway.close()
    assert reading.devices[0].p_kw == 2.5


async def test_a_device_that_was_asleep_tells_all_at_the_first_poll_after_dawn():
    asleep = pv_image(rating_w=NONE, power_w=NONE_SIGNED)
    device = Inverter(asleep)
    limits = SetPointLimits(real=True, min_kw=0.0, max_kw=5.0)
    async with tcp_server(device) as port:
        device.units[9] = {}
        home = LiveProsumer(
            id="home",
            meter=tcp("127.0.0.1", port, 9, "sdm630"),
            pv=tcp("127.0.0.1", port, 1, "sunspec-pv"),
            pv_limits=limits,
        )
        gateway = Gateway([home], timeout_s=0.5)
        (reading,) = await gateway.poll()
        assert (reading.devices[0].p_kw, reading.devices[0].max_kw) == (None, None)
        device.cells.update(pv_image(rating_w=5000, power_w=2500))
        (reading,) = await gateway.poll()
        assert (reading.devices[0].p_kw, reading.devices[0].max_kw) == (2.5, 5.0)
        assert (await gateway.command("home", [DeviceSetPoint(device="pv", power_kw=2.0)], 900.0)).ok
        await gateway.close()
    assert device.at(123, 5) == 4000


HYBRID = ("MPPT 1", "MPPT 2", "StCha 3", "StDisCha 4")


@pytest.mark.parametrize(
    ("powers_w", "battery_kw", "pv_kw"),
    [
        ((3000, 500, 1200, 0), -1.2, 3.5),
        ((100, 0, 0, 800), 0.8, 0.1),
        # Nothing is told of the battery now, and the inverter's output is none of its power.
        ((0, 0, NONE, NONE), None, 0.0),
    ],
)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0)])
async def test_inputs_of_a_hybrid_are_told_by_their_labels(powers_w, battery_kw, pv_kw, order):
    storage = model(124, 24, {2: 5000, 8: 5000, 18: 0, 22: -2, 25: -2})
    modules = modules_160(*(powers_w[k] for k in order), labels=[HYBRID[k] for k in order])
    cells = chain(common(), inverter_103(2300), nameplate_120(4, 5000), modules, storage)
    async with tcp_server(Registers({1: cells, 9: {}})) as port:
        home = LiveProsumer(
            id="home",
            meter=tcp("127.0.0.1", port, 9, "sdm630"),
            pv=tcp("127.0.0.1", port, 1, "sunspec-hybrid-pv"),
            battery=tcp("127.0.0.1", port, 1, "sunspec-battery"),
        )
        gateway = Gateway([home], timeout_s=0.5)
        for _ in range(2):
            (reading,) = await gateway.poll()
            found = {state.device: state.p_kw for state in reading.devices}
            assert found == {"pv": pv_kw, "battery": battery_kw}
        await gateway.close()


async def test_inputs_without_storage_leave_a_battery_inverter_its_output():
    cells = chain(
        common(),
        inverter_103(2300),
        modules_160(1500, 800, labels=HYBRID[:2]),
        model(124, 24, {8: 5000, 22: -2}),
    )
    async with tcp_server(Registers({1: cells, 9: {}})) as port:
        home = LiveProsumer(
            id="home",
            meter=tcp("127.0.0.1", port, 9, "sdm630"),
            battery=tcp("127.0.0.1", port, 1, "sunspec-battery"),
        )
        gateway = Gateway([home], timeout_s=0.5)
        (reading,) = await gateway.poll()
        await gateway.close()
    assert reading.devices[0].p_kw == pytest.approx(2.3)
