"""Where a device is and what it speaks: all that the gateway knows of emulated and real ones alike."""

from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from devices.errors import EndpointError
from devices.limits import FREE, SetPointLimits

_FORMS = "tcp://HOST:PORT/UNIT, rtu+tcp://HOST:PORT/UNIT or rtu:///dev/ttyUSB0/UNIT?baud=9600&parity=N&stop=1"
_DEFAULT_PORT = 502


class Link(msgspec.Struct, frozen=True):
    """What several units may share: a TCP connection or a serial line.

    Attributes
    ----------
    scheme
        ``tcp``; ``rtu+tcp`` for serial frames over TCP, as plain RS-485 converters speak; ``rtu``.
    place
        Host, or path of the serial port.
    port
        TCP port.
    baud, parity, stop_bits
        Settings of a serial line.
    """

    scheme: Literal["tcp", "rtu+tcp", "rtu"]
    place: str
    port: int = _DEFAULT_PORT
    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1

    def __str__(self) -> str:
        """Return the place as it stands in messages."""
        return self.place if self.scheme == "rtu" else f"{self.place}:{self.port}"


class Endpoint(msgspec.Struct, frozen=True):
    """One Modbus unit: the link it is on, its unit id and the profile of its registers."""

    link: Link
    unit: int
    profile: str

    def __str__(self) -> str:
        """Return the place as it stands in messages."""
        return f"unit {self.unit} at {self.link}"


def tcp(host: str, port: int, unit: int, profile: str) -> Endpoint:
    """Endpoint behind Modbus TCP."""
    return Endpoint(Link("tcp", host, port), unit, profile)


def parse_endpoint(text: str, profile: str) -> Endpoint:
    """Endpoint of an address as users write it.

    Parameters
    ----------
    text
        ``tcp://HOST:PORT/UNIT``, ``rtu+tcp://HOST:PORT/UNIT`` or ``rtu:///dev/ttyUSB0/UNIT`` with
        ``?baud=9600&parity=N&stop=1``; the last part of the path is the unit id.
    profile
        Name of the device's profile.

    Raises
    ------
    EndpointError
        The address has another form, or a value is out of range.
    """
    try:
        url = urlsplit(text)
        path, _, unit = url.path.rpartition("/")
        link = (
            _serial(path, dict(parse_qsl(url.query, strict_parsing=bool(url.query))))
            if (url.scheme == "rtu" and not url.netloc and path)
            else _network(url.scheme, url.hostname, url.port, path + url.query)
        )
        number = int(unit)
    except ValueError:
        raise EndpointError(f"{text!r} is no address of a device; write {_FORMS}") from None
    least, most = (0, 255) if link.scheme == "tcp" else (1, 247)
    if not least <= number <= most:
        raise EndpointError(f"{text!r}: unit {number} is outside {least} to {most}; correct it")
    return Endpoint(link, number, profile)


def _network(scheme: str, host: str | None, port: int | None, rest: str) -> Link:
    if scheme not in ("tcp", "rtu+tcp") or not host or rest:
        raise ValueError
    return msgspec.convert({"scheme": scheme, "place": host, "port": port or _DEFAULT_PORT}, Link)


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
