"""What a service says of itself beside its work, while its connection comes and goes."""

import asyncio
import gc

from broker.errors import BusClosed
from broker.participant.availability import OwnAvailability


async def test_a_word_that_waits_for_the_broker_as_the_bus_closes_is_dropped_in_silence():
    complaints, closing = [], asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))

    async def publish(world, instance):
        await closing.wait()
        raise BusClosed("the bus is closed; open a new one")

    own = OwnAvailability("wam", "world", publish=publish, flag=complaints.append)
    own.say_online(0.0)
    await asyncio.sleep(0.01)
    closing.set()
    await asyncio.sleep(0.01)
    del own
    gc.collect()
    assert complaints == []
