"""Write docs/scenario.md from the declarations of the scenario's keys and the tables' columns."""

from pathlib import Path

from cosim.scenario_doc import scenario_reference

if __name__ == "__main__":
    Path("docs/scenario.md").write_text(scenario_reference(), encoding="utf-8")
