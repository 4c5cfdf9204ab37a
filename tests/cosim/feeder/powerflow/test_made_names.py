"""What stands for elements of a file has names of its own, and is told as the file has it."""

import pytest

from cosim.feeder.powerflow.made_names import as_described, lam_load, load_for, windings_of


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (load_for("generator.g_1"), "generator.g_1"),
        (load_for("pvsystem.roof.2"), "pvsystem.roof.2"),
        (f"{windings_of('shop_4')}3", "winding 3 of load.shop_4"),
        (f"{windings_of('4.b')}1", "winding 1 of load.4.b"),
    ],
)
def test_loads_that_stand_for_something_are_told_as_that(made, told):
    assert as_described(f"load.{made}") == told


@pytest.mark.parametrize("name", ["load.shop", "line.sharegrid_winding_a_1", f"load.{lam_load(2, 1)}"])
def test_other_elements_keep_their_names(name):
    assert as_described(name) == name
