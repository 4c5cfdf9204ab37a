import pytest

from broker.address import Address, parse_address
from broker.errors import BrokerAddressError


def test_parts_and_defaults() -> None:
    assert parse_address("mqtt://lab.example") == Address("lab.example", 1883)
    assert parse_address("mqtt://me:p%40ss@10.0.0.7:2883/") == Address("10.0.0.7", 2883, "me", "p@ss")
    assert parse_address("mqtt://[::1]:1884") == Address("::1", 1884)


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
    ],
)
def test_one_line_says_what_is_wrong(url: str, word: str) -> None:
    with pytest.raises(BrokerAddressError, match=word) as caught:
        parse_address(url)
    assert "\n" not in str(caught.value)
    assert "mqtt://[user:password@]host[:port]" in str(caught.value)
