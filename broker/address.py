"""Where a broker listens: the text a user gives, taken apart and checked."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlencode, urlsplit

from broker.errors import BrokerAddressError

MQTT_PORT = 1883
MQTTS_PORT = 8883
_LONGEST_HOST = 253
_HOST = re.compile(
    r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
)
_FORM = "give mqtt://[user:password@]host[:port] or mqtts://host[:port]?credentials=DIR"


@dataclass(frozen=True, slots=True)
class Address:
    """Host, port and credentials of a broker; shown without the credentials.

    Attributes
    ----------
    tls
        Whether the connection is encrypted.
    credentials
        Folder of certificates and keys (`broker.credentials`); without one an encrypted connection trusts the
        authorities that this computer trusts, and shows no certificate of its own.
    """

    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    credentials: Path | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether the broker is on this computer, so that no message passes a network."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def warning(self) -> str | None:
        """What a user should know before anything is sent there; ``None`` where nothing is wrong."""
        if self.tls or self.is_local:
            return None
        return (
            f"warning: {self} is neither encrypted nor does it know who speaks: whoever is on that network "
            "can read and forge everything; see `sharegrid broker files`"
        )


def is_host(text: str) -> bool:
    """Whether a text can be the name or address of a computer, or a pattern such as ``*.lab``."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= _LONGEST_HOST and _HOST.fullmatch(text) is not None
    return True


def secure_url(host: str, port: int, credentials: Path) -> str:
    """Text of the address of a broker with certificates."""
    return f"mqtts://{host}:{port}?{urlencode({'credentials': str(credentials)})}"


def parse_address(url: str) -> Address:
    """Address in a text ``mqtt://[user:password@]host[:port]`` or ``mqtts://...[?credentials=DIR]``.

    Raises
    ------
    BrokerAddressError
        Another scheme, no host, a port that is none, or anything else behind the port.
    """
    try:
        parts = urlsplit(url)
        given_port = parts.port
    except ValueError as error:
        raise BrokerAddressError(f"broker address: {error}; {_FORM}") from None
    if parts.scheme not in {"mqtt", "mqtts"}:
        shown = url.rpartition("@")[2]  # A password is nobody's business.
        raise BrokerAddressError(
            f"broker address: {shown!r} does not begin with mqtt:// or mqtts://; {_FORM}"
        )
    if not parts.hostname or given_port == 0:
        raise BrokerAddressError(
            f"broker address: {'the port is 0' if given_port == 0 else 'no host'}; {_FORM}"
        )
    tls = parts.scheme == "mqtts"
    return Address(
        host=parts.hostname,
        port=given_port if given_port is not None else (MQTTS_PORT if tls else MQTT_PORT),
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        tls=tls,
        credentials=_credentials(parts),
    )


def _credentials(parts: SplitResult) -> Path | None:
    """Folder that an address names behind the host."""
    named = parse_qs(parts.query, keep_blank_values=True)
    folders = named.pop("credentials", None) if parts.scheme == "mqtts" else None
    if parts.path not in {"", "/"} or named or parts.fragment:
        raise BrokerAddressError(f"broker address: unexpected text after the host; {_FORM}")
    if folders is None:
        return None
    if len(folders) != 1 or not folders[0]:
        raise BrokerAddressError(f"broker address: credentials names no folder; {_FORM}")
    return Path(folders[0]).expanduser()
