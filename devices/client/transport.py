"""The Modbus client of the library behind a link."""

import logging

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from devices.endpoint import Link

# Every failure is raised as one of our errors; the client would log it a second time.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

Client = AsyncModbusTcpClient | AsyncModbusSerialClient


def make_client(link: Link, timeout_s: float) -> Client:
    """Client of a link that is not connected yet, and that tries nothing again by itself."""
    if link.scheme == "rtu":
        return AsyncModbusSerialClient(
            link.place,
            baudrate=link.baud,
            parity=link.parity,
            stopbits=link.stop_bits,
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
        )
    framer = FramerType.RTU if link.scheme == "rtu+tcp" else FramerType.SOCKET
    return AsyncModbusTcpClient(
        link.place, port=link.port, framer=framer, timeout=timeout_s, retries=0, reconnect_delay=0
    )
