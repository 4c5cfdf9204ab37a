"""Folders of a secured broker and of those who speak there: written, completed and renewed.

``authority/`` stays with whoever gives certificates; ``broker/`` goes to the broker; each folder of
``clients/`` goes to one process and nowhere else.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from broker.credentials import AUTHORITY, COMMAND_KEY, KEY_BYTES, certificate_file, key_file
from broker.errors import CredentialsError
from broker.security.certificates import Authority, Issued, expiry
from broker.security.grants import Grant
from broker.server.configuration import (
    AUTHORITY_FILE,
    CERTIFICATE_FILE,
    GRANTS_FILE,
    KEY_FILE,
    BrokerLimits,
    secured_listener,
)

BROKER = "broker"
CLIENTS = "clients"
_AUTHORITY = "authority"
_CONFIGURATION = "mosquitto.conf"
_SERVER = "server"


@dataclass(frozen=True)
class Group:
    """A process or person: parties whose certificates lie in one folder, and whether it may sign commands."""

    parties: Sequence[str]
    commands: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be written.

    Attributes
    ----------
    grants
        What each party may do.
    groups
        Folders below ``clients/`` by name.
    hosts
        Names and addresses by which the broker is reached.
    port, address
        Where it listens.
    days
        How long certificates hold.
    limits
        What the broker bears.
    seen_at
        Where the broker finds its folder, if not where it is written, as in a container.
    """

    grants: Mapping[str, Sequence[Grant]]
    groups: Mapping[str, Group]
    hosts: Sequence[str]
    port: int
    address: str = ""
    days: int = 397
    limits: BrokerLimits = field(default_factory=lambda: BrokerLimits(connections=1000))
    seen_at: Path | None = None


@dataclass(frozen=True)
class Written:
    """One certificate of a folder: whose it is, where it lies, when it ends, and whether it is new."""

    party: str
    file: Path
    expires: datetime
    is_new: bool


def write_files(out: Path, plan: Plan, *, renew: bool = False) -> list[Written]:
    """Write the folders of a secured broker, or complete those that are there.

    Authority and key of commands stay as they are, and so do certificates unless ``renew`` says otherwise;
    grants and configuration are written anew.

    Raises
    ------
    CredentialsError
        The folder holds something else, or cannot be written.
    """
    try:
        return _Writer(out, plan, renew=renew).write()
    except OSError as error:
        raise CredentialsError(
            f"{error.filename or out}: {error.strerror or error}; choose a folder that can be written"
        ) from None


def certificates_in(folder: Path) -> list[Written]:
    """All certificates below a folder, those that end first at the beginning.

    Raises
    ------
    CredentialsError
        There is none, or one cannot be read.
    """
    found = []
    for file in sorted(folder.rglob("*.crt")):
        try:
            found.append(Written(file.stem, file, expiry(file.read_bytes()), is_new=False))
        except (OSError, CredentialsError) as error:
            raise CredentialsError(f"{file}: {error}") from None
    if not found:
        raise CredentialsError(f"{folder}: no certificates are here; `sharegrid broker files` writes them")
    return sorted(found, key=lambda each: each.expires)


def grants_text(grants: Mapping[str, Sequence[Grant]]) -> str:
    """Access-control list as Mosquitto reads it; who is not in it may do nothing."""
    parts = [
        "\n".join([f"user {party}", *(f"topic {each.access} {each.topic}" for each in granted)])
        for party, granted in grants.items()
    ]
    return "\n\n".join(parts) + "\n"


class _Writer:
    def __init__(self, out: Path, plan: Plan, *, renew: bool) -> None:
        self._out = out
        self._plan = plan
        self._renew = renew
        self._written: list[Written] = []

    def write(self) -> list[Written]:
        known = self._out / _AUTHORITY / AUTHORITY
        ours = {_AUTHORITY, BROKER, CLIENTS}
        if self._out.exists() and not {each.name for each in self._out.iterdir()} <= ours:
            raise CredentialsError(f"{self._out} holds something else; choose another folder")
        _folder(self._out)
        authority, certificate = self._authority(known)
        self._broker(authority, certificate)
        key = self._command_key()
        _folder(self._out / CLIENTS)
        for name, group in self._plan.groups.items():
            folder = _folder(self._out / CLIENTS / name)
            _put(folder / AUTHORITY, certificate)
            if group.commands:
                _put(folder / COMMAND_KEY, key)
            for party in group.parties:
                self._certificate(folder, party, partial(authority.party, party, self._plan.days))
        return self._written

    def _authority(self, known: Path) -> tuple[Authority, bytes]:
        folder = _folder(known.parent)
        key = key_file(folder, known.stem)
        if not known.exists():
            issued = Authority.create()
            _put(key, issued.key)
            _put(known, issued.certificate)
        certificate = known.read_bytes()
        return Authority(certificate, key.read_bytes()), certificate

    def _broker(self, authority: Authority, certificate: bytes) -> None:
        plan, folder = self._plan, _folder(self._out / BROKER)
        _put(folder / AUTHORITY_FILE, certificate)
        self._certificate(folder, _SERVER, partial(authority.server, plan.hosts, plan.days))
        assert (certificate_file(folder, _SERVER).name, key_file(folder, _SERVER).name) == (
            CERTIFICATE_FILE,
            KEY_FILE,
        )
        _put(folder / GRANTS_FILE, grants_text(plan.grants).encode())
        seen_at = plan.seen_at or folder.resolve()
        text = secured_listener(plan.port, seen_at, plan.limits, address=plan.address, root=os.geteuid() == 0)
        _put(folder / _CONFIGURATION, text.encode())

    def _command_key(self) -> bytes:
        file = self._out / _AUTHORITY / COMMAND_KEY
        if not file.exists():
            _put(file, secrets.token_hex(KEY_BYTES).encode())
        return file.read_bytes()

    def _certificate(self, folder: Path, party: str, issue: Callable[[], Issued]) -> None:
        file = certificate_file(folder, party)
        is_new = self._renew or not file.exists()
        if is_new:
            issued = issue()
            _put(key_file(folder, party), issued.key)
            _put(file, issued.certificate)
        self._written.append(Written(party, file, expiry(file.read_bytes()), is_new))


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def _put(file: Path, content: bytes) -> None:
    """Write a file that its owner alone can read, in one piece."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
    new.replace(file)
