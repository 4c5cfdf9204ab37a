"""What happens in a simulation, drawn from its seed: each seed has a mix of accidents of its own."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.simulation.bus import Weather

ROLES = ("market", "feeder", "devices")


@dataclass(frozen=True)
class Accident:
    """Something that happens when so many messages were published, and for how long [s].

    ``what`` is ``kill`` or ``cut`` of a process, ``broker`` for a broker that is started anew, ``sleep`` of
    the computer, or ``stop`` for an emergency stop.
    """

    what: str
    process: str
    message: int
    away_s: float


@dataclass(frozen=True)
class Plan:
    """What happens in one simulation."""

    seed: int
    bidding: str
    on_loss: str
    intervals: int
    weather: Weather
    accidents: tuple[Accident, ...]
    torn_write: int | None
    """Number of the control's write to its disk at which it dies, if it does."""

    @property
    def variant(self):
        """What the scenario depends on."""
        return self.bidding, self.on_loss, self.intervals


MESSAGES = 110
"""Messages that an interval takes, about."""


def calm(variant):
    """Plan of a run of a variant in which nothing happens."""
    bidding, on_loss, intervals = variant
    return Plan(0, bidding, on_loss, intervals, Weather(), (), None)


def plan_of(seed: int) -> Plan:
    """What happens by a seed."""
    draw = Random(f"plan {seed}")
    intervals = 4
    weather = Weather()
    if draw.random() < 0.6:
        share = draw.choice((0.002, 0.01, 0.03))
        kinds = ("lost", "doubled", "delayed", "overtaken")
        weather = Weather(
            **{kind: share for kind in kinds if draw.random() < 0.6}, delay_s=draw.choice((0.05, 1.0, 4.0))
        )
    accidents = []
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        what = draw.choice(("kill", "kill", "kill", "kill", "cut", "broker"))
        process = draw.choice((*ROLES, "control"))
        message = draw.randrange(1, MESSAGES * intervals)
        away_s = draw.choice((0.05, 1.0, 5.0, 20.0, 50.0, 70.0)) * draw.uniform(0.5, 1.5)
        accidents.append(Accident(what, process, message, away_s))
    if draw.random() < 0.15:
        accidents.append(Accident("stop", "", draw.randrange(1, MESSAGES * intervals), 0.0))
    sleep = Random(f"sleep {seed}")
    if sleep.random() < 0.15:
        message = sleep.randrange(1, MESSAGES * intervals)
        accidents.append(Accident("sleep", "", message, sleep.choice((5.0, 70.0, 36_000.0))))
    torn_write = draw.randrange(1, 9 * intervals) if draw.random() < 0.2 else None
    return Plan(
        seed=seed,
        bidding=draw.choice(("curve", "slope")),
        on_loss="wait" if draw.random() < 0.75 else "stand-in",
        intervals=intervals,
        weather=weather,
        accidents=tuple(sorted(accidents, key=lambda each: each.message)),
        torn_write=torn_write,
    )
