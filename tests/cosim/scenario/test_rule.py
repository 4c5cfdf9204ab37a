"""What the rule of quantities cannot have beside it is refused in one line."""

from pathlib import Path

import pytest

from cosim.scenario import ScenarioError, load_scenario

PAPER = Path(__file__).parents[3] / "scenarios" / "paper.toml"
ARMED = {
    "prosumer": "p00001",
    "profile": "sunspec-battery",
    "connect": "tcp://127.0.0.1:502/1",
    "armed": True,
    "min_kw": -1.0,
    "max_kw": 1.0,
}


def test_the_paper_s_scenario_is_right():
    assert load_scenario(PAPER).market.rule == "quantity"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"market.lam_fee": 0.1}, '--set market.lam_fee: rule = "quantity" has no fees'),
        (
            {"feeder.reactive": "market"},
            '--set feeder.reactive: rule = "quantity" has no market for reactive',
        ),
        ({"market.horizon": 4}, '--set market.horizon: rule = "quantity" clears each interval by itself'),
        ({"market.tariff.retail_price": 0.01}, "market.tariff.retail_price"),
    ],
)
def test_what_does_not_go_with_the_rule_is_named(changes, says):
    with pytest.raises(ScenarioError) as caught:
        load_scenario(PAPER, changes=changes)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_droop_of_the_voltage_goes_with_the_rule():
    assert load_scenario(PAPER, changes={"feeder.reactive": "volt-var"}).feeder.reactive == "volt-var"


@pytest.mark.parametrize("changes", [{}, {"market.network": False}])
def test_armed_devices_go_with_the_rule(changes):
    """An overloaded feeder is cleared under it as under the other rule."""
    assert load_scenario(PAPER, changes={"devices": [ARMED]} | changes).devices
