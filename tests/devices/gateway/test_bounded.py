"""What a gateway publishes of numbers that no device can mean: every receiver's door takes it."""

import asyncio
import math
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.client.memory import MemoryBroker
from broker.door.bounds import Bounds
from broker.messages import DeviceState, Step
from broker.messages.devices import HeatStore
from broker.participant.node import Node
from devices.gateway.plausibility import Plausibility
from devices.gateway.reading import Reading
from devices.gateway.responses import Responses
from devices.gateway.telemetry import DeviceTelemetry

BOUNDS = Bounds(
    prosumers=("home",), lams=("A",), lam=np.array([0]), live=frozenset({"home"}), ticks=9, member_kw=1e4
)
SOUND = Reading(
    prosumer="home",
    quality="good",
    p_kw=1.0,
    q_kvar=0.1,
    v_pu=1.0,
    import_kwh=100.0,
    export_kwh=50.0,
    import_kvarh=9.0,
    export_kvarh=1.0,
)
BATTERY = DeviceState(device="battery", p_kw=0.5, min_kw=-3.0, max_kw=3.0, soc=0.5)
OF_METERS = ("p_kw", "q_kvar", "v_pu", "import_kwh", "export_kwh", "import_kvarh", "export_kvarh")
OF_DEVICES = ("p_kw", "min_kw", "max_kw", "soc", "needs_kwh", "left_s")
WILD = st.one_of(
    st.floats(),
    st.sampled_from([1e30, -1e30, 1e27, math.inf, -math.inf, math.nan, 1e9, -1e9, 1e6, 0.0, -5.0]),
    st.none(),
)


HEAD = {"run": "r", "sender": "clock", "opened": 0.0, "deadline": 1.0, "interval_s": 900.0}


class Devices:
    """In place of a gateway: its devices say what a test wants."""

    def __init__(self):
        self.prosumers = (SimpleNamespace(id="home"),)
        self.problems, self.overwritten, self.real_consumers = [], [], []
        self.reading = SOUND

    async def poll(self, *, inverters, take):
        take([self.reading if inverters else msgspec.structs.replace(self.reading, devices=())])


async def told(*readings, judged=True):
    """Telemetry of readings, begin and end of intervals in turn; its flags, what is refused."""
    broker, devices, heard = MemoryBroker(), Devices(), []
    async with broker.connect("gateway") as gate, broker.connect("feeder") as feeder:
        node, listener = Node(gate, "r", "gateway", bounds=BOUNDS), Node(feeder, "r", "feeder", bounds=BOUNDS)
        listener.on(listener.topics.telemetry("+", "+"), heard.append)
        await listener.open()
        pump = asyncio.create_task(listener.pump())
        judge = Plausibility({"home": 10.0}, 0.25) if judged else None
        telemetry = DeviceTelemetry(node, devices, judge, Responses())
        for place, reading in enumerate(readings):
            devices.reading = reading
            step, work = (("measure", telemetry.measure), ("meter", telemetry.meter))[place % 2]
            await work(Step(**HEAD, tick=place // 2, seq=place, step=step))
        await asyncio.sleep(0.01)
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
    return heard, node.take_flags(), listener.traffic().rejected


@pytest.mark.parametrize("value", [1e30, -1e30, 1e27, math.inf, math.nan])
@pytest.mark.parametrize("name", ["p_kw", "q_kvar", "v_pu", "import_kwh", "export_kwh"])
async def test_a_meters_number_beyond_the_bounds_is_missing_and_its_reading_suspect(name, value):
    wild = msgspec.structs.replace(SOUND, **{name: value})
    heard, flags, refused = await told(SOUND, wild, wild, SOUND)
    assert (len(heard), refused) == (4, 0)
    assert [message.quality for message in heard] == ["good", "suspect", "suspect", "good"]
    for message in heard[1:3]:
        assert getattr(message, name) is None
        assert (message.interval_kwh, message.interval_kvarh) == (None, None)
        assert message.checks[0] == "range"
    assert flags[0].startswith(f"home is not plausible: range ({name} of {value:g})")


async def test_the_number_of_one_device_makes_that_device_suspect_and_not_the_meter():
    wild = msgspec.structs.replace(BATTERY, p_kw=1e13)
    (message,), flags, refused = await told(msgspec.structs.replace(SOUND, devices=(wild,)))
    assert refused == 0
    assert (message.quality, message.checks) == ("good", ["range"])
    (state,) = message.devices
    assert (state.quality, state.p_kw, state.max_kw) == ("suspect", None, 3.0)
    assert flags == ["home is not plausible: range (battery p_kw of 1e+13)"]


@pytest.mark.parametrize(("name", "value"), [("soc", 6.55), ("needs_kwh", 6553.5), ("left_s", 2.0**32 - 1)])
async def test_what_no_store_can_tell_of_itself_is_missing_and_the_device_suspect(name, value):
    wild = msgspec.structs.replace(BATTERY, **{name: value})
    (message,), flags, refused = await told(msgspec.structs.replace(SOUND, devices=(wild,)))
    (state,) = message.devices
    assert (refused, state.quality, getattr(state, name)) == (0, "suspect", None)
    assert flags == [f"home is not plausible: range (battery {name} of {value:g})"]


async def test_what_a_heat_pump_can_hold_is_left_out_whole():
    heat = HeatStore(capacity_kwh=1e30, loss_kw=0.1, rating_kw=2.0)
    load = DeviceState(device="load", p_kw=-0.5, min_kw=-2.0, max_kw=0.0, soc=0.5, heat=heat)
    (message,), flags, refused = await told(msgspec.structs.replace(SOUND, devices=(load,)))
    assert (refused, message.devices[0].heat, message.devices[0].quality) == (0, None, "suspect")
    assert flags == ["home is not plausible: range (load heat)"]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(OF_METERS), WILD), max_size=4),
    st.lists(st.tuples(st.sampled_from(OF_DEVICES), WILD), max_size=3),
    st.booleans(),
)
def test_whatever_devices_say_nobody_refuses_telemetry(of_meter, of_device, judged):
    state = msgspec.structs.replace(BATTERY, **dict(of_device))
    wild = msgspec.structs.replace(SOUND, **dict(of_meter), devices=(state,))
    heard, _, refused = asyncio.run(told(SOUND, wild, SOUND, wild, wild, SOUND, judged=judged))
    assert (len(heard), refused) == (6, 0)


async def test_counters_that_are_possible_each_but_not_one_after_the_other_make_no_energy():
    before = msgspec.structs.replace(SOUND, import_kvarh=-9e8)
    after = msgspec.structs.replace(SOUND, import_kvarh=9e8)
    heard, flags, refused = await told(before, after, judged=False)
    assert refused == 0
    assert [(message.quality, message.interval_kvarh) for message in heard][1] == ("suspect", None)
    assert flags == ["home is not plausible: range (interval_kvarh of 1.8e+09)"]


async def test_reactive_energy_that_no_connection_carries_does_not_reach_the_feeder():
    after = msgspec.structs.replace(SOUND, import_kwh=100.2, import_kvarh=5e8)
    later = msgspec.structs.replace(after, import_kwh=100.4, import_kvarh=5e8 + 1.0)
    heard, flags, refused = await told(SOUND, after, after, later)
    assert refused == 0
    assert [message.quality for message in heard] == ["good"] * 4
    assert [message.interval_kvarh for message in heard] == [None, None, None, 1.0]
    assert heard[1].interval_kwh == pytest.approx(0.2)
    assert heard[1].checks == ["reactive"]
    assert flags == ["home is not plausible: reactive (5e+08 kvarh)"]
