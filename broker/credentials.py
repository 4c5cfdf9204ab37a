"""A folder of certificates and keys: who one is to a broker, whom one trusts, and the key of commands.

``ca.crt`` is the authority, ``NAME.crt`` and ``NAME.key`` are the certificate and key of party NAME, and
``command.key`` signs set-points and stops. Whoever speaks under several names has them all in one folder.
Only the standard library is needed, as on a Raspberry Pi; `broker.security` writes such folders.
"""

import socket
import ssl
import stat
from pathlib import Path
from typing import Any

from broker.errors import CredentialsError
from broker.tls_socket import TlsSocket

AUTHORITY = "ca.crt"
COMMAND_KEY = "command.key"
KEY_BYTES = 32
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class _Context(ssl.SSLContext):
    """Settings of a connection whose records are gathered, and that is closed where its handshake fails."""

    def wrap_socket(self, sock: socket.socket, *_: Any, **named: Any) -> Any:
        """Encrypt a connected socket, handshake included: a `TlsSocket` to ``server_hostname``.

        Raises
        ------
        CredentialsError
            The broker is not the one that the authority vouches for.
        OSError
            The handshake fails.
        """
        made = TlsSocket(sock, self, named["server_hostname"])
        try:
            made.do_handshake()
        except ssl.SSLCertVerificationError as error:
            made.close()
            raise CredentialsError(
                f"the broker's certificate is not to be trusted: {error.verify_message.rstrip('.')}; "
                "take the ca.crt that was written with it, and a host name that it was written for"
            ) from None
        except OSError:
            made.close()
            raise
        return made


def certificate_file(folder: Path, name: str) -> Path:
    """Where the certificate of a party is."""
    return folder / f"{name}.crt"


def key_file(folder: Path, name: str) -> Path:
    """Where the key of a party is."""
    return folder / f"{name}.key"


def tls_context(folder: Path | None, name: str | None) -> ssl.SSLContext:
    """Settings of an encrypted connection.

    Parameters
    ----------
    folder
        Folder of credentials; without one the authorities of this computer are trusted.
    name
        Party whose certificate is shown; ``None`` shows none.

    Raises
    ------
    CredentialsError
        A file is missing, cannot be used, or others may read a key.
    """
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    if folder is None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_default_certs()
        return context
    authority = folder / AUTHORITY
    try:
        context.load_verify_locations(authority)
    except OSError as error:
        raise CredentialsError(_unusable(authority, error)) from None
    # Ours speak nothing older, and what is older has been broken again and again.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if name is not None:
        certificate, key = certificate_file(folder, name), key_file(folder, name)
        if not certificate.exists():
            raise CredentialsError(
                f"{folder} has no certificate of {name}; `sharegrid broker files` writes it"
            )
        _check_private(key)
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            raise CredentialsError(_unusable(certificate, error)) from None
    return context


def command_key(folder: Path | None) -> bytes | None:
    """The key that signs set-points and stops, ``None`` where there is none.

    Raises
    ------
    CredentialsError
        The file cannot be used, or others may read it.
    """
    if folder is None or not (file := folder / COMMAND_KEY).exists():
        return None
    _check_private(file)
    try:
        key = bytes.fromhex(file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise CredentialsError(_unusable(file, error)) from None
    if len(key) != KEY_BYTES:
        raise CredentialsError(f"{file}: it has {len(key)} bytes where {KEY_BYTES} belong; write it anew")
    return key


def _check_private(key: Path) -> None:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        raise CredentialsError(_unusable(key, error)) from None
    if mode & _OTHERS:
        raise CredentialsError(f"{key}: others may read it; chmod 600 {key}")


def _unusable(file: Path, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{file}: {reason}; `sharegrid broker files` writes such folders"
