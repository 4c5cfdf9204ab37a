"""The reference of a scenario's keys and of users' tables, written from their declarations.

docs/scenario.md is this text; a test compares them; ``python -m scripts.make_scenario_doc`` writes it anew.
"""

from pathlib import Path

from cosim.population.profile_table import QUANTITIES
from cosim.population.stays import COLUMNS as STAYS
from cosim.population.tables import COLUMNS
from cosim.scenario.keys import Section, sections

HEAD = """# Scenario files

A scenario is one TOML file; everything that decides what a run is stands in it. `sharegrid run FILE`
loads it, and without a file the shipped default, `cosim/scenario/default.toml`: a summer day on the IEEE
123-node feeder. A key left out has its default. Unknown keys, wrong types and values out of range are
refused in one line that names the file, the line and the key. The run stores the scenario with every
value written out.

Prices marked "one or 24" are one number, or 24 by local hour from midnight. Paths are relative to the
file. No quantity is beyond 1e9. Power is in kW, energy in kWh, price in $/kWh throughout.
"""

TABLES = """
## Tables of your own

`[tables]` names CSV or Parquet files that replace synthetic data. The first line of a CSV file holds the
names of the columns; decimals are points. See `scenarios/own-tables.toml` for a small example.

### Prosumers

One row per prosumer; every load bus of the feeder needs at least one. Optional columns may be left out,
but not single cells.

| column | unit | where left out | meaning |
|---|---|---|---|
"""

PROFILES = """
### Profiles

One row per interval, or per sub-step (`run.interval_min` / `run.substeps`), and at least those of the
run. Column `time` is the start of each row with its UTC offset (`2024-06-21T00:00+02:00`, or a column
with time zone in Parquet). The other columns are named by quantity and profile, such as `load_kw.p1`; a
prosumer's profile is its id unless the prosumers' table says otherwise, and several may share one. What
no column gives stays synthetic.

| column | meaning |
|---|---|
"""

VEHICLES = """
### Vehicles

One row per stay of a vehicle at its charger. It charges in intervals that lie wholly within the stay, and
never gives back. What cannot be charged in time is named by `sharegrid check` and when the vehicle leaves;
nobody else is harmed.

| column | meaning |
|---|---|
"""


def scenario_reference() -> str:
    """Text of docs/scenario.md: every key with unit, range, default and meaning, and the tables' columns."""
    rows = (f"| `{name}` | {c.unit} | {c.otherwise} | {c.meaning} |" for name, c in COLUMNS.items())
    quantities = (f"| `{name}.PROFILE` | {meaning} |" for name, meaning in QUANTITIES.items())
    parts = [HEAD, *map(_section, sections()), TABLES, "\n".join(rows), "\n", PROFILES]
    stays = (f"| `{name}` | {meaning} |" for name, meaning in STAYS.items())
    return "".join([*parts, "\n".join(quantities), "\n", VEHICLES, "\n".join(stays), "\n"])


def _section(section: Section) -> str:
    """Heading and table of one section."""
    heading = f"[[{section.name}]]" if section.is_list else f"[{section.name}]"
    rows = (
        f"| `{key.name}` | {key.unit} | {key.range} | {key.default} | {key.meaning} |\n"
        for key in section.keys
    )
    table = "| key | unit | range | default | meaning |\n|---|---|---|---|---|\n"
    return f"\n## {heading}\n\n{section.meaning}\n\n{table}{''.join(rows)}"


if __name__ == "__main__":
    Path("docs/scenario.md").write_text(scenario_reference(), encoding="utf-8")
