"""Scenario: everything that decides what a run is, from a TOML file or the shipped default."""

from cosim.scenario.extension import Extension
from cosim.scenario.load import load_scenario, resolved_toml
from cosim.scenario.scenario import Scenario, ScenarioError

__all__ = ["Extension", "Scenario", "ScenarioError", "load_scenario", "resolved_toml"]
