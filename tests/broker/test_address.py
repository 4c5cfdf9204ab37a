from pathlib import Path

import pytest

from broker.address import Address, is_host, parse_address, secure_url
from broker.errors import BrokerAddressError


def test_parts_and_defaults() -> None:
    assert parse_address("mqtt://lab.example") == Address("lab.example", 1883)
    assert parse_address("mqtt://me:p%40ss@10.0.0.7:2883/") == Address("10.0.0.7", 2883, "me", "p@ss")
    assert parse_address("mqtt://[::1]:1884") == Address("::1", 1884)
    assert parse_address("mqtts://lab.example") == Address("lab.example", 8883, tls=True)


def test_credentials_are_a_folder() -> None:
    address = parse_address("mqtts://10.0.0.7:9?credentials=/etc/a%20b")
    assert address == Address("10.0.0.7", 9, tls=True, credentials=Path("/etc/a b"))
    assert str(address) == "mqtts://10.0.0.7:9"
    assert parse_address(secure_url("10.0.0.7", 9, Path("/etc/a b"))) == address


@pytest.mark.parametrize(
    ("url", "is_warned"),
    [
        ("mqtt://lab.example", True),
        ("mqtt://192.168.1.4", True),
        ("mqtts://lab.example", False),
        ("mqtt://localhost", False),
        ("mqtt://127.0.0.1:1884", False),
        ("mqtt://[::1]", False),
    ],
)
def test_open_addresses_elsewhere_are_warned_of_in_one_line(url: str, is_warned: bool) -> None:
    warning = parse_address(url).warning
    assert (warning is not None) == is_warned
    assert "\n" not in (warning or "")


def test_shown_without_credentials() -> None:
    address = parse_address("mqtt://me:secret@[::1]:1884")
    assert str(address) == "mqtt://[::1]:1884"
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://lab.example", "http"),
        ("lab.example:1883", "'lab.example:1883' does not begin with mqtt://"),
        ("http://me:secret@lab.example", "broker address: 'lab.example' does not"),
        ("mqtt://", "no host"),
        ("mqtt://lab.example:0", "port is 0"),
        ("mqtt://lab.example:99999", "range"),
        ("mqtt://lab.example:abc", "port"),
        ("mqtt://lab.example/topic", "after the host"),
        ("mqtt://lab.example?credentials=x", "after the host"),
        ("mqtts://lab.example?password=x", "after the host"),
        ("mqtts://lab.example?credentials=", "names no folder"),
    ],
)
def test_one_line_says_what_is_wrong(url: str, word: str) -> None:
    with pytest.raises(BrokerAddressError, match=word) as caught:
        parse_address(url)
    assert "\n" not in str(caught.value)
    assert "mqtt://[user:password@]host[:port]" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["lab", "broker.lab", "a-b.c_d", "*.lab", "192.168.0.7", "::1", "fe80::1", "lab."]
)
def test_names_and_addresses_of_computers(text):
    assert is_host(text)


@pytest.mark.parametrize(
    "text", ["", "a b", "a/b", "mqtt://lab", "lab:1883", "-a", "a..b", "*", "\u00e4.lab", "a" * 254]
)
def test_what_no_computer_is_called(text):
    assert not is_host(text)
