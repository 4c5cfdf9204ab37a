"""Text of Mosquitto's configuration: a listener for this computer alone, or one that knows who speaks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

AUTHORITY_FILE = "ca.crt"
CERTIFICATE_FILE = "server.crt"
KEY_FILE = "server.key"
GRANTS_FILE = "grants.acl"


@dataclass(frozen=True)
class BrokerLimits:
    """What a broker bears.

    Attributes
    ----------
    message_bytes
        The largest packet; ours are smaller (`broker.client.parts.PART_BYTES`).
    connections
        Clients at a time; -1 for any number.
    queued_messages, queued_bytes
        What waits for one client. Past these Mosquitto drops in silence what it has confirmed to the
        publisher: a burst of one message per prosumer must fit many times.
    """

    message_bytes: int = 2**20
    connections: int = -1
    queued_messages: int = 1_000_000
    queued_bytes: int = 1_000_000_000


def open_listener(port: int, *, root: bool) -> str:
    """Configuration of a broker for this computer's users, who are not asked who they are."""
    return _text(
        [
            f"listener {port} 127.0.0.1",
            "allow_anonymous true",
            "connection_messages false",
            *_common(BrokerLimits(), root=root),
        ]
    )


def secured_listener(
    port: int,
    folder: Path,
    limits: BrokerLimits | None = None,
    *,
    address: str = "",
    root: bool = False,
) -> str:
    """Configuration of a broker that lets in who has a certificate, to what that party is granted.

    Parameters
    ----------
    port, address
        Where it listens; on all addresses without one.
    folder
        Where it finds its files.
    root
        It is started by root: it would become another user, who may not read the folder.
    """
    limits = limits or BrokerLimits(connections=1000)
    return _text(
        [
            f"listener {port} {address}".rstrip(),
            f"cafile {folder / AUTHORITY_FILE}",
            f"certfile {folder / CERTIFICATE_FILE}",
            f"keyfile {folder / KEY_FILE}",
            "tls_version tlsv1.3",
            "require_certificate true",
            "use_identity_as_username true",
            "allow_anonymous false",
            f"acl_file {folder / GRANTS_FILE}",
            *_common(limits, root=root),
            "connection_messages true",
            "log_type notice",
            # Only there does it say which messages it refused.
            "log_type debug",
        ]
    )


def _common(limits: BrokerLimits, *, root: bool) -> list[str]:
    return [
        "persistence false",
        f"max_connections {limits.connections}",
        f"max_packet_size {limits.message_bytes}",
        f"max_queued_messages {limits.queued_messages}",
        f"max_queued_bytes {limits.queued_bytes}",
        "max_inflight_messages 1000",
        "set_tcp_nodelay true",
        "sys_interval 0",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type information",
        *(["user root"] if root else []),
    ]


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
