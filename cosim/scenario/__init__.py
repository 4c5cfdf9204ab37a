"""Scenario: everything that decides what a run is, from a TOML file or the shipped default."""

from cosim.scenario.extension import Extension
from cosim.scenario.load import Scenario, ScenarioError, load_scenario, resolved_toml

__all__ = ["Extension", "Scenario", "ScenarioError", "load_scenario", "resolved_toml"]
