"""A run from Python, through the names that users import."""

import asyncio

import pytest

import sharegrid
from broker.claims import claimed, of_run
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


def test_progress_is_told_after_each_interval_with_what_there_is(small_scenario, tmp_path):
    told = []

    def note(state):
        told.append((state.done, state.intervals, sharegrid.load(state.directory).summary.intervals.settled))

    run = sharegrid.run(small_scenario, progress=note, out=tmp_path / "mine", broker="mosquitto")
    assert told == [(1, 2, 1), (2, 2, 2)]
    assert run.summary.incomplete == ""


async def test_runs_are_awaited_beside_each_other_and_a_cancelled_one_keeps_its_results(
    small_scenario, tmp_path
):
    told = []

    async def note(state):
        await asyncio.sleep(0)
        told.append((state.directory.name, state.done))
        if state.directory.name == "cancelled":
            runs[1].cancel()

    names = ("whole", "cancelled")
    runs = [
        asyncio.create_task(
            sharegrid.run_async(
                small_scenario, progress=note, out=tmp_path / name, run_id=name, broker="mosquitto"
            )
        )
        for name in names
    ]
    whole, cancelled = await asyncio.gather(*runs, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert [each for each in told if each[0] == "whole"] == [("whole", 1), ("whole", 2)]
    assert whole.summary.intervals.settled == 2
    kept = sharegrid.load(tmp_path / "cancelled").summary
    assert kept.unfinished is None
    assert kept.intervals.settled in (1, 2)


async def test_what_progress_raises_ends_the_run_with_its_results_saved(small_scenario, tmp_path):
    def fail(state):
        raise RuntimeError(f"enough after {state.share:.0%}")

    with pytest.raises(RuntimeError, match="enough after 50%"):
        sharegrid.run(small_scenario, progress=fail, out=tmp_path / "mine", broker="mosquitto")
    assert (
        sharegrid.load(tmp_path / "mine").summary.incomplete == "not complete: ended after 1 of 2 intervals"
    )

    async def awaited(state):
        raise AssertionError(state)

    with pytest.raises(TypeError, match="run_async"):
        sharegrid.run(small_scenario, progress=awaited)


def test_an_option_that_a_run_does_not_have_is_a_type_error(small_scenario):
    with pytest.raises(TypeError, match="interval"):
        sharegrid.run(small_scenario, interval=1)


async def test_a_run_id_is_taken_once_on_a_broker(small_scenario, tmp_path):
    async with mosquitto() as broker, claimed(broker.url, "day1", of_run("day1")):
        given = {"intervals": 1, "broker": broker.url, "run_id": "day1", "out": tmp_path / "mine"}
        with pytest.raises(sharegrid.SharegridError, match="--run-id day1 is taken on this broker: run day1"):
            await asyncio.to_thread(sharegrid.run, small_scenario, **given)
        assert not (tmp_path / "mine").exists()
