"""What can be read of many devices on one link at once, before the others are read one by one."""

from collections.abc import Callable, Sequence
from itertools import islice

from devices.client.connection import Connection
from devices.client.modbus_port import ModbusPort
from devices.gateway.poll_items import NO_RATINGS, PollItem, PollResult
from devices.registers.plan import Plan
from devices.registers.ratings import Ratings


async def read_together(
    items: Sequence[PollItem], result: PollResult, finish: Callable[[PollItem], None]
) -> list[PollItem]:
    """Read devices of one link together, as many at once as the link bears.

    Parameters
    ----------
    items
        Devices on the link, in the order in which they are wanted.
    result
        Where values go.
    finish
        Called with each device that was read.

    Returns
    -------
    list
        Devices that have to be read one by one, in their order: where the link bears no more, where more has
        to be found out or asked for than the plain reading, and where that did not come in as it should.
    """
    ways = (item.port.together for item in items if isinstance(item.port, ModbusPort))
    way = next((each for each in ways if each is not None), None)
    if way is None:
        return list(items)
    left: list[PollItem] = []
    waiting = iter(items)
    while part := list(islice(waiting, way.link.at_once)):
        left += await _read_part(way, part, result, finish)
    return left


async def _read_part(
    way: Connection, part: Sequence[PollItem], result: PollResult, finish: Callable[[PollItem], None]
) -> list[PollItem]:
    planned = [each for item in part if (each := _planned(item)) is not None]
    reads = [
        (port.endpoint.unit, request.address, request.count, request.function)
        for _, port, plan, _ in planned
        for request in plan.requests
    ]
    replies = iter(await way.read_many(reads))
    done: set[int] = set()
    for item, port, plan, ratings in planned:
        came = [reply for reply in islice(replies, len(plan.requests)) if reply is not None]
        state = port.state_of(plan, came) if len(came) == len(plan.requests) else None
        if state is not None and item.note is not None:
            item.note(ratings, state, result)
            done.add(id(item))
            finish(item)
    return [item for item in part if id(item) not in done]


def _planned(item: PollItem) -> tuple[PollItem, ModbusPort, Plan, Ratings] | None:
    """How to read a device with others; ``None`` where it has to be read by itself."""
    port = item.port
    if item.note is None or not isinstance(port, ModbusPort):
        return None
    plan = port.plain_plan()
    ratings = NO_RATINGS if item.is_meter else port.known_ratings
    return None if plan is None or ratings is None else (item, port, plan, ratings)
