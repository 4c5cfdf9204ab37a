"""The embedded broker's own process: ``python -m broker.server.amqtt_process PORT``.

Listens on 127.0.0.1, says ``ready PORT`` once it accepts connections, and ends when its standard
input closes, that is, when whoever started it is gone. Only this file knows amqtt.
"""

import asyncio
import logging
import os
import signal
import sys

from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig, ListenerType
from amqtt.session import Session

_LISTENER = "default"


class LocalBroker(Broker):  # type: ignore[misc]
    """amqtt with two repairs, both for many clients that come at the same time.

    amqtt walks through its dictionary of subscriptions and waits on the way; a client that subscribes
    meanwhile changes the dictionary, and the walk fails: the message, or the new client, is lost.
    """

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:  # noqa: ARG002
        """Allow all, without waiting: nobody but this computer's users can connect."""
        return True

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Send what is retained under a filter, but only to a session that has subscribed to it."""
        subscribers = self.subscriptions.get(subscription[0], [])
        if any(subscriber is session for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)


async def serve(port: int) -> None:
    """Run the broker on 127.0.0.1 until standard input closes or the process is asked to end.

    Parameters
    ----------
    port
        Port to listen on; 0 takes a free one.

    Raises
    ------
    OSError
        The port is taken.
    """
    loop = asyncio.get_running_loop()
    config = BrokerConfig(
        listeners={_LISTENER: ListenerConfig(type=ListenerType.EXTERNAL)},
        plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    )
    broker = LocalBroker(config)
    await broker.start()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await broker.stream_connected(reader, writer, _LISTENER)

    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=256)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    loop.add_reader(sys.stdin.fileno(), over.set)
    sys.stdout.write(f"ready {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await over.wait()
    # amqtt would first finish what it has begun, for seconds; there is nothing on disk to keep in order.
    os._exit(0)


def main() -> None:
    """Run the broker with the port given on the command line."""
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        asyncio.run(serve(int(sys.argv[1])))
    except OSError as error:
        sys.exit(os.strerror(error.errno) if error.errno else str(error))


if __name__ == "__main__":
    main()
