import importlib
import sys

import pytest

import sharegrid


@pytest.fixture
def command():
    return importlib.import_module("sharegrid.__main__").main


def test_the_module_is_the_command(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sharegrid", "--version"])
    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("sharegrid, version ")


def test_a_hidden_package_ends_the_command_in_one_line(command, monkeypatch, capsys):
    def hidden():
        raise sharegrid.ShadowedPackage("market.py hides")

    monkeypatch.setattr(sharegrid, "check_not_shadowed", hidden)
    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "sharegrid: market.py hides\n"
