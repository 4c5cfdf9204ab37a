"""Passwords in addresses are not kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.scenario import load_scenario, resolved_toml
from cosim.scenario.secrets import masked, without_passwords


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("auto", "auto"),
        ("mqtt://broker:1883", "mqtt://broker:1883"),
        ("mqtt://user@broker", "mqtt://user@broker"),
        ("mqtt://user:s3cret@broker:1883", "mqtt://user:***@broker:1883"),
        ("mqtt://user:a@b:c/d@broker", "mqtt://user:***@broker"),
        ("tcp://192.168.1.20:502/1", "tcp://192.168.1.20:502/1"),
        ("rtu:///dev/ttyUSB0?baud=9600", "rtu:///dev/ttyUSB0?baud=9600"),
    ],
)
def test_addresses_keep_everything_but_the_password(address, shown):
    assert masked(address) == shown


@given(st.text(min_size=1))
def test_no_password_survives(password):
    assert masked(f"mqtt://someone:{password}@there") == "mqtt://someone:***@there"


def test_a_kept_scenario_has_no_password(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[broker]\nuse = "mqtt://lab:s3cret@broker:1883"\n')
    text = resolved_toml(without_passwords(load_scenario(file)))
    assert "s3cret" not in text
    assert "mqtt://lab:***@broker:1883" in text
