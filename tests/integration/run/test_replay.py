"""A run over Mosquitto, recorded, and its market and feeder played once more within this process."""

import re
import shutil
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from broker import messages
from broker.messages import columns
from cosim.cli import main
from cosim.replay.replay import Recorded, replay
from cosim.replay.stepping import Stepper
from cosim.results.ledger_reader import LedgerReader
from cosim.traffic.entries import Entry
from cosim.traffic.file import TrafficReader, TrafficWriter
from tests.broker.door.hostile_run import written_scenario

INTERVALS = 3


def called(*arguments):
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    return done.exit_code, done.output


def recorded_run(folder, bidding, *options):
    scenario = written_scenario(folder, intervals=INTERVALS, bidding=bidding)
    out = folder / "run"
    status, said = called("run", scenario, "--broker", "mosquitto", "--record", "--out", out, *options)
    assert status == 0, said
    return out


@pytest.fixture(scope="module")
def slopes(tmp_path_factory):
    return recorded_run(tmp_path_factory.mktemp("slopes"), "slope")


@pytest.fixture
def directory(slopes, tmp_path):
    """A copy of the run with rounds of bids that a test may damage."""
    return shutil.copytree(slopes, tmp_path / "run")


def rewrite(directory, change):
    """Write the record of a run anew, each entry as ``change`` makes it; it is left out for ``None``."""
    path = directory / "traffic.record"
    entries = list(TrafficReader(path))
    path.unlink()
    with TrafficWriter(path, 2**30) as writer:
        for entry in entries:
            if (changed := change(entry)) is not None:
                writer.add(changed)


def mutated(entry, **changes):
    message = replace(messages.decode(entry.body), **changes)
    return Entry(entry.at_s, entry.kind, entry.topic, messages.encode(message))


def first_of(ending, tick):
    """Says of entries whether one is the first message of a tick on a topic with this ending."""
    left = [1]

    def is_it(entry):
        if not left[0] or not entry.topic.endswith(ending) or messages.decode(entry.body).tick != tick:
            return False
        left[0] -= 1
        return True

    return is_it


def test_a_run_with_rounds_of_bids_plays_again_to_the_bit(slopes):
    status, said = called("replay", slopes)
    assert status == 0, said
    assert "intervals 0 to 2 settled again" in said
    assert "nothing differs" in said
    account = replay(Recorded(slopes))
    assert account.intervals == [0, 1, 2]
    assert account.judged > 100
    assert account.remarks == []


@pytest.mark.parametrize(
    ("bidding", "options"),
    [
        (
            "curve",
            ["--set", "market.rule=quantity", "--set", "market.lam_fee=0", "--set", "market.wam_fee=0"],
        ),
        ("curve", ["--secure"]),
        ("plain", ["--set", "market.lam_shares=2"]),
        ("curve", ["--set", "market.horizon=3"]),
    ],
    ids=["quantity rule", "secure", "plain bids to two LAM hosts", "horizon"],
)
def test_other_runs_play_again_to_the_bit(tmp_path, bidding, options):
    account = replay(Recorded(recorded_run(tmp_path, bidding, *options)))
    assert account.intervals == [0, 1, 2]
    assert account.differences == []


@pytest.mark.parametrize(
    ("ending", "changes", "says"),
    [
        ("/wam/outcome", {"grid_kw": 1.25}, "wam/outcome: grid_kw is "),
        ("/feeder/state", {"losses_kw": 1.25}, "feeder/state: losses_kw is "),
        ("/lam-outcome/lams-0", {"price": columns.pack([0.1, 0.2, 0.3])}, "lam-outcome/lams-0: price[0] is "),
        ("/settled", {"bought_kwh": 1.25}, "settled: bought_kwh is "),
    ],
)
def test_a_message_that_was_changed_is_named_with_interval_topic_and_field(directory, ending, changes, says):
    is_it = first_of(ending, 1)
    rewrite(directory, lambda entry: mutated(entry, **changes) if is_it(entry) else entry)
    status, said = called("replay", directory)
    assert status == 1, said
    assert f"first difference: interval 1, {says}" in said
    assert "in the record" in said


def test_a_bid_that_was_changed_shows_in_what_is_made_of_it(directory):
    is_it = first_of("/opening-batch/population-0", 1)

    def change(entry):
        if not is_it(entry):
            return entry
        before_kw = columns.unpack(messages.decode(entry.body).high_kw)
        return mutated(entry, high_kw=columns.pack(before_kw + 0.125))

    rewrite(directory, change)
    account = replay(Recorded(directory))
    first = account.differences[0]
    assert (first.tick, first.where) == (1, "lam-opening/lams-0")
    assert first.what.startswith("high_kw[0] is ")


def test_a_message_that_is_missing_is_named(directory):
    is_it = first_of("/wam/outcome", 2)
    rewrite(directory, lambda entry: None if is_it(entry) else entry)
    account = replay(Recorded(directory))
    first = account.differences[0]
    assert (first.tick, first.where) == (2, "wam/outcome")
    assert first.what == "is not in the record, and wam says it"


def test_a_message_that_was_forged_is_named(directory):
    """One with a number of its own, in the name of the true sender."""
    is_it = first_of("/wam/outcome", 1)
    path = directory / "traffic.record"
    entries = list(TrafficReader(path))
    path.unlink()
    with TrafficWriter(path, 2**30) as writer:
        for entry in entries:
            writer.add(entry)
            if is_it(entry):
                writer.add(mutated(entry, seq=messages.decode(entry.body).seq + 1, grid_kw=1.25))
    account = replay(Recorded(directory))
    first = account.differences[0]
    assert (first.tick, first.where) == (1, "wam/outcome")
    assert first.what == "is in the record, and wam does not say it"


def test_entries_of_the_ledger_are_compared(directory):
    with closing(sqlite3.connect(directory / "ledger.sqlite")) as db, db:
        db.execute("UPDATE entry SET micro = micro + 7 WHERE tick = 1 AND kind = 0 AND account = 2")
    status, said = called("replay", directory)
    assert status == 1, said
    assert "first difference: interval 1, ledger: energy of prosumer/p00003 is " in said
    assert "in the run's ledger" in said
    assert "more messages differ" not in said


def test_of_a_record_that_is_cut_off_the_beginning_plays(directory):
    path = directory / "traffic.record"
    content = path.read_bytes()
    path.write_bytes(content[: 2 * len(content) // 3])
    status, said = called("replay", directory)
    assert status == 0, said
    assert "is cut off" in said
    assert "what is whole before that is replayed" in said
    assert "in the run's ledger, and not whole in the record" in said
    with LedgerReader.open(directory / "ledger.sqlite") as ledger:
        assert ledger.ticks() == [0, 1, 2]


def test_a_replay_ends_where_it_is_told_to(slopes):
    account = replay(Recorded(slopes), until=0)
    assert account.intervals == [0]
    assert (account.differences, account.remarks) == ([], [])


def test_stepping_is_refused_without_a_terminal(slopes):
    status, said = called("replay", slopes, "--step")
    assert status == 2
    assert "--step asks at a terminal, and there is none" in said


def test_a_run_without_record_says_how_to_have_one(directory):
    (directory / "traffic.record").unlink()
    status, said = called("replay", directory)
    assert status == 2
    assert "record a run by `--record`" in said


def stepped(directory, unit, *typed):
    """What a person sees who types these lines at the prompts of a replay."""
    lines, said = list(typed), []

    def ask(_):
        if not lines:
            raise EOFError
        return lines.pop(0)

    account = replay(Recorded(directory), watcher=Stepper(unit, ask, said.append))
    assert not lines
    return account, "\n".join(said)


def test_stepping_stops_after_each_interval_and_shows_what_was_said(slopes):
    account, said = stepped(slopes, "interval", "h", "g 2", "q")
    assert account.intervals == [0, 1, 2]
    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("interval ")] == [
        "interval 0",
        "interval 2",
    ]
    assert re.search(r"^ +\d+  wam +wam/outcome  [\d,]+ bytes  as recorded$", said, re.MULTILINE)
    assert "g NUMBER" in said


def test_stepping_shows_single_messages_whole(slopes):
    _, said = stepped(slopes, "interval", "", "m", "", "", "1", "999999", "q")
    shown = said[said.rindex("interval 1:") :]
    assert '"kind": "step"' in shown or '"run": ' in shown
    assert '"tick": ' in shown
    assert "UTC" in shown


def test_a_difference_shows_where_it_is_while_stepping(directory):
    is_it = first_of("/wam/outcome", 0)
    rewrite(directory, lambda entry: mutated(entry, energy_price=1.25) if is_it(entry) else entry)
    account, said = stepped(directory, "message", *[""] * 20, "g 0")
    assert str(account.differences[0]).startswith("interval 0, wam/outcome: energy_price is ")
    assert account.remarks == []
    assert re.search(r"wam +wam/outcome .* energy_price is .* here, 1.25 in the record", said)
