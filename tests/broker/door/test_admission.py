from dataclasses import replace

import pytest

from broker import messages
from broker.door.admission import Door
from broker.door.refusal import Refused
from broker.door.step_proofs import StepProofs
from broker.messages import (
    Acknowledgement,
    Availability,
    Award,
    Done,
    LamBid,
    Rejected,
    Snapshot,
    Step,
    StepAhead,
    Stop,
    Telemetry,
    columns,
)
from tests.broker.door.parties import BOUNDS, RUN, TOPICS, received

AWARD = TOPICS.award("A", "p0")


@pytest.fixture
def door():
    return Door(RUN, BOUNDS)


def award(seq=0, tick=0, sender="north", **body):
    return messages.encode(
        Award(run=RUN, tick=tick, sender=sender, seq=seq, **({"trade_kw": 1.0, "price": 0.1} | body))
    )


CLOCK = StepProofs(96, "secret")


def step(seq, tick, name="measure", sender="clock", clock=CLOCK, **body):
    told = {"opened": 0.0, "deadline": 1.0, "interval_s": 900.0}
    if clock is not None and tick <= 96:
        told["proof"] = clock.of(tick, name)
    return messages.encode(Step(run=RUN, tick=tick, sender=sender, seq=seq, step=name, **(told | body)))


def ahead(*names):
    return [StepAhead(step=name, opened=1.0, deadline=2.0) for name in names]


def let_in(door, topic, payload):
    return door.admit(received(topic, payload))


def refusal(door, topic, payload, *, retained=False):
    with pytest.raises(Refused) as refused:
        door.admit(received(topic, payload, retained=retained))
    return str(refused.value)


def follow(door, seq, tick, name="measure"):
    admitted = let_in(door, TOPICS.step, step(seq, tick, name))
    if admitted.message is not None:
        door.tick = max(door.tick, tick)
    return admitted


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (AWARD + "/more", award(), "no message has this topic"),
        (TOPICS.award("B", "p0"), award(), "p0 is not in LAM B"),
        (TOPICS.award("A", "p1"), award(), "p1 has no messages"),
        (AWARD, b"[" * 3000, "deep"),
        (AWARD, b"x" * 50_000_000, "50000000 bytes"),
        (AWARD, b'{"kind":"award","x":[' + b"0," * 9000 + b"0]}", "elements"),
        (AWARD, b"", "truncated"),
        (AWARD, award()[:-5], "truncated"),
        (AWARD, b"\xff\xfe", "malformed"),
        (AWARD, award().replace(b"north", b"no\xffth"), "utf-8"),
        (AWARD, award().replace(b'"trade_kw":1.0', b'"trade_kw":1e999'), "out of range"),
        (AWARD, award().replace(b'"trade_kw":1.0', b'"trade_kw":NaN'), "malformed"),
        (AWARD, award().replace(b'"seq":0', b'"seq":' + b"9" * 5000), "out of range"),
        (AWARD, award().replace(b'"seq":0', b'"seq":9223372036854775808'), "<="),
        (AWARD, award().replace(b'"tick":0', b'"tick":1e6'), "int"),
        (AWARD, award().replace(b'"v":1', b'"v":2'), "v"),
        (AWARD, award().replace(b'"kind":"award"', b'"kind":"stop"'), "stop"),
        (AWARD, award().replace(b'"run":"r1"', b'"run":"r2"'), "run r2"),
        (AWARD, award(sender="south"), "south writes on a topic of north"),
        (AWARD, award(tick=-1), "no interval"),
        (AWARD, award(tick=97), "behind the run's end"),
        (AWARD, award(tick=2**53 - 1), "behind the run's end"),
        (AWARD, award(trade_kw=1e300), "not plausible"),
        (AWARD, award(seq=10**7), "far ahead"),
        (AWARD, award(seq=2**53 - 1), "far ahead"),
    ],
)
def test_what_is_not_let_in_says_why_and_leaves_no_trace(door, topic, payload, reason):
    assert reason in refusal(door, topic, payload)
    assert door.tick == -1
    assert door._streams == {}
    assert let_in(door, AWARD, award()).message.trade_kw == 1.0


def test_what_arrives_retained_is_refused_unless_it_is_kept_on_purpose(door):
    assert "retained" in refusal(door, AWARD, award(), retained=True)
    online = Availability(run=RUN, tick=-1, sender="wam", seq=0, online=True)
    kept = received(TOPICS.availability("wam"), messages.encode(online), retained=True)
    assert door.admit(kept).message == online


def test_a_stranger_who_speaks_first_does_not_shut_out_the_party_that_the_roster_names(door):
    topic = TOPICS.lam_bid("B")
    body = {"price": columns.pack([0.1]), "kw": columns.pack([1.0]), "reactive_kvar": 0.0}
    for sender in ("mallory", "north", "wam"):
        forged = LamBid(run=RUN, tick=0, sender=sender, seq=0, **body)
        assert "writes on a topic of south" in refusal(door, topic, messages.encode(forged))
    genuine = LamBid(run=RUN, tick=0, sender="south", seq=0, **body)
    assert let_in(door, topic, messages.encode(genuine)).message == genuine


def test_a_forged_message_with_the_next_number_makes_the_genuine_one_a_conflict(door):
    let_in(door, AWARD, award(0))
    let_in(door, AWARD, award(1, trade_kw=99.0))
    assert "stood on another message before" in refusal(door, AWARD, award(1))


def test_a_repeated_message_counts_as_a_duplicate(door):
    let_in(door, AWARD, award())
    admitted = let_in(door, AWARD, award())
    assert admitted.message is None
    assert admitted.duplicates == 1


def test_many_strange_topics_do_not_fill_the_memory(door):
    for at in range(1000):
        refusal(door, TOPICS.award("A", f"p{at + 5}"), award())
    assert door._entries == {}


def test_a_reading_belongs_on_the_topic_of_its_phase(door):
    fields = dict.fromkeys(["p_kw", "q_kvar", "v_pu", "import_kwh", "export_kwh"])
    reading = Telemetry(run=RUN, tick=0, sender="gateway", seq=0, phase="measure", quality="good", **fields)
    assert "phase measure" in refusal(door, TOPICS.telemetry("meter", "p0"), messages.encode(reading))
    assert let_in(door, TOPICS.telemetry("measure", "p0"), messages.encode(reading)).message == reading


def test_a_message_far_ahead_of_the_clock_is_refused_and_a_past_one_is_late(door):
    follow(door, 0, 0)
    assert let_in(door, AWARD, award(0, 1)).message is not None
    assert "ahead of the clock's 0" in refusal(door, AWARD, award(1, 2))
    follow(door, 7, 1)
    follow(door, 14, 2)
    late = let_in(door, AWARD, award(1, 1))
    assert late.message is None
    assert late.late == 1


def snapshot(tick, epoch):
    return messages.encode(Snapshot(run=RUN, tick=tick, sender="recorder", seq=0, epoch=epoch, content=b""))


def test_what_the_recorder_keeps_for_a_new_epoch_counts_for_who_missed_ticks(door):
    follow(door, 0, 0)
    topic = TOPICS.snapshot("wam")
    assert let_in(door, topic, snapshot(5, 1)).message.tick == 5
    assert "ahead of the clock's 0" in refusal(door, topic, snapshot(5, 0))
    assert "behind the run's end" in refusal(door, topic, snapshot(97, 1))


def test_the_clock_s_word_is_taken_from_the_clock_alone(door):
    for sender in ("wam", "mallory"):
        assert "writes on a topic of clock" in refusal(door, TOPICS.step, step(0, 0, sender=sender))


@pytest.mark.parametrize("tick", [2, 50, 95])
@pytest.mark.parametrize("seq", [1, 700])
def test_a_step_of_a_far_tick_is_not_followed(door, tick, seq):
    follow(door, 0, 0)
    for clock in (StepProofs(96, "guessed"), None):
        forged = step(seq, tick, clock=clock)
        assert "not of the clock" in refusal(door, TOPICS.step, forged)
    assert follow(door, 1, 0, "bid").message is not None


@pytest.mark.parametrize(("tick", "name"), [(0, "bid"), (0, "settle"), (1, "measure"), (1, "end")])
def test_nobody_else_leads_on_with_the_next_step_and_number(door, tick, name):
    follow(door, 0, 0)
    told = CLOCK.of(0, "measure")
    for body in ({"clock": StepProofs(96, "guessed")}, {"proof": told}, {"proof": ""}, {"proof": "é" * 64}):
        assert "not of the clock" in refusal(door, TOPICS.step, step(1, tick, name, **body))
    assert follow(door, 1, tick, name).message.step == name


def test_a_step_that_was_opened_takes_no_number_in_anybody_else_s_name(door):
    for seq, name in enumerate(["measure", "bid", "clear"]):
        follow(door, seq, 0, name)
    assert "not of the clock" in refusal(door, TOPICS.step, step(3, 0, "bid", proof=CLOCK.of(0, "clear")))
    assert follow(door, 3, 0, "dispatch").message is not None


def test_a_proof_is_looked_for_so_far_and_no_further():
    door, clock = Door(RUN, replace(BOUNDS, ticks=10**6)), StepProofs(400_000, "secret")
    let_in(door, TOPICS.step, step(0, 0, clock=clock))
    far = step(1, 200, proof=clock.of(200, "measure"))
    further = step(2, 100_000, proof=clock.of(100_000, "measure"))
    assert let_in(door, TOPICS.step, far).message is not None
    assert "far ahead" in refusal(door, TOPICS.step, further)
    door.came_back()
    assert let_in(door, TOPICS.step, further).message is not None


@pytest.mark.parametrize("tick", [96, 97, 10**9, 2**53 - 1])
def test_no_step_is_behind_the_run_s_end(door, tick):
    assert "behind the run's end" in refusal(door, TOPICS.step, step(0, tick))


def test_who_missed_many_steps_follows_again_at_once(door):
    follow(door, 0, 0)
    admitted = follow(door, 71, 10, "bid")
    assert admitted.message.tick == 10
    assert admitted.gaps == 70


def test_who_lost_the_connection_follows_the_clock_at_once(door):
    follow(door, 0, 0)
    door.came_back()
    assert "not of the clock" in refusal(door, TOPICS.step, step(140, 20, clock=StepProofs(96, "guessed")))
    assert follow(door, 140, 20).message.tick == 20
    assert "not of the clock" in refusal(door, TOPICS.step, step(700, 90, clock=StepProofs(96, "guessed")))


def test_the_clock_does_not_begin_anew(door):
    for seq, name in enumerate(["measure", "bid", "clear"]):
        follow(door, seq, 0, name)
    assert "earlier tick" in refusal(door, TOPICS.step, step(0, 1))
    assert follow(door, 3, 0, "dispatch").message is not None


def test_a_step_is_not_opened_twice(door):
    follow(door, 0, 0, "measure")
    follow(door, 1, 0, "bid")
    assert "opened before" in refusal(door, TOPICS.step, step(2, 0, "bid"))
    assert "opened before" in refusal(door, TOPICS.step, step(2, 0, "measure"))
    assert follow(door, 2, 0, "clear").message is not None


@pytest.mark.parametrize(
    ("name", "behind"),
    [("bid", ["bid"]), ("bid", ["clear", "measure"]), ("act", ["end"]), ("restore", ["measure"])],
)
def test_steps_ahead_are_those_behind_a_step_in_their_order(door, name, behind):
    follow(door, 0, 0, "measure")
    opened = step(1, 0, name, epoch=int(name == "restore"), ahead=ahead(*behind))
    assert "not in their order" in refusal(door, TOPICS.step, opened)
    assert let_in(door, TOPICS.step, step(1, 0, "bid", ahead=ahead("clear", "settle"))).message is not None


def test_a_report_or_an_availability_speaks_for_its_own_sender_alone(door):
    done = Done(run=RUN, tick=0, sender="mallory", seq=0, step="bid")
    assert "mallory writes on a topic of wam" in refusal(door, TOPICS.done("wam"), messages.encode(done))
    gone = Availability(run=RUN, tick=-1, sender="auditor", seq=0, online=False)
    assert "auditor writes" in refusal(door, TOPICS.availability("feeder"), messages.encode(gone))


def test_a_stop_is_taken_from_whoever_gives_it_under_his_own_name(door):
    stop = messages.encode(Stop(run=RUN, tick=-1, sender="operator-1", seq=0, reason="smoke"))
    assert let_in(door, TOPICS.stop("operator-1"), stop).message.reason == "smoke"
    assert let_in(door, TOPICS.stop("operator-1"), stop).message.reason == "smoke"
    assert "writes on a topic of clock" in refusal(door, TOPICS.stop("clock"), stop)


def test_what_may_be_said_at_any_time_needs_no_interval(door):
    said = Rejected(run=RUN, tick=-1, sender="wam", seq=0, topic="x", reason="y")
    assert let_in(door, TOPICS.rejected("wam"), messages.encode(said)).message == said
    answer = Acknowledgement(run=RUN, tick=-1, sender="gateway", seq=0, ok=True)
    assert "no interval" in refusal(door, TOPICS.acknowledgement("p0"), messages.encode(answer))


def test_only_the_clock_that_was_followed_can_end_the_run(door):
    follow(door, 0, 0)
    for proof in ("", "guessed", CLOCK.of(0, "measure"), StepProofs(96, "guessed").of(1, "end")):
        for _ in range(3):
            assert "not of the clock" in refusal(door, TOPICS.step, step(1, 1, "end", proof=proof))
    assert let_in(door, TOPICS.step, step(1, 1, "end")).message.step == "end"


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("last", [(0, 0), (20, 2), (660, 95)])
def test_an_end_is_believed_at_once_whatever_was_missed(door, last, back):
    follow(door, *last)
    if back:
        door.came_back()
        assert "not of the clock" in refusal(door, TOPICS.step, step(670, 96, "end", proof=""))
    assert let_in(door, TOPICS.step, step(670, 96, "end")).message.step == "end"


def test_a_clock_that_was_started_anew_has_another_secret(door):
    another = StepProofs(96, "another")
    let_in(door, TOPICS.step, step(5, 3))
    door.begin_epoch(messages.decode(step(0, 3, "restore", clock=another, epoch=1)))
    assert "not of the clock" in refusal(door, TOPICS.step, step(1, 4, "end", epoch=1))
    assert let_in(door, TOPICS.step, step(1, 4, "end", clock=another, epoch=1)).message.step == "end"
