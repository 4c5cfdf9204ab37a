"""Declarations of indicators: complete, unlike, and shown with their units."""

import pytest

from cosim.results.network import NetworkFigures
from market.analysis.indicators import Indicators
from market.analysis.kpi import Kpi, declared, lines


@pytest.mark.parametrize(
    ("kpi", "value", "shown"),
    [
        (Kpi("share", "of all", "a / b"), 0.12345, "12.35%"),
        (Kpi("ratio", "of two", "a / b", form=".3f"), 1.5, "1.500"),
        (Kpi("energy", "of all", "sum", unit="kWh", form=",.0f"), 1234.4, "1,234 kWh"),
        (Kpi("energy", "of all", "sum", unit="kWh", form=",.0f"), None, "not known"),
    ],
)
def test_values_are_shown_with_their_units(kpi, value, shown):
    assert kpi.shown(value) == shown


@pytest.mark.parametrize("struct", [Indicators, NetworkFigures])
def test_every_indicator_says_what_it_is(struct):
    found = declared(struct)
    assert tuple(found) == struct.__struct_fields__
    assert all(kpi.label and kpi.meaning and kpi.formula for kpi in found.values())
    assert len({kpi.label for kpi in found.values()}) == len(found)


def test_lines_are_those_of_the_names_in_the_declared_order():
    figures = Indicators(**dict.fromkeys(Indicators.__struct_fields__, 0.5))
    assert lines(figures, {"self_sufficiency", "efficiency"}) == [
        ("efficiency", "50.00%", "of what sharing can save, saved by the market"),
        ("self-sufficiency as cleared", "50.00%", "of consumption made on the feeder"),
    ]
    assert len(lines(figures)) == len(Indicators.__struct_fields__)
