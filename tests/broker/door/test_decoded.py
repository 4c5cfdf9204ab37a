"""Messages that services of one process share: read once, and checked for each receiver all the same."""

import threading

import pytest

from broker import messages
from broker.client.bus import Received
from broker.door.admission import Door
from broker.door.bounds import Bounds
from broker.door.decoded import KEPT, LONGEST_BYTES, MOST_BYTES, Decoded
from broker.door.refusal import Refused
from broker.messages import DECLARED, Telemetry
from broker.topics import Topics

TOPICS = Topics("r")
BOUNDS = Bounds(ticks=4)


def reading(p_kw: float = 1.0, seq: int = 0, tick: int = 0, v_pu: float = 1.0) -> bytes:
    told = Telemetry(
        run="r",
        tick=tick,
        sender="gate",
        seq=seq,
        phase="meter",
        p_kw=p_kw,
        q_kvar=None,
        v_pu=v_pu,
        import_kwh=None,
        export_kwh=None,
        quality="good",
    )
    return messages.encode(told)


def received(body: bytes, name: str = "p1") -> Received:
    return Received(TOPICS.telemetry("meter", name), bytes(bytearray(body)), retained=False)


def test_two_receivers_hear_one_message_and_number_it_each_for_itself():
    decoded = Decoded()
    one, other = (Door("r", BOUNDS, decoded=decoded) for _ in range(2))
    first = one.admit(received(reading())).message
    assert other.admit(received(reading())).message is first
    assert one.admit(received(reading())).duplicates == 1
    with pytest.raises(Refused, match="another message"):
        other.admit(received(reading(p_kw=2.0)))


def test_what_depends_on_the_receiver_is_checked_for_each():
    decoded = Decoded()
    early, late = (Door("r", BOUNDS, decoded=decoded) for _ in range(2))
    early.tick, late.tick = 3, 0
    assert early.admit(received(reading(tick=3))).message is not None
    with pytest.raises(Refused, match="ahead of the clock"):
        late.admit(received(reading(tick=3)))
    with pytest.raises(Refused, match="run r"):
        Door("q", BOUNDS, decoded=decoded).admit(
            Received(Topics("q").telemetry("meter", "p1"), reading(tick=3), retained=False)
        )
    with pytest.raises(Refused, match="telemetry"):
        late.admit(Received(TOPICS.step, reading(tick=3), retained=False))


def test_what_is_refused_is_refused_by_everybody():
    decoded = Decoded()
    for _ in range(2):
        with pytest.raises(Refused, match="plausible"):
            Door("r", BOUNDS, decoded=decoded).admit(received(reading(v_pu=1e9)))


def test_large_bodies_are_kept_up_to_so_many_bytes():
    decoded, kind, message = Decoded(), DECLARED["telemetry"], messages.decode(reading())
    bodies = [bytes([number]) * (MOST_BYTES // 8) for number in range(40)]
    for body in bodies:
        decoded.keep(body, kind, message)
        assert decoded.get(bytes(bytearray(body)), kind) is message
    kept = [body for body in bodies if decoded.get(body, kind) is not None]
    assert MOST_BYTES // 2 <= sum(map(len, kept)) <= 2 * MOST_BYTES


def test_what_is_kept_is_bounded_and_of_one_thread():
    decoded, kind = Decoded(), DECLARED["telemetry"]
    message = messages.decode(reading())
    decoded.keep(b"x" * (LONGEST_BYTES + 1), kind, message)
    assert decoded.get(b"x" * (LONGEST_BYTES + 1), kind) is None
    for number in range(3 * KEPT):
        decoded.keep(str(number).encode(), kind, message)
    kept = [number for number in range(3 * KEPT) if decoded.get(str(number).encode(), kind) is not None]
    assert KEPT <= len(kept) <= 2 * KEPT
    assert kept[-1] == 3 * KEPT - 1
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append(decoded.get(str(kept[-1]).encode(), kind)))
    thread.start()
    thread.join()
    assert elsewhere == [None]
