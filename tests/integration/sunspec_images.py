"""Register images of inverters as they are found in the field, behind a Modbus server of plain sockets.

Each image is a chain of models written out word by word from the published definitions; a device may treat
what is written to it as its makers saw fit.
"""

import struct

from tests.integration.plain_modbus import Registers

NONE, NONE_SIGNED = 0xFFFF, 0x8000
BASE = 40000


def words_of(number):
    """A negative number as a word."""
    return number & 0xFFFF


def model(model_id, length, filled, blank=NONE):
    """ID, length and body of a model; ``filled`` by offset from the ID register."""
    body = [blank] * length
    for offset, word in filled.items():
        body[offset - 2] = words_of(word)
    return [model_id, length, *body]


def common():
    return model(1, 66, {}, blank=0)


def inverter_103(power_w):
    filled = {12: 0, 14: power_w, 15: 0, 16: 5000, 17: -2, 24: 0, 25: 1000, 26: 0, 38: 4}
    return model(103, 50, filled)


def nameplate_120(kind, rating_w, discharge_w=None):
    filled = {2: kind, 3: rating_w, 4: 0, 23: NONE, 24: NONE_SIGNED}
    if discharge_w is not None:
        filled |= {23: discharge_w, 24: 0}
    return model(120, 26, filled)


def settings_121(rating_w):
    return model(121, 30, {2: rating_w, 3: 230, 22: 0, 23: 0, 24: 0})


def controls_123(limit_sf=-2, revert=0):
    filled = {4: 1, 5: 10000, 6: 0, 7: revert, 8: 0, 9: 0, 23: limit_sf}
    return model(123, 24, filled, blank=0)


def storage_124(charge_w):
    filled = {
        2: charge_w,
        5: 0,
        8: 5000,
        11: 4,
        12: 10000,
        13: 10000,
        14: 0,
        15: 0,
        16: 0,
        18: 0,
        22: -2,
        25: -2,
    }
    return model(124, 24, filled)


def chain(*models, base=BASE):
    """Cells of a device that shows these models."""
    words = [0x5375, 0x6E53, *(word for each in models for word in each), 0xFFFF, 0]
    return dict(enumerate(words, start=base))


def address_of(cells, model_id, offset, base=BASE):
    """Where a register of a model stands."""
    at = base + 2
    while cells[at] != model_id:
        at += cells[at + 1] + 2
    return at + offset


def pv_image(rating_w=5000, power_w=2500, limit_sf=-2, revert=0):
    return chain(
        common(),
        inverter_103(power_w),
        nameplate_120(4, rating_w),
        settings_121(rating_w),
        controls_123(limit_sf, revert),
    )


def battery_image(rating_w=10_000, charge_w=12_800, discharge_w=None):
    return chain(
        common(),
        inverter_103(0),
        nameplate_120(82, rating_w, discharge_w),
        settings_121(rating_w),
        storage_124(charge_w),
    )


def with_serial(cells, text):
    """Let a device tell a serial number."""
    at = address_of(cells, 1, 50)
    for place, word in enumerate(struct.unpack(">16H", text.encode().ljust(32, b"\0"))):
        cells[at + place] = word
    return cells


class Inverter(Registers):
    """One unit, number 1, whose ``store`` says what becomes of a word that is written.

    Attributes
    ----------
    writes
        Address and words of each write.
    """

    def __init__(self, cells, store=None, **options):
        super().__init__({1: cells}, **options)
        self.cells = cells
        self.writes = []
        self._store = store or (lambda address, word: word)

    def at(self, model_id, offset):
        """Word of a model's register."""
        return self.cells[address_of(self.cells, model_id, offset)]

    def put(self, model_id, offset, word):
        self.cells[address_of(self.cells, model_id, offset)] = words_of(word)

    def answer(self, unit, pdu):
        before = dict(self.cells)
        reply = super().answer(unit, pdu)
        if pdu[0] in (6, 16) and reply is not None and reply[0] < 0x80:
            _, _, address, count = self.asked[-1]
            touched = range(address, address + (count if pdu[0] == 16 else 1))
            self.writes.append((address, [self.cells[place] for place in touched]))
            for place in touched:
                kept = self._store(place, self.cells[place])
                self.cells[place] = before[place] if kept is None else words_of(kept)
        return reply
