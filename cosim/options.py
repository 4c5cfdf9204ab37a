"""Options of ``sharegrid run`` and ``serve``, and what follows from them before anything is built."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from broker.topics import topic_safe
from cosim.scenario import Scenario, load_scenario
from sharegrid.errors import SharegridError


class RunError(SharegridError):
    """Options of a run that cannot be used together."""


@dataclass(frozen=True)
class RunOptions:
    """Options of ``sharegrid run`` and ``serve`` as given; ``None`` means not given."""

    scenario: Path | None = None
    intervals: int | None = None
    start: str | None = None
    out: Path | None = None
    pace: str = "fast"
    broker: str | None = None
    seed: int | None = None
    force: bool = False
    run_id: str | None = None
    elsewhere: tuple[str, ...] = ()
    arm: bool = False
    observe: bool = False
    without_faults: bool = False
    against: Path | None = None

    def load(self) -> Scenario:
        """The scenario with these overrides."""
        scenario = load_scenario(self.scenario, intervals=self.intervals, seed=self.seed, start=self.start)
        return msgspec.structs.replace(scenario, faults=()) if self.without_faults else scenario

    def name(self) -> str:
        """Run id: as given, or the scenario's name and the time."""
        stem = "default" if self.scenario is None else self.scenario.stem
        run_id = self.run_id or f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        if not topic_safe(run_id):
            raise RunError(f"--run-id {run_id}: use letters, digits, dot, dash, colon and underscore only")
        return run_id

    def directory(self) -> Path:
        """Run directory: as given, or named after the run."""
        return Path("runs") / self.name() if self.out is None else Path(self.out)
