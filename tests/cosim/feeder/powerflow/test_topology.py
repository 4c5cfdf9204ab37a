import numpy as np
import pytest

from cosim.feeder.circuit import FeederError
from cosim.feeder.powerflow.topology import (
    CutOff,
    Element,
    Survey,
    cut_off_by,
    dummy_buses,
    fed_nodes,
    segments,
)

NAMES = ("ground", "s.1", "a.1", "a.4", "b.1", "open.1", "x.1")


def element(name: str, buses: tuple[str, ...], nodes: list[int], *, switch: bool = False) -> Element:
    kind = name.partition(".")[0]
    return Element(name, kind, buses, np.array(nodes), (1,), (1,) * len(nodes), np.inf, switch, -1)


SOUND = (
    element("vsource.source", ("s", "s"), [1, 0]),
    element("line.sa", ("s", "a"), [1, 2]),
    element("reactor.neutral", ("a", "a"), [3, 0]),
    element("transformer.ab", ("a", "b"), [2, 0, 4, 0]),
    element("line.tie", ("b", "open"), [4, 5], switch=True),
    element("load.b", ("b",), [4, 0]),
)


def survey(*elements: Element) -> tuple[Survey, list[np.ndarray]]:
    primitives = [np.ones((len(each.nodes), len(each.nodes)), dtype=complex) for each in elements]
    return Survey(elements, NAMES, np.ones(len(NAMES)), ()), primitives


def test_what_a_source_feeds_and_what_counts_as_a_voltage():
    circuit, primitives = survey(*SOUND)
    fed = fed_nodes(circuit, primitives)
    assert [name for name, is_fed in zip(NAMES, fed, strict=True) if is_fed] == [
        "s.1",
        "a.1",
        "b.1",
        "open.1",
    ]
    assert dummy_buses(circuit) == {"open"}


def test_a_switch_between_two_used_buses_hides_neither():
    circuit, _ = survey(*SOUND, element("load.far", ("open",), [5, 0]))
    assert dummy_buses(circuit) == set()


@pytest.mark.parametrize("kind", ["load", "capacitor", "generator"])
def test_what_stands_at_a_bus_that_nothing_feeds_is_named(kind):
    circuit, primitives = survey(*SOUND, element(f"{kind}.lost", ("x",), [6, 0]))
    with pytest.raises(
        FeederError, match=rf"{kind}.lost stands at 'x.1', which no line or transformer feeds"
    ):
        cut_off_by(circuit, primitives, fed_nodes(circuit, primitives))


def test_an_open_terminal_feeds_nothing():
    circuit, primitives = survey(*SOUND)
    primitives[3][:] = np.diag(np.ones(4))
    with pytest.raises(FeederError, match=r"load\.b stands at 'b.1'"):
        cut_off_by(circuit, primitives, fed_nodes(circuit, primitives))


def test_an_open_line_is_named_where_it_cuts_off():
    circuit, primitives = survey(*SOUND, element("load.far", ("open",), [5, 0]))
    primitives[4][:] = 0
    found = cut_off_by(circuit, primitives, fed_nodes(circuit, primitives))
    assert found == {"load.far": CutOff("open", "line.tie")}


def test_coupling_between_conductors_feeds_nothing():
    line = Element(
        "line.ax", "line", ("a", "x"), np.array([2, 3, 5, 6]), (1, 2), (1, 2, 1, 2), np.inf, False, -1
    )
    circuit, primitives = survey(*SOUND[:2], line)
    fed = fed_nodes(circuit, primitives)
    assert fed.tolist() == [False, True, True, False, False, True, False]


def test_map_segments_join_two_buses():
    circuit, _ = survey(*SOUND)
    assert [tuple(segment) for segment in segments(circuit)] == [
        ("line.sa", "s", "a"),
        ("transformer.ab", "a", "b"),
        ("line.tie", "b", "open"),
    ]
