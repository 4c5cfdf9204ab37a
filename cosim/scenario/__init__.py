"""Scenario: everything that decides what a run is, from a TOML file or the shipped default."""

from cosim.scenario.extension import Extension
from cosim.scenario.load import load_scenario
from cosim.scenario.scenario import Scenario, ScenarioError
from cosim.scenario.written import commented_toml, resolved_toml

__all__ = ["Extension", "Scenario", "ScenarioError", "commented_toml", "load_scenario", "resolved_toml"]
