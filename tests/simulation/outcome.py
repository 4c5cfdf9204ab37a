"""What comes of a plan, and whether that is as it must be."""

from dataclasses import dataclass, field
from functools import cache

from cosim.results.ledger_check import check_ledger
from cosim.results.ledger_reader import LedgerReader
from cosim.results.reader import load
from tests.simulation.plan import calm
from tests.simulation.simulation import played


@dataclass
class Outcome:
    """What came of a simulation.

    Attributes
    ----------
    wrong
        Invariants that do not hold, in words.
    trace
        Hash over all messages and their times.
    entries
        Entries of the ledger by tick.
    flags
        What was flagged, by tick; nothing where only the interval's row says that something was.
    differs
        Intervals whose entries are not those of the run in which nothing happened.
    """

    wrong: list[str] = field(default_factory=list)
    trace: str = ""
    entries: dict[int, list] = field(default_factory=dict)
    flags: dict[int, list[str]] = field(default_factory=dict)
    differs: list[int] = field(default_factory=list)


def simulate(plan, loses=None) -> Outcome:
    """Play a plan, and compare it with the run in which nothing happened; ``loses`` is as for `played`."""
    outcome = play(plan, loses)
    if outcome.wrong:
        return outcome
    is_flagged = False
    for tick, entries in _calm_outcome(plan.variant).entries.items():
        is_flagged |= tick in outcome.flags
        if outcome.entries.get(tick) != entries:
            outcome.differs.append(tick)
            if not is_flagged:
                outcome.wrong.append(f"interval {tick} differs, and neither it nor an earlier one is flagged")
    return outcome


@cache
def _calm_outcome(variant):
    return play(calm(variant))


def play(plan, loses=None) -> Outcome:
    """Play a plan, and hold what it leaves against itself."""
    with played(plan, loses) as simulation:
        outcome = Outcome(list(simulation.wrong), simulation.trace)
        if not outcome.wrong:
            _judge(plan, simulation, outcome)
    return outcome


def _judge(plan, simulation, outcome):
    if not simulation.devices.looks and plan.on_loss == "wait":
        outcome.wrong.append("no device has ever acted")
    run = load(simulation.out)
    with LedgerReader.open(simulation.out / "ledger.sqlite") as ledger:
        ticks = ledger.ticks()
        for tick, *entry in ledger.all_entries().tolist():
            outcome.entries.setdefault(tick, []).append(tuple(entry))
    for event in run.events:
        if event["kind"] == "flag":
            outcome.flags.setdefault(int(event["tick"]), []).append(event["detail"])
    for tick in run.intervals["tick"][run.intervals["flags"] > 0]:
        outcome.flags.setdefault(int(tick), [])
    wrong = check_ledger(simulation.out)[0]
    for tick in sorted(set(range(plan.intervals)) - set(ticks)):
        # Where the others stand in, an interval may be lost, but never without its name.
        if any(f"interval {tick} " in text for text in outcome.flags.get(tick, ())):
            wrong = [line for line in wrong if line != f"interval {tick} is missing"]
        else:
            wrong.append(f"interval {tick} was never settled, and no flag says so")
    outcome.wrong += wrong
