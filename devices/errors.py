"""Errors of the device layer.

DeviceError              (a SharegridError)
├── MapError             a profile or register map is missing or wrong
├── EndpointError        the address of a device cannot be understood
├── PowerFileError       a file of power over time cannot be used
├── StateFileError       a device's memory of its counters cannot be used
├── HardwareRecordError  what an earlier gateway wrote down of hardware cannot be read
├── RangeError           a value does not fit its register
├── NotSunSpec           no SunSpec marker, or a broken chain of models
├── UnknownDevice        a device that answers and that no profile fits
├── LayoutChanged        a device shows other SunSpec models than before
├── MissingControl       a device has no model through which it could be commanded
├── CommandBarred        a device may not be commanded: it is not armed, or it was stopped
├── BudgetSpent          a device was written to as often as may be in a day
├── UntrustedRating      a device tells a rating of which no share may be written
├── AnotherDevice        another device answers than the one that was commanded first
├── Overwritten          another master has written to a device
├── NotReleased          a device neither takes a set-point nor is released
├── AlreadyClaimed       another run commands the device
├── LockUnreadable       whether another run of this computer commands a device cannot be told
├── NotRealTime          hardware in a run that is not paced in real time
├── ServerError          an emulator could not open its port
├── DeviceUnreachable    nothing accepts the connection
├── DeviceTimeout        connected, but no answer in time
│   └── GaveWay              a request gave way to one that passes all others
├── MalformedReply       an answer that is not one to the request
├── IncompleteReading    a device does not tell what its profile requires
├── WrongUnit            an answer in the name of another unit
├── ReadBackMismatch     a register reads back otherwise than written
└── DeviceRefused        the device answered with an exception
    ├── IllegalFunction      1
    ├── IllegalAddress       2
    ├── IllegalValue         3
    ├── DeviceFailure        4
    ├── DeviceBusy           6
    └── GatewayNoResponse    11

Each message is one line: what went wrong, where, and what to do about it.
"""

from sharegrid.errors import SharegridError


class DeviceError(SharegridError):
    """Root of every error that the device layer raises on purpose."""


class MapError(DeviceError):
    """A profile or register map is missing or wrong."""


class EndpointError(DeviceError):
    """The address of a device cannot be understood."""


class PowerFileError(DeviceError):
    """A file of power over time cannot be used."""


class StateFileError(DeviceError):
    """A device's memory of its counters cannot be used."""


class HardwareRecordError(DeviceError):
    """What an earlier gateway wrote down of hardware cannot be read."""


class RangeError(DeviceError):
    """A value does not fit its register."""


class NotSunSpec(DeviceError):
    """No SunSpec marker at the known places, or a chain of models without an end."""


class UnknownDevice(DeviceError):
    """A device that answers and that no profile fits."""


class LayoutChanged(DeviceError):
    """A device shows other SunSpec models than before, or at other places."""


class MissingControl(DeviceError):
    """A device has no model or point through which it could be commanded."""


class CommandBarred(DeviceError):
    """A device may not be commanded: it is not armed, or it was stopped."""


class BudgetSpent(DeviceError):
    """A device was written to as often as may be in a day."""


class UntrustedRating(DeviceError):
    """A device tells a rating that cannot be the whole of a share, so that it gets no set-point but 0."""


class AnotherDevice(DeviceError):
    """Another device answers at an address than the one that was commanded there first."""


class Overwritten(DeviceError):
    """Another master has written to a device since this gateway did."""


class NotReleased(DeviceError):
    """A device neither takes a set-point nor is released from the one before."""


class AlreadyClaimed(DeviceError):
    """Another run commands the device."""


class LockUnreadable(DeviceError):
    """Whether another run of this computer commands a device cannot be told."""


class NotRealTime(DeviceError):
    """Hardware in a run that is not paced in real time."""


class ServerError(DeviceError):
    """An emulator could not open its port."""


class DeviceUnreachable(DeviceError):
    """Nothing accepts the connection."""


class DeviceTimeout(DeviceError):
    """Connected, but no answer in time."""


class GaveWay(DeviceTimeout):
    """A request gave way to one that passes all others, which says nothing of the device."""


class MalformedReply(DeviceError):
    """An answer that is not one to the request."""


class IncompleteReading(DeviceError):
    """A device does not tell what its profile requires of a reading."""


class WrongUnit(DeviceError):
    """An answer in the name of another unit than the one that was asked."""


class ReadBackMismatch(DeviceError):
    """A register reads back otherwise than written."""


class DeviceRefused(DeviceError):
    """The device answered with a Modbus exception."""


class IllegalFunction(DeviceRefused):
    """Exception 1: the unit does not know the function."""


class IllegalAddress(DeviceRefused):
    """Exception 2: the unit has no such register, or it may not be written."""


class IllegalValue(DeviceRefused):
    """Exception 3: the unit does not accept the value."""


class DeviceFailure(DeviceRefused):
    """Exception 4: the unit failed, or does not exist behind this port."""


class DeviceProcessing(DeviceRefused):
    """Exception 5: the unit has taken the request, and needs a while for it."""


class DeviceBusy(DeviceRefused):
    """Exception 6: the unit is busy with something longer."""


class GatewayNoResponse(DeviceRefused):
    """Exceptions 10 and 11: a gateway has no way to the unit behind it, or got no answer from it."""


BY_EXCEPTION_CODE: dict[int, tuple[type[DeviceRefused], str]] = {
    1: (IllegalFunction, "does not know the function; check the profile"),
    2: (IllegalAddress, "has no such register or will not have it written; check the profile"),
    3: (IllegalValue, "does not accept the value; check rating and scale factor"),
    4: (DeviceFailure, "failed or does not exist; check the unit id"),
    5: (DeviceProcessing, "has taken the request and needs a while for it; ask again later"),
    6: (DeviceBusy, "is busy; try again later"),
    10: (GatewayNoResponse, "cannot be reached by its gateway; check the gateway's settings"),
    11: (GatewayNoResponse, "does not answer behind its gateway; check its wiring and power"),
}
