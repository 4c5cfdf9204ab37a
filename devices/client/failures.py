"""What a request failed by, as one of our errors: one line that says what, where and what to do."""

from devices.client.wire import BrokenOff, Closed, Garbled, Shared, Silent, WireError
from devices.endpoint import Link
from devices.errors import (
    BY_EXCEPTION_CODE,
    DeviceError,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnreachable,
    GaveWay,
    MalformedReply,
    WrongUnit,
)


def name_of(unit: int, link: Link) -> str:
    """Return a unit as it stands in messages."""
    return f"unit {unit} at {link}"


def failure(error: WireError, link: Link, unit: int, patience_s: float) -> DeviceError:
    """Error for a request that got no reply within ``patience_s`` seconds."""
    name = name_of(unit, link)
    match error:
        case Silent(heard=int(other)):
            return WrongUnit(f"{name} answered as unit {other}; correct the unit id in its address")
        case Silent(noise=noise) if noise and link.scheme != "tcp":
            return DeviceTimeout(
                f"{name} did not answer within {patience_s:g} s but with {noise} bytes that are no Modbus; "
                "check baud rate, parity and wiring"
            )
        case Silent(noise=noise) if noise:
            return DeviceTimeout(
                f"{name} did not answer within {patience_s:g} s but with the numbers of other requests; "
                "see that nobody else uses the connection, and update the firmware of it and its gateway"
            )
        case Silent():
            return DeviceTimeout(f"{name} did not answer within {patience_s:g} s; check its power")
        case Closed():
            return DeviceUnreachable(
                f"{link} closed the connection when {name} was asked; check that nobody else is connected"
            )
        case Shared():
            return MalformedReply(
                f"{name} is asked by another master on this line, too, so that nobody can tell whose answer "
                "comes; let one alone ask there"
            )
        case BrokenOff():
            return given_way(link, unit)
        case Garbled() | _:
            return MalformedReply(f"{name} sent no Modbus answer; check address and profile")


def unreachable(link: Link) -> DeviceError:
    """Error for a link on which nothing accepts a connection."""
    return DeviceUnreachable(f"no Modbus device answers at {link}; check address and power")


def left_alone(link: Link, unit: int, times: int) -> DeviceError:
    """Error for a unit that was silent so often that it is not asked for now."""
    return DeviceTimeout(
        f"{name_of(unit, link)} was silent {times} times in a row and is left alone for a while; "
        "check its power and wiring"
    )


def given_way(link: Link, unit: int) -> DeviceError:
    """Error for a request that one with priority took the place of."""
    return GaveWay(f"a request to {name_of(unit, link)} gave way to an emergency stop")


def refusal(code: int, link: Link, unit: int) -> DeviceError:
    """Error for an exception that a unit answered with."""
    kind, meaning = BY_EXCEPTION_CODE.get(code, (DeviceRefused, f"sent exception {code}; see its manual"))
    return kind(f"{name_of(unit, link)} {meaning}")
