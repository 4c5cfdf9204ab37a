"""Where a device is and what it speaks: all that the gateway knows of emulated and real ones alike."""

from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from devices.errors import EndpointError
from devices.limits import FREE, SetPointLimits

_FORMS = (
    "tcp://HOST:PORT/UNIT, rtu+tcp://HOST:PORT/UNIT, rtu:///dev/ttyUSB0/UNIT?baud=9600&parity=N&stop=1, "
    "mqtt://HOST:PORT/NAME, http://HOST:PORT or ocpp://HOST:PORT/NAME"
)
_DEFAULT_PORT = 502
Scheme = Literal["tcp", "rtu+tcp", "rtu", "mqtt", "mqtts", "http", "https", "ocpp"]
_SOURCE_PORTS: dict[str, int] = {"mqtt": 1883, "mqtts": 8883, "http": 80, "https": 443, "ocpp": 9000}


class Link(msgspec.Struct, frozen=True):
    """What several devices may share: a TCP connection, a serial line, a broker, a web server.

    Attributes
    ----------
    scheme
        ``tcp``; ``rtu+tcp`` for serial frames over TCP, as plain RS-485 converters speak; ``rtu``;
        ``mqtt`` and ``http``, plain or over TLS; ``ocpp``, where the gateway itself listens.
    place
        Host, or path of the serial port.
    port
        TCP port.
    baud, parity, stop_bits
        Settings of a serial line.
    at_once
        Modbus requests that may be under way at once. Devices bear one; our own servers bear many.
    access, options
        ``user:password`` and what stands behind ``?``, for brokers and web servers; never shown.
    """

    scheme: Scheme
    place: str
    port: int = _DEFAULT_PORT
    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    at_once: int = 1
    access: str = ""
    options: str = ""

    @property
    def is_modbus(self) -> bool:
        """Whether Modbus is spoken there."""
        return self.scheme not in _SOURCE_PORTS

    @property
    def url(self) -> str:
        """Address of a broker or web server, with what it takes to get in."""
        host = f"[{self.place}]" if ":" in self.place else self.place
        access = f"{self.access}@" if self.access else ""
        options = f"?{self.options}" if self.options else ""
        return f"{self.scheme}://{access}{host}:{self.port}{options}"

    def __str__(self) -> str:
        """Return the place as it stands in messages."""
        return self.place if self.scheme == "rtu" else f"{self.place}:{self.port}"


class Endpoint(msgspec.Struct, frozen=True):
    """One device: the link it is on, its unit id or name there, and the profile of what it speaks.

    ``secret`` is what it has to show where it is the one that connects.
    """

    link: Link
    unit: int
    profile: str
    name: str = ""
    secret: str = ""

    def __str__(self) -> str:
        """Return the place as it stands in messages."""
        if self.link.is_modbus:
            return f"unit {self.unit} at {self.link}"
        return f"{self.name} at {self.link}" if self.name else str(self.link)


def tcp(host: str, port: int, unit: int, profile: str, at_once: int = 1) -> Endpoint:
    """Endpoint behind Modbus TCP; ``at_once`` as `Link` has it."""
    return Endpoint(Link("tcp", host, port, at_once=at_once), unit, profile)


def parse_endpoint(text: str, profile: str) -> Endpoint:
    """Endpoint of an address as users write it.

    Parameters
    ----------
    text
        ``tcp://HOST:PORT/UNIT``, ``rtu+tcp://HOST:PORT/UNIT`` or ``rtu:///dev/ttyUSB0/UNIT`` with
        ``?baud=9600&parity=N&stop=1``; the last part of the path is the unit id. ``mqtt://`` and
        ``http://`` (or ``mqtts``, ``https``) with ``[user:password@]HOST:PORT/NAME``;
        ``ocpp://[:password@]HOST:PORT/NAME`` where chargers are to connect to.
    profile
        Name of the device's profile.

    Raises
    ------
    EndpointError
        The address has another form, or a value is out of range.
    """
    try:
        url = urlsplit(text)
        if url.scheme in _SOURCE_PORTS:
            return _source(url, profile)
        path, _, unit = url.path.rpartition("/")
        link = (
            _serial(path, dict(parse_qsl(url.query, strict_parsing=bool(url.query))))
            if (url.scheme == "rtu" and not url.netloc and path)
            else _network(url.scheme, url.hostname, url.port, path + url.query)
        )
        number = int(unit)
    except ValueError:
        shown = text.rpartition("@")[2]  # A password is nobody's business.
        raise EndpointError(f"{shown!r} is no address of a device; write {_FORMS}") from None
    least, most = (0, 255) if link.scheme == "tcp" else (1, 247)
    if not least <= number <= most:
        raise EndpointError(f"{text!r}: unit {number} is outside {least} to {most}; correct it")
    return Endpoint(link, number, profile)


def parse_place(text: str) -> tuple[Link, int | None]:
    """Link and unit id of a Modbus address, which may be left out; raises as `parse_endpoint`."""
    try:
        endpoint = parse_endpoint(text, "")
    except EndpointError as error:
        place, mark, options = text.partition("?")
        try:
            return parse_endpoint(f"{place.rstrip('/')}/1{mark}{options}", "").link, None
        except EndpointError:
            raise error from None
    if not endpoint.link.is_modbus:
        raise EndpointError(f"{endpoint.link} speaks no Modbus; write tcp://HOST:PORT or rtu:///dev/ttyUSB0")
    return endpoint.link, endpoint.unit


def address_of(endpoint: Endpoint) -> str:
    """Address of a Modbus device as users write it."""
    link = endpoint.link
    if link.scheme != "rtu":
        host = f"[{link.place}]" if ":" in link.place else link.place
        return f"{link.scheme}://{host}:{link.port}/{endpoint.unit}"
    settings = f"?baud={link.baud}&parity={link.parity}&stop={link.stop_bits}"
    return f"rtu://{link.place}/{endpoint.unit}{settings}"


def _network(scheme: str, host: str | None, port: int | None, rest: str) -> Link:
    if scheme not in ("tcp", "rtu+tcp") or not host or rest:
        raise ValueError
    return msgspec.convert({"scheme": scheme, "place": host, "port": port or _DEFAULT_PORT}, Link)


def _source(url: SplitResult, profile: str) -> Endpoint:
    """Endpoint of a device on a broker, by name, or on a web server, by path."""
    name = url.path.strip("/")
    port = url.port if url.port is not None else _SOURCE_PORTS[url.scheme]
    # A name stands in topics, where these would match others, and in paths.
    if not url.hostname or port == 0 or url.fragment or set(name) & set("+#?{} "):
        raise ValueError
    if not name and not url.scheme.startswith("http"):
        raise ValueError
    access, secret = url.netloc.rpartition("@")[0], ""
    if url.scheme == "ocpp":
        # Several chargers share a port, each with a password of its own.
        connector = name.partition("/")[2]
        if connector and not (connector.isdigit() and int(connector) > 0):
            raise ValueError
        access, secret = "", unquote(access.partition(":")[2])
    values = {
        "scheme": url.scheme,
        "place": url.hostname,
        "port": port,
        "access": access,
        "options": url.query,
    }
    return Endpoint(msgspec.convert(values, Link), 0, profile, name, secret)


def _serial(path: str, settings: dict[str, str]) -> Link:
    if not settings.keys() <= {"baud", "parity", "stop"}:
        raise ValueError
    values = {
        "scheme": "rtu",
        "place": path,
        "baud": int(settings.get("baud", 9600)),
        "parity": settings.get("parity", "N"),
        "stop_bits": int(settings.get("stop", 1)),
    }
    return msgspec.convert(values, Link)


class ChargingWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a vehicle wants each time that it is plugged in, where its charger does not tell.

    Attributes
    ----------
    energy_kwh
        Energy [kWh]; ``None`` for as much as it takes.
    departs_min
        When it leaves [minutes of the local day]; ``None`` where nobody knows.
    """

    energy_kwh: float | None = None
    departs_min: float | None = None


class LiveProsumer(msgspec.Struct, frozen=True, kw_only=True):
    """Devices of one prosumer.

    Attributes
    ----------
    id
        Name of the prosumer.
    meter
        Meter at the connection point.
    pv, battery
        Inverters, where it has them; ``pv_limits`` and ``battery_limits`` are what no set-point may leave.
    real_meter
        Whether the meter is hardware, which lives in real time.
    nominal_v
        Voltage to neutral that counts as 1 pu [V].
    battery_efficiency
        One-way efficiency of the battery, which no register tells.
    ev, load
        Charger and flexible load, where it has them, with limits as above.
    session
        What a vehicle wants that does not say so itself.
    """

    id: str
    meter: Endpoint
    pv: Endpoint | None = None
    battery: Endpoint | None = None
    pv_limits: SetPointLimits = FREE
    battery_limits: SetPointLimits = FREE
    real_meter: bool = False
    nominal_v: float = 230.0
    battery_efficiency: float = 1.0
    ev: Endpoint | None = None
    load: Endpoint | None = None
    ev_limits: SetPointLimits = FREE
    load_limits: SetPointLimits = FREE
    session: ChargingWish = ChargingWish()
