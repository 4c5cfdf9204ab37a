"""What is taken of a federation and told to it, without HELICS itself."""

import pytest

from broker.messages import BoundaryValues
from cosim.links.helics.boundary import Inputs, parse_takes
from cosim.links.helics.figures import keys
from market.model.case import Grid

LAMS = ("a", "b.1")
GRID = Grid(0.2, 0.1, 100.0, 100.0)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["source_pu"], "write KEY=PUBLICATION"),
        (["source_pu="], "write KEY=PUBLICATION"),
        (["source_p=x"], "no input 'source_p'; did you mean 'source_pu'"),
        (["load_kw/zzz=x"], "no input 'load_kw/zzz'"),
        (["source_pu=x", "source_pu=y"], "source_pu takes x already"),
    ],
)
def test_what_is_no_take_is_refused(texts, said):
    with pytest.raises(ValueError, match=said):
        parse_takes(texts, LAMS)


def test_takes_name_inputs_and_publications_of_any_form():
    takes = parse_takes(["source_pu = grid/v=1", "load_kvar/b.1=x"], LAMS)
    assert takes == {"source_pu": "grid/v=1", "load_kvar/b.1": "x"}


def test_what_cannot_be_is_refused_and_what_was_before_stands():
    inputs = Inputs(LAMS)
    assert inputs.boundary(GRID) == (None, [])
    assert inputs.take({"source_pu": 1.02, "load_kw/a": -5.0}) == []
    assert inputs.boundary(GRID) == (BoundaryValues(source_pu=1.02, load_kw=[-5.0, 0.0]), [])
    refused = inputs.take({"source_pu": 0.4, "load_kw/a": float("inf"), "load_kvar/b.1": 2e6})
    assert [each.partition(" = ")[0] for each in refused] == ["source_pu", "load_kw/a", "load_kvar/b.1"]
    assert inputs.boundary(GRID) == (BoundaryValues(source_pu=1.02, load_kw=[-5.0, 0.0]), [])


def test_a_grid_never_pays_more_than_it_asks():
    inputs = Inputs(LAMS)
    assert inputs.take({"import_price": 0.3}) == []
    assert inputs.boundary(GRID) == (BoundaryValues(import_price=0.3), [])
    inputs.take({"import_price": 0.05})
    told, refused = inputs.boundary(GRID)
    assert told == BoundaryValues()
    assert refused == [
        "prices of the federation refused: the grid would ask 0.05 and pay 0.1 $/kWh; the scenario's stand"
    ]
    inputs.take({"export_price": -0.02})
    assert inputs.boundary(GRID) == (BoundaryValues(import_price=0.05, export_price=-0.02), [])


def test_every_node_and_lam_has_its_publications():
    told = dict(keys(("n.1", "n.2"), LAMS))
    assert told["v_pu/n.2"] == "pu"
    assert told["price/b.1"] == "$/kWh"
    assert sum(key.startswith("metered_kw/") for key in told) == 2
