"""Short runs in which the feeder matters: limits that bind, reactive power, an outage."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cosim.results.network import network_figures
from cosim.results.reader import load
from cosim.study.audit import differences
from cosim.study.commands import feeder

ROOT = Path(__file__).parents[3]

STRESS = ("stress-day", "stress-day-without-network")

# Two intervals at noon, with nobody's devices in the way.
NOON = """
[run]
start = 2024-06-21T12:00:00
intervals = {intervals}

[live]
per_lam = {per_lam}
"""


@pytest.fixture(scope="module")
def played(play_run, tmp_path_factory):
    """Plays a scenario's text and gives the run; a text is played once."""
    runs = {}

    def play(name, text):
        if name not in runs:
            folder = tmp_path_factory.mktemp(name)
            (folder / "scenario.toml").write_text(text)
            runs[name] = asyncio.run(play_run(folder / "scenario.toml", folder / name))[0]
        return runs[name]

    return play


def stress(name="stress-day"):
    return (ROOT / "scenarios" / f"{name}.toml").read_text() + NOON.format(intervals=2, per_lam=0)


def figures(run):
    return network_figures(run.intervals, run.nodes["node"].nunique(), 0.25)


def test_the_shipped_stress_days_differ_by_the_network_alone():
    texts = [(ROOT / "scenarios" / f"{name}.toml").read_text() for name in STRESS]
    bodies = [[line for line in text.splitlines() if line and line[0] != "#"] for text in texts]
    assert bodies[1] == [*bodies[0], "[market]", "network = false"]


def test_under_stress_every_interval_keeps_the_limits_by_ac(played):
    intervals = played("stress-day", stress()).intervals
    assert list(intervals["status"]) == ["confirmed", "confirmed"]
    assert (intervals["binding_rows"] > 0).all()
    assert (intervals["violations"] == 0).all()
    assert (intervals["max_loading"] <= 1.001).all()
    assert (intervals["max_loading"] > 0.99).all()
    assert intervals["v_max_pu"].max() <= 1.0501
    assert intervals["v_min_pu"].min() >= 0.9499
    assert intervals["certified"].all()
    assert (intervals["linear_error_pu"] <= 1e-4).all()


def test_without_the_network_the_same_day_breaks_them(played):
    run = played("stress-day-without-network", stress("stress-day-without-network"))
    intervals = run.intervals
    assert list(intervals["status"]) == ["unconfirmed", "unconfirmed"]
    assert (intervals["binding_rows"] == 0).all()
    assert (intervals["max_loading"] > 1.2).all()
    assert (intervals["violations"] > 0).all()
    assert intervals["certified"].all()
    assert figures(run).overload_kva_h > 100.0
    assert figures(played("stress-day", stress())).overload_kva_h == 0.0


def test_set_points_of_inverters_let_more_through_and_are_certified(played):
    plain = played("stress-day", stress())
    text = stress().replace("[feeder]\n", '[feeder]\nreactive = "market"\n')
    run = played("stress-day-market", text)
    intervals, lams = run.intervals, run.lams
    assert list(intervals["status"]) == ["confirmed", "confirmed"]
    assert intervals["certified"].all()
    assert (intervals["violations"] == 0).all()
    assert lams["inverter_kvar"].abs().max() > 1.0
    assert lams["inverter_price"].notna().all()
    # What was set is what flowed, beside the loads' own reactive power; some members shed a little load.
    moved = lams["kvar"].to_numpy(float) - plain.lams["kvar"].to_numpy(float)
    np.testing.assert_allclose(moved, lams["inverter_kvar"].to_numpy(float), atol=1e-2)
    assert intervals["cost_market"].sum() < plain.intervals["cost_market"].sum()


def test_droops_act_with_the_power_flow_and_dispatches_are_still_confirmed(played):
    text = stress().replace("[feeder]\n", '[feeder]\nreactive = "volt-var"\n')
    run = played("stress-day-volt-var", text)
    assert run.intervals["status"][0] == "confirmed"
    assert (run.intervals["linear_error_pu"] < 2e-4).all()
    plain = played("stress-day", stress())
    assert run.lams["inverter_kvar"].isna().all()
    assert run.lams["kvar"].sum() > plain.lams["kvar"].sum() + 100.0


OUTAGE = """
[[events]]
at = "12:15"
kind = "line-outage"
element = "l67"

[[events]]
at = 2
kind = "line-repair"
element = "l67"

[population]
prosumers = 500
annual_kwh_median = 20000.0
"""


def test_who_is_behind_an_outage_is_unserved_and_settled_as_such(played):
    run = played("outage", OUTAGE + NOON.format(intervals=3, per_lam=1))
    intervals, lams = run.intervals, run.lams
    assert list(intervals["unserved_lams"]) == [0, 19, 0]
    assert list(intervals["status"]) == ["confirmed"] * 3
    assert intervals["certified"].all()
    dark = lams[(lams["tick"] == 1) & (lams["v_pu"] == 0.0)]
    assert len(dark) == 19
    assert (dark["net_kw"] == 0.0).all()
    # Devices need a few seconds to ramp down; nobody else draws anything.
    assert (dark["metered_kw"].abs() < 0.05).all()
    assert (lams.loc[lams["tick"] != 1, "v_pu"] > 0.9).all()
    for name in dark["lam"]:
        assert {entry.tick for entry in run.ledger.statement(f"lam/{name}")} == {0, 2}
    assert run.ledger.sum_micro() == 0
    told = [event["detail"] for event in run.events if event["kind"] == "event"]
    assert told[0].startswith("line l67 is out; no source feeds 19 LAMs")
    assert told[1].startswith("line l67 is in service; 19 LAMs are fed again: ")


def test_every_interval_can_be_solved_again_from_its_tables_in_a_fresh_opendss(played, small_run):
    runs = {
        "default, cut": small_run[0],
        "stress-day": played("stress-day", stress()),
        "volt-var": played(
            "stress-day-volt-var", stress().replace("[feeder]\n", '[feeder]\nreactive = "volt-var"\n')
        ),
        "outage": played("outage", OUTAGE + NOON.format(intervals=3, per_lam=1)),
    }
    for name, run in runs.items():
        found = list(differences(run))
        assert [each.tick for each in found] == run.intervals["tick"].tolist(), name
        assert max(each.pu for each in found) < 1e-8, name
        assert max(each.loading for each in found) < 1e-6, name
        assert sum(each.branches for each in found) == len(run.currents), name
        power = run.connections.groupby(["tick", "lam"])[["metered_kw", "cleared_kw"]].sum()
        told = run.lams.set_index(["tick", "lam"])
        told = told.loc[told["v_pu"] > 0].sort_index()
        np.testing.assert_allclose(power["metered_kw"], told["metered_kw"], atol=1e-9)
        np.testing.assert_allclose(power["cleared_kw"], told["net_kw"], atol=1e-9)
    outage = runs["outage"]
    commands = outage.positions[outage.positions["device"] == "command"]
    assert set(commands["tick"]) == {1}
    assert commands["position"].iloc[0] == "edit line.l67 enabled=no"
    switches = outage.positions[outage.positions["device"].isin(["switch.sw1", "switch.sw7"])]
    assert switches["position"].tolist() == ["closed", "open"] * 3


def test_customers_on_one_phase_bid_and_are_metered_there(played):
    text = '[feeder]\nlams_at = "phase"\n[population]\nprosumers = 300\n'
    run = played("phases", text + NOON.format(intervals=1, per_lam=1))
    assert list(run.intervals["status"]) == ["confirmed"]
    assert run.intervals["certified"].all()
    lams = run.lams.set_index("lam")
    assert len(lams) == 95
    at_47 = lams.loc[["47.1", "47.2", "47.3"]]
    assert at_47["net_kw"].nunique() == 3
    assert at_47["v_pu"].nunique() == 3
    connected = run.connections.set_index("at")
    for phase in ("47.1", "47.2", "47.3"):
        assert connected.loc[phase, "lam"] == phase
        assert connected.loc[phase, "metered_kw"] == pytest.approx(lams.loc[phase, "metered_kw"])
    assert max(each.pu for each in differences(run)) < 1e-8


def test_an_audit_finds_powers_that_were_changed(played, tmp_path):
    run = played("stress-day", stress())
    copy = shutil.copytree(run.path, tmp_path / "copy")
    table = pq.read_table(copy / "connections.parquet")
    metered_kw = table["metered_kw"].to_numpy().copy()
    metered_kw[3] += 1.0
    place = table.schema.get_field_index("metered_kw")
    pq.write_table(table.set_column(place, table.field(place), [metered_kw]), copy / "connections.parquet")
    assert max(each.pu for each in differences(load(copy))) > 1e-6
    result = CliRunner().invoke(feeder, ["audit", str(copy)])
    assert result.exit_code == 1
    assert "the recorded voltages are not those of the recorded powers" in result.output
    copy = shutil.copytree(run.path, tmp_path / "currents")
    table = pq.read_table(copy / "currents.parquet")
    current_a = table["current_a"].to_numpy() * 1.00001
    place = table.schema.get_field_index("current_a")
    pq.write_table(table.set_column(place, table.field(place), [current_a]), copy / "currents.parquet")
    result = CliRunner().invoke(feeder, ["audit", str(copy)])
    assert result.exit_code == 1
    assert "the recorded currents are not those of the recorded powers" in result.output
    result = CliRunner().invoke(feeder, ["audit", str(run.path)])
    assert (result.exit_code, "│ 2 of 2 intervals" in result.output) == (0, True)


def test_every_binding_limit_is_told_with_its_value_and_price(played):
    run = played("stress-day", stress())
    limits = run.limits
    assert limits.groupby("tick").size().tolist() == run.intervals["binding_rows"].tolist()
    assert set(limits["kind"]) <= {"voltage", "congestion"}
    np.testing.assert_allclose(limits["value"], limits["limit"], rtol=1e-6)
    assert (limits["price"] != 0).all()
    upper = limits["price"] > 0
    assert limits.loc[upper & (limits["kind"] == "voltage"), "limit"].isin([1.05]).all()
    currents = run.currents
    assert (currents["loading"] > 0.5).all()
    at_their_rating = set(currents.loc[currents["loading"] > 0.99, "branch"])
    assert {row.split(" ")[0] for row in limits.loc[limits["kind"] == "congestion", "row"]} <= at_their_rating


CROWDED = """
[run]
start = 2024-06-21T19:00:00
intervals = 2

[live]
per_lam = 0

[population.battery]
share_with_pv = 1.0
share_without_pv = 1.0
soc_start_min = 0.3

[market.grid]
import_price = 0.14
"""


def test_first_prices_at_which_there_is_no_power_flow_do_not_end_the_market(played):
    """At the middle of the grid's prices every battery charges at once, and the feeder collapses."""
    run = played("crowded", CROWDED)
    assert run.intervals["status"].tolist() == ["confirmed", "confirmed"]
    assert run.intervals["rounds"].tolist() == [2, 2]
    flags = [each["detail"] for each in run.events if each["kind"] == "flag"]
    assert "AC power flow of round 0 has no solution" in flags
    assert any(
        flag.startswith("round 0: power flow did not converge")
        and flag.endswith("; the market begins at the LAMs' own loads instead")
        for flag in flags
    )
    # The next interval begins at prices that were cleared.
    assert len(flags) == 2
