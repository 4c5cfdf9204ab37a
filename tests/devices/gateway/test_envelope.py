"""Whatever a device says and whatever is wanted of it, nothing is written that leaves its envelope."""

import asyncio
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.client.drivers import Inverter
from devices.client.modbus_port import ModbusPort
from devices.client.unit import Unit
from devices.emulation.bank import RegisterBank
from devices.endpoint import tcp
from devices.errors import DeviceError, IllegalAddress, IllegalValue
from devices.gateway.actuator import Actuator
from devices.limits import SetPointLimits
from devices.registers.bounded import exact
from devices.registers.points import decode, encode, word_count
from devices.registers.profiles import load_profile, shipped_profiles
from devices.registers.sunspec import sunspec_layout

KINDS = {
    "sunspec-pv 123": ("sunspec-pv", "pv", (1, 103, 120, 121, 123)),
    "sunspec-pv 704": ("sunspec-pv", "pv", (1, 701, 702, 704)),
    "sunspec-battery 704": ("sunspec-battery", "battery", (1, 120, 121, 124, 701, 704, 713)),
    "sunspec-battery 124": ("sunspec-battery", "battery", (1, 103, 120, 121, 124)),
    "fronius-pv": ("fronius-pv", "pv", (1, 103, 120, 121, 123)),
    "sunspec-hybrid-pv": ("sunspec-hybrid-pv", "pv", (1, 103, 120, 121, 123)),
    "fronius-battery": ("fronius-battery", "battery", (1, 103, 120, 121, 124, 160)),
    "kostal-pv": ("kostal-pv", "pv", (1, 103, 120, 121, 123)),
    "kostal-battery": ("kostal-battery", "battery", ()),
    "huawei-pv": ("huawei-pv", "pv", ()),
    "huawei-battery": ("huawei-battery", "battery", ()),
    "sma-battery": ("sma-battery", "battery", ()),
    "solaredge-pv": ("solaredge-pv", "pv", (1, 103, 120, 121)),
    "solaredge-battery": ("solaredge-battery", "battery", ()),
    "sharegrid-ev": ("sharegrid-ev", "ev", ()),
    "sharegrid-load": ("sharegrid-load", "load", ()),
}
# Points that carry a power: which rating [kW] is their whole, or W; and the sign of generation in them.
POWERS = {
    "123.WMaxLimPct": ("rating", 1),
    "704.WMaxLimPct": ("rating", 1),
    "704.WMaxLimPctRvrt": ("rating", 1),
    "704.WSet": ("W", 1),
    "704.WSetRvrt": ("W", 1),
    "124.OutWRte": ("charge", 1),
    "124.InWRte": ("charge", -1),
    "limit": ("rating", 1),
    "set_power": ("W", 1),
    "charge_power": ("W", -1),
    "discharge_power": ("W", 1),
    "charge_limit": ("W", -1),
    "discharge_limit": ("W", 1),
}
# Times, enables and modes, which carry none.
OTHERS = ("RvrtTms", "WinTms", "RmpTms", "Ena", "EnaRvrt", "Mod", "ChaGriSet")
OTHERS += ("period", "timeout", "mode", "target", "control", "enable", "seconds")
# Where a point of that name carries something else: watts, of which the profile turns the sign.
OWN_POWERS = {profile: {"limit": ("W", 1)} for profile in ("sharegrid-ev", "sharegrid-load")}
# Points at fixed addresses that tell what a device can do, and those that say that it obeys.
RATINGS = ("rating", "charge_most", "discharge_most")
OBEYS = {"solaredge-pv": {"control": 1}, "solaredge-battery": {"control": 4}}


class Registers:
    """Registers of one device in place of a link; every write is kept as (point, value in its unit)."""

    connects = 1

    def __init__(self, profile, models, scale_factors):
        layout = sunspec_layout(models)
        writable = [name for name, point in layout.points.items() if point.rw]
        self.bank = RegisterBank(layout, 1, writable)
        for name, point in layout.points.items():
            if point.type == "sunssf":
                self.bank.put(name, scale_factors.get(name, 0))
        self.fixed = load_profile(profile).points
        self.cells = {}
        for name in self.fixed:
            self.put(name, OBEYS.get(profile, {}).get(name, 0.0))
        self.written = []
        self.fails_in = None
        self.fails_by = None

    def _fails(self, how):
        """Whether a write fails in one way: the one before which so many others went well."""
        if self.fails_in is None or self.fails_by != how:
            return False
        self.fails_in -= 1
        return self.fails_in < 0

    def put(self, name, value):
        if name in self.bank.layout.points:
            self.bank.put(name, math.nan if value is None else value)
        if name in self.fixed:
            point = self.fixed[name]
            text = "" if point.type == "string" else value
            self.cells.update(enumerate(encode(point, text), start=point.at))

    def _is_mapped(self, address, count):
        layout = self.bank.layout
        return layout.base <= address <= address + count <= layout.base + layout.length

    async def read(self, unit, address, count, function=3):
        if self._is_mapped(address, count):
            return np.array(self.bank.read(0, address, count), dtype=">u2").tobytes()
        words = [self.cells.get(address + k) for k in range(count)]
        if None in words:
            raise IllegalAddress("no such register")
        return np.array(words, dtype=">u2").tobytes()

    async def write(self, unit, address, words, function=16):
        if self._fails("refused"):
            self.fails_in = None
            raise IllegalValue("does not accept the value")
        layout = self.bank.layout
        for name, point in layout.points.items():
            self._note(name, point, layout.base + point.at - address, words)
        for name, point in self.fixed.items():
            self._note(name, point, point.at - address, words)
        if self._fails("lost"):
            self.fails_in = None
        elif self._is_mapped(address, len(words)):
            assert self.bank.write(0, address, list(words)) == 0
        else:
            self.cells.update(enumerate(words, start=address))

    def _note(self, name, point, offset, words):
        if 0 <= offset < len(words) and point.type != "sunssf":
            own = list(words[offset : offset + word_count(point)])
            sf = self.bank.scale_at(0, name) if name in self.bank.layout.points else 0
            self.written.append((name, decode(point, own, sf)))

    def let_through(self, unit):
        pass

    def begin_priority(self, unit):
        pass

    def end_priority(self, unit):
        pass


def decoded_kw(kind, name, value, rating_kw, charge_kw):
    """Power that a written value stands for, exactly; ``None`` where it stands for none."""
    powers = POWERS | OWN_POWERS.get(kind, {})
    if name not in powers:
        assert name.endswith(OTHERS), name
        return None
    whole, sign = powers[name]
    number = Fraction(repr(float(value)))
    if whole == "W":
        return sign * number / 1000
    whole_kw = rating_kw if whole == "rating" else charge_kw
    if not whole_kw and number:
        # A share of what is not known is anything.
        return math.copysign(math.inf, sign * number)
    return sign * number / 100 * Fraction(repr(whole_kw))


kw = st.floats(-1000.0, 1000.0, allow_nan=False) | st.sampled_from([0.0, 0.3, 1.0, 2.125, 3.0])
anything = kw | st.sampled_from([math.nan, math.inf, -math.inf, 1e30])
edges = st.tuples(kw, kw).map(sorted)


@st.composite
def limits(draw):
    low_kw, high_kw = draw(edges)
    return SetPointLimits(
        real=draw(st.booleans()),
        min_kw=draw(st.sampled_from([low_kw, -math.inf])),
        max_kw=draw(st.sampled_from([high_kw, math.inf])),
        ramp_kw_per_s=draw(st.sampled_from([math.inf, 0.0, 0.01, 0.1, 5.0])),
        revert_s=draw(st.sampled_from([math.inf, 60.0])),
        safe_kw=draw(kw),
    )


steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), anything | st.none(), st.sampled_from([0.0, 30.0, 900.0])),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 30.0, 1000.0]), st.none()),
        st.tuples(st.just("reading"), st.floats(-32_000, 32_000) | st.none(), st.none()),
        st.tuples(st.just("rating"), st.sampled_from([None, 0, 1, 333, 5000, 60_000]), st.none()),
        st.tuples(st.just("scale"), st.sampled_from([-4, -3, -2, -1, 0, 1]), st.none()),
        st.tuples(st.sampled_from(["stop", "hand back"]), st.none(), st.none()),
        st.tuples(st.sampled_from(["refused", "lost"]), st.integers(0, 4), st.none()),
    ),
    min_size=1,
    max_size=12,
)


async def play(kind, bounds, sequence, scale):
    """What an actuator writes in a sequence of events, with the ratings at that time."""
    profile, device, models = KINDS[kind]
    controls = ("123.WMaxLimPct_SF", "704.WMaxLimPct_SF", "704.WSet_SF", "124.InOutWRte_SF")
    registers = Registers(profile, models, dict.fromkeys(controls, scale))
    unit = Unit(registers, tcp("127.0.0.1", 502, 1, profile))
    now = [0.0]
    actuator = Actuator(Inverter(ModbusPort(unit, real=bounds.real), device, bounds), device, lambda: now[0])
    rating_w = 5000.0
    seen = []

    def rate():
        for name in ("121.WMax", "702.WMax", "702.WMaxRtg", "120.WRtg", "124.WChaMax", *RATINGS):
            registers.put(name, rating_w)

    rate()
    for what, value, valid_s in sequence:
        try:
            if what == "set":
                await actuator.set(value, valid_s)
            elif what == "wait":
                now[0] += value
                await actuator.tend()
            elif what == "reading":
                registers.put("103.W", value)
                registers.put("701.W", value)
                registers.put("power", value)
            elif what == "rating" and bounds.real:
                rating_w = value
                rate()
            elif what == "scale" and bounds.real:
                for name in controls:
                    registers.put(name, value)
            elif what in ("refused", "lost"):
                registers.fails_by, registers.fails_in = what, value
            elif what == "stop":
                await actuator.stop("fire")
            elif what == "hand back":
                await actuator.hand_back()
        except DeviceError:
            pass
        seen += [(name, value, (rating_w or 0.0) / 1e3) for name, value in registers.written]
        registers.written.clear()
    return seen


@pytest.mark.parametrize("kind", KINDS)
@given(bounds=limits(), sequence=steps, scale=st.sampled_from([-3, -2, -1, 0, 1]))
@settings(max_examples=100, deadline=None)
def test_every_written_value_decodes_to_within_the_envelope(kind, bounds, sequence, scale):
    for name, value, rating_kw in asyncio.run(play(kind, bounds, sequence, scale)):
        power_kw = decoded_kw(kind, name, value, rating_kw, rating_kw)
        if power_kw is not None:
            low_kw, high_kw = exact(bounds.min_kw), exact(bounds.max_kw)
            assert low_kw is None or low_kw <= power_kw, (name, value)
            assert high_kw is None or power_kw <= high_kw, (name, value)


@pytest.mark.parametrize("kind", KINDS)
def test_something_is_written_at_all(kind):
    bounds = SetPointLimits(min_kw=-2.0, max_kw=3.0)
    seen = asyncio.run(play(kind, bounds, [("set", 1.5, 900.0)], -2))
    powers_kw = {name: decoded_kw(kind, name, value, rating, rating) for name, value, rating in seen}
    assert Fraction(3, 2) in powers_kw.values()


def test_every_shipped_profile_that_commands_is_among_them():
    commanding = {name for name in shipped_profiles() if load_profile(name).commands.set}
    assert commanding == {profile for profile, _, _ in KINDS.values()}
