"""Vehicles of a user's table: what is refused, what they may do, and what they lack."""

import numpy as np
import pandas as pd
import pytest

from cosim.population.fleet import fleet_of
from cosim.population.fleet_state import FleetState
from cosim.population.live_stores import LiveStores
from cosim.population.members import LamSites, draw_population
from cosim.population.stays import no_stays, read_stays
from cosim.scenario import ScenarioError, load_scenario
from cosim.scenario.timeline import timeline_of
from market.horizon.stores import within_reach

LAMS = LamSites(("a", "b"), np.array([1.0, 2.0]), np.array([0.3, 0.3]))
GOOD = [
    ("p00003", "2024-06-21T08:20+02:00", "2024-06-21T10:40+02:00", 3.0, 4.0),
    ("p00003", "2024-06-21T12:00+02:00", "2024-06-22T07:00+02:00", 10.0, 4.0),
    ("p00007", "2024-06-21T06:00+02:00", "2024-06-21T09:00+02:00", 2.0, 11.0),
]
HEAD = ("prosumer", "arrives", "leaves", "wants_kwh", "kw")


def fleet(tmp_path, rows=GOOD, *, columns=HEAD, suffix="csv", zone=None, **changes):
    frame = pd.DataFrame(rows, columns=columns)
    file = tmp_path / f"stays.{suffix}"
    if suffix == "csv":
        frame.to_csv(file, index=False)
    else:
        for name in ("arrives", "leaves"):
            frame[name] = pd.to_datetime(frame[name], utc=True).dt.tz_convert(zone)
        frame.to_parquet(file)
    given = {"population.prosumers": 30, "tables.vehicles": str(file), **changes}
    scenario = load_scenario(None, start="2024-06-21T08:00:00", intervals=24, changes=given)
    population = draw_population(scenario.population, scenario.run.seed, 0, LAMS)
    timeline = timeline_of(scenario.run)
    stays = read_stays(scenario, population, timeline) if scenario.tables.vehicles else no_stays()
    return fleet_of(scenario, population, stays, ~population.live)


def changed(row, **values):
    rows = [dict(zip(HEAD, each, strict=True)) for each in GOOD]
    rows[row] |= values
    return [tuple(each.values()) for each in rows]


def test_a_vehicle_charges_in_whole_intervals_of_its_stay_and_takes_along_what_it_wants(tmp_path):
    made = fleet(tmp_path)
    assert [made.names[owner] for owner in made.owner] == ["p00003", "p00007"]
    path = made.path(0, 24)
    # 08:20 to 10:40: from the third interval of the hour on, until 10:30.
    assert (np.flatnonzero(path.draw_kw[0]) == [*range(2, 10), *range(16, 24)]).all()
    assert (path.draw_kw[0][path.draw_kw[0] > 0.0] == 4.0).all()
    assert (np.flatnonzero(path.lower_kwh[0]), path.lower_kwh[0, 9]) == ([9], 3.0)
    assert (np.flatnonzero(path.drift_kwh[0]), path.drift_kwh[0, 10]) == ([10], -3.0)
    # It came before the run and leaves at nine.
    assert (np.flatnonzero(path.draw_kw[1]) == range(4)).all()
    assert (path.give_kw == 0.0).all()
    for tick in range(24):
        part = made.path(tick, 24 - tick)
        for name, column in vars(path).items():
            assert (getattr(part, name) == (column[:, tick:] if column.ndim == 2 else column)).all()


@pytest.mark.parametrize("greedy", [False, True])
def test_everybody_leaves_with_what_it_wants_whatever_prices_are(tmp_path, greedy):
    made = fleet(tmp_path)
    state = FleetState(made, np.arange(30))
    left = {}
    for tick in range(24):
        offers = state.offers(tick)
        low, high = offers.min_kw, offers.max_kw
        assert (low <= high + 1e-12).all()
        state.act(tick, low if greedy else np.clip(0.0, low, high))
        left[tick] = state.energy_kwh.copy()
        assert state.notes() == ()
    assert left[9][0] == pytest.approx(3.0)
    assert left[10][0] == pytest.approx(0.0)
    assert left[3][1] == pytest.approx(2.0)
    stores = FleetState(made, np.arange(30)).stores(0, 24)
    assert np.abs(within_reach(stores, 0.25)[1]).max() < 1e-9


def test_what_cannot_be_charged_in_time_is_told_and_harms_nobody(tmp_path):
    made = fleet(tmp_path, changed(0, wants_kwh=12.0))
    # Eight quarters of an hour at 4 kW and 92 %.
    lacks = 12.0 - 8 * 0.25 * 4.0 * 0.92
    (line,) = made.stays.lacking(made.names)
    assert f"{lacks:.4g} kWh of 24 kWh that vehicles want cannot be charged in time, at 1 of 3 stays" in line
    assert "at p00003" in line
    state = FleetState(made, np.arange(30))
    for tick in range(24):
        assert (state.notes() != ()) == (tick == 10), tick
        offers = state.offers(tick)
        state.act(tick, np.clip(0.0, offers.min_kw, offers.max_kw))
        if tick == 9:
            (note,) = state.notes()
            assert note == f"{lacks:.3g} kWh that stores wanted by now are missing, at 1 (p00003, ...)"
            again = FleetState(made, np.arange(30))
            again.restore(state.snapshot())
            assert again.notes() == (note,)
    assert state.energy_kwh.min() >= 0.0
    stores = FleetState(made, np.arange(30)).stores(0, 24)
    assert np.abs(within_reach(stores, 0.25)[1]).max() < 1e-9
    assert fleet(tmp_path).stays.lacking(made.names) == []


def test_too_short_a_stay_gets_nothing(tmp_path):
    made = fleet(tmp_path, changed(0, leaves="2024-06-21T08:40+02:00"))
    assert made.stays.lacks_kwh[0] == 3.0
    assert not made.path(0, 10).draw_kw[0].any()


def test_parquet_with_any_time_zone_and_without_ratings_says_the_same(tmp_path):
    rows = [row[:4] for row in GOOD]
    made = fleet(tmp_path, rows, columns=HEAD[:4], suffix="parquet", zone="America/New_York")
    same = fleet(tmp_path, [(*row, 11.0) for row in rows])
    for name, column in vars(same.path(0, 24)).items():
        assert (getattr(made.path(0, 24), name) == column).all()


def test_the_table_stands_beside_vehicles_by_the_seed(tmp_path):
    seeded = fleet(tmp_path, **{"population.ev.share": 0.5, "tables.vehicles": ""})
    both = fleet(tmp_path, **{"population.ev.share": 0.5})
    named = {"p00003", "p00007"}
    drawn = [both.names[owner] for owner in both.owner[: both.vehicles.kw.size]]
    assert not named & set(drawn)
    assert [name for name in (seeded.names[owner] for owner in seeded.owner) if name not in named] == drawn
    path = both.path(0, 24)
    assert (path.draw_kw[-2:] == fleet(tmp_path).path(0, 24).draw_kw).all()


@pytest.mark.parametrize(
    ("row", "values", "says"),
    [
        (0, {"leaves": "2024-06-21T08:20+02:00"}, "column leaves, line 2: it leaves before it comes"),
        (2, {"leaves": "2024-06-20T08:20+02:00"}, "column leaves, line 4: it leaves before it comes"),
        (0, {"arrives": "2024-06-21T08:20"}, "column arrives, line 2: '2024-06-21T08:20' has no UTC offset"),
        (1, {"leaves": "soon+02:00"}, "column leaves, line 3: this is no time"),
        (1, {"arrives": "2024-06-21T10:00+02:00"}, r"line 3: it comes before it has left \(line 2\)"),
        (1, {"prosumer": "p00033"}, "column prosumer, line 3: there is no prosumer 'p00033'; did you mean"),
        (1, {"wants_kwh": -1.0}, "column wants_kwh, line 3: -1 is outside 0 to 2000"),
        (1, {"wants_kwh": "nan"}, "column wants_kwh, line 3"),
        (1, {"kw": 0.0}, "column kw, line 3: 0 is outside"),
    ],
)
def test_each_fault_is_one_line_with_its_place(tmp_path, row, values, says):
    with pytest.raises(ScenarioError, match=says) as refused:
        fleet(tmp_path, changed(row, **values))
    assert "\n" not in str(refused.value)


def test_semicolons_are_not_sent_to_an_import_that_there_is_not(tmp_path):
    (tmp_path / "s.csv").write_text(";".join(HEAD) + "\n")
    scenario = load_scenario(None, changes={"tables.vehicles": str(tmp_path / "s.csv")})
    population = draw_population(scenario.population, scenario.run.seed, 0, LAMS)
    with pytest.raises(ScenarioError, match=r"divided by semicolons; write commas and decimal points$"):
        read_stays(scenario, population, timeline_of(scenario.run))


def test_columns_and_the_run_must_fit(tmp_path):
    with pytest.raises(ScenarioError, match="column leaves: the column is missing"):
        fleet(tmp_path, [(*row[:2], *row[3:]) for row in GOOD], columns=(*HEAD[:2], *HEAD[3:]))
    with pytest.raises(ScenarioError, match=r"column wanted_kwh: unknown column"):
        fleet(tmp_path, [(*row, 1.0) for row in GOOD], columns=(*HEAD, "wanted_kwh"))
    past = [
        (who, come.replace("-06-", "-05-"), left.replace("-06-", "-05-"), *rest)
        for who, come, left, *rest in GOOD
    ]
    with pytest.raises(ScenarioError, match="no stay lies within the run, 2024-06-21T08:00 to"):
        fleet(tmp_path, past)
    with pytest.raises(ScenarioError, match="line 2: the devices of p00003 are outside the run"):
        live(tmp_path, hardware=("p00003",))


def live(tmp_path, hardware=()):
    """Stays of the table where everybody is live."""
    pd.DataFrame(GOOD, columns=HEAD).to_csv(tmp_path / "s.csv", index=False)
    given = {"population.prosumers": 30, "tables.vehicles": str(tmp_path / "s.csv")}
    scenario = load_scenario(None, start="2024-06-21T08:00:00", intervals=24, changes=given)
    population = draw_population(scenario.population, scenario.run.seed, None, LAMS)
    return scenario, population, read_stays(scenario, population, timeline_of(scenario.run), hardware)


def test_a_live_owner_has_an_emulated_charger_in_its_place(tmp_path):
    scenario, population, stays = live(tmp_path)
    nobody = fleet_of(scenario, population, stays, ~population.live)
    assert nobody.size == 0
    assert nobody.path(0, 4).draw_kw.shape == (0, 4)
    stores = LiveStores(fleet_of(scenario, population, stays, population.live, one_load=True))
    owner = population.id.index("p00003")
    assert stores.kinds_of(owner) == ["ev"]
    assert stores.rating_and_energy("ev", owner) == (4.0, 0.0)
    assert stores.rating_and_energy("load", owner) == (0.0, 0.0)
    here = stores.conditions(4)["ev"]
    # It leaves at 10:40; what can be charged ends at 10:30, six intervals after nine.
    assert (here.wanted_kwh[0], here.left_s[0], here.path.draw_kw[0, 0]) == (3.0, 6 * 900.0, 4.0)
    assert stores.conditions(12)["ev"].path.draw_kw[0, 0] == 0.0
