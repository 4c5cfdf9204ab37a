"""What is compiled the first time is said, and compiled before the run."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from cosim import readiness
from cosim.clear_command import clear
from cosim.readiness import COMPILING, made_ready
from market.files.case_file import encode_case
from market.files.horizon_file import encode_horizon
from market.horizon import warm_up
from tests.market.horizon.town import town

ROOT = Path(__file__).parents[2]
WITH, WITHOUT = (SimpleNamespace(rules=SimpleNamespace(horizon=horizon)) for horizon in (object(), None))

SIGNATURES = """
import importlib, pkgutil
import numba
import market.horizon
from market.horizon.clearing import clear_horizon
from market.horizon.warm_up import warm_up
from tests.market.horizon.town import town

def signatures():
    names = [each.name for each in pkgutil.iter_modules(market.horizon.__path__)]
    rooms = [importlib.import_module(f"market.horizon.{name}") for name in names]
    named = {id(value): value for room in rooms for value in vars(room).values()}
    compiled = [each for each in named.values() if hasattr(each, "signatures")]
    return sorted((each.__name__, str(each.signatures)) for each in compiled)

warm_up()
before = signatures()
assert any(found for _, found in before)
for rows in (0, 2):
    clear_horizon(town(7, T=12, lams=2, members=60, rows=rows, stores=0.9))
assert signatures() == before
"""


async def test_the_user_hears_of_what_takes_long(monkeypatch):
    monkeypatch.setattr(readiness, "AT_ONCE_S", 0.0)
    done, said = [], []
    monkeypatch.setattr(warm_up, "warm_up", lambda: done.append(1))
    await made_ready(WITHOUT, ["market"], said.append)
    await made_ready(WITH, ["feeder", "lam"], said.append)
    assert (done, said) == ([], [])
    await made_ready(WITH, ["market", "feeder"], said.append)
    assert (done, said) == ([1], [COMPILING])


async def test_nothing_is_said_of_what_is_there(monkeypatch):
    said = []
    monkeypatch.setattr(warm_up, "warm_up", lambda: None)
    await made_ready(WITH, ["market"], said.append)
    assert not said


def test_clearings_compile_nothing_more_then():
    command = [sys.executable, "-c", SIGNATURES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("horizon", [True, False])
def test_a_case_over_a_horizon_is_cleared_once_that_is_compiled(tmp_path, monkeypatch, horizon):
    case, done = town(3, T=4), []
    data = encode_horizon(case) if horizon else encode_case(case.first)
    (tmp_path / "case.json").write_bytes(data)
    monkeypatch.setattr(readiness, "AT_ONCE_S", 0.0)
    monkeypatch.setattr(warm_up, "warm_up", lambda: done.append(1))
    result = CliRunner().invoke(clear, [str(tmp_path / "case.json"), "--out", str(tmp_path / "r.json")])
    assert result.exit_code == 0
    assert result.stderr == (f"{COMPILING}\n" if horizon else "")
    assert done == [1] * horizon
