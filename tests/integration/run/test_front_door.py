"""A run from Python, through the names that users import."""

import asyncio

import pytest

import sharegrid
from broker.claims import claimed
from broker.server.mosquitto import mosquitto


def test_a_run_from_python_is_loaded_when_it_ends(small_scenario, tmp_path):
    out = tmp_path / "mine"
    run = sharegrid.run(small_scenario, intervals=1, out=out, broker="mosquitto")
    assert run.path == out
    assert run.summary.intervals.settled == len(run.intervals) == 1
    assert run.summary.settlement.sum_micro == 0
    assert sharegrid.load(out).summary == run.summary
    with pytest.raises(sharegrid.SharegridError, match="holds a run already"):
        sharegrid.run(small_scenario, out=out)


async def test_a_run_from_python_where_a_loop_runs_already(small_scenario, tmp_path):
    run = sharegrid.run(small_scenario, intervals=1, out=tmp_path / "mine", broker="mosquitto")
    assert run.summary.intervals.settled == 1


def test_an_option_that_a_run_does_not_have_is_a_type_error(small_scenario):
    with pytest.raises(TypeError, match="interval"):
        sharegrid.run(small_scenario, interval=1)


async def test_a_run_id_is_taken_once_on_a_broker(small_scenario, tmp_path):
    async with mosquitto() as broker, claimed(broker.url, "day1", "run:day1"):
        given = {"intervals": 1, "broker": broker.url, "run_id": "day1", "out": tmp_path / "mine"}
        with pytest.raises(sharegrid.SharegridError, match="--run-id day1 is taken on this broker: run day1"):
            await asyncio.to_thread(sharegrid.run, small_scenario, **given)
        assert not (tmp_path / "mine").exists()
