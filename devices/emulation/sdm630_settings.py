"""Holding registers of an SDM630: how it is set, float32, as its makers' protocol description lists them.

An emulated meter shows them to clients that look at them first; nothing changes them.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from devices.registers.points import Point, encode

_LENGTH = 0x5A
_BAUD_CODES = {2400: 0, 4800: 1, 9600: 2, 19_200: 3, 38_400: 4}
_PARITY_CODES = {("N", 1): 0, ("E", 1): 1, ("O", 1): 2, ("N", 2): 3}
# Address and value as the meter comes from the factory.
_FACTORY = {
    0x02: 60.0,  # demand period [min]
    0x0C: 200.0,  # width of pulses [ms]
    0x0E: 0.0,  # lock of the settings: locked
    0x16: 0.0,  # divisor of pulses
    0x56: 4.0,  # what pulses count: total active energy
}
_SYSTEM, _PARITY, _NODE, _BAUD, _SERIAL_HIGH, _SERIAL_LOW = 0x0A, 0x12, 0x14, 0x1C, 0x2A, 0x2C
_ONE_PHASE, _THREE_PHASES = 1.0, 3.0


def settings(
    name: str, phases: int = 3, node: int = 1, baud: int = 9600, parity: str = "N", stop_bits: int = 1
) -> NDArray[np.uint16]:
    """Words of the holding registers of one meter, from address 0 on.

    Parameters
    ----------
    name
        Name of the meter, from which its serial number follows.
    phases
        Phases that it is connected to: 1 counts as one phase and two wires, others as three and four.
    node, baud, parity, stop_bits
        Unit id and settings of its serial line.
    """
    serial = zlib.crc32(name.encode())
    values = _FACTORY | {
        _SYSTEM: _ONE_PHASE if phases == 1 else _THREE_PHASES,
        _NODE: float(node),
        _BAUD: float(_BAUD_CODES.get(baud, _BAUD_CODES[9600])),
        _PARITY: float(_PARITY_CODES.get((parity, stop_bits), 0)),
        _SERIAL_HIGH: float(serial >> 16),
        _SERIAL_LOW: float(serial & 0xFFFF),
    }
    words = np.zeros(_LENGTH, dtype=np.uint16)
    for address, value in values.items():
        words[address : address + 2] = encode(Point(at=address, type="float32"), value)
    return words
