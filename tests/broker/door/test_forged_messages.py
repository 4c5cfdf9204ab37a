"""Each way in which a stranger's message once ended, hung or bent a run: now it does none of these."""

import asyncio
import base64
import json

import numpy as np
import pytest

from broker import messages
from broker.participant.availability import offline_will
from broker.topics import Topics
from tests.broker.door.hostile_run import RUN, play
from tests.broker.door.mutations import DEEP, dumped

TOPICS = Topics(RUN)
NOTHING = ((), ())


def before(topic_, change):
    """Forge a body on a topic before each genuine one, with its number."""

    def forge(topic, payload):
        if topic != topic_ and not (topic_.endswith("/") and topic.startswith(topic_)):
            return NOTHING
        changed = change(json.loads(payload))
        return [(topic, changed if isinstance(changed, bytes) else dumped(changed))], ()

    return forge


def behind_steps(*steps):
    """Forge steps of the clock behind each of its own: (ticks further, numbers further, step, sender)."""

    def forge(topic, payload):
        if topic != TOPICS.step:
            return NOTHING
        step = json.loads(payload)
        changed = [
            step
            | {"tick": step["tick"] + ticks, "seq": step["seq"] + numbers, "step": name, "sender": sender}
            for ticks, numbers, name, sender in steps
        ]
        return (), [(topic, dumped(each)) for each in changed]

    return forge


def reports_ahead(topic, payload):
    """Forge reports of everyone for all steps that are to come."""
    if topic != TOPICS.step:
        return NOTHING
    tick = json.loads(payload)["tick"]
    forged = []
    for name in ("wam", "lams-0", "gateway-0", "population-0", "devices-0", "feeder", "recorder", "auditor"):
        for seq, step in enumerate(("clear", "dispatch", "act", "meter", "settle"), start=50):
            done = messages.Done(run=RUN, tick=tick + 1, sender=name, seq=seq, step=step)
            forged.append((TOPICS.done(name), messages.encode(done)))
    return (), forged


def all_offline(topic, payload):
    """Say of everyone that it is gone, at every step."""
    if topic != TOPICS.step:
        return NOTHING
    names = ("recorder", "wam", "feeder", "lams-0", "auditor", "gateway-0", "population-0")
    return (), [(TOPICS.availability(name), offline_will(RUN, name).payload) for name in names]


def strangers_first(topic, payload):
    """Say everything a little earlier, under another name."""
    if topic.startswith((f"{TOPICS.root}/rejected", f"{TOPICS.root}/stop")):
        return NOTHING
    return [(topic, dumped(json.loads(payload) | {"sender": "mallory"}))], ()


def column(values, dtype="<f8"):
    return base64.b64encode(np.array(values, dtype=dtype).tobytes()).decode()


def field(name, value):
    return lambda fields: fields | {name: value}


FORGED = {
    "an index out of range": before(
        TOPICS.lam_outcome("lams-0"), lambda f: f | {"prosumer": column([10**6] * 14, "<i4")}
    ),
    "odd bytes": before(TOPICS.metered("population-0"), field("energy_kwh", "AAAA")),
    "short columns": before(TOPICS.lam_outcome("lams-0"), field("trade_kw", column([1.0]))),
    "an audit with too few savings": before(TOPICS.audit, field("saving", column([1.0]))),
    "a far tick": before(TOPICS.feeder_request, field("tick", 10**9)),
    "a tick behind the run's end": before(TOPICS.feeder_request, field("tick", 5)),
    "a huge integer": before(TOPICS.wam_outcome, field("tick", 10**4000)),
    "a metered 1e300": before(
        TOPICS.metered("population-0"), lambda f: f | {"energy_kwh": column([1e300] * 8)}
    ),
    "a live meter of 1e300": before(f"{TOPICS.root}/telemetry/meter/", field("import_kwh", 1e300)),
    "a short state": before(TOPICS.feeder_state, field("v_pu", column([1.0]))),
    "a state without voltages": before(TOPICS.feeder_state, field("lam_v_pu", "")),
    "a far number": before(TOPICS.wam_outcome, field("seq", 10**7)),
    "the farthest number": before(f"{TOPICS.root}/bid/", field("seq", 2**53 - 1)),
    "a number beyond all": before(f"{TOPICS.root}/bid/", field("seq", 2**63)),
    "a deep nest": before(f"{TOPICS.root}/done/", lambda f: DEEP),
    "fifty megabytes": before(TOPICS.audit, lambda f: b"[" * 50_000_000),
    "steps of a far tick, twice": behind_steps(*[(60, 1, "measure", "clock")] * 2),
    "steps of a far tick": behind_steps((60, 1, "measure", "clock"), (60, 400, "act", "clock")),
    "an end that is not due": behind_steps((1, 3, "end", "clock"), (90, 1, "end", "clock")),
    "the next interval, with the next numbers": behind_steps(
        (1, 1, "measure", "clock"), (1, 2, "bid", "clock"), (2, 3, "measure", "clock")
    ),
    "the last step of the interval, with the next number": behind_steps((0, 1, "settle", "clock")),
    "steps from others": behind_steps((0, 1, "settle", "wam"), (1, 1, "end", "operator")),
    "steps again": behind_steps((0, 0, "end", "clock"), (-1, 1, "act", "clock")),
    "reports ahead of their steps": reports_ahead,
    "word that all are offline": all_offline,
    "strangers who speak first": strangers_first,
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return asyncio.run(play(tmp_path_factory.mktemp("clean")))


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_forged_message_changes_nothing(tmp_path, clean, forge):
    hostile = await play(tmp_path, forge=forge)
    assert hostile.ticks == [0, 1]
    assert hostile.entries == clean.entries
    assert hostile.set_aside == []
    events = (tmp_path / "run" / "events.jsonl").read_text()
    assert any(sign in events for sign in ("refused", "missing on", "was said to be offline"))


async def test_reports_in_others_names_with_their_next_numbers_hold_up_nobody(tmp_path):
    def forge(topic, payload):
        if not topic.startswith(f"{TOPICS.root}/done/"):
            return NOTHING
        done = json.loads(payload)
        forged = [done | {"seq": done["seq"] + 1, "step": step} for step in ("act", "meter", "dispatch")]
        return (), [(topic, dumped(each)) for each in forged]

    async with asyncio.timeout(60.0):  # As long as one step may last.
        hostile = await play(tmp_path, forge=forge)
    assert hostile.ticks == [0, 1]
    assert hostile.balance_micro == 0
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    twice = {each["tick"] for each in events if "another message before on" in each["detail"]}
    assert twice == {0, 1}


async def test_a_lie_with_the_next_number_is_flagged_when_the_true_message_comes(tmp_path):
    """Without keys nobody can tell which is true; but it is seen that there were two."""
    lie = before(TOPICS.feeder_state, lambda fields: fields | {"source_kw": 500.0})
    hostile = await play(tmp_path, forge=lie)
    assert hostile.ticks == [0, 1]
    assert hostile.balance_micro == 0
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    flags = {
        (event["tick"], event["kind"]) for event in events if "another message before" in event["detail"]
    }
    assert {(0, "flag"), (1, "flag"), (0, "rejected"), (1, "rejected")} <= flags
