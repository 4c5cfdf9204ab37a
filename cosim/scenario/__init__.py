"""Scenario: everything that decides what a run is, from a TOML file or the shipped default."""

from cosim.scenario.load import Scenario, ScenarioError, load_scenario, resolved_toml

__all__ = ["Scenario", "ScenarioError", "load_scenario", "resolved_toml"]
