"""Batteries whose mode says the direction: after each single write they stand within their envelope."""

import asyncio
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.client.drivers import Inverter
from devices.client.modbus_port import ModbusPort
from devices.client.unit import Unit
from devices.endpoint import tcp
from devices.errors import DeviceError, IllegalAddress
from devices.gateway.actuator import Actuator
from devices.limits import SetPointLimits
from devices.registers.points import decode, encode, word_count
from devices.registers.profiles import load_profile

# Modes that let a device charge or discharge, and where it finds how much.
PROFILES = {
    "huawei-battery": {1: ("charge_power", -1), 2: ("discharge_power", 1)},
    "solaredge-battery": {3: ("charge_limit", -1), 4: ("discharge_limit", 1)},
}


class Battery:
    """Registers in place of a link; what the battery does after each write is kept [kW]."""

    connects = 1

    def __init__(self, name, stale_w):
        self.profile = load_profile(name)
        self.modes = PROFILES[name]
        self.cells = {}
        self.did_kw = []
        told = {
            "control": 4,
            "charge_most": 9000.0,
            "discharge_most": 9000.0,
            "capacity": 10_000.0,
            "soc": 50.0,
        }
        for point_name, point in self.profile.points.items():
            if point.type != "string":
                stale = stale_w if point_name in {which for which, _ in self.modes.values()} else 0.0
                self.put(point_name, told.get(point_name, stale))

    def put(self, name, value):
        point = self.profile.points[name]
        self.cells.update(enumerate(encode(point, value), start=point.at))

    def value(self, name):
        point = self.profile.points[name]
        return decode(point, [self.cells[point.at + k] for k in range(word_count(point))])

    async def read(self, unit, address, count, function=3):
        if any(address + k not in self.cells for k in range(count)):
            raise IllegalAddress("no such register")
        return struct.pack(f">{count}H", *(self.cells[address + k] for k in range(count)))

    async def write(self, unit, address, words, function=16):
        self.cells.update(enumerate(words, start=address))
        where, sign = self.modes.get(self.value("mode"), (None, 0))
        self.did_kw.append(0.0 if where is None else sign * self.value(where) / 1000.0)

    def let_through(self, unit):
        pass

    def begin_priority(self, unit):
        pass

    def end_priority(self, unit):
        pass

    def silent(self, unit):
        return 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.floats(-20.0, 20.0) | st.none() | st.just(0.0)),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 30.0, 1000.0])),
        st.tuples(st.just("stop"), st.none()),
    ),
    min_size=1,
    max_size=10,
)


async def play(name, limits, sequence, stale_w):
    battery = Battery(name, stale_w)
    port = ModbusPort(Unit(battery, tcp("127.0.0.1", 502, 1, name)), real=True)
    now = [0.0]
    actuator = Actuator(Inverter(port, "battery", limits), "battery", lambda: now[0])
    for what, value in sequence:
        try:
            if what == "set":
                await actuator.set(value, 900.0)
            elif what == "wait":
                now[0] += value
                await actuator.tend()
            else:
                await actuator.stop("fire")
        except DeviceError:
            pass
    return battery.did_kw


@pytest.mark.parametrize("name", PROFILES)
@given(
    low_kw=st.floats(-8.0, 0.0),
    high_kw=st.floats(0.0, 8.0),
    ramp=st.sampled_from([float("inf"), 0.1]),
    sequence=steps,
    stale_w=st.sampled_from([0.0, 9000.0]),
)
@settings(max_examples=60, deadline=None)
def test_no_single_write_makes_it_leave_its_envelope(name, low_kw, high_kw, ramp, sequence, stale_w):
    limits = SetPointLimits(real=True, min_kw=low_kw, max_kw=high_kw, ramp_kw_per_s=ramp)
    for did_kw in asyncio.run(play(name, limits, sequence, stale_w)):
        assert low_kw <= did_kw <= high_kw


@pytest.mark.parametrize("name", PROFILES)
def test_it_does_what_it_is_told_in_both_directions(name):
    limits = SetPointLimits(real=True, min_kw=-4.0, max_kw=3.0)
    did_kw = asyncio.run(
        play(name, limits, [("set", -2.0), ("set", 9.0), ("set", 0.0), ("set", -9.0)], 9000.0)
    )
    assert {-2.0, 3.0, 0.0, -4.0} <= set(did_kw)
    assert did_kw[-1] == -4.0
