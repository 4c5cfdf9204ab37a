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
    ("text", "link", "name", "shown"),
    [
        ("mqtt://broker/shelly", Link("mqtt", "broker", 1883), "shelly", "shelly at broker:1883"),
        ("mqtts://broker:8884/a/b", Link("mqtts", "broker", 8884), "a/b", "a/b at broker:8884"),
        ("http://10.0.0.5", Link("http", "10.0.0.5", 80), "", "10.0.0.5:80"),
        (
            "https://u:p%40ss@[fe80::1]/x?verify=0",
            Link("https", "fe80::1", 443, access="u:p%40ss", options="verify=0"),
            "x",
            "x at fe80::1:443",
        ),
    ],
)
def test_addresses_of_brokers_and_web_servers_are_understood(text, link, name, shown):
    endpoint = parse_endpoint(text, "mine")
    assert endpoint == Endpoint(link, 0, "mine", name)
    assert str(endpoint) == shown


def test_an_address_leads_back_to_where_it_came_from():
    link = parse_endpoint("https://u:p%40ss@[fe80::1]/x?verify=0", "mine").link
    assert link.url == "https://u:p%40ss@[fe80::1]:443?verify=0"


def test_a_password_in_a_wrong_address_is_not_shown():
    with pytest.raises(EndpointError) as caught:
        parse_endpoint("mqtt://me:secret@broker:0/x", "mine")
    assert "secret" not in str(caught.value)


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
        "mqtt://broker",
        "mqtt://broker/a/+",
        "mqtt://broker/{name}",
        "http://:80/x",
        "http://10.0.0.5:0",
    ],
)
def test_other_addresses_are_refused_in_one_line(text):
    with pytest.raises(EndpointError) as caught:
        parse_endpoint(text, "sdm630")
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)
