import runpy
import sys

import pytest


def test_the_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sharegrid", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("sharegrid", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("sharegrid, version ")


def test_a_hidden_package_ends_the_command_in_one_line(monkeypatch, capsys):
    import sharegrid

    monkeypatch.setattr(
        sharegrid, "check_not_shadowed", raising(sharegrid.ShadowedPackage("market.py hides"))
    )
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("sharegrid", run_name="__main__")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "sharegrid: market.py hides\n"


def raising(error):
    def call():
        raise error

    return call
