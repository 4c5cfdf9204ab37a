import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.client.frames import (
    NotModbus,
    OtherMaster,
    OtherUnit,
    SerialFrames,
    TcpFrames,
    checksum,
    read_pdu,
    write_pdu,
)

registers = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125)
cuts = st.lists(st.integers(0, 300), max_size=5)


def answer_to_read(function, words):
    return struct.pack(f">BB{len(words)}H", function, 2 * len(words), *words)


def feed(frames, data, at):
    """Give bytes in pieces; the first PDU that comes out of them."""
    edges = [0, *sorted({cut for cut in at if cut < len(data)}), len(data)]
    for begin, end in itertools.pairwise(edges):
        pdu = frames.take(data[begin:end])
        if pdu is not None:
            return pdu
    return None


def test_requests_stand_as_the_specification_prints_them():
    assert read_pdu(3, 0x6B, 3).hex(" ") == "03 00 6b 00 03"
    assert write_pdu(6, 1, [3]).hex(" ") == "06 00 01 00 03"
    assert write_pdu(16, 1, [10, 0x102]).hex(" ") == "10 00 01 00 02 04 00 0a 01 02"
    assert checksum(bytes.fromhex("010300000001")).hex(" ") == "84 0a"
    assert TcpFrames().request(0x11, read_pdu(3, 0x6B, 3)).hex(" ") == "00 01 00 00 00 06 11 03 00 6b 00 03"


@given(words=registers, function=st.sampled_from([3, 4]), unit=st.integers(1, 247), at=cuts)
def test_a_serial_answer_is_found_however_it_is_cut(words, function, unit, at):
    frames, pdu = SerialFrames(), answer_to_read(function, words)
    frames.request(unit, read_pdu(function, 0, len(words)))
    body = bytes([unit]) + pdu
    assert feed(frames, body + checksum(body), at) == pdu


@given(words=registers, noise=st.binary(max_size=20), at=cuts)
def test_a_serial_answer_is_found_behind_noise(words, noise, at):
    frames, pdu = SerialFrames(), answer_to_read(3, words)
    frames.request(1, read_pdu(3, 0, len(words)))
    body = b"\x01" + pdu
    assert feed(frames, noise + body + checksum(body), at) == pdu


@given(words=registers, at=cuts, late=st.booleans())
def test_an_answer_over_tcp_is_found_behind_a_late_one_however_they_are_cut(words, at, late):
    frames, pdu = TcpFrames(), answer_to_read(3, words)
    frames.request(9, read_pdu(3, 0, 1))
    frames.request(9, read_pdu(3, 0, len(words)))
    before = struct.pack(">HHHB", 1, 0, 5, 9) + answer_to_read(3, [7]) if late else b""
    assert feed(frames, before + struct.pack(">HHHB", 2, 0, len(pdu) + 1, 9) + pdu, at) == pdu


@given(words=registers, flipped=st.integers(0, 5), bit=st.integers(0, 7))
def test_a_serial_answer_with_a_wrong_bit_is_none(words, flipped, bit):
    frames = SerialFrames()
    frames.request(1, read_pdu(3, 0, len(words)))
    body = b"\x01" + answer_to_read(3, words)
    data = bytearray(body + checksum(body))
    data[flipped % len(data)] ^= 1 << bit
    assert frames.take(bytes(data)) is None


def test_of_another_units_serial_answer_only_its_number_is_kept():
    frames = SerialFrames()
    frames.request(1, read_pdu(3, 0, 1))
    body = b"\x05" + answer_to_read(3, [7])
    assert frames.take(body + checksum(body)) is None
    assert frames.heard == 5


def test_an_exception_is_an_answer():
    frames = SerialFrames()
    frames.request(1, read_pdu(3, 0, 1))
    body = b"\x01\x83\x02"
    assert frames.take(body + checksum(body)) == b"\x83\x02"


@pytest.mark.parametrize("header", [b"\x00\x01\x00\x01\x00\x05\x01", b"\x00\x01\x00\x00\xff\xff\x01"])
def test_what_has_no_header_is_no_modbus(header):
    frames = TcpFrames()
    frames.request(1, read_pdu(3, 0, 1))
    with pytest.raises(NotModbus):
        frames.take(header)


def test_another_unit_over_tcp_is_named():
    frames = TcpFrames()
    frames.request(1, read_pdu(3, 0, 1))
    with pytest.raises(OtherUnit) as caught:
        frames.take(struct.pack(">HHHB", 1, 0, 5, 3) + answer_to_read(3, [7]))
    assert caught.value.unit == 3


def test_after_a_request_of_another_master_no_answer_is_believed():
    ours, theirs = SerialFrames(), SerialFrames()
    request = ours.request(1, read_pdu(4, 52, 2))
    # An echo of one's own is none.
    assert ours.take(request) is None
    with pytest.raises(OtherMaster):
        ours.take(theirs.request(1, read_pdu(4, 72, 2)))
    # Who asks another unit does no harm.
    ours.request(1, read_pdu(4, 52, 2))
    assert ours.take(theirs.request(2, read_pdu(4, 72, 2))) is None


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=100), st.integers(1, 247), st.data())
def test_no_answer_is_taken_for_a_request_of_another_master(words, unit, draw):
    frames = SerialFrames()
    frames.request(unit, read_pdu(3, draw.draw(st.integers(0, 0xFFFF)), len(words)))
    body = bytes([unit, 3, 2 * len(words)]) + b"".join(word.to_bytes(2, "big") for word in words)
    reply = body + checksum(body)
    found = [frames.take(bytes([each])) for each in reply]
    assert found[-1] == body[1:]
