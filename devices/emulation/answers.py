"""What an emulated unit answers to a Modbus request: registers read, registers written, or an exception.

After the MODBUS Application Protocol Specification V1.1b3. A request or reply is a PDU here: function code
and what belongs to it. The image is the only state, and nothing awaits between a request and its reply.
"""

import struct
from dataclasses import dataclass

from devices.emulation.bank import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, RegisterBank

READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY = 3, 4, 6, 16
NO_SUCH_UNIT = 4
"""Exception of a server behind which there is no such unit."""

_ILLEGAL_VALUE = 3
_MOST_READ, _MOST_WRITTEN = 125, 123
_REQUEST = struct.Struct(">BHH")


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of a bank, to be served under an id of its own."""

    bank: RegisterBank
    row: int


def answer(unit: Unit | None, pdu: bytes) -> bytes:
    """Reply to a request to a unit, ``None`` for one that is not there."""
    if unit is None:
        return exception(pdu, NO_SUCH_UNIT)
    bank, function = unit.bank, pdu[0]
    if unit.row in bank.failing:
        return exception(pdu, bank.failing[unit.row])
    holds = function == READ_HOLDING and unit.row in bank.holding
    if function not in bank.layout.functions and not holds:
        return exception(pdu, ILLEGAL_FUNCTION)
    if function in (READ_HOLDING, READ_INPUT):
        return _read(unit, pdu, holds=holds)
    if function in (WRITE_ONE, WRITE_MANY):
        return _written(unit, pdu)
    return exception(pdu, ILLEGAL_FUNCTION)


def exception(pdu: bytes, code: int) -> bytes:
    """Reply that refuses a request."""
    return bytes((pdu[0] | 0x80, code))


def _read(unit: Unit, pdu: bytes, *, holds: bool) -> bytes:
    if len(pdu) != _REQUEST.size:
        return exception(pdu, _ILLEGAL_VALUE)
    function, address, count = _REQUEST.unpack(pdu)
    if not 1 <= count <= _MOST_READ:
        return exception(pdu, _ILLEGAL_VALUE)
    read = unit.bank.holding_bytes if holds else unit.bank.read_bytes
    data = read(unit.row, address, count)
    return exception(pdu, ILLEGAL_ADDRESS) if data is None else bytes((function, 2 * count)) + data


def _written(unit: Unit, pdu: bytes) -> bytes:
    if len(pdu) < _REQUEST.size:
        return exception(pdu, _ILLEGAL_VALUE)
    function, address, count = _REQUEST.unpack_from(pdu)
    words = [count]
    if function == WRITE_MANY:
        size = 2 * count
        if not 1 <= count <= _MOST_WRITTEN or len(pdu) != 6 + size or pdu[5] != size:
            return exception(pdu, _ILLEGAL_VALUE)
        words = list(struct.unpack_from(f">{count}H", pdu, 6))
    elif len(pdu) != _REQUEST.size:
        return exception(pdu, _ILLEGAL_VALUE)
    refused = unit.bank.write(unit.row, address, words)
    return exception(pdu, refused) if refused else pdu[: _REQUEST.size]
