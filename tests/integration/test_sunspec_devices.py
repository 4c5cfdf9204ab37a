"""Every kind of SunSpec device that the shipped profiles know, at every base, behind a plain socket."""

import pytest

from broker.messages import DeviceSetPoint
from devices.bank import Bank
from devices.endpoint import LiveProsumer, parse_endpoint
from devices.gateway import Gateway
from devices.models import model
from devices.sunspec import sunspec_layout
from tests.integration import plain_modbus as plain

METER_203 = {
    "203.W_SF": 0,
    "203.VAR_SF": 0,
    "203.V_SF": -1,
    "203.TotWh_SF": 1,
    "203.TotVArh_SF": 0,
    "203.W": -1500,
    "203.VAR": 200,
    "203.PhVphA": 231.4,
    "203.TotWhImp": 123450,
    "203.TotWhExp": 70,
    "203.TotVArhImpQ1": 400,
    "203.TotVArhImpQ2": 600,
    "203.TotVArhExpQ3": 10,
    "203.TotVArhExpQ4": 0,
}
METER_213 = {
    "213.W": -1500,
    "213.VAR": 200,
    "213.PhVphA": 231.4,
    "213.TotWhImp": 123450,
    "213.TotWhExp": 70,
    "213.TotVArhImpQ1": 400,
    "213.TotVArhImpQ2": 600,
    "213.TotVArhExpQ3": 10,
    "213.TotVArhExpQ4": 0,
}
LIMIT = {"123.WMaxLimPct_SF": -1, "123.WMaxLimPct": 100, "123.WMaxLim_Ena": 0, "123.WMaxLimPct_RvrtTms": 0}
SETTINGS = {"121.WMax_SF": 0, "121.WMax": 5000}
BAND = {
    "124.WChaMax_SF": 0,
    "124.ChaState_SF": 0,
    "124.InOutWRte_SF": -2,
    "124.WChaMax": 4000,
    "124.ChaState": 50,
    "124.StorCtl_Mod": 0,
    "124.OutWRte": 100,
    "124.InWRte": 100,
    "124.InOutWRte_RvrtTms": 0,
}
SET_704 = {
    "704.WSet_SF": 0,
    "704.WMaxLimPct_SF": -1,
    "704.WSetEna": 0,
    "704.WSetMod": 0,
    "704.WSet": 0,
    "704.WSetRvrtTms": 0,
    "704.WMaxLimPctEna": 0,
    "704.WMaxLimPct": 100,
    "704.WMaxLimPctRvrtTms": 0,
}
DER = {"701.W_SF": 0, "701.W": 2000, "702.W_SF": 0, "702.WMax": 5000}


def image(values, base, *models, short=False):
    """Registers of a device with some models; ``short`` has a common model of 65 registers."""
    bank = Bank(sunspec_layout((1, *models), base), 1)
    for name, value in sorted(values.items(), key=lambda item: not item[0].endswith("_SF")):
        bank.put(name, value)
    words = bank.words[0].tolist()
    if short:
        words[3] = 65
        del words[2 + 2 + 65]
    return dict(enumerate(words, start=base))


def cell(base, models, name, *, short=False):
    """Address of a point in such a device."""
    at = sunspec_layout((1, *models), base).points[name].at
    return base + at - short


@pytest.mark.parametrize("base", [0, 40000, 50000])
@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize(("number", "values"), [(203, METER_203), (213, METER_213)])
async def test_meters(base, short, number, values):
    registers = plain.Registers({1: image(values, base, number, short=short)})
    async with plain.tcp_server(registers) as port:
        home = LiveProsumer(id="a", meter=parse_endpoint(f"tcp://127.0.0.1:{port}/1", "sunspec-meter"))
        gateway = Gateway([home])
        (reading,) = await gateway.poll()
        asked = len(registers.asked)
        (again,) = await gateway.poll()
        await gateway.close()
    assert gateway.problems == []
    assert (reading.p_kw, reading.q_kvar) == (-1.5, 0.2)
    assert reading.v_v == pytest.approx((231.4,), rel=1e-6)
    assert (reading.import_kwh, reading.export_kwh) == (123.45, 0.07)
    assert (reading.import_kvarh, reading.export_kvarh) == (1.0, 0.01)
    assert again.import_kwh == reading.import_kwh
    # A float meter is read in one request, an integer meter in one or two with its scale factors.
    assert len(registers.asked) - asked <= 2


INVERTERS = {
    "103 and 123": ((103, 120, 121, 123), {"103.W_SF": 0, "103.W": 2000, **SETTINGS, **LIMIT}, "123"),
    "113 and 123": ((113, 120, 121, 123), {"113.W": 2000, **SETTINGS, **LIMIT}, "123"),
    "120 alone": (
        (103, 120, 123),
        {"103.W_SF": 0, "103.W": 2000, "120.WRtg_SF": 2, "120.WRtg": 5000, **LIMIT},
        "123",
    ),
    "IEEE 1547": ((701, 702, 703, 704), {**DER, **SET_704}, "704"),
}


@pytest.mark.parametrize("kind", INVERTERS)
async def test_inverters(kind):
    models, values, controls = INVERTERS[kind]
    cells = image(values, 40000, *models, short=True)
    registers = plain.Registers({1: image(METER_213, 0, 213), 2: cells})
    async with plain.tcp_server(registers) as port:
        link = f"tcp://127.0.0.1:{port}"
        home = LiveProsumer(
            id="a",
            meter=parse_endpoint(f"{link}/1", "sunspec-meter"),
            pv=parse_endpoint(f"{link}/2", "sunspec-pv"),
        )
        gateway = Gateway([home])
        (reading,) = await gateway.poll()
        outcome = await gateway.command("a", [DeviceSetPoint(device="pv", power_kw=2.0)], 900.0)
        await gateway.close()
    (state,) = reading.devices
    assert (state.p_kw, state.min_kw, state.max_kw) == (2.0, 0.0, 5.0)
    assert outcome.ok, outcome.detail
    limit = cells[cell(40000, models, f"{controls}.WMaxLimPct", short=True)]
    enable = "123.WMaxLim_Ena" if controls == "123" else "704.WMaxLimPctEna"
    assert (limit, cells[cell(40000, models, enable, short=True)]) == (400, 1)


BATTERIES = {
    "701, 704 and 713": (
        (701, 702, 704, 713),
        {**DER, **SET_704, "713.WH_SF": 0, "713.Pct_SF": 0, "713.WHRtg": 10000, "713.SoC": 50},
        {"704.WSet": 0xFFFF, "704.WSetEna": 1, "704.WSetMod": 1},
    ),
    "103 and 124": (
        (103, 120, 121, 124),
        {"103.W_SF": 0, "103.W": 2000, **SETTINGS, **BAND, "120.WHRtg_SF": 1, "120.WHRtg": 10000},
        {"124.OutWRte": 0x10000 - 2000, "124.InWRte": 2500, "124.StorCtl_Mod": 3},
    ),
    "103, 124 and 802": (
        (103, 121, 124, 802),
        {
            "103.W_SF": 0,
            "103.W": 2000,
            **SETTINGS,
            **BAND,
            "802.WHRtg_SF": 1,
            "802.SoC_SF": 0,
            "802.WChaDisChaMax_SF": 0,
            "802.WHRtg": 10000,
            "802.SoC": 50,
            "802.WChaRteMax": 4000,
            "802.WDisChaRteMax": 5000,
        },
        {"124.OutWRte": 0x10000 - 2000, "124.InWRte": 2500, "124.StorCtl_Mod": 3},
    ),
}


@pytest.mark.parametrize("kind", BATTERIES)
async def test_batteries(kind):
    models, values, written = BATTERIES[kind]
    cells = image(values, 50000, *models)
    registers = plain.Registers({1: image(METER_213, 0, 213), 2: cells})
    async with plain.tcp_server(registers) as port:
        link = f"tcp://127.0.0.1:{port}"
        home = LiveProsumer(
            id="a",
            meter=parse_endpoint(f"{link}/1", "sunspec-meter"),
            battery=parse_endpoint(f"{link}/2", "sunspec-battery"),
        )
        gateway = Gateway([home], interval_s=3600.0)
        (reading,) = await gateway.poll()
        outcome = await gateway.command("a", [DeviceSetPoint(device="battery", power_kw=-1.0)], 900.0)
        released = await gateway.command("a", [DeviceSetPoint(device="battery", power_kw=None)])
        await gateway.close()
    (state,) = reading.devices
    assert (state.p_kw, state.soc, state.max_kw) == (2.0, 0.5, 5.0)
    assert state.min_kw == (-5.0 if "713" in kind else -4.0)
    assert outcome.ok, outcome.detail
    enable = "704.WSetEna" if "704.WSetEna" in written else "124.StorCtl_Mod"
    for name, word in written.items():
        assert cells[cell(50000, models, name)] == (0 if name == enable else word), name
    assert released.ok


def test_every_shipped_model_is_read_from_its_file():
    assert {model(number).id for number in (113, 213, 702, 703, 802)} == {113, 213, 702, 703, 802}
