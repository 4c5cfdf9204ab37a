"""Homes of a soak: a meter with a known truth and an inverter that notes every write, on faulty links."""

import struct
import time

from devices.endpoint import LiveProsumer, parse_endpoint
from devices.limits import SetPointLimits
from tests.devices.link_faults import FaultyLink
from tests.integration.plain_modbus import Registers
from tests.integration.sunspec_images import Inverter, address_of, battery_image, pv_image

RATING_KW = 5.0
CHARGE_KW = 5.0
_P, _V, _IMPORT, _EXPORT = 0x34, 0x00, 0x48, 0x4A
_LIMIT, _REVERT, _ENABLE = 5, 7, 9
_MODE, _OUT, _IN, _BATTERY_REVERT = 5, 12, 13, 15


def words(value):
    """Words of a float32, and the number that they stand for."""
    data = struct.pack(">f", value)
    return struct.unpack(">2H", data), struct.unpack(">f", data)[0]


class Meter(Registers):
    """An SDM630 whose counters follow a known power; keeps what it has told of them, and when."""

    def __init__(self, home):
        super().__init__({9: dict.fromkeys(range(0x15A), 0)})
        self._home = home
        self.told = []

    def answer(self, unit, pdu):
        self._home.advance()
        net_kw, imported, exported = self._home.net_kw, self._home.import_kwh, self._home.export_kwh
        shown = {}
        for address, value in ((_V, 230.0), (_P, 1e3 * net_kw), (_IMPORT, imported), (_EXPORT, exported)):
            (high, low), shown[address] = words(value)
            self.units[9][address], self.units[9][address + 1] = high, low
        self.told.append((time.time(), shown[_IMPORT], shown[_EXPORT]))
        return super().answer(unit, pdu)


class Home:
    """One prosumer with a meter and an inverter, each behind a link of its own.

    Attributes
    ----------
    outside
        Writes that stood for a power outside the envelope.
    fell_back
        How often the device's own timer ended a set-point.
    """

    def __init__(self, name, kind, serial, rng):
        self.name, self.kind = name, kind
        self.limits = SetPointLimits(
            real=True,
            min_kw=0.0 if kind == "pv" else -2.0,
            max_kw=3.0 if kind == "pv" else 2.5,
            ramp_kw_per_s=0.5,
            revert_s=15.0,
            safe_kw=0.0,
        )
        self.device = Inverter(
            pv_image() if kind == "pv" else battery_image(charge_w=round(1000 * CHARGE_KW))
        )
        self.device.units[9] = {}
        self._model, self._timer = (123, _REVERT) if kind == "pv" else (124, _BATTERY_REVERT)
        self.meter = Meter(self)
        self.links = [FaultyLink(self.meter, serial=serial), FaultyLink(self.device, serial=serial)]
        self.load_kw = float(rng.uniform(0.5, 3.0))
        self.net_kw, self.import_kwh, self.export_kwh = 0.0, 100.0, 50.0
        self.outside, self.fell_back = [], 0
        self._checked, self._written_at, self._at = 0, 0.0, time.monotonic()
        self._scheme = "rtu+tcp" if serial else "tcp"

    def prosumer(self):
        """Its place, once the links are open."""
        meter, device = (f"{self._scheme}://127.0.0.1:{link.port}" for link in self.links)
        place = parse_endpoint(f"{device}/1", f"sunspec-{self.kind}")
        others = {self.kind: place, f"{self.kind}_limits": self.limits}
        return LiveProsumer(
            id=self.name, meter=parse_endpoint(f"{meter}/9", "sdm630"), real_meter=True, **others
        )

    def advance(self):
        """Let time pass: the inverter does what its registers say, the counters count."""
        now = time.monotonic()
        hours, self._at = (now - self._at) / 3600.0, now
        if self.net_kw > 0.0:
            self.import_kwh += self.net_kw * hours
        else:
            self.export_kwh -= self.net_kw * hours
        self._check_writes(now)
        revert_s = self.device.at(self._model, self._timer)
        if self._is_set() and 0 < revert_s < now - self._written_at:
            self.device.put(self._model, _ENABLE if self.kind == "pv" else _MODE, 0)
            self.fell_back += 1
        power_kw = self._power_kw()
        self.device.put(103, 14, round(1000.0 * power_kw))
        self.net_kw = self.load_kw - power_kw

    def _is_set(self):
        return self.device.at(self._model, _ENABLE if self.kind == "pv" else _MODE) != 0

    def _power_kw(self):
        if self.kind == "pv":
            limit_kw = RATING_KW * self.device.at(123, _LIMIT) / 10_000
            return min(4.0, limit_kw) if self._is_set() else 4.0
        return CHARGE_KW * self.device.at(124, _OUT) / 10_000 if self._is_set() else 0.0

    def _check_writes(self, now):
        for address, written in self.device.writes[self._checked :]:
            self._written_at = now
            for place, word in enumerate(written, start=address):
                power_kw = self._meaning_kw(place, word)
                if power_kw is not None and not self._is_inside(power_kw):
                    self.outside.append((self.name, place, word, power_kw))
        self._checked = len(self.device.writes)

    def _meaning_kw(self, place, word):
        """Power that a written word stands for; ``None`` where it stands for none."""
        number = word - 0x10000 if word > 0x7FFF else word
        if self.kind == "pv":
            return RATING_KW * word / 10_000 if place == address_of(self.device.cells, 123, _LIMIT) else None
        if place == address_of(self.device.cells, 124, _OUT):
            return CHARGE_KW * number / 10_000
        return -CHARGE_KW * number / 10_000 if place == address_of(self.device.cells, 124, _IN) else None

    def _is_inside(self, power_kw):
        return self.limits.min_kw - 1e-9 <= power_kw <= self.limits.max_kw + 1e-9
