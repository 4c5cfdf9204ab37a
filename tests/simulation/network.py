"""TCP in memory: connections between protocols of one virtual loop, bytes after a time that is drawn."""

import asyncio
from contextvars import ContextVar

PROCESS = ContextVar("process", default=None)
"""Process of the simulation in which the present code runs."""

_LEAST_S, _MOST_S = 1e-4, 2e-3


class _Socket:
    """What a server shows of its socket."""

    def __init__(self, place):
        self._place = place

    def getsockname(self):
        return self._place


class _Server(asyncio.AbstractServer):
    """A protocol factory behind a port."""

    def __init__(self, network, place, factory):
        self.factory = factory
        self.sockets = [_Socket(place)]
        self._network = network
        self._place = place

    def close(self):
        self._network.servers.pop(self._place, None)

    async def wait_closed(self):
        return

    def is_serving(self):
        return self._place in self._network.servers


class _Transport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network, protocol, here, there):
        super().__init__({"sockname": here, "peername": there})
        self.protocol = protocol
        self.peer = None
        self._network = network
        self._is_closing = False
        self._next_s = 0.0

    def write(self, data):
        """Let bytes arrive at the other end, in order."""
        if not self._is_closing:
            self._later(self.peer.receive, bytes(data))

    def receive(self, data):
        if not self._is_closing:
            self.protocol.data_received(data)

    def close(self):
        if not self._is_closing:
            self._is_closing = True
            self._network.ends.pop(self, None)
            self._network.loop.call_soon(self.protocol.connection_lost, None)
            self._later(self.peer.close)

    def abort(self):
        self.close()

    def is_closing(self):
        return self._is_closing

    def _later(self, do, *arguments):
        loop = self._network.loop
        self._next_s = max(self._next_s, loop.time() + self._network.latency_s())
        loop.call_at(self._next_s, do, *arguments)


class Network:
    """Ports and connections of the processes of one simulation.

    Parameters
    ----------
    loop
        The virtual loop.
    draw
        Random numbers, by which bytes take their time.
    """

    def __init__(self, loop, draw):
        self.loop = loop
        self.servers = {}
        self.ends = {}
        self._draw = draw
        self._port = 20_000

    def latency_s(self):
        """Time that bytes take [s]."""
        return self._draw.uniform(_LEAST_S, _MOST_S)

    def listen(self, factory, host, port):
        """Serve a port, a free one for 0; raises ``OSError`` where it is taken."""
        if not port:
            self._port += 1
            port = self._port
        if (host, port) in self.servers:
            raise OSError(f"{host}:{port} is taken")
        self.servers[host, port] = server = _Server(self, (host, port), factory)
        server.process = PROCESS.get()
        return server

    async def connect(self, factory, host, port):
        """Connect to a port; raises ``OSError`` where nobody serves it."""
        await asyncio.sleep(self.latency_s())
        server = self.servers.get((host, port))
        if server is None:
            raise ConnectionRefusedError(f"nobody serves {host}:{port}")
        here, there = factory(), server.factory()
        one = _Transport(self, here, ("client", 0), (host, port))
        two = _Transport(self, there, (host, port), ("client", 0))
        one.peer, two.peer = two, one
        self.ends[one], self.ends[two] = PROCESS.get(), server.process
        there.connection_made(two)
        here.connection_made(one)
        return one, here

    def end(self, process):
        """Close whatever a process has, as the system does when it dies."""
        for place in [place for place, server in self.servers.items() if server.process is process]:
            del self.servers[place]
        for end in [end for end, owner in self.ends.items() if owner is process]:
            end.close()
