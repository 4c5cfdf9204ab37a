import pytest

from devices.endpoint import Endpoint, Link, parse_endpoint
from devices.errors import EndpointError


@pytest.mark.parametrize(
    ("text", "link", "unit"),
    [
        ("tcp://10.0.0.5:502/1", Link("tcp", "10.0.0.5", 502), 1),
        ("tcp://meter.example/247", Link("tcp", "meter.example", 502), 247),
        ("tcp://[fe80::1]:1502/0", Link("tcp", "fe80::1", 1502), 0),
        ("rtu+tcp://10.0.0.5:8899/3", Link("rtu+tcp", "10.0.0.5", 8899), 3),
        ("rtu:///dev/ttyUSB0/9", Link("rtu", "/dev/ttyUSB0"), 9),
        (
            "rtu:///dev/ttyUSB0/9?baud=19200&parity=E&stop=2",
            Link("rtu", "/dev/ttyUSB0", baud=19200, parity="E", stop_bits=2),
            9,
        ),
    ],
)
def test_addresses_are_understood(text, link, unit):
    assert parse_endpoint(text, "sdm630") == Endpoint(link, unit, "sdm630")


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.5:502/1",
        "tcp://10.0.0.5:502",
        "tcp://10.0.0.5:502/one",
        "tcp://10.0.0.5:502/1?baud=9600",
        "tcp://10.0.0.5:99999/1",
        "tcp:///1",
        "udp://10.0.0.5/1",
        "rtu://host/dev/ttyUSB0/1",
        "rtu:///1",
        "rtu:///dev/ttyUSB0/1?speed=9600",
        "rtu:///dev/ttyUSB0/1?parity=X",
        "rtu:///dev/ttyUSB0/1?stop=3",
        "tcp://10.0.0.5/256",
        "rtu:///dev/ttyUSB0/0",
        "rtu+tcp://10.0.0.5/248",
    ],
)
def test_other_addresses_are_refused_in_one_line(text):
    with pytest.raises(EndpointError) as caught:
        parse_endpoint(text, "sdm630")
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)
