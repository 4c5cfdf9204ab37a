"""Signatures of commands: who gives a set-point or a stop shows that the run's key is in its hands.

A signature is an HMAC (RFC 2104) with SHA-256 over the topic and the whole message, so that none can be moved
to another device, run or interval, whatever the broker lets through. Each run's key is derived from the key
of the installation and the run's id.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import TypeVar

import msgspec

from broker.address import parse_address
from broker.credentials import command_key
from broker.messages import Command, Message, encode

M = TypeVar("M", bound=Message)


class CommandKey:
    """Key of one run's commands; shown without itself."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes, run: str) -> None:
        self._key = hmac.digest(key, b"commands of run " + run.encode(), "sha256")

    def signed(self, topic: str, message: M) -> M:
        """Message with its signature, where it is a command; any other as it is."""
        if not isinstance(message, Command):
            return message
        return msgspec.structs.replace(message, signature=self._signature(topic, message))

    def check(self, topic: str, message: Message) -> None:
        """Hold a command's signature against the key.

        Raises
        ------
        ValueError
            The message is a command, and its signature is missing or is of another message, topic or key.
        """
        if isinstance(message, Command) and not hmac.compare_digest(
            self._signature(topic, message).encode(), message.signature.encode()
        ):
            raise ValueError("its signature is not that of who may command devices")

    def _signature(self, topic: str, command: Command) -> str:
        bare = encode(msgspec.structs.replace(command, signature=""))
        return hmac.new(self._key, topic.encode() + b"\0" + bare, hashlib.sha256).hexdigest()


def command_key_of(url: str, run: str, folder: Path | None = None) -> CommandKey | None:
    """Key of a run's commands from the credentials in its broker's address, or from another folder.

    Raises
    ------
    CredentialsError
        The file cannot be used.
    """
    key = command_key(folder or (parse_address(url).credentials if url else None))
    return None if key is None else CommandKey(key, run)
