"""The package that users import: its names, what it loads, and what it says of files that hide ours."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sharegrid
from broker.errors import BrokerError
from devices.errors import DeviceError
from market.errors import MarketError

ROOT = Path(__file__).parents[2]


def python(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", sharegrid.__all__)
def test_every_name_is_what_its_package_calls_so(name: str) -> None:
    value = getattr(sharegrid, name)
    assert getattr(importlib.import_module(value.__module__), name) is value


def test_the_stub_names_what_the_package_has() -> None:
    stub = (ROOT / "sharegrid" / "__init__.pyi").read_text()
    assert {line.split()[-1] for line in stub.splitlines() if line.startswith("from ")} == set(
        sharegrid.__all__
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'cleer'"):
        _ = sharegrid.cleer


def test_importing_it_loads_nothing_else() -> None:
    done = python("-c", "import sys, sharegrid; print(*sorted(m.partition('.')[0] for m in sys.modules))")
    loaded = set(done.stdout.split())
    assert "sharegrid" in loaded
    assert not loaded & {"broker", "cosim", "devices", "market", "numpy", "pandas", "msgspec", "click"}


def test_the_command_has_asked_for_one_blas_thread_when_numpy_loads() -> None:
    watch = """
import os, sys

class Watch:
    def find_spec(self, name, *_):
        if name == "numpy":
            print(os.environ.get("OPENBLAS_NUM_THREADS"))

sys.meta_path.insert(0, Watch())
import cosim.cli
import numpy
"""
    without = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", watch], cwd=ROOT, env=without, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_it_is_a_command_too() -> None:
    assert python("-m", "sharegrid", "--help").stdout.startswith("Usage: sharegrid [OPTIONS] COMMAND")
    assert python("-m", "sharegrid", "clear").returncode == 2


@pytest.mark.parametrize(
    "code", [("-m", "sharegrid", "scenario"), ("-c", "import sharegrid; sharegrid.clear")]
)
def test_a_file_that_hides_a_package_is_named(tmp_path: Path, code: tuple[str, ...]) -> None:
    (tmp_path / "market.py").write_text("prices = []\n")
    done = python(*code, cwd=tmp_path)
    assert done.returncode != 0
    said = done.stderr.splitlines()[-1]
    assert f"{tmp_path / 'market.py'} hides the package 'market' of sharegrid: rename it" in said
    if code[0] == "-m":
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize("error", [BrokerError, DeviceError, MarketError])
def test_there_is_one_root_of_errors(error: type[Exception]) -> None:
    assert issubclass(error, sharegrid.SharegridError)


def test_every_package_tells_its_types() -> None:
    assert all((ROOT / package / "py.typed").exists() for package in ("sharegrid", *sharegrid.PACKAGES))
