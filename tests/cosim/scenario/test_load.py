import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.scenario import Scenario, ScenarioError, commented_toml, load_scenario, resolved_toml
from scripts.make_scenario_doc import scenario_reference

SUFFIXES = {
    "_kw": "kW",
    "_pu": "pu",
    "_s": "s",
    "_h": "h",
    "_deg": "degree",
    "_price": "$/kWh",
    "memory_min": "min",
}
ROOT = Path(__file__).parents[3]


def write(folder: Path, text: str) -> Path:
    file = folder / "case.toml"
    file.write_text(text, encoding="utf-8")
    return file


def complaint(folder: Path, text: str, **overrides: object) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(folder, text), **overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    return message.replace(str(folder), "")


def test_default_file_says_what_the_declarations_say():
    assert load_scenario() == Scenario()


def test_default_file_leaves_no_key_out():
    text = (ROOT / "cosim/scenario/default.toml").read_text(encoding="utf-8")
    keys = {line.split("=")[0].strip() for line in resolved_toml(Scenario()).splitlines() if " = " in line}
    assert {key for key in keys if f"{key} = " not in text} == set()


def quantities(section, above=""):
    """Keys of all numbers that are not counts."""
    for name, value in section.items():
        if isinstance(value, dict):
            yield from quantities(value, f"{above}{name}.")
        elif isinstance(value, float):
            yield f"{above}{name}"


def test_no_quantity_is_beyond_what_can_be_meant():
    keys = list(quantities(tomllib.loads(resolved_toml(Scenario()))))
    assert len(keys) > 70
    for key in keys:
        for size in (1e300, -1e300):
            with pytest.raises(ScenarioError) as refused:
                load_scenario(changes={key: size})
            assert key.rpartition(".")[2] in str(refused.value), key


@pytest.mark.parametrize("name", ["own-feeder", "own-tables", "strategies/village"])
def test_examples_load_and_survive_being_written_out(name, tmp_path):
    scenario = load_scenario(ROOT / f"scenarios/{name}.toml")
    for text in (
        resolved_toml(scenario),
        commented_toml(scenario),
        commented_toml(scenario, beside=load_scenario()),
    ):
        assert load_scenario(write(tmp_path, text)) == scenario
    assert Path(scenario.feeder.master).is_file()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**64),
    share=st.floats(0.0, 1.0),
    price=st.floats(-0.5, 0.05),
    hours=st.lists(st.floats(0.06, 0.3), min_size=24, max_size=24),
)
def test_written_out_and_loaded_again_is_equal(seed, share, price, hours, tmp_path_factory):
    replace = msgspec.structs.replace
    default = Scenario()
    grid = replace(default.market.grid, import_price=tuple(hours), export_price=price)
    tariff = replace(default.market.tariff, feed_in_price=price)
    scenario = replace(
        default,
        run=replace(default.run, seed=seed),
        population=replace(default.population, pv=replace(default.population.pv, share=share)),
        market=replace(default.market, grid=grid, tariff=tariff),
    )
    for text in (
        resolved_toml(scenario),
        commented_toml(scenario),
        commented_toml(scenario, beside=load_scenario()),
    ):
        assert load_scenario(write(tmp_path_factory.getbasetemp(), text)) == scenario


def test_a_scenario_for_people_has_every_meaning_once_and_short_lines():
    text = commented_toml(load_scenario(ROOT / "scenarios/outage.toml"))
    assert max(map(len, text.splitlines())) <= 110
    assert "# Lower voltage limit at every node. (pu; > 0.5, < 1)\nvoltage_min_pu = 0.95\n" in text
    assert text.count("[[events]]") > 1
    assert text.count("# What happens.") == 1
    hours = text.partition("\nimport_price = ")[2].partition("]")[0]
    assert len(hours.splitlines()) <= 4


def test_what_changed_is_all_that_is_shown():
    changed = load_scenario(changes={"population.pv.share": 0.61, "market.wam_fee": 0.5})
    shown = commented_toml(changed, beside=load_scenario())
    lines = [line for line in shown.splitlines() if line and not line.startswith("#")]
    assert lines == ["[population.pv]", "share = 0.61", "[market]", "wam_fee = 0.5"]
    assert commented_toml(load_scenario(), beside=load_scenario()).strip() == ""


def test_reference_is_in_step_with_the_declarations():
    assert (ROOT / "docs/scenario.md").read_text(encoding="utf-8") == scenario_reference()


def test_every_key_has_a_meaning_and_a_number_has_a_unit_or_is_a_count():
    rows = [line.split(" | ") for line in scenario_reference().splitlines() if line.startswith("| `")]
    keys = [row for row in rows if len(row) == 5]
    assert len(keys) > 70
    for key, unit, allowed, _, meaning in keys:
        assert meaning.strip(" |"), key
        if allowed.startswith(("≥", ">", "one or 24")):
            assert unit, key
        for suffix, its in SUFFIXES.items():
            if key.endswith(f"{suffix}`") and "_per_" not in key:
                assert unit == its, key


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[population]\n\nprosumer = 5\n",
            "case.toml:3: population.prosumer: unknown key; did you mean 'prosumers'?",
        ),
        ("[populaton]\nx = 1\n", "case.toml:1: populaton: unknown key; did you mean 'population'?"),
        ("[population.pv]\nkw_min = 1\n", "population.pv.kw_min: unknown key; did you mean 'kwp_min'?"),
        (
            "[population.heat_pump]\nperformance = 3.2e6\n",
            "population.heat_pump.performance: 3200000.0 cannot be used; give a number of at most 100",
        ),
        ("[market.grid]\nzzz = 1\n", "market.grid.zzz: unknown key; known are import_price"),
        (
            "[[population.pv.orientations]]\nname='a'\nazimut_deg=1\n",
            "unknown key; did you mean 'azimuth_deg'?",
        ),
        ("[run]\nseed = 'a'\n", "case.toml:2: run.seed: 'a' cannot be used; give a whole number"),
        ("[run]\nseed = -1\n", "run.seed: -1 cannot be used; give a whole number of at least 0"),
        (
            "[run]\ninterval_min = 7\n",
            "case.toml:2: run.interval_min: 7 cannot be used; give one of 5, 10, 15",
        ),
        (
            "[run]\ntime_zone = 'Europe/Nowhere'\n",
            "run.time_zone: unknown time zone 'Europe/Nowhere'; give an IANA name",
        ),
        ("[run]\ntime_zone = '../etc'\n", "unknown time zone"),
        ("[run]\ntime_zone = 'Asia/Tokyo'\n", "h off the sun at site.longitude_deg = 7.85; correct one"),
        (
            "[run]\nstart = 2024-03-31T02:30:00\n",
            "is skipped by the clock change in Europe/Berlin; start later",
        ),
        ("[run]\nstart = 2024-06-21T00:05:00\n", "00:05:00 is not a multiple of 15 min; move it"),
        ("[run]\nstart = 1970-06-21T00:00:00\n", "the year 1970 is outside"),
        ("[run]\nstart = 2024-06-21T00:00:00Z\n", "case.toml:2: run.start"),
        (
            "[population.pv]\nshare = 1.5\n",
            "case.toml:2: population.pv.share: 1.5 cannot be used; give a number of at most 1",
        ),
        ("[population.pv]\nshare = nan\n", "population.pv.share: nan is not a finite number"),
        ("[market.grid]\nexport_limit_kw = inf\n", "market.grid.export_limit_kw: inf is not a finite number"),
        (
            "[market.grid]\nimport_price = [0.1, nan]\n",
            "market.grid.import_price, entry 2: nan is not a finite number",
        ),
        (
            "[market.grid]\nimport_price = [0.1, 0.2]\n",
            "case.toml:2: market.grid.import_price: give a list of at least 24 entries",
        ),
        (
            "[population.pv]\nkwp_min = 5.0\n",
            "population.pv.kwp_max: 4.0 is below kwp_min = 5.0; swap or correct them",
        ),
        (
            "[population.voltage_dependence]\nconstant_impedance = 0.7\nconstant_current = 0.4\n",
            "constant_current: 0.4 and constant_impedance = 0.7 are above 1 together; lower one",
        ),
        ("[population.battery]\nsoc_start_min = 0.9\n", "soc_start_max: 0.5 is below soc_start_min = 0.9"),
        (
            "[population.ev]\ncomes_h = 7.0\n",
            "7.0 is not 4.0 h (4 hours_sigma) after leaves_h = 7.5",
        ),
        ("[population.heat_pump]\nhigh_c = 19.0\n", "high_c: 19.0 is not above low_c = 20.0; raise it"),
        (
            '[[events]]\nat = 1\nkind = "load-step"\nlam = "1"\nkw = 1e6\n',
            "events, entry 1: kw: give a number of at most 100000",
        ),
        ("[population.ev]\nkwh_min = 10.0\n", "12.0 is more than the smallest vehicle holds, kwh_min = 10.0"),
        ("[population.appliance]\nends_h = 8.5\n", "2.0 kWh cannot be drawn at 2.0 kW from 8.0 to 8.5 h"),
        ("[market]\nhorizon = 500\n", "market.horizon"),
        (
            "[market.tariff]\nretail_price = 0.15\n",
            "0.15 $/kWh is below market.grid.import_price = 0.18 in hour 18; raise it",
        ),
        (
            "[market.tariff]\nfeed_in_price = 0.06\n",
            "0.06 $/kWh is above market.grid.export_price = 0.05 in hour 0; lower it",
        ),
        (
            "[market.grid]\nexport_price = 0.095\n",
            "0.095 $/kWh is above market.grid.import_price = 0.09 in hour 12",
        ),
        ("[broker]\nuse = 'rabbit'\n", "case.toml:2: broker.use"),
        ("population = 3\n", "population: 3 cannot be used; give a table of keys"),
        ("run = 3\n", "run: 3 cannot be used; give a table of keys"),
        ("[run\n", "case.toml: not valid TOML"),
    ],
)
def test_what_is_wrong_is_one_line_with_place_and_remedy(text, says, tmp_path):
    assert says in complaint(tmp_path, text)


def test_two_classes_of_roofs_need_two_names(tmp_path):
    roof = "[[population.pv.orientations]]\nname = 'a'\nazimuth_deg = 1.0\ntilt_deg = 2.0\n"
    assert "two classes have one name" in complaint(tmp_path, roof + roof)
    assert "all weights are 0" in complaint(tmp_path, roof + "weight = 0\n")


def test_missing_file_suggests_a_neighbour(tmp_path):
    write(tmp_path, "")
    with pytest.raises(ScenarioError, match=r"casse\.toml: no such file; did you mean 'case\.toml'\?"):
        load_scenario(tmp_path / "casse.toml")


def test_a_link_to_nothing_is_called_so(tmp_path):
    (tmp_path / "lab.toml").symlink_to("gone.toml")
    with pytest.raises(ScenarioError, match=r"lab\.toml: is a link to gone\.toml, which is not there"):
        load_scenario(tmp_path / "lab.toml")


def test_overrides_go_before_the_file(tmp_path):
    file = write(tmp_path, "[run]\nstart = 2024-03-31T00:00:00\nseed = 3\n")
    scenario = load_scenario(file, intervals=4, seed=0, start="18:30")
    assert (scenario.run.intervals, scenario.run.seed) == (4, 0)
    assert f"{scenario.run.start:%Y-%m-%d %H:%M}" == "2024-03-31 18:30"
    assert load_scenario(file, start="2024-07-01T06:00").run.start.month == 7


def test_day_in_quotes_also_takes_a_bare_start_time(tmp_path):
    file = write(tmp_path, "[run]\nstart = '2024-02-29T00:00'\n")
    assert f"{load_scenario(file, start='08:00').run.start:%m-%d %H:%M}" == "02-29 08:00"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ({"start": "25:00"}, "--start: '25:00' is no local time; give HH:MM"),
        ({"start": "02:30"}, "--start: 2024-03-31T02:30 is skipped"),
        ({"start": "12:05"}, "--start: 12:05:00 is not a multiple"),
        ({"seed": -3}, "--seed: -3 cannot be used; give a whole number of at least 0"),
        ({"intervals": -1}, "--intervals: -1 cannot be used"),
    ],
)
def test_a_wrong_override_is_named_as_the_option(override, says, tmp_path):
    assert says in complaint(tmp_path, "[run]\nstart = 2024-03-31T00:00:00\n", **override)


@pytest.mark.parametrize(("day", "intervals"), [("2024-06-21", 96), ("2024-03-31", 92), ("2024-10-27", 100)])
def test_zero_intervals_run_to_midnight_whatever_the_clock_does(day, intervals, tmp_path):
    file = write(tmp_path, f"[run]\nstart = {day}T00:00:00\nintervals = 0\n")
    assert load_scenario(file).run.intervals == intervals
    assert load_scenario(file, start="23:00").run.intervals == 4


def test_paths_are_relative_to_the_file(tmp_path):
    file = write(tmp_path, "[feeder]\nmaster = 'net/a.dss'\n[tables]\nprosumers = '/x/p.csv'\n")
    scenario = load_scenario(file)
    assert scenario.feeder.master == str(tmp_path / "net/a.dss")
    assert scenario.tables.prosumers == "/x/p.csv"
    assert scenario.tables.profiles == ""
