"""A broker that loses messages: a proxy before it drops a share of them, and says that they arrived."""

import asyncio
import random
import threading
from contextlib import asynccontextmanager, contextmanager

_PUBLISH, _PUBACK = 3, 4


class LossyBroker:
    """Proxy before a broker.

    Parameters
    ----------
    port
        Where the broker listens on this computer.
    share
        Share of delivered messages that is lost.
    seed
        Of the losses.

    Attributes
    ----------
    delivered, lost
        Messages that went through, and that did not.
    """

    def __init__(self, port, share, seed):
        self.delivered = self.lost = 0
        self._port = port
        self._share = share
        self._draw = random.Random(seed)
        self._connections = set()

    @asynccontextmanager
    async def serving(self):
        """Serve for the time of a ``with`` block; its port."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connect(self, from_client, to_client):
        task = asyncio.current_task()
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self._port)
        ways = [
            asyncio.create_task(_pass_on(from_client, to_broker)),
            asyncio.create_task(self._deliver(from_broker, to_client, to_broker)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_broker.close()
            to_client.close()

    async def _deliver(self, from_broker, to_client, to_broker):
        while True:
            head, body = await _packet(from_broker)
            if head[0] >> 4 == _PUBLISH:
                end = 2 + int.from_bytes(body[:2], "big")
                is_lost = self._draw.random() < self._share
                self.lost += is_lost
                self.delivered += not is_lost
                if is_lost and head[0] & 0b0110:
                    to_broker.write(bytes((_PUBACK << 4, 2)) + body[end : end + 2])
                if is_lost:
                    continue
            to_client.write(head + body)
            await to_client.drain()


async def _packet(reader):
    """One packet of MQTT: its fixed header, and the rest."""
    head = await reader.readexactly(1)
    size = shift = 0
    while True:
        head += await reader.readexactly(1)
        size |= (head[-1] & 0x7F) << shift
        shift += 7
        if head[-1] < 0x80:
            return head, await reader.readexactly(size)


async def _pass_on(reader, writer):
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()


@contextmanager
def lossy_broker(port, share, seed):
    """Lossy broker before the one at a port, in a thread of its own; its address and counts."""
    loop, broker = asyncio.new_event_loop(), LossyBroker(port, share, seed)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = broker.serving()
    try:
        opened = asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(10)
        yield f"mqtt://127.0.0.1:{opened}", broker
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
