"""What a service sends again, for whoever missed it."""

from broker import wall_time
from broker.messages import Done, Repeat
from broker.participant.repeats import SLOWEST, Repeats
from broker.participant.reports import Counts


class Bus:
    def __init__(self):
        self.sent = []

    async def publish(self, topic, payload, **_options):
        self.sent.append((topic, payload))


async def test_what_is_named_many_times_is_sent_again_once():
    bus, counts = Bus(), Counts()
    repeats = Repeats(bus, "r/repeat/a", Done, counts)
    repeats.keep("r/model", 3, b"large")
    repeats.keep("r/state", 3, b"small")
    asked = ["r/model", "r/state", "r/other"] * 1000
    await repeats.send_again(Repeat(run="r", tick=3, sender="b", seq=0, topics=asked))
    assert bus.sent == [("r/model", b"large"), ("r/state", b"small")]
    assert counts.repeated == 2


async def test_a_long_message_is_not_sent_again_while_it_is_on_its_way(monkeypatch):
    now_s = 100.0
    monkeypatch.setattr(wall_time, "now", lambda: now_s)
    bus = Bus()
    repeats = Repeats(bus, "r/repeat/a", Done, Counts())
    long = bytes(int(3.0 * SLOWEST))
    repeats.keep("r/bid", 3, long)
    repeats.keep("r/model", 3, b"short")
    asked = Repeat(run="r", tick=3, sender="b", seq=0, topics=["r/bid", "r/model"])
    sent = []
    for passed_s in (1.0, 2.9, 3.0, 5.9, 6.0):
        bus.sent.clear()
        now_s = 100.0 + passed_s
        await repeats.send_again(asked)
        sent.append([topic for topic, _ in bus.sent])
    both = ["r/bid", "r/model"]
    assert sent == [["r/model"], ["r/model"], both, ["r/model"], both]
    # The next one is another message.
    repeats.keep("r/bid", 4, b"short")
    bus.sent.clear()
    await repeats.send_again(Repeat(run="r", tick=4, sender="b", seq=1, topics=["r/bid"]))
    assert bus.sent == [("r/bid", b"short")]
