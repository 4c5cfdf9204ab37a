"""What all services of a process share."""

import pytest

from cosim.run_setup import FEW, RunSetup
from cosim.scenario import load_scenario


class World:
    """A world of which only its scenario is asked."""

    def __init__(self, changes):
        self.scenario = load_scenario(None, changes=changes)


@pytest.mark.parametrize(
    ("changes", "is_alone", "bundle_from"),
    [
        ({}, False, 1000),
        ({}, True, FEW),
        ({"broker.bundle_from": 5}, True, 5),
        ({"broker.bundle_from": 0}, True, 0),
        ({"live.home_assistant": True}, True, 0),
    ],
)
def test_few_messages_go_in_bundles_where_nobody_else_listens(changes, is_alone, bundle_from):
    setup = RunSetup(World(changes), "r", "mqtt://127.0.0.1:1", is_alone=is_alone)
    assert setup._bundle_from == bundle_from
