"""Where a broker listens: the text a user gives, taken apart and checked."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from broker.errors import BrokerAddressError

MQTT_PORT = 1883
_FORM = "give mqtt://[user:password@]host[:port]"


@dataclass(frozen=True, slots=True)
class Address:
    """Host, port and credentials of a broker; shown without the credentials."""

    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt://{host}:{self.port}"


def parse_address(url: str) -> Address:
    """Address in a text ``mqtt://[user:password@]host[:port]``.

    Raises
    ------
    BrokerAddressError
        Another scheme, no host, a port that is none, or anything behind the port.
    """
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port is not None else MQTT_PORT
    except ValueError as error:
        raise BrokerAddressError(f"broker address: {error}; {_FORM}") from None
    if parts.scheme != "mqtt":
        shown = url.rpartition("@")[2]  # A password is nobody's business.
        raise BrokerAddressError(f"broker address: {shown!r} does not begin with mqtt://; {_FORM}")
    if not parts.hostname or port == 0:
        raise BrokerAddressError(f"broker address: {'the port is 0' if port == 0 else 'no host'}; {_FORM}")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise BrokerAddressError(f"broker address: unexpected text after the host; {_FORM}")
    return Address(
        host=parts.hostname,
        port=port,
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )
