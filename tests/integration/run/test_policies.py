"""A run whose process dies for good, as `recovery.on_loss` says: real processes, a real broker."""

import asyncio
import time

import pytest

from broker.client.mqtt import connect
from broker.participant.availability import offline_will, say_offline
from broker.participant.node import Node
from broker.server.mosquitto import mosquitto
from cosim.results.ledger_check import check_ledger
from cosim.results.reader import load
from tests.broker.door.hostile_run import written_scenario
from tests.integration.run.test_hardware_safety import laboratory
from tests.integration.run.test_recovery import ROLES, Processes, settled, wait_until_settled

BEFORE, INTERVALS = 3, 5
NAMED_WITHIN_S = 2.0
EMULATED = """
[[devices]]
prosumer = "p00001"
profile = "{profile}"
connect = "tcp://127.0.0.1:{port}/{unit}"
clock = "run"
"""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mosquitto_installed")]


@pytest.fixture
def started(tmp_path, unused_tcp_port):
    """``started(on_loss, *roles)``: a run with some processes, once it has settled a few intervals."""
    with asyncio.Runner() as runner:
        broker = mosquitto()
        url = runner.run(broker.__aenter__()).url
        made = []

        def start(on_loss, *roles, patience_s=120.0):
            scenario = written_scenario(tmp_path, intervals=INTERVALS)
            text = scenario.read_text()
            text += f'[recovery]\non_loss = "{on_loss}"\npatience_s = {patience_s}\n'
            if "emulators" in roles:
                for unit, profile in enumerate(("sdm630", "sunspec-pv", "sunspec-battery"), start=1):
                    text += EMULATED.format(port=unused_tcp_port, unit=unit, profile=profile)
            scenario.write_text(text)
            processes = Processes(scenario, url, tmp_path / "run")
            made.append(processes)
            for role in roles:
                processes.start(role)
            processes.control(*processes.common, "--out", str(processes.out))
            wait_until_settled(processes.out, BEFORE, processes.running["control"])
            return processes

        yield start
        for processes in made:
            for process in processes.running.values():
                process.kill()
                process.communicate()
        runner.run(broker.__aexit__(None, None, None))


def said_within(process, word, limit_s):
    """What a process says on standard error until a word comes, which has to come in time."""
    began, said = time.monotonic(), ""
    while word not in said:
        line = process.stderr.readline().decode()
        assert line, f"it ended without {word}: {said}"
        said += line
    assert time.monotonic() - began < limit_s, said
    return said


@pytest.mark.parametrize("victim", [*ROLES, "emulators"])
def test_the_others_stand_in_for_a_role_that_is_dead_for_good(started, victim):
    processes = started("stand-in", *ROLES, *(["emulators"] if victim == "emulators" else []))
    lost = settled(processes.out)
    processes.kill(victim)
    control = processes.running["control"]
    began = time.monotonic()
    assert victim in said_within(control, "went offline", NAMED_WITHIN_S)
    _, rest = control.communicate(timeout=120)
    assert control.returncode == 0, rest.decode()
    # Not a minute for each of the seven steps that somebody waits in vain, also on a busy computer.
    assert time.monotonic() - began < 30.0 * (INTERVALS - BEFORE)
    run = load(processes.out)
    assert run.ledger.ticks() == list(range(INTERVALS))
    assert check_ledger(processes.out)[0] == []
    flags = run.intervals.set_index("tick")["flags"]
    assert (flags[flags.index < lost] == 0).all()
    assert (flags[flags.index > lost] > 0).all()
    others = [name for name in processes.running if name != "control"]
    assert [processes.running[name].wait(20) for name in others] == [0] * len(others)


@pytest.mark.parametrize("victim", [*ROLES, "control"])
def test_a_run_ends_with_a_role_where_the_scenario_says_so(started, victim):
    processes = started("end", *ROLES)
    processes.kill(victim)
    if victim != "control":
        control = processes.running["control"]
        assert victim in said_within(control, "went offline", NAMED_WITHIN_S)
        assert control.wait(20) == 2
        assert check_ledger(processes.out)[0] == []
    for name in ROLES:
        if name == victim:
            continue
        _, said = processes.running[name].communicate(timeout=20)
        assert processes.running[name].returncode == 2
        assert b"the run's own process went offline" in said
        assert b"`run --resume` goes on" in said
    if victim == "feeder":
        control.communicate()
        for role in ROLES:
            processes.start(role)
        processes.control("--resume", str(processes.out), "--broker", processes.url)
        _, said = processes.running["control"].communicate(timeout=120)
        assert processes.running["control"].returncode == 0, said.decode()
        assert load(processes.out).ledger.ticks() == list(range(INTERVALS))


def test_a_run_that_waits_in_vain_names_who_did_not_come(started):
    processes = started("wait", *ROLES, patience_s=1.0)
    processes.kill("market")
    control = processes.running["control"]
    assert "market" in said_within(control, "went offline", NAMED_WITHIN_S)
    _, said = control.communicate(timeout=30)
    assert control.returncode == 2
    assert b"did not come back: start it again" in said
    assert check_ledger(processes.out)[0] == []


async def test_hardware_goes_to_its_safe_value_where_a_run_is_to_end_with_its_clock(
    small_run, small_scenario, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    extra = '[recovery]\non_loss = "end"\n'
    async with laboratory(small_run, small_scenario, tmp_path, extra=extra) as lab:
        async with connect(lab.url, "clock", offline_will("lab", "clock")) as bus:
            await Node(bus, "lab", "clock").open()
            await lab.set(2.0)
            await lab.until(2000, 5.0)
            await say_offline(bus, "lab", "clock")
        assert await lab.until(500, 3.0) < 3.0
        assert await asyncio.wait_for(lab.process.wait(), 10.0) == 2
