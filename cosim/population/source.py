"""Where load and PV come from: the port, and standard households under a synthetic sky."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cosim.population.household import HouseholdShape
from cosim.population.members import Population
from cosim.population.noise import generator, lognormal_factor, mix, smooth_normal
from cosim.population.sun import cloud_factor
from cosim.scenario import Scenario
from cosim.scenario.arrays import Floats
from cosim.scenario.timeline import Timeline

SLOW_PART = 0.5


class Source(Protocol):
    """Where load and PV come from; each may be None where the source does not know it."""

    @property
    def ticks(self) -> int:
        """How many ticks it knows: those of the run, and those behind it that a horizon may look at."""
        ...

    def sample(self, tick: int) -> tuple[Floats, Floats]:
        """Load and available PV at the sub-steps of a tick [kW], ``(s, n)`` each."""
        ...


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Standard households with habits and noise, and roofs under a cloudy sky."""

    scenario: Scenario
    population: Population
    sites: int
    timeline: Timeline
    shape: HouseholdShape
    wall_offset_min: Floats
    clear_sky: Floats

    @property
    def ticks(self) -> int:
        """As many as the clear sky is known for."""
        return len(self.clear_sky) // self.timeline.substeps

    def sample(self, tick: int) -> tuple[Floats, Floats]:
        """Load and available PV at the sub-steps of a tick [kW], ``(s, n)`` each."""
        people, seed = self.population, self.scenario.run.seed
        section = self.scenario.population
        epoch_min = self.timeline.substep_epoch_min(tick)
        wall_min = epoch_min + self.wall_offset_min[tick]
        usual = self.shape.at(wall_min[:, None] - people.time_shift_min)
        slow = smooth_normal(seed, "load.slow", epoch_min, section.noise_memory_min, people.size)
        index = self.timeline.start_epoch_min // self.timeline.interval_min + tick
        fast = generator(seed, "load.fast", index).standard_normal(usual.shape)
        load = usual * people.annual_kwh * lognormal_factor(mix(slow, fast, SLOW_PART), section.noise)
        steps = slice(tick * self.timeline.substeps, (tick + 1) * self.timeline.substeps)
        clear = self.clear_sky[steps]
        if not clear.any():
            return load, np.zeros_like(load)
        clouds = cloud_factor(self.scenario.weather, seed, epoch_min, self.sites)
        return load, clear[:, people.orientation] * clouds[:, people.lam] * people.pv_kwp
