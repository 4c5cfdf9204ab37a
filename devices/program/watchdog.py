"""What systemd is told of a service: that it is ready, alive, or about to end (sd_notify).

The protocol is one datagram to the socket that the environment names; without one nobody is told anything.
"""

import os
import socket

_HALF = 0.5


def notify(state: str) -> None:
    """Tell systemd a state, as ``READY=1``, ``WATCHDOG=1`` or ``STOPPING=1``."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return
    # A socket without a name in the file system begins with a zero byte, written as @.
    address = f"\0{place[1:]}" if place.startswith("@") else place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.sendall(state.encode())


def watchdog_s() -> float | None:
    """How often systemd has to hear ``WATCHDOG=1`` [s]; ``None`` where it does not wait for it."""
    wanted, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not wanted.isdigit() or (process and process != str(os.getpid())):
        return None
    return _HALF * int(wanted) / 1e6
