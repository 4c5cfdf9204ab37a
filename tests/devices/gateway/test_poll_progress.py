"""Which prosumers a poll is done with, while others are still read."""

from devices.gateway.poll_items import PollItem
from devices.gateway.polling import PollProgress


async def nothing(result):
    del result


def items(*names):
    return [PollItem(name, None, is_meter=True, read=nothing) for name in names]


def test_a_prosumer_is_done_with_its_last_device_and_handed_on_in_parts():
    read = items("a", "b", "a", "c", "d")
    parts = []
    progress = PollProgress(read, parts.append, part=2)
    progress.finish(read[0])
    progress.finish(read[1])
    assert parts == []
    progress.finish(read[2])
    assert parts == [["b", "a"]]
    progress.finish(read[4])
    progress.end()
    # Whoever was not reached is told in the end, too.
    assert parts == [["b", "a"], ["d", "c"]]


def test_nobody_is_handed_on_where_there_is_nobody():
    parts = []
    PollProgress([], parts.append).end()
    assert parts == []
