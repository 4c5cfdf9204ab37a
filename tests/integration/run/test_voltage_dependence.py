"""A run whose prosumers' demand follows the voltage, through a lower source voltage and an outage."""

import numpy as np
import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.results.ledger_check import check_ledger
from cosim.results.reader import load
from cosim.study.audit import differences
from devices.physics.demand import demand_factor
from tests.broker.door.hostile_run import LAMS, MASTER

LAW = (0.6, 0.3)
COUNTER_KWH = 1e-5
"""How well two readings of a live prosumer's counter tell an interval's energy."""
SCENARIO = """[run]
start = 2024-06-21T01:00:00
intervals = 6
[feeder]
master = "m.dss"
voltage_min_pu = 0.9
[tables]
lams = "lams.csv"
[population]
prosumers = 14
annual_kwh_median = 40000.0
forecast_error = 0.0
[population.battery]
share_with_pv = 0.0
share_without_pv = 0.0
[population.flexible]
share = 0.0
[live]
per_lam = 2
[broker]
use = "embedded"
"""
FOLLOWS = """[population.voltage_dependence]
constant_impedance = 0.6
constant_current = 0.3
[[events]]
at = 1
kind = "source-voltage"
pu = 0.97
[[events]]
at = 3
kind = "line-outage"
element = "m"
for_min = 15.0
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A night at constant power, and the same with a law of demand and events."""
    folder = tmp_path_factory.mktemp("law")
    (folder / "m.dss").write_text(MASTER)
    (folder / "lams.csv").write_text(LAMS)
    found = []
    for name, scenario in (("plain", SCENARIO), ("follows", SCENARIO + FOLLOWS)):
        (folder / f"{name}.toml").write_text(scenario)
        done = CliRunner().invoke(main, ["run", str(folder / f"{name}.toml"), "--out", str(folder / name)])
        assert done.exit_code == 0, done.output
        found.append(load(folder / name))
    return found


def by_tick(table, row, value):
    return table.pivot(index="tick", columns=row, values=value)


def factors(run):
    """Demand over that at 1 pu by interval and LAM: voltages of the interval before, 0 while unserved."""
    v_pu = by_tick(run.lams, "lam", "v_pu").fillna(0.0)
    last = v_pu.where(v_pu > 0.0).ffill().shift(1).fillna(1.0)
    return last.apply(lambda v: demand_factor(v, *LAW)).where(v_pu > 0.0, 0.0)


def test_virtual_and_live_prosumers_draw_by_the_voltage_of_the_interval_before(runs):
    plain, follows = runs
    at_one = by_tick(plain.payments, "prosumer", "metered_kwh")
    drawn = by_tick(follows.payments, "prosumer", "metered_kwh")
    home = follows.prosumers.set_index("prosumer")
    live = home.live[drawn.columns].to_numpy()
    assert 0 < live.sum() < live.size
    expected = at_one * factors(follows)[home.lam[drawn.columns]].to_numpy()
    assert (at_one > 0.05).all(axis=None)
    for some, within_kwh in ((~live, 1e-9), (live, COUNTER_KWH)):
        assert np.allclose(drawn.loc[:, some], expected.loc[:, some], rtol=0.0, atol=within_kwh)
    unserved = home.lam[drawn.columns].to_numpy() == "farm"
    assert (drawn.loc[3, unserved] == 0.0).all()
    assert (drawn.loc[4, unserved] > 0.05).all()


def test_a_lower_source_voltage_saves_energy_from_the_next_interval_on(runs):
    total = [run.payments.groupby("tick").metered_kwh.sum() for run in runs]
    saved = 1.0 - total[1] / total[0]
    assert saved[0] == pytest.approx(0.0, abs=1e-4)
    # The law says 0.6 * 2 + 0.3 for each of the source's three percent, near 1 pu.
    assert saved[2] - saved[1] == pytest.approx(1.5 * 0.03, abs=0.005)
    assert np.allclose(saved[[2, 5]], saved[2], atol=0.005)


def test_bids_know_the_voltage_and_books_and_power_flow_hold(runs):
    follows = runs[1]
    bought = follows.payments.merge(follows.prosumers[["prosumer", "live"]], on="prosumer")
    for live, within_kwh in ((False, 1e-6), (True, COUNTER_KWH)):
        served = bought[(bought.metered_kwh > 0.0) & (bought.live == live)]
        assert np.allclose(served.traded_kwh, served.metered_kwh, rtol=0.0, atol=within_kwh)
    assert sum(follows.ledger.balances().values()) == 0
    assert check_ledger(follows.path)[0] == []
    assert max(each.pu for each in differences(follows)) < 1e-9
