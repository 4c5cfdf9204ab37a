"""What a service sends again, for whoever missed it."""

from broker.messages import Done, Repeat
from broker.participant.repeats import Repeats
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
